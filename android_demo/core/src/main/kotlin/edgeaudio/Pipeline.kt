package edgeaudio

import java.util.Locale

private const val QUIET_NOTE =
    "the clip is quiet: %.0f dBFS where it is loudest, this model's sounds have %.0f; it may not know what was asked for"

/** `step` of `steps` of a stage ("condition", "sample", "decode") is done; step 0 says that the stage begins. */
data class Progress(val stage: String, val step: Int, val steps: Int)

/** What the transformer is told, once a clip. `unconditional` is what guidance steers away from. */
class Conditioning(val crossAttnCond: FloatArray, val unconditional: FloatArray?, val globalCond: FloatArray)

/**
 * Prompt -> clip: condition, sample, decode; each graph is opened when its stage begins and freed when it ends. Not for several threads
 * at once. The same bundle, seed and settings give what the Python runtime gives.
 */
class Pipeline(val bundle: Bundle, val precision: Map<String, String>, val threads: Int, private val opener: GraphOpener) {
    private val manifest = bundle.manifest
    private val tokenizer: Tokenizer? by lazy { bundle.tokenizer()?.let { Tokenizer(it, manifest.maxLength) } }

    /**
     * Make a clip of exactly round(seconds · sample rate) frames.
     *
     * [onProgress] is called after every step; when it returns false, Cancelled is thrown. [onBlock] gets each block of audio
     * [n · channels] as soon as it is decoded, and the frames still to come. Whatever ends a generation, the next one works.
     */
    fun generate(
        request: Request,
        onProgress: (Progress) -> Boolean = { true },
        onBlock: (FloatArray, Int) -> Unit = { _, _ -> },
    ): Clip {
        val settings = request.resolved(manifest)
        val timings = LinkedHashMap<String, Double>()
        val report = { stage: String, step: Int, steps: Int ->
            if (!onProgress(Progress(stage, step, steps))) {
                throw Cancelled("cancelled in stage $stage after step $step of $steps; generate again when ready")
            }
        }
        val conditioning = timed(timings, "condition") { condition(settings, report) }
        val latents = timed(timings, "sample") { sample(settings, conditioning, report) }
        val samples = FloatArray(settings.frames(manifest) * manifest.channels)
        timed(timings, "decode") {
            var filled = 0
            decodeBlocks(settings, latents, report) { raw ->
                val block = fade(raw, filled / manifest.channels, settings.frames(manifest), manifest.channels, manifest.sampleRate)
                block.copyInto(samples, filled)
                filled += block.size
                onBlock(block, (samples.size - filled) / manifest.channels)
            }
        }
        val clip = Clip(samples, manifest.sampleRate, manifest.channels, recipe(settings), timings, notes(settings))
        val usual = manifest.usualLevel ?: return clip
        return if (clip.isQuiet(usual)) clip.noting(QUIET_NOTE.format(Locale.ROOT, clip.loudestDbfs(), usual.median)) else clip
    }

    private fun notes(settings: Settings): List<String> =
        settings.advice(manifest) +
            listOfNotNull(settings.prompt, settings.negative).mapNotNull { bundle.vocabulary?.note(it, manifest.name) }

    /** What the transformer is told. */
    fun condition(settings: Settings, report: (String, Int, Int) -> Unit = { _, _, _ -> }): Conditioning {
        report("condition", 0, 1)
        val found = opened("conditioners") { graph ->
            fun run(tokens: Tokens): Map<String, FloatArray> {
                val inputs = mapOf(
                    "input_ids" to tokens.ids, "attention_mask" to tokens.mask,
                    "seconds_total" to floatArrayOf(settings.seconds.toFloat()),
                )
                return graph.run("condition", inputs).onEach { (_, values) -> finite(values, "conditioners") }
            }

            val positive = run(tokens(settings))
            // Without a prompt, and to steer away from nothing in particular: zeros, the seconds token included. The global
            // condition, which tells the seconds too, is kept.
            val zeros = FloatArray(positive.getValue("cross_attn_cond").size)
            val conditional = if (settings.hasText) positive.getValue("cross_attn_cond") else zeros
            val unconditional = when {
                !settings.isGuided -> null
                settings.negative.isNullOrEmpty() -> zeros
                else -> run(encoded(settings.negative)).getValue("cross_attn_cond")
            }
            Conditioning(conditional, unconditional, positive.getValue("global_cond"))
        }
        report("condition", 1, 1)
        return found
    }

