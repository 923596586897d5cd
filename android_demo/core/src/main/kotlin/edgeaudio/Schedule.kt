package edgeaudio

import kotlin.math.exp

/** Noise levels: `steps + 1` values of t that fall from 1 to 0. */
fun interface Schedule {
    fun sigmas(steps: Int): DoubleArray
}

/** Evenly spaced in log-SNR, ln((1 - t)/t), from -6 to 2; the two ends are set to 1 and 0 (stable-audio-tools). */
val logsnrSigmas = Schedule { steps ->
    checkSteps(steps)
    DoubleArray(steps + 1) { 1.0 / (1.0 + exp(it * (8.0 / steps) - 6.0)) }.also {
        it[0] = 1.0
        it[steps] = 0.0
    }
}

/** Evenly spaced levels 1 ... 0. */
val linearSigmas = Schedule { steps ->
    checkSteps(steps)
    DoubleArray(steps + 1) { it * (-1.0 / steps) + 1.0 }.also { it[steps] = 0.0 }
}

/** UsageError unless [steps] is from 1. */
fun checkSteps(steps: Int) {
    if (steps < 1) throw UsageError("steps $steps makes no sound; use a whole number from 1")
}
