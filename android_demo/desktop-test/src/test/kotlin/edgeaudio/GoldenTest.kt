package edgeaudio

import com.google.ai.edge.litert.Model
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.log10
import kotlin.system.exitProcess

/** The Kotlin core and LiteRT runner against what the Python runtime gave (`golden.py`). Arguments: the bundle, the golden files. */
fun main(arguments: Array<String>) {
    val (bundle, golden) = arguments.map(::File)
    val tests = Golden(bundle, golden)
    val results = listOf(
        "tokens" to tests::tokens, "noise" to tests::noise, "schedules" to tests::schedules, "samplers" to tests::samplers,
        "clips" to tests::clips, "cancel and progress" to tests::cancelling, "wav" to tests::wav, "bad bundles" to tests::badBundles,
        "bad requests" to tests::badRequests, "json" to tests::json, "vocabulary" to tests::vocabulary,
    ).map { (name, test) ->
        try {
            println("ok    $name: ${test()}")
            true
        } catch (error: Throwable) {
            println("FAIL  $name: $error")
            error.stackTrace.take(4).forEach { println("        at $it") }
            false
        }
    }
    exitProcess(if (results.all { it }) 0 else 1)
}

private class Golden(private val folder: File, private val golden: File) {
    private val opener = GraphOpener { bundle, entry, threads ->
        val path = File((bundle.files as Folder).folder, entry.file).path
        LiteRtRunner(Model.load(path), threads, path)
    }

    private fun pipeline(precision: String): Pipeline = Bundle.open(Folder(folder)).let { bundle ->
        Pipeline(bundle, bundle.choose(precision) { PRECISIONS }, 2, opener)
    }

    fun tokens(): String {
        val tokenizer = Tokenizer(File(folder, "tokenizer.model").readBytes(), 100_000)
        val expected = File(golden, "tokens.txt").readText().split("\n")
        val strings = File(golden, "strings.txt").readText().split("\n")
        expect(strings.size == expected.size && strings.size == 500) { "${strings.size} strings, ${expected.size} answers" }
        val wrong = strings.indices.filter { index ->
            val found = tokenizer.encode(strings[index])
            found.ids.take(found.count).joinToString(" ") != expected[index]
        }
        expect(wrong.isEmpty()) { "${wrong.size} differ, first '${strings[wrong[0]]}', expected ${expected[wrong[0]]}" }
        return "${strings.size} of ${strings.size} identical"
    }

    fun noise(): String {
        val files = golden.listFiles { file -> file.name.startsWith("noise-") }!!
        for (file in files) {
            val seed = file.name.removePrefix("noise-").removeSuffix(".f32").toLong()
            val stream = NoiseStream(seed)
            val expected = floats(file)
            val found = stream.normal(40_000) + stream.normal(expected.size - 40_000)
            expect(expected.indices.all { found[it].toRawBits() == expected[it].toRawBits() }) { "seed $seed" }
        }
        expect(files.size == 10) { "${files.size} seeds" }
        return "bit-identical for ${files.size} seeds of 100000"
    }

    fun schedules(): String {
        var worst = 0.0
        for ((name, sampler) in SAMPLERS) for (steps in listOf(1, 2, 8, 50)) {
            val expected = doubles(File(golden, "sigmas-$name-$steps.f64"))
            val found = sampler.schedule.sigmas(steps)
            expect(found.size == expected.size) { "$name has ${found.size} levels" }
            worst = maxOf(worst, expected.indices.maxOf { abs(found[it] - expected[it]) })
        }
        expect(worst <= 1e-15) { "off by $worst" }
        return "off by at most $worst"
    }

    fun samplers(): String {
        var worst = 0f
        for ((name, sampler) in SAMPLERS) {
            val noise = NoiseStream(3)
            val toy: Denoise = { x, t -> FloatArray(x.size) { 0.5f * x[it] * t.toFloat() + 0.25f * abs(x[it]) - (t * t).toFloat() } }
            val steps = sampler.sample(toy, noise.normal(64), sampler.schedule.sigmas(8), noise::normal)
            val found = steps.flatMap { it.x.asSequence() }.toList()
            val expected = floats(File(golden, "steps-$name.f32"))
            expect(found.size == expected.size) { "$name has ${found.size} values" }
            worst = maxOf(worst, expected.indices.maxOf { abs(found[it] - expected[it]) })
        }
        expect(worst <= 1e-6f) { "off by $worst" }
        return "${SAMPLERS.size} samplers, off by at most $worst"
    }

