package edgeaudio

import java.io.Closeable

/** One opened graph. Values are flat: FloatArray or IntArray, row-major, without the leading 1. */
interface GraphRunner : Closeable {
    /** Names of all that a signature reads; EdgeAudioError unless the graph has it, with the ports of its stage. */
    fun inputs(signature: String, stage: Stage): Collection<String>

    /** Run a signature whose inputs have been asked for; [inputs] are all of them. */
    fun run(signature: String, inputs: Map<String, Any>): Map<String, FloatArray>
}

/** Opens the graph of an entry that has been checked. */
fun interface GraphOpener {
    fun open(bundle: Bundle, entry: FileEntry, threads: Int): GraphRunner
}
