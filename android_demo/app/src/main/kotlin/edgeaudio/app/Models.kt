package edgeaudio.app

import android.content.Context
import android.content.res.AssetManager
import com.google.ai.edge.litert.Model
import edgeaudio.Bundle
import edgeaudio.BundleFiles
import edgeaudio.Device
import edgeaudio.EdgeAudioError
import edgeaudio.Folder
import edgeaudio.GraphOpener
import edgeaudio.LiteRtRunner
import edgeaudio.MANIFEST_NAME
import edgeaudio.Pipeline
import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream

private const val POCKET = "pocket"

/** The bundle in the app's assets, which are stored uncompressed, so that LiteRT maps its graphs into memory. */
class Assets(private val assets: AssetManager) : BundleFiles {
    override val name: String get() = POCKET

    override fun open(file: String): InputStream? = try {
        assets.open("$POCKET/$file")
    } catch (_: FileNotFoundException) {
        null
    }
}

/** A model to choose: the pocket model, or a bundle in the app's files folder (`adb push` puts it there). */
class Choice(val label: String, private val files: BundleFiles) {
    private var pipeline: Pipeline? = null

    /**
     * One pipeline for all clips, which remembers the prompt. EdgeAudioError if the bundle is damaged. Takes a while for big ones: not on
     * the main thread, and always on the same one.
     */
    fun open(context: Context): Pipeline = pipeline ?: Bundle.open(files).let { bundle ->
        val device = Device(File("/proc/cpuinfo").takeIf { it.canRead() }?.readText().orEmpty(), Runtime.getRuntime().availableProcessors())
        Pipeline(bundle, bundle.choose(null, device::preferred), device.threads, opener(context)).also { pipeline = it }
    }

    /** A prompt for each family of sounds that the model lists; none if it lists none, or is damaged: then [open] says so. */
    fun examples(): List<String> = try {
        Bundle.open(files).prompts.mapNotNull { it.prompts.firstOrNull() }
    } catch (_: EdgeAudioError) {
        emptyList()
    }

    private fun opener(context: Context) = GraphOpener { _, entry, threads ->
        when (val place = files) {
            is Folder -> File(place.folder, entry.file).path.let { LiteRtRunner(Model.load(it), threads, it) }
            else -> "$POCKET/${entry.file}".let { LiteRtRunner(Model.load(context.assets, it), threads, it) }
        }
    }

    override fun toString(): String = label

    companion object {
        /** The pocket model first, then what lies in files/models of the app's external folder. */
        fun all(context: Context): List<Choice> {
            val folders = context.getExternalFilesDir("models")?.listFiles().orEmpty().filter { File(it, MANIFEST_NAME).isFile }.sorted()
            return listOf(Choice(context.getString(R.string.pocket), Assets(context.assets))) + folders.map { Choice(it.name, Folder(it)) }
        }
    }
}