    fun clips(): String {
        val requests = listOf(
            Request("a plucked string at A3", seed = 7), Request("steady rain", seconds = 2.5, seed = 3, steps = 4),
            Request("", seed = 5, steps = 3),
            Request("drum beat at 120 bpm", negative = "rain", seed = 1, cfgScale = 3.0, sampler = "dpmpp", steps = 6),
        )
        return listOf("f32", "int8", "mixed").joinToString { precision ->
            val worst = requests.indices.minOf { number ->
                val clip = pipeline(precision).generate(requests[number])
                val expected = floats(File(golden, "clip-$precision-$number.f32"))
                expect(clip.samples.size == expected.size) { "$precision $number has ${clip.samples.size} samples, not ${expected.size}" }
                snr(clip.samples, expected)
            }
            expect(worst >= 60) { "$precision at $worst dB" }
            "$precision %.0f dB".format(worst)
        }
    }

    fun cancelling(): String {
        val pipeline = pipeline("int8")
        val seen = ArrayList<Progress>()
        val error = fails<Cancelled> {
            pipeline.generate(Request("rain", seed = 1), onProgress = { seen.add(it); it.stage != "sample" || it.step < 2 })
        }
        expect("after step 2 of ${Bundle.open(Folder(folder)).manifest.defaults.steps}" in error.message!!) { error.message!! }
        val left = ArrayList<Int>()
        val clip = pipeline.generate(Request("rain", seed = 1, steps = 2), onBlock = { block, rest -> expect(block.isNotEmpty()) { "" }; left.add(rest) })
        expect(left.last() == 0 && left == left.sortedDescending() && clip.frames == 65536) { "$left" }
        expect(clip.timings.keys == setOf("condition", "sample", "decode")) { "${clip.timings}" }
        return "${seen.size} reports, ${left.size} blocks"
    }

    fun wav(): String {
        val file = File.createTempFile("clip", ".wav")
        val clip = pipeline("int8").generate(Request("rain \"heavy\" é", seed = 1, steps = 1, seconds = 0.5))
        clip.save(file.outputStream())
        val data = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
        expect(data.getInt(4) == data.capacity() - 8 && data.getInt(24) == 16000) { "header" }
        expect("ICMT" in file.readText(Charsets.ISO_8859_1) && (Json.parse(clip.recipe) as Map<*, *>)["seed"] == 1L) { clip.recipe }
        file.delete()
        return "${data.capacity()} bytes"
    }

    fun badBundles(): String {
        val manifest = File(folder, MANIFEST_NAME).readText()
        val cases = listOf(
            "[" to "cannot be read", "{\"schema\": 2}" to "upgrade the app", "{\"schema\": 1}" to "manifest.latent is missing",
            manifest.replace("\"sample_rate\": 16000", "\"sample_rate\": \"x\"") to "sample_rate: expected a whole number",
            manifest.replace(Regex("\"overlap\": \\d+"), "\"overlap\": 99") to "leaves nothing of tile",
        )
        for ((text, said) in cases) {
            val error = fails<EdgeAudioError> { Bundle.open(memory(mapOf(MANIFEST_NAME to text.toByteArray()))) }
            expect(said in error.message!!) { error.message!! }
        }
        val missing = Bundle.open(memory(mapOf(MANIFEST_NAME to manifest.toByteArray())))
        expect("is missing" in fails<EdgeAudioError> { missing.graph("dit", "int8") }.message!!) { "missing" }
        val short = Bundle.open(memory(mapOf(MANIFEST_NAME to manifest.toByteArray(), "dit.int8.tflite" to ByteArray(9))))
        expect("has 9 bytes" in fails<EdgeAudioError> { short.graph("dit", "int8") }.message!!) { "size" }
        expect("no dit in f16" in fails<EdgeAudioError> { missing.choose("dit=f16") { PRECISIONS } }.message!!) { "precision" }
        fails<UsageError> { missing.choose("dit=f64") { PRECISIONS } }
        fails<EdgeAudioError> { SentencePiece(byteArrayOf(1, 2, 3)) }
        return "${cases.size + 5} refused"
    }

