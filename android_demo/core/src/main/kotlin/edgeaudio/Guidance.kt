package edgeaudio

/** v = u + scale (c - u), Ho & Salimans 2022; without an unconditional branch it is c. */
fun <Branch : Any> guided(
    denoise: (FloatArray, Double, Branch) -> FloatArray, conditional: Branch, unconditional: Branch?, cfgScale: Double,
): Denoise = { x, t ->
    val c = denoise(x, t, conditional)
    val u = unconditional?.let { denoise(x, t, it) }
    val scale = cfgScale.toFloat()
    if (u == null) c else FloatArray(c.size) { u[it] + scale * (c[it] - u[it]) }
}
