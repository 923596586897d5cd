package edgeaudio

/** What the `project` signature returned for one branch. */
typealias Projected = Map<String, FloatArray>

/** v = u + scale (c - u), Ho & Salimans 2022; without [unconditional] it is c. */
fun guided(
    denoise: (FloatArray, Double, Projected) -> FloatArray,
    conditional: Projected,
    unconditional: Projected?,
    cfgScale: Double,
): Denoise = { x, t ->
    val c = denoise(x, t, conditional)
    if (unconditional == null) {
        c
    } else {
        val u = denoise(x, t, unconditional)
        val scale = cfgScale.toFloat()
        FloatArray(c.size) { u[it] + scale * (c[it] - u[it]) }
    }
}
