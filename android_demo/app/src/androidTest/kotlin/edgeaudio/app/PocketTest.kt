package edgeaudio.app

import android.content.Intent
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import edgeaudio.Clip
import edgeaudio.Request
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** The app's own model on a device or an emulator, by LiteRT's Android artifact. */
@RunWith(AndroidJUnit4::class)
class PocketTest {
    private val context get() = InstrumentationRegistry.getInstrumentation().targetContext

    private fun clip(seed: Long): Clip =
        Choice.all(context).first().open(context).generate(Request("a bell ringing at C5", seconds = 1.0, seed = seed))

    @Test
    fun makesASound() {
        val clip = clip(7)
        assertEquals(clip.sampleRate, clip.frames)
        assertTrue("peak ${clip.peak}", clip.peak > 0.05f)
        assertTrue("${clip.loudestDbfs()} dBFS", clip.loudestDbfs() > -40.0)
    }

    @Test
    fun theSameSeedMakesTheSameSound() {
        assertArrayEquals(clip(7).samples, clip(7).samples, 0f)
        assertTrue(clip(7).samples.zip(clip(8).samples).any { (one, other) -> one != other })
    }

    @Test
    fun theScreenOpens() {
        val open = Intent(context, MainActivity::class.java).addFlags(Intent.FLAG_ACTIVITY_NEW_TASK)
        InstrumentationRegistry.getInstrumentation().startActivitySync(open).finish()
    }
}
