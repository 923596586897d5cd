package edgeaudio

import java.io.DataOutputStream
import java.io.OutputStream
import kotlin.math.abs
import kotlin.math.roundToInt

private const val SAFE_PEAK = 0.999f

/** Audio, interleaved [frames · channels], full scale ±1, with the recipe it was made by (JSON) and the seconds of its stages. */
class Clip(
    val samples: FloatArray,
    val sampleRate: Int,
    val channels: Int,
    val recipe: String,
    val timings: Map<String, Double>,
) {
    val frames: Int get() = samples.size / channels
    val seconds: Double get() = frames.toDouble() / sampleRate

    /** Largest absolute sample; above 1 it would clip. */
    val peak: Float get() = samples.maxOfOrNull { abs(it) } ?: 0f

    /** What [save] multiplies the samples by: 1, or less if the peak passes 1. */
    val gain: Float get() = peak.let { if (it <= 1f) 1f else SAFE_PEAK / it }

    /** Write a 16-bit WAV with the recipe in its comment. The stream is closed. */
    fun save(out: OutputStream) {
        val comment = recipe.toByteArray() + ByteArray(if (recipe.toByteArray().size % 2 == 0) 2 else 1)
        val data = 2 * samples.size
        DataOutputStream(out.buffered()).use { file ->
            file.writeBytes("RIFF")
            file.little(4 + 24 + 8 + data + 8 + 4 + 8 + comment.size)
            file.writeBytes("WAVEfmt ")
            file.little(16)
            file.short(1)
            file.short(channels)
            file.little(sampleRate)
            file.little(2 * sampleRate * channels)
            file.short(2 * channels)
            file.short(16)
            file.writeBytes("LIST")
            file.little(4 + 8 + comment.size)
            file.writeBytes("INFOICMT")
            file.little(comment.size)
            file.write(comment)
            file.writeBytes("data")
            file.little(data)
            val scale = gain * 32767f
            for (sample in samples) file.short((sample * scale).roundToInt().coerceIn(-32768, 32767))
        }
    }

    private fun DataOutputStream.little(value: Int) = writeInt(Integer.reverseBytes(value))

    private fun DataOutputStream.short(value: Int) = writeShort(java.lang.Short.reverseBytes(value.toShort()).toInt())
}