    fun badRequests(): String {
        val pipeline = pipeline("int8")
        val cases = listOf(
            Request("x", steps = 0) to "steps 0", Request("x", sampler = "magic") to "sampler 'magic'", Request("x", seed = -1) to "seed -1",
            Request("x", seconds = 99.0) to "use at most 4.096", Request("x", seconds = 0.0) to "no duration", Request() to "give either",
            Request("x", cfgScale = Double.NaN) to "finite", Request(ids = List(99) { 5 }) to "at most 24", Request("\ud800") to "no text",
        )
        for ((request, said) in cases) {
            val error = fails<EdgeAudioError> { pipeline.generate(request) }
            expect(said in error.message!!) { "$said: ${error.message}" }
        }
        return "${cases.size} refused"
    }

    fun vocabulary(): String {
        val bundle = Bundle.open(Folder(folder))
        val lines = File(golden, "notes.txt").readText().split("\n").map { it.split("\t") }
        for ((prompt, note) in lines) {
            val found = bundle.vocabulary!!.note(prompt, "pocket").orEmpty()
            expect(found == note) { "'$prompt': $found, expected $note" }
        }
        val clip = pipeline("int8").generate(Request("a dog", seed = 1, steps = 1))
        expect(clip.notes.any { "knows no 'dog'" in it }) { "${clip.notes}" }
        val still = Clip(FloatArray(16000) { 1e-3f }, 16000, 1, "{}", emptyMap())
        expect(still.isQuiet(bundle.manifest.usualLevel!!) && abs(still.loudestDbfs() + 60) < 1e-3) { "${still.loudestDbfs()}" }
        expect(bundle.prompts.size > 40 && bundle.prompts.all { it.prompts.isNotEmpty() }) { "${bundle.prompts.size} families" }
        for (text in listOf("[]", "{}", "{\"words\": [1], \"families\": []}")) fails<IllegalArgumentException> { Vocabulary.parse(text) }
        return "${lines.size} notes, ${bundle.prompts.size} families"
    }

    fun json(): String {
        expect(Json.parse("""{"a": [1, -2.5e3, "\u00e9\n", true, null]}""") == mapOf("a" to listOf(1L, -2500.0, "é\n", true, null))) { "value" }
        val wrong = listOf("", "{", "[1,]", "{\"a\":1,\"a\":2}", "01", "\"\u0001\"", "nul", "1 2", "\"\\x\"")
        for (text in wrong) fails<IllegalArgumentException> { Json.parse(text) }
        return "${wrong.size} refused"
    }

    private fun memory(files: Map<String, ByteArray>) = object : BundleFiles {
        override val name = "memory"
        override fun open(file: String) = files[file]?.inputStream()
    }

    private inline fun <reified T : Throwable> fails(run: () -> Any?): T {
        try {
            run()
        } catch (error: Throwable) {
            return error as? T ?: throw error
        }
        throw AssertionError("nothing was thrown")
    }

    private fun expect(condition: Boolean, what: () -> String) {
        if (!condition) throw AssertionError(what())
    }

    private fun snr(actual: FloatArray, expected: FloatArray): Double {
        val signal = expected.sumOf { it.toDouble() * it }
        val noise = expected.indices.sumOf { (actual[it].toDouble() - expected[it]).let { d -> d * d } }
        return 10 * log10(signal / maxOf(noise, signal * 1e-20))
    }

    private fun floats(file: File): FloatArray =
        ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().let { FloatArray(it.remaining(), it::get) }

    private fun doubles(file: File): DoubleArray =
        ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asDoubleBuffer().let { DoubleArray(it.remaining(), it::get) }
}
