package edgeaudio.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import edgeaudio.Clip

/** Highest and lowest sample of every column of pixels. */
class WaveformView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val paint = Paint().apply {
        val accent = TypedValue()
        context.theme.resolveAttribute(android.R.attr.colorAccent, accent, true)
        color = accent.data
        strokeWidth = resources.displayMetrics.density
    }

    /** Told to TalkBack as well. */
    var clip: Clip? = null
        set(value) {
            field = value
            contentDescription = if (value == null) context.getString(R.string.waveform)
            else context.getString(R.string.waveform_of, value.seconds, 100 * value.peak)
            invalidate()
        }

    override fun onDraw(canvas: Canvas) {
        val clip = clip
        val middle = height / 2f
        if (clip == null || clip.frames == 0) {
            canvas.drawLine(0f, middle, width.toFloat(), middle, paint)
            return
        }
        val scale = middle * clip.gain
        for (x in 0 until width) {
            val begin = (x.toLong() * clip.frames / width).toInt()
            val end = maxOf(begin + 1, ((x + 1).toLong() * clip.frames / width).toInt())
            var low = 0f
            var high = 0f
            for (index in begin * clip.channels until end * clip.channels) {
                low = minOf(low, clip.samples[index])
                high = maxOf(high, clip.samples[index])
            }
            canvas.drawLine(x.toFloat(), middle - scale * high - 0.5f, x.toFloat(), middle - scale * low + 0.5f, paint)
        }
    }
}
