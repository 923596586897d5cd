package edgeaudio

/** v = u + scale (c - u), Ho & Salimans 2022; without an unconditional branch it is c. */
fun <B : Any> guided(denoise: (FloatArray, Double, B) -> FloatArray, conditional: B, unconditional: B?, cfgScale: Double): Denoise = { x, t ->
    val c = denoise(x, t, conditional)
    if (unconditional == null) {
        c
    } else {
        val u = denoise(x, t, unconditional)
        val scale = cfgScale.toFloat()
        FloatArray(c.size) { u[it] + scale * (c[it] - u[it]) }
    }
}