    /** What the text encoder reads. An empty prompt needs it only for the global condition: one token keeps it well defined. */
    fun tokens(settings: Settings): Tokens =
        if (settings.prompt != null && settings.hasText) encoded(settings.prompt)
        else padded(settings.ids.orEmpty().ifEmpty { listOf(1) }, manifest.maxLength)

    private fun encoded(text: String): Tokens = tokenizer!!.encode(text)

    private fun sample(settings: Settings, conditioning: Conditioning, report: (String, Int, Int) -> Unit): FloatArray {
        report("sample", 0, settings.steps)
        val length = settings.latents(manifest)
        val signature = manifest.latent.signature("denoise", length)
        return opened("dit") { graph ->
            fun project(cond: FloatArray): Projected =
                graph.run("project", mapOf("cross_attn_cond" to cond, "global_cond" to conditioning.globalCond))

            val v = guided(
                { x, t, projected -> graph.run(signature, projected + mapOf("x" to x, "t" to floatArrayOf(t.toFloat()))).getValue("v") },
                project(conditioning.crossAttnCond), conditioning.unconditional?.let(::project), settings.cfgScale,
            )
            val noise = NoiseStream(settings.seed)
            val sampler = SAMPLERS.getValue(settings.sampler)
            var x = noise.normal(length * manifest.latent.channels)
            for (step in sampler.sample(v, x, sampler.schedule.sigmas(settings.steps), noise::normal)) {
                x = step.x
                report("sample", step.index + 1, step.total)
            }
            finite(x, "dit")
        }
    }

    private fun decodeBlocks(settings: Settings, latents: FloatArray, report: (String, Int, Int) -> Unit, use: (FloatArray) -> Unit) {
        val frames = settings.frames(manifest)
        val total = tilesFor(manifest, latents.size / manifest.latent.channels, frames).size
        report("decode", 0, total)
        opened("decoder") { graph ->
            decode(graph, manifest, latents, frames).forEachIndexed { index, block ->
                use(finite(block, "decoder"))
                report("decode", index + 1, total)
            }
        }
    }

    private fun finite(values: FloatArray, component: String): FloatArray {
        if (values.any { !it.isFinite() }) {
            throw EdgeAudioError("the $component graph in ${precision[component]} gave values that are not numbers; try another " +
                "precision or export the model again")
        }
        return values
    }

    /** A component's graph for one stage, freed at its end whatever happens. */
    private fun <T> opened(component: String, use: (GraphRunner) -> T): T {
        val entry = bundle.graph(component, precision.getValue(component))
        return opener.open(bundle, entry, threads).use { graph ->
            for ((signature, names) in SIGNATURES.getValue(component)) graph.check(signature, names.first, names.second)
            use(graph)
        }
    }

    private fun <T> timed(timings: MutableMap<String, Double>, stage: String, run: () -> T): T {
        val start = System.nanoTime()
        return run().also { timings[stage] = (System.nanoTime() - start) / 1e9 }
    }

    /** All that makes the clip again, as JSON; the names are those of the Python runtime's recipes. */
    private fun recipe(settings: Settings): String = with(settings) {
        val fields = listOf(
            "model" to Json.quoted(manifest.name), "bundle_sha256" to Json.quoted(bundle.sha256),
            "prompt" to prompt?.let(Json::quoted), "seconds" to seconds, "seed" to seed, "steps" to steps,
            "sampler" to Json.quoted(sampler), "cfg_scale" to cfgScale, "negative" to negative?.let(Json::quoted), "ids" to ids,
            "fit_length" to fitLength,
            "precision" to precision.entries.joinToString(", ", "{", "}") { "${Json.quoted(it.key)}: ${Json.quoted(it.value)}" },
            "threads" to threads,
        )
        fields.joinToString(", ", "{", "}") { (name, value) -> "\"$name\": $value" }
    }
}
