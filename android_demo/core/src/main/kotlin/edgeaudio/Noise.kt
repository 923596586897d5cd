package edgeaudio

import kotlin.math.abs
import kotlin.math.sqrt

/** Number [index] of a stream, from 1: SplitMix64 (Steele, Lea, Flood 2014). */
internal fun splitMix(seed: Long, index: Long): Long {
    var z = seed + index * -0x61c8864680b583ebL
    z = (z xor (z ushr 30)) * -0x40a7b892e31b1a47L
    z = (z xor (z ushr 27)) * -0x6b2fb644ecceee15L
    return z xor (z ushr 31)
}

/**
 * Seeded Gaussian noise: one stream that never changes, bit for bit the one of `edge_audio/noise.py`.
 *
 * Integers come from SplitMix64 and become normal deviates through Wichura's rational functions (AS 241), by integer arithmetic and
 * the IEEE-754 operations that every platform rounds alike; therefore no Math.log.
 */
class NoiseStream(private val seed: Long) {
    private var drawn = 0L

    init {
        if (seed < 0) throw UsageError("seed $seed is not usable; choose a whole number from 0 to ${Long.MAX_VALUE}")
    }

    /** The next [count] standard normal deviates. */
    fun normal(count: Int): FloatArray = FloatArray(count) { inverseNormalCdf(uniform()).toFloat() }

    /** 52 bits and not 53: then adding one half is exact, and the result is never 0 or 1. */
    private fun uniform(): Double = ((splitMix(seed, ++drawn) ushr 12).toDouble() + 0.5) * UNIT

    companion object {
        private const val UNIT = 2.220446049250313e-16 // 2^-52
        private const val LN2 = 0.6931471805599453
        private const val SQRT_HALF = 0.7071067811865476
        private val ATANH = DoubleArray(12) { 1.0 / (2 * (11 - it) + 1) }

        // Wichura (1988), AS 241, PPND16: numerators and denominators, the highest power first.
        private val CENTRE = doubleArrayOf(
            2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
            13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080,
        ) to doubleArrayOf(
            5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
            5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0,
        )
        private val TAIL = doubleArrayOf(
            7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
            3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
        ) to doubleArrayOf(
            1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
            6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0,
        )
        private val FAR_TAIL = doubleArrayOf(
            2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
            2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720,
        ) to doubleArrayOf(
            2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
            1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
        )

        /** Normal deviate with lower tail area [p], 0 < p < 1. */
        fun inverseNormalCdf(p: Double): Double {
            val q = p - 0.5
            if (abs(q) <= 0.425) return q * rational(CENTRE, 0.180625 - q * q)
            val r = sqrt(-log(if (q < 0) p else 1.0 - p))
            val tail = if (r <= 5.0) rational(TAIL, r - 1.6) else rational(FAR_TAIL, r - 5.0)
            return if (q < 0) -tail else tail
        }

        private fun rational(coefficients: Pair<DoubleArray, DoubleArray>, x: Double): Double =
            horner(coefficients.first, x) / horner(coefficients.second, x)

        private fun horner(coefficients: DoubleArray, x: Double): Double {
            var total = coefficients[0]
            for (index in 1 until coefficients.size) total = total * x + coefficients[index]
            return total
        }

        /** ln x = e ln 2 + 2 atanh s, where x = m 2^e, m in [√½, √2), s = (m - 1)/(m + 1). */
        private fun log(x: Double): Double {
            var exponent = Math.getExponent(x) + 1 // x = mantissa · 2^exponent, mantissa in [½, 1)
            var mantissa = Math.scalb(x, -exponent)
            if (mantissa < SQRT_HALF) {
                mantissa *= 2.0
                exponent -= 1
            }
            val s = (mantissa - 1.0) / (mantissa + 1.0)
            return exponent.toDouble() * LN2 + 2.0 * s * horner(ATANH, s * s)
        }
    }
}
