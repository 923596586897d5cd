/**
 * The part of LiteRT's Android API that `LiteRtRunner` uses, on the desktop: the same names and signatures, over the C API of
 * libLiteRt.so as the Python wheel ai-edge-litert 2.3.0 brings it. On a phone Google's artifact takes the place of this file.
 */
package com.google.ai.edge.litert

import com.sun.jna.Memory
import com.sun.jna.NativeLibrary
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference

class LiteRtException(message: String) : Exception(message)

enum class Accelerator(val value: Int) { CPU(1) }

class TensorType(val dimensions: List<Int>)

private val library: NativeLibrary by lazy { NativeLibrary.getInstance(System.getProperty("litert.library")) }

private fun call(name: String, vararg arguments: Any?) {
    val status = library.getFunction(name).invokeInt(arguments)
    if (status != 0) throw LiteRtException("$name failed with status $status")
}

private fun made(name: String, vararg arguments: Any?): Pointer {
    val result = PointerByReference()
    call(name, *arguments, result)
    return result.value
}

private fun destroy(name: String, handle: Pointer) = library.getFunction(name).invokeVoid(arrayOf(handle))

private val environment: Pointer by lazy { made("LiteRtCreateEnvironment", 0, null) }

/** LiteRtRankedTensorType: element type, layout (rank and flags in one word, dimensions, strides). */
private const val TENSOR_TYPE_BYTES = 128L

class TensorBuffer internal constructor(internal val handle: Pointer) : AutoCloseable {
    fun writeFloat(data: FloatArray) = locked(WRITE, 4L * data.size) { it.write(0, data, 0, data.size) }
    fun writeInt(data: IntArray) = locked(WRITE, 4L * data.size) { it.write(0, data, 0, data.size) }
    fun readFloat(): FloatArray = FloatArray((bytes() / 4).toInt()).also { data -> locked(READ, 0) { it.read(0, data, 0, data.size) } }

    private fun locked(mode: Int, size: Long, use: (Pointer) -> Unit) {
        if (size > bytes()) throw LiteRtException("$size bytes do not fit a buffer of ${bytes()}")
        val memory = PointerByReference()
        call("LiteRtLockTensorBuffer", handle, memory, mode)
        use(memory.value)
        call("LiteRtUnlockTensorBuffer", handle)
    }

    private fun bytes(): Long = LongByReference().also { call("LiteRtGetTensorBufferPackedSize", handle, it) }.value

    override fun close() = destroy("LiteRtDestroyTensorBuffer", handle)

    private companion object {
        const val READ = 0
        const val WRITE = 1
    }
}

class Model private constructor(internal val handle: Pointer) : AutoCloseable {
    internal class Signature(val index: Long, val handle: Pointer, val inputs: List<String>, val outputs: List<String>)

    internal val signatures: Map<String, Signature> = (0 until count("LiteRtGetNumModelSignatures", handle)).associate { index ->
        val signature = made("LiteRtGetModelSignature", handle, index)
        made("LiteRtGetSignatureKey", signature).getString(0) to Signature(
            index, signature, names("Input", signature), names("Output", signature),
        )
    }

    fun getInputTensorType(inputName: String, signature: String? = null): TensorType = type(inputName, signature, "Input")

    fun getOutputTensorType(outputName: String, signature: String? = null): TensorType = type(outputName, signature, "Output")

    private fun type(name: String, signature: String?, side: String): TensorType {
        ranked(name, signatures[signature] ?: throw LiteRtException("no signature $signature"), side)
        return TensorType(emptyList())
    }

    internal fun ranked(name: String, signature: Signature, side: String): Memory {
        val known = if (side == "Input") signature.inputs else signature.outputs
        if (name !in known) throw LiteRtException("no tensor $name")
        val tensor = made("LiteRtGetSignature${side}Tensor", signature.handle, name)
        return Memory(TENSOR_TYPE_BYTES).also { call("LiteRtGetRankedTensorType", tensor, it) }
    }

    private fun names(side: String, signature: Pointer): List<String> = (0 until count("LiteRtGetNumSignature${side}s", signature))
        .map { made("LiteRtGetSignature${side}Name", signature, it).getString(0) }

    private fun count(name: String, of: Pointer): Long = LongByReference().also { call(name, of, it) }.value

    override fun close() = destroy("LiteRtDestroyModel", handle)

    companion object {
        @JvmStatic
        fun load(filePath: String): Model = Model(made("LiteRtCreateModelFromFile", environment, filePath))
    }
}

class CompiledModel private constructor(private val handle: Pointer, private val model: Model) : AutoCloseable {
    class CpuOptions(val numThreads: Int? = null, val xnnPackFlags: Int? = null, val xnnPackWeightCachePath: String? = null)

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String? = null) = buffer(inputName, signature, "Input")

    fun createOutputBuffer(outputName: String, signature: String? = null) = buffer(outputName, signature, "Output")

    private fun buffer(name: String, signature: String?, side: String): TensorBuffer {
        val found = model.signatures.getValue(signature!!)
        val index = (if (side == "Input") found.inputs else found.outputs).indexOf(name).toLong()
        val requirements = made("LiteRtGetCompiledModel${side}BufferRequirements", handle, found.index, index)
        val type = model.ranked(name, found, side)
        return TensorBuffer(made("LiteRtCreateManagedTensorBufferFromRequirements", environment, type, requirements))
    }

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null) {
        val found = model.signatures.getValue(signature!!)
        val given = found.inputs.map { (inputs[it] ?: throw LiteRtException("input $it is missing")).handle }.toTypedArray()
        val wanted = found.outputs.map { (outputs[it] ?: throw LiteRtException("output $it is missing")).handle }.toTypedArray()
        call("LiteRtRunCompiledModel", handle, found.index, given.size.toLong(), given, wanted.size.toLong(), wanted)
    }

    override fun close() = destroy("LiteRtDestroyCompiledModel", handle)

    companion object {
        @JvmStatic
        fun create(model: Model, options: Options): CompiledModel {
            val native = made("LiteRtCreateOptions")
            call("LiteRtSetOptionsHardwareAccelerators", native, options.accelerators.sumOf { it.value })
            return CompiledModel(made("LiteRtCreateCompiledModel", environment, model.handle, native), model)
                .also { destroy("LiteRtDestroyOptions", native) }
        }
    }
}
