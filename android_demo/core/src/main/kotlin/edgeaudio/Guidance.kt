package edgeaudio

/** v = u + scale (c - u), Ho & Salimans 2022; without an unconditional branch it is c. */
fun <B : Any> guided(denoise: (FloatArray, Double, B) -> FloatArray, conditional: B, unconditional: B?, cfgScale: Double): Denoise = { x, t ->
    val c = denoise(x, t, conditional)
    val u = unconditional?.let { denoise(x, t, it) }
    val scale = cfgScale.toFloat()
    if (u == null) c else FloatArray(c.size) { u[it] + scale * (c[it] - u[it]) }
}
