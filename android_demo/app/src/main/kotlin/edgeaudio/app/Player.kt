package edgeaudio.app

import android.media.AudioAttributes
import android.media.AudioFormat
import android.media.AudioTrack
import java.util.concurrent.LinkedBlockingQueue

/** Plays blocks of float samples in the order in which they come, in a thread of its own, from the first one on. */
class Player(private val onEnd: () -> Unit = {}) {
    private val blocks = LinkedBlockingQueue<FloatArray>()
    private var track: AudioTrack? = null

    @Volatile
    private var stopped = false

    /** Take the next block [n · channels], full scale ±1; returns at once. */
    fun add(block: FloatArray, sampleRate: Int, channels: Int) {
        if (track == null) begin(sampleRate, channels)
        blocks.put(block)
    }

    /** No more blocks will come: what is there is played to its end. */
    fun end() = blocks.put(END)

    /** Silence, now. */
    fun stop() {
        stopped = true
        blocks.put(END)
        track?.pause()
    }

    private fun begin(sampleRate: Int, channels: Int) {
        val mask = if (channels == 1) AudioFormat.CHANNEL_OUT_MONO else AudioFormat.CHANNEL_OUT_STEREO
        val format = AudioFormat.Builder().setSampleRate(sampleRate).setChannelMask(mask).setEncoding(AudioFormat.ENCODING_PCM_FLOAT).build()
        val attributes = AudioAttributes.Builder().setUsage(AudioAttributes.USAGE_MEDIA)
            .setContentType(AudioAttributes.CONTENT_TYPE_SONIFICATION).build()
        val least = AudioTrack.getMinBufferSize(sampleRate, mask, AudioFormat.ENCODING_PCM_FLOAT)
        val made = AudioTrack(attributes, format, maxOf(least, sampleRate * channels), AudioTrack.MODE_STREAM, 0)
        track = made
        Thread({ play(made, channels) }, "player").start()
    }

    private fun play(track: AudioTrack, channels: Int) {
        track.play()
        var frames = 0
        while (!stopped) {
            val block = blocks.take()
            if (block === END) break
            var at = 0
            while (!stopped && at < block.size) {
                val written = track.write(block, at, block.size - at, AudioTrack.WRITE_BLOCKING)
                if (written <= 0) break
                at += written
            }
            frames += block.size / channels
        }
        while (!stopped && track.playbackHeadPosition < frames) Thread.sleep(20)
        track.release()
        onEnd()
    }

    private companion object {
        val END = FloatArray(0)
    }
}
