package edgeaudio

import java.io.Closeable

/** One opened graph. Values are flat: FloatArray or IntArray, row-major, without the leading 1. */
interface GraphRunner : Closeable {
    /** EdgeAudioError unless the graph has this signature with these inputs and outputs. */
    fun check(signature: String, inputs: List<String>, outputs: List<String>)

    /** Run a signature; [inputs] are all of its inputs. */
    fun run(signature: String, inputs: Map<String, Any>): Map<String, FloatArray>
}

/** Opens the graph of an entry that has been checked. */
fun interface GraphOpener {
    fun open(bundle: Bundle, entry: FileEntry, threads: Int): GraphRunner
}
