package edgeaudio

import java.io.OutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.log10
import kotlin.math.pow
import kotlin.math.round
import kotlin.math.sqrt

private const val SAFE_PEAK = 0.999f

/** A model's softest sound is this many dB above what counts as quiet. */
private const val QUIET = 4.0

/**
 * Audio, interleaved [frames · channels], full scale ±1, with the recipe it was made by (JSON), the seconds of its stages, and notes:
 * what the model could not do well.
 */
class Clip(
    val samples: FloatArray,
    val sampleRate: Int,
    val channels: Int,
    val recipe: String,
    val timings: Map<String, Double>,
    val notes: List<String> = emptyList(),
) {
    val frames: Int get() = samples.size / channels
    val seconds: Double get() = frames.toDouble() / sampleRate

    /** Largest absolute sample; above 1 it would clip. */
    val peak: Float get() = samples.maxOfOrNull { abs(it) } ?: 0f

    /** What [save] multiplies the samples by: 1, or less if the peak passes 1. */
    val gain: Float get() = peak.let { if (it <= 1f) 1f else SAFE_PEAK / it }

    /** RMS level of the loudest quarter of a second in dBFS; -200 for silence. */
    fun loudestDbfs(): Double {
        val window = (sampleRate / 4).coerceIn(1, maxOf(1, frames))
        val sums = DoubleArray(frames + 1)
        for (frame in 0 until frames) {
            sums[frame + 1] = sums[frame] + (0 until channels).sumOf { samples[frame * channels + it].toDouble().pow(2) } / channels
        }
        val loudest = (window..frames).maxOfOrNull { sums[it] - sums[it - window] } ?: 0.0
        return 20 * log10(maxOf(sqrt(loudest / window), 1e-10))
    }

    /** The same clip with one more note. */
    fun noting(note: String) = Clip(samples, sampleRate, channels, recipe, timings, notes + note)

    /** Whether this is much softer than any sound of a model. */
    fun isQuiet(usual: UsualLevel): Boolean = loudestDbfs() < usual.lowest - QUIET

    /** Write a 16-bit WAV with the recipe in its comment. The stream is closed. */
    fun save(out: OutputStream) {
        val comment = recipe.toByteArray() + ByteArray(if (recipe.toByteArray().size % 2 == 0) 2 else 1)
        val file = ByteBuffer.allocate(64 + comment.size + 2 * samples.size).order(ByteOrder.LITTLE_ENDIAN)
        fun tag(name: String) = file.put(name.toByteArray())
        tag("RIFF").putInt(file.capacity() - 8)
        tag("WAVEfmt ").putInt(16).putShort(1).putShort(channels.toShort()).putInt(sampleRate).putInt(2 * sampleRate * channels)
        file.putShort((2 * channels).toShort()).putShort(16)
        tag("LIST").putInt(12 + comment.size)
        tag("INFOICMT").putInt(comment.size).put(comment)
        tag("data").putInt(2 * samples.size)
        val scale = gain * 32768f
        for (sample in samples) file.putShort(round(sample * scale).toInt().coerceIn(-32768, 32767).toShort())
        out.use { it.write(file.array()) }
    }
}
