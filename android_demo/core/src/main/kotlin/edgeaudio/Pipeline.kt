package edgeaudio

import java.io.Closeable
import java.util.Locale

private const val QUIET_NOTE =
    "the clip is quiet: %.0f dBFS where it is loudest, this model's sounds have %.0f; it may not know what was asked for"

/** `step` of `steps` of a stage ("condition", "sample", "decode") is done; step 0 says that the stage begins. */
data class Progress(val stage: String, val step: Int, val steps: Int)

/**
 * Prompt -> clip: condition, sample, decode. What runs is what the manifest's stages say; each graph is opened when a stage of it first
 * runs and freed when the phase ends. What does not change from clip to clip, the encoded prompt first of all, is remembered. Not for
 * several threads at once. The same bundle, seed and settings give what the Python runtime gives.
 */
class Pipeline(val bundle: Bundle, val precision: Map<String, String>, val threads: Int, private val opener: GraphOpener) {
    private val manifest = bundle.manifest
    private val contract = Contract(manifest)
    private val tokenizer: Tokenizer? by lazy { bundle.tokenizer()?.let { Tokenizer(it, manifest.maxLength) } }
    private val remembered = Remembered()
    private val inputs = HashMap<String, Collection<String>>()

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
        val frames = settings.frames(manifest)
        val timings = LinkedHashMap<String, Double>()
        val graphs = Graphs(settings.latents(manifest))
        fun <T> phase(stage: String, steps: Int, run: (done: (Int) -> Unit) -> T): T {
            val start = System.nanoTime()
            val report = { step: Int ->
                if (!onProgress(Progress(stage, step, steps))) {
                    throw Cancelled("cancelled in stage $stage after step $step of $steps; generate again when ready")
                }
            }
            report(0)
            return graphs.use { run(report) }.also { timings[stage] = (System.nanoTime() - start) / 1e9 }
        }
        val branches = phase("condition", 1) { done -> condition(settings, graphs).also { done(1) } }
        val latents = phase("sample", settings.steps) { done -> sample(settings, branches, done) }
        val samples = FloatArray(frames * manifest.channels)
        phase("decode", tilesFor(manifest, graphs.length, frames).size) { done ->
            var filled = 0
            decodeBlocks(latents, frames, graphs).forEachIndexed { index, raw ->
                val block = fade(finite(raw, AUDIO), filled / manifest.channels, frames, manifest.channels, manifest.sampleRate)
                block.copyInto(samples, filled)
                filled += block.size
                onBlock(block, (samples.size - filled) / manifest.channels)
                done(index + 1)
            }
        }
        val clip = Clip(samples, manifest.sampleRate, manifest.channels, recipe(settings), timings, notes(settings))
        val usual = manifest.usualLevel ?: return clip
        return if (clip.isQuiet(usual)) clip.noting(QUIET_NOTE.format(Locale.ROOT, clip.loudestDbfs(), usual.median)) else clip
    }

    private fun notes(settings: Settings): List<String> =
        settings.advice(manifest) +
            listOfNotNull(settings.prompt, settings.negative).mapNotNull { bundle.vocabulary?.note(it, manifest.name) }

    /** What the transformer is told: the prompt's branch, and with guidance the one that it steers away from. */
    private fun condition(settings: Settings, graphs: Graphs): List<Values> {
        val root = Values(contract, graphs).set(tokens(settings) + ("seconds_total" to floatArrayOf(settings.seconds.toFloat())))
        // Without a prompt, and to steer away from nothing in particular: zeros, the seconds token included. What is kept tells the
        // seconds too.
        fun unprompted() = root.fork(manifest.guidance.zeroed.associateWith { FloatArray(root[it].size) })
        val negative = when {
            !settings.isGuided -> null
            settings.negative.isNullOrEmpty() -> unprompted()
            else -> root.fork(manifest.guidance.kept.associateWith { root[it] } + read(encoded(settings.negative, settings)))
        }
        val branches = listOfNotNull(if (settings.hasText) root else unprompted(), negative)
        for (branch in branches) for (name in contract.conditioning) finite(branch[name], name)
        return branches
    }

    /** What the text encoder reads. An empty prompt needs it only for what tells the seconds: one token keeps it well defined. */
    private fun tokens(settings: Settings) = read(
        if (settings.prompt != null && settings.hasText) encoded(settings.prompt, settings)
        else padded(settings.ids.orEmpty().ifEmpty { listOf(1) }, manifest.maxLength),
    )

    private fun encoded(text: String, settings: Settings): Tokens = tokenizer!!.encode(reading(text, settings))

    /** A prompt as the model reads it: where it is a name alone, the seed decides what else it means. */
    private fun reading(prompt: String, settings: Settings): String = bundle.vocabulary?.reading(prompt, settings.seed) ?: prompt

    private fun read(tokens: Tokens): Map<String, Any> = mapOf("input_ids" to tokens.ids, "attention_mask" to tokens.mask)

    private fun sample(settings: Settings, branches: List<Values>, done: (Int) -> Unit): FloatArray {
        val v = guided(
            { x, t, branch: Values -> branch.set(mapOf("x" to x, "t" to floatArrayOf(t.toFloat())))[V] },
            branches[0], branches.getOrNull(1), settings.cfgScale,
        )
        val noise = NoiseStream(settings.seed)
        val sampler = SAMPLERS.getValue(settings.sampler)
        var x = noise.normal(settings.latents(manifest) * manifest.latent.channels)
        for (step in sampler.sample(v, x, sampler.schedule.sigmas(settings.steps), noise::normal)) {
            x = step.x
            done(step.index + 1)
        }
        return finite(x, V)
    }

    private fun decodeBlocks(latents: FloatArray, frames: Int, graphs: Graphs): Sequence<FloatArray> {
        val read = contract.stages.getValue(contract.tail).inputs.keys.single()
        val features = Values(contract, graphs).set(mapOf("latents" to latents))[read]
        return decode(manifest, graphs.length, features, frames) { graphs.call(contract.tail, mapOf(read to it)).getValue(AUDIO) }
    }

    private fun finite(values: FloatArray, name: String): FloatArray {
        if (values.any { !it.isFinite() }) {
            val component = contract.component(name)
            throw EdgeAudioError("the $component graph in ${precision[component]} gave values that are not numbers; try another " +
                "precision or export the model again")
        }
        return values
    }

    /** The graphs of a clip, each opened when it is first needed; `close` frees those that are open, and others may follow. */
    private inner class Graphs(val length: Int) : Stages, Closeable {
        private val open = HashMap<String, GraphRunner>()

        override fun inputs(stage: String): Collection<String> {
            val described = contract.stages.getValue(stage)
            if (described.more && stage !in inputs) graph(described.component)
            return if (described.more) inputs.getValue(stage) else described.inputs.keys
        }

        override fun call(stage: String, inputs: Map<String, Any>): Map<String, FloatArray> {
            val run = { run(stage, inputs) }
            return if (contract.lasts(stage)) remembered.outputs(contract.signature(stage, length), inputs, run) else run()
        }

        private fun run(stage: String, inputs: Map<String, Any>): Map<String, FloatArray> {
            val described = contract.stages.getValue(stage)
            checkPorts(stage, described.more, described.inputs, inputs)
            val outputs = graph(described.component).run(contract.signature(stage, length), inputs)
            return outputs.also { checkPorts(stage, described.more, described.outputs, it) }
        }

        private fun checkPorts(stage: String, more: Boolean, ports: Map<String, Port>, values: Map<String, Any>) {
            for ((name, port) in if (more) emptyMap() else ports) {
                val (size, wanted) = sizeOf(values.getValue(name)).toLong() to port.size(length)
                if (size != wanted) {
                    throw EdgeAudioError("stage $stage has $size values for $name, the manifest says $wanted; export the model again")
                }
            }
        }

        private fun graph(component: String): GraphRunner = open.getOrPut(component) {
            val graph = opener.open(bundle, bundle.graph(component, precision.getValue(component)), threads)
            try {
                for (stage in contract.of(component)) for (length in manifest.latent.lengths) {
                    inputs[stage] = graph.inputs(contract.signature(stage, length), contract.stages.getValue(stage))
                }
            } catch (error: EdgeAudioError) {
                graph.close()
                throw error
            }
            graph
        }

        override fun close() {
            open.values.forEach { it.close() }
            open.clear()
        }
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
        ) + listOfNotNull(prompt?.let { reading(it, settings) }?.takeIf { it != prompt }?.let { "read_as" to Json.quoted(it) })
        fields.joinToString(", ", "{", "}") { (name, value) -> "\"$name\": $value" }
    }
}
