/** What the app needs of com.google.ai.edge.litert 2.3.0, to compile against where Google's Maven is out of reach. Never part of an APK. */
package com.google.ai.edge.litert

import android.content.res.AssetManager

class LiteRtException(message: String) : Exception(message)

enum class Accelerator { CPU }

class TensorType

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray): Unit = TODO()
    fun writeInt(data: IntArray): Unit = TODO()
    fun readFloat(): FloatArray = TODO()
    override fun close(): Unit = TODO()
}

class Model : AutoCloseable {
    fun getInputTensorType(inputName: String, signature: String? = null): TensorType = TODO()
    fun getOutputTensorType(outputName: String, signature: String? = null): TensorType = TODO()
    override fun close(): Unit = TODO()

    companion object {
        @JvmStatic
        fun load(assetManager: AssetManager, assetName: String): Model = TODO()

        @JvmStatic
        fun load(filePath: String): Model = TODO()
    }
}

class CompiledModel : AutoCloseable {
    class CpuOptions(val numThreads: Int? = null, val xnnPackFlags: Int? = null, val xnnPackWeightCachePath: String? = null)

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TODO()
    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TODO()
    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null): Unit = TODO()
    override fun close(): Unit = TODO()

    companion object {
        @JvmStatic
        fun create(model: Model, options: Options): CompiledModel = TODO()
    }
}
