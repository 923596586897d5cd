package edgeaudio

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.Model
import com.google.ai.edge.litert.TensorBuffer

/**
 * A graph in LiteRT, on the CPU. The one place that knows LiteRT's API.
 *
 * The API runs signatures by name but cannot list the names of their tensors: the manifest does. Those that it leaves open (`Stage.more`:
 * the keys and values of the transformer's blocks) are found by asking for one after the other. Buffers are made when a signature is
 * first run.
 */
class LiteRtRunner(private val model: Model, threads: Int, private val name: String) : GraphRunner {
    private class Buffers(val inputs: Map<String, TensorBuffer>, val outputs: Map<String, TensorBuffer>)

    private val compiled: CompiledModel = CompiledModel.create(
        model,
        CompiledModel.Options(Accelerator.CPU).apply { cpuOptions = CompiledModel.CpuOptions(numThreads = threads) },
    )
    private val signatures = HashMap<String, Pair<Set<String>, Set<String>>>()
    private val buffers = HashMap<String, Buffers>()

    override fun inputs(signature: String, stage: Stage): Collection<String> {
        for (input in stage.inputs.keys) if (!hasInput(input, signature)) missing("input $input", signature)
        for (output in stage.outputs.keys) if (!hasOutput(output, signature)) missing("output $output", signature)
        fun more(has: (String) -> Boolean) = if (stage.more) perBlock(has) else emptyList()
        val inputs = stage.inputs.keys + more { hasInput(it, signature) }
        signatures[signature] = inputs to stage.outputs.keys + more { hasOutput(it, signature) }
        return inputs
    }

    override fun run(signature: String, inputs: Map<String, Any>): Map<String, FloatArray> {
        val made = buffers.getOrPut(signature) { create(signature) }
        for ((input, buffer) in made.inputs) {
            when (val value = inputs[input]) {
                is FloatArray -> buffer.writeFloat(value)
                is IntArray -> buffer.writeInt(value)
                else -> missing("a value for input $input", signature)
            }
        }
        compiled.run(made.inputs, made.outputs, signature)
        return made.outputs.mapValues { it.value.readFloat() }
    }

    private fun create(signature: String): Buffers {
        val (inputs, outputs) = signatures[signature] ?: missing("signature", signature)
        return Buffers(
            inputs.associateWith { compiled.createInputBuffer(it, signature) },
            outputs.associateWith { compiled.createOutputBuffer(it, signature) },
        )
    }

    override fun close() {
        for (made in buffers.values) (made.inputs.values + made.outputs.values).forEach { it.close() }
        buffers.clear()
        compiled.close()
        model.close()
    }

    private fun perBlock(has: (String) -> Boolean): List<String> =
        listOf("cross_k", "cross_v").flatMap { kind -> (0..99).map { "%s_%02d".format(kind, it) }.takeWhile(has) }

    private fun hasInput(input: String, signature: String) = exists { model.getInputTensorType(input, signature) }

    private fun hasOutput(output: String, signature: String) = exists { model.getOutputTensorType(output, signature) }

    private fun exists(ask: () -> Any?): Boolean = try {
        ask()
        true
    } catch (_: LiteRtException) {
        false
    }

    private fun missing(what: String, signature: String): Nothing =
        throw EdgeAudioError("$name has no $what in signature $signature; copy the bundle again or export the model again")
}
