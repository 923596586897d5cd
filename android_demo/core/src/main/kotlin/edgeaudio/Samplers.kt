package edgeaudio

import kotlin.math.expm1
import kotlin.math.ln

/** (x [T · C], t) -> v [T · C]. */
typealias Denoise = (FloatArray, Double) -> FloatArray

/** What one step did. `x` of the last step is the sample. */
class Step(val index: Int, val total: Int, val x: FloatArray)

/**
 * A sampler for rectified flow with the schedule it was made for: x = (1 - t) clean + t noise, the model's v is noise - clean. It
 * yields one step per interval of the levels; the caller drives it, shows progress, and cancels by no longer asking.
 */
class Sampler(
    val schedule: Schedule,
    val sample: (denoise: Denoise, x: FloatArray, sigmas: DoubleArray, noise: (Int) -> FloatArray) -> Sequence<Step>,
)

/** Denoise fully, then add fresh noise of the next level. The last draw is multiplied by zero, but it is drawn. */
private val pingpong = Sampler(logsnrSigmas) { denoise, start, sigmas, noise ->
    steps(start, sigmas) { x, t, next ->
        val clean = x.plus(-t, denoise(x, t))
        clean.times(1 - next).plus(next, noise(x.size))
    }
}

/** First-order steps along v. */
private val euler = Sampler(logsnrSigmas) { denoise, start, sigmas, _ ->
    steps(start, sigmas) { x, t, next -> x.plus(next - t, denoise(x, t)) }
}

/** Classical Runge-Kutta, four evaluations a step, the last one at t = 0. */
private val rk4 = Sampler(linearSigmas) { denoise, start, sigmas, _ ->
    steps(start, sigmas) { x, t, next ->
        val dt = next - t
        val k1 = denoise(x, t)
        val k2 = denoise(x.plus(dt / 2, k1), t + dt / 2)
        val k3 = denoise(x.plus(dt / 2, k2), t + dt / 2)
        val k4 = denoise(x.plus(dt, k3), next)
        x.plus(dt / 6, FloatArray(x.size) { k1[it] + 2f * k2[it] + 2f * k3[it] + k4[it] })
    }
}

/** DPM-Solver++ 2M in log-SNR (Lu et al. 2022); a step out of t = 1 or into t = 0, and the one after, is first-order. */
private val dpmpp = Sampler(logsnrSigmas) { denoise, start, sigmas, _ ->
    var previous = FloatArray(0)
    var last = Double.POSITIVE_INFINITY
    steps(start, sigmas) { x, t, next ->
        val clean = x.plus(-t, denoise(x, t))
        val h = logsnr(next) - logsnr(t)
        var direction = clean
        if (h.isFinite() && last.isFinite()) {
            val weight = h / (2 * last)
            direction = clean.times(1 + weight).plus(-weight, previous)
        }
        previous = clean
        last = h
        x.times(next / t).plus(-((1 - next) * expm1(-h)), direction)
    }
}

val SAMPLERS: Map<String, Sampler> = mapOf("pingpong" to pingpong, "euler" to euler, "dpmpp" to dpmpp, "rk4" to rk4)

private fun steps(start: FloatArray, sigmas: DoubleArray, step: (FloatArray, Double, Double) -> FloatArray) = sequence {
    var x = start
    for (index in 0 until sigmas.size - 1) {
        x = step(x, sigmas[index], sigmas[index + 1])
        yield(Step(index, sigmas.size - 1, x))
    }
}

private fun logsnr(t: Double): Double = when (t) {
    0.0 -> Double.POSITIVE_INFINITY
    1.0 -> Double.NEGATIVE_INFINITY
    else -> ln((1 - t) / t)
}

// float32 arithmetic with factors rounded to float32 first, as NumPy does it

private fun FloatArray.times(factor: Double): FloatArray = factor.toFloat().let { f -> FloatArray(size) { f * this[it] } }

private fun FloatArray.plus(factor: Double, other: FloatArray): FloatArray =
    factor.toFloat().let { f -> FloatArray(size) { this[it] + f * other[it] } }
