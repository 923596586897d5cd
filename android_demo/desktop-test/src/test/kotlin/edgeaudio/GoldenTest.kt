package edgeaudio

import com.google.ai.edge.litert.Model
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.log10
import kotlin.system.exitProcess

/** The Kotlin core and LiteRT runner against what the Python runtime gave (`golden.py`), from the same three arguments. */
fun main(arguments: Array<String>) {
    val (bundle, old, golden) = arguments.map(::File)
    val tests = Golden(bundle, old, golden)
    val results = listOf(
        "tokens" to tests::tokens, "padding" to tests::padding, "noise" to tests::noise, "schedules" to tests::schedules, "samplers" to tests::samplers,
        "clips" to tests::clips, "schema 1" to tests::schema1, "remembered" to tests::remembered,
        "cancel and progress" to tests::cancelling, "wav" to tests::wav, "bad bundles" to tests::badBundles,
        "bad manifests" to tests::badManifests, "wrong sizes" to tests::wrongSizes,
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

private class Golden(private val folder: File, private val old: File, private val golden: File) {
    /** Files that were opened, and signatures that were run. */
    private val log = ArrayList<String>()
    private val opener = GraphOpener { bundle, entry, threads ->
        val path = File((bundle.files as Folder).folder, entry.file).path
        log.add(entry.file)
        val runner = LiteRtRunner(Model.load(path), threads, path)
        object : GraphRunner by runner {
            override fun run(signature: String, inputs: Map<String, Any>) = runner.run(signature, inputs).also { log.add(signature) }
        }
    }

    private fun pipeline(precision: String, folder: File = this.folder): Pipeline = Bundle.open(Folder(folder)).let { bundle ->
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

    fun padding(): String {
        val lines = File(golden, "padded.txt").readText().split("\n")
        for (line in lines) {
            val (ids, row, mask, count) = line.split("|").map { part -> part.split(" ").filter { it.isNotEmpty() }.map(String::toInt) }
            val found = padded(ids, 8)
            expect(found.ids.toList() == row && found.mask.toList() == mask && found.count == count[0]) { line }
        }
        return "${lines.size} lists of ids"
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
        return listOf("f16", "int8", "mixed").joinToString { precision ->
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

    fun schema1(): String {
        val root = Json.parse(File(old, MANIFEST_NAME).readText()) as Map<*, *>
        expect(root["schema"] == 1L && fromSchema1(root) == Json.parse(File(golden, "migrated.json").readText())) { "${fromSchema1(root)}" }
        val again = Manifest.fromJson(Json.parse(File(golden, "schema2.json").readText()) as Map<*, *>)
        expect(again == Bundle.open(Folder(old)).manifest) { "$again" }
        val requests = listOf(
            Request("slow siren", seed = 7, cfgScale = 1.5, negative = "rain") to "clip-old.f32",
            Request("slow siren", seed = 7, seconds = 0.5, fitLength = true) to "clip-old-short.f32",
        )
        val worst = requests.minOf { (request, file) -> snr(pipeline("f32", old).generate(request).samples, floats(File(golden, file))) }
        expect(worst >= 60 && "denoise_8" in log) { "$worst dB, $log" }
        return "%.0f dB, also at a shorter length".format(worst)
    }

    fun remembered(): String {
        for ((place, precision) in listOf(folder to "f16", old to "f32")) {
            val pipeline = pipeline(precision, place)
            // With numbers, no prompt is a name alone: what such a name means changes with the seed.
            val request = Request("slow siren 7", seed = 1, steps = 2, cfgScale = 2.0, negative = "rain 7")
            fun ran(request: Request): List<String> {
                log.clear()
                val samples = pipeline.generate(request).samples
                val known = log.toList()
                expect(samples.contentEquals(pipeline(precision, place).generate(request).samples)) { "another clip" }
                return known
            }
            val first = ran(request)
            expect(first.count { it == "condition" } == 2 && first.count { it == "project" } == 2) { "$first" }
            val second = ran(request.copy(seed = 2))
            expect(second == first - setOf("conditioners.$precision.tflite", "condition", "project")) { "$second after $first" }
            val other = ran(request.copy(prompt = "slow bell 7"))
            expect(other.count { it == "condition" } == 1 && other.count { it == "project" } == 1) { "$other" }
        }
        return "the next seed runs neither text encoder nor projection, another prompt runs each once"
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
            "[" to "cannot be read", "{\"schema\": 3}" to "upgrade the app", "{\"schema\": 1}" to "manifest.prompt is missing",
            "[".repeat(100_000) to "cannot be read",
            manifest.replace("\"sample_rate\": 16000", "\"sample_rate\": \"x\"") to "sample_rate: expected a whole number",
            manifest.replace(Regex("\"overlap\": \\d+"), "\"overlap\": 99") to "leaves nothing of tile",
        )
        for ((text, said) in cases) {
            val error = fails<EdgeAudioError> { open(text) }
            expect(said in error.message!!) { error.message!! }
        }
        val missing = Bundle.open(memory(mapOf(MANIFEST_NAME to manifest.toByteArray())))
        expect("is missing" in fails<EdgeAudioError> { missing.graph("dit", "int8") }.message!!) { "missing" }
        val short = Bundle.open(memory(mapOf(MANIFEST_NAME to manifest.toByteArray(), "dit.int8.tflite" to ByteArray(9))))
        expect("has 9 bytes" in fails<EdgeAudioError> { short.graph("dit", "int8") }.message!!) { "size" }
        expect("no dit in int4" in fails<EdgeAudioError> { missing.choose("dit=int4") { PRECISIONS } }.message!!) { "precision" }
        fails<UsageError> { missing.choose("dit=f64") { PRECISIONS } }
        fails<EdgeAudioError> { SentencePiece(byteArrayOf(1, 2, 3)) }
        return "${cases.size + 5} refused"
    }

    /** What the manifest says of a port must be what the graph has: a buffer that is too large would keep old numbers. */
    fun wrongSizes(): String {
        val lying = File.createTempFile("bundle", "").apply { delete() }
        folder.copyRecursively(lying)
        val manifest = File(lying, MANIFEST_NAME)
        val (text, perLatent) = manifest.readText() to Bundle.open(Folder(folder)).manifest.tiling.perLatent
        manifest.writeText(text.replace("\"$perLatent*latents\"", "\"${perLatent + 1}*latents\""))
        try {
            if (manifest.readText() == text) return "nothing to get wrong in a bundle of schema 1"
            val error = fails<EdgeAudioError> { pipeline("int8", lying).generate(Request("rain", seed = 1, steps = 1)) }
            expect("stage head has" in error.message!!) { error.message!! }
            return error.message!!
        } finally {
            lying.deleteRecursively()
        }
    }

    fun badManifests(): String {
        val good = File(golden, "schema2.json").readText()
        fun edited(old: String, new: String): String {
            val found = Regex(old).find(good) ?: throw AssertionError("no $old")
            return good.replaceRange(found.range, new)
        }
        val newer = Regex("\"minor\": $MINOR").replace("{\"colour\": 1," + good.drop(1), "\"minor\": ${MINOR + 1}")
        expect(open(newer).manifest == open(good).manifest) { "a newer minor version" }
        val cases = listOf(
            edited("\\{", "{\"colour\": 1,") to "manifest.colour: expected no such entry",
            edited("\"more\"", "\"hint\": {}, \"more\"") to "stages.condition.hint: expected no such entry",
            edited("dit.f32.tflite", "../dit.f32.tflite") to "no bare file name", edited("\"toy\"", "\"to\\u0007y\"") to "printable",
            edited("\"sha256\": \"", "\"sha256\": \"0") to "cannot be",
            edited("\"downsampling\": 8", "\"downsampling\": 8000000000") to "whole number",
            edited("\"downsampling\": 8", "\"downsampling\": 200000000") to "have more than",
            edited("\"length\": 16", "\"length\": 0") to "at least 1",
            edited("\"cfg_scale\": 1.0", "\"cfg_scale\": 1e999") to "finite", edited("8\n    \\]", "16]") to "must ascend",
            edited("\"global_embed\": \\{", "\"speaker\": {") to "denoise reads speaker, which this app does not make; upgrade the app",
            edited("\"seconds_total\": \\{", "\"v\": {") to "wait for each other",
            edited("\"audio\": \\{", "\"features\": {") to "both give features",
            edited("\"v\": \\{", "\"w\": {") to "no stage gives v",
            edited("\"zeroed\": \\[", "\"zeroed\": [\"nothing\",") to "guidance names nothing",
            edited("\"component\": \"decoder\"", "\"component\": \"vocoder\"") to "which has no graph",
            edited("\"component\": \"decoder\"", "\"component\": \"vocoder\"").replace("\"graphs\": {", "\"graphs\": {\"vocoder\": {},") to
                "stage head is in component vocoder, which this app does not run; upgrade the app",
            edited("\"padding\": null", "\"padding\": {\"seconds\": 6.0}") to "latent.padding is not known to this app; upgrade the app",
            edited("\"frequencies\": \\[", "\"frequencies\": [0.5") to "frequencies is not known to this app; upgrade the app",
            edited("\"int32\"", "\"int64\"") to "float32 or int32",
            edited("\"int32\"", "\"float32\"") to "port attention_mask is float32",
            edited("\"latents\"\n", "\"latency\"\n") to "numbers or latents",
        )
        for ((text, said) in cases) {
            val error = fails<EdgeAudioError>(said) { open(text) }
            expect(said in error.message!!) { "$said: ${error.message}" }
        }
        return "${cases.size} refused, a newer minor version read"
    }

    fun badRequests(): String {
        val pipeline = pipeline("int8")
        val cases = listOf(
            Request("x", steps = 0) to "steps 0", Request("x", sampler = "magic") to "sampler 'magic'", Request("x", seed = -1) to "seed -1",
            Request("x", seconds = 99.0) to "use at most 4.096", Request("x", seconds = 0.0) to "no duration", Request() to "give either",
            Request("x", cfgScale = Double.NaN) to "finite", Request(ids = List(99) { 5 }) to "at most 24",
            Request(ids = listOf(-1)) to "from 0", Request("\ud800") to "no text",
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
        val lean = Vocabulary.parse(File(golden, "vocabulary.json").readText())
        val readings = File(golden, "readings.txt").readText().split("\n").map { it.split("\t") }
        for ((prompt, seed, reading, expected) in readings) {
            val found = bundle.vocabulary!!.reading(prompt, seed.toLong())
            expect(found == reading) { "'$prompt' with seed $seed: $found, expected $reading" }
            val short = lean.reading(prompt, seed.toLong())
            expect(short == expected) { "'$prompt' with seed $seed: $short, expected $expected" }
        }
        val clip = pipeline("int8").generate(Request("a dog", seed = 1, steps = 1))
        expect(clip.notes.any { "knows no 'dog'" in it }) { "${clip.notes}" }
        val still = Clip(FloatArray(16000) { 1e-3f }, 16000, 1, "{}", emptyMap())
        expect(still.isQuiet(bundle.manifest.usualLevel!!) && abs(still.loudestDbfs() + 60) < 1e-3) { "${still.loudestDbfs()}" }
        expect(bundle.prompts.size > 40 && bundle.prompts.all { it.prompts.isNotEmpty() }) { "${bundle.prompts.size} families" }
        val unknownCaption = """{"words": [], "families": [], "readings": {"a": [0]}}"""
        for (text in listOf("[]", "{}", "{\"words\": [1], \"families\": []}", unknownCaption)) {
            fails<IllegalArgumentException> { Vocabulary.parse(text) }
        }
        return "${lines.size} notes, ${bundle.prompts.size} families"
    }

    fun json(): String {
        expect(Json.parse("""{"a": [1, -2.5e3, "\u00e9\n", true, null]}""") == mapOf("a" to listOf(1L, -2500.0, "é\n", true, null))) { "value" }
        val wrong = listOf("", "{", "[1,]", "{\"a\":1,\"a\":2}", "01", "\"\u0001\"", "nul", "1 2", "\"\\x\"")
        for (text in wrong) fails<IllegalArgumentException> { Json.parse(text) }
        return "${wrong.size} refused"
    }

    private fun open(manifest: String) = Bundle.open(memory(mapOf(MANIFEST_NAME to manifest.toByteArray())))

    private fun memory(files: Map<String, ByteArray>) = object : BundleFiles {
        override val name = "memory"
        override fun open(file: String) = files[file]?.inputStream()
    }

    private inline fun <reified T : Throwable> fails(what: String = "", run: () -> Any?): T {
        try {
            run()
        } catch (error: Throwable) {
            return error as? T ?: throw error
        }
        throw AssertionError("nothing was thrown $what")
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
