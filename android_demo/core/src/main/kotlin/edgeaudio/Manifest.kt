package edgeaudio

/** Version of the manifest that this app knows. A newer [MINOR] only adds entries, which may be ignored; a newer [SCHEMA] may not. */
const val SCHEMA = 2L
const val MINOR = 4L
const val MANIFEST_NAME = "manifest.json"
val PRECISIONS = listOf("f32", "f16", "int8", "int4", "mixed")

/** The components every bundle must have, and all that this app runs. */
val GENERATING = listOf("conditioners", "dit", "decoder")

/** Values that this app makes itself, [CHANGING] ones for every step or for the decoding; a stage that reads one runs when that changes. */
val PROMPT_VALUES = setOf("input_ids", "attention_mask")
val CHANGING = setOf("x", "t", "latents")
val HOST_VALUES = PROMPT_VALUES + "seconds_total" + CHANGING
private val LATENT_VALUES = setOf("x", "v", "latents")

/** What the stages are asked for. */
const val V = "v"
const val AUDIO = "audio"

/** What no model has; a manifest that says so was damaged, or made to do harm. */
private const val MOST_ELEMENTS = 1 shl 28
private const val MOST_STAGES = 100
private val BY_LENGTH = Regex("(?:([1-9][0-9]{0,3})\\*)?latents")
private val FILE_NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
private val SHA256 = Regex("[0-9a-f]{64}")
private val PRINTABLE = Regex("(?:[^\\p{C}\\p{Z}]| ){0,200}")

/** A file of the bundle, as it was when the bundle was written. */
data class FileEntry(val file: String, val bytes: Long, val sha256: String)

/** A value that a stage reads or gives. A dimension is a number, or follows the length of the latents: "latents", "4*latents". */
data class Port(val type: String, val shape: List<Any>) {
    /** Numbers that it has for latents of that length. */
    fun size(latents: Int): Long = shape.fold(1L) { size, dimension ->
        size * (dimension as? Long ?: (latents * BY_LENGTH.matchEntire("$dimension")!!.groupValues[1].ifEmpty { "1" }.toLong()))
    }
}

/**
 * A signature of a component's graph, and its ports by name. It is handed the values whose names it reads. more: the graph may have
 * further ports, which go by their names like the others (bundles of schema 1, whose manifest did not list them).
 */
data class Stage(val component: String, val inputs: Map<String, Port>, val outputs: Map<String, Port>, val more: Boolean) {
    /** Whether the graph has a signature of it for every length of the latents. */
    val followsLength: Boolean get() = (inputs.values + outputs.values).any { port -> port.shape.any { it is String } }
}

/** Shape of the latents, [length, channels]; one latent stands for `downsampling` samples. `shorter` are further lengths. */
data class Latent(val length: Int, val channels: Int, val downsampling: Int, val shorter: List<Int>) {
    val lengths: List<Int> get() = shorter + length
}

/** The decoder's tail runs on `tile` frames at a time; `overlap` frames at an inner edge are thrown away. */
data class Tiling(val tile: Int, val overlap: Int, val perLatent: Int)

/** The settings this model was made for. */
data class Defaults(val sampler: String, val steps: Int, val cfgScale: Double, val fitLength: Boolean)

/** Guidance steers away from the prompt's branch with `zeroed` values at zero, or from a negative prompt's with `kept` ones of that. */
data class Guidance(val zeroed: List<String>, val kept: List<String>)

/** How loud the sounds are that a model was trained on, each in its loudest quarter of a second, in dBFS. */
data class UsualLevel(val median: Double, val lowest: Double)

/** Everything the runtime must know about a model besides its weights. */
data class Manifest(
    val name: String,
    val sampleRate: Int,
    val channels: Int,
    val latent: Latent,
    val maxLength: Int,
    val tokenizer: FileEntry?,
    val minSeconds: Double,
    val maxTrainedSeconds: Double,
    val objective: String,
    val defaults: Defaults,
    val tiling: Tiling,
    val graphs: Map<String, Map<String, FileEntry>>,
    val stages: Map<String, Stage>,
    val guidance: Guidance,
    val vocabulary: FileEntry?,
    val usualLevel: UsualLevel?,
) {
    /** Length of what the model generates, in seconds. */
    val maxSeconds: Double get() = latent.length.toDouble() * latent.downsampling / sampleRate

    companion object {
        /**
         * A manifest of schema 1 is read as one of schema 2. IllegalArgumentException names the first entry that is missing, unknown or
         * wrong; EdgeAudioError says that the model needs a newer app.
         */
        fun fromJson(root: Map<*, *>): Manifest {
            val current = if (root["schema"] == 1L) fromSchema1(root) else root
            val entries = Entries(current, "manifest")
            val (prompt, seconds) = entries.child("prompt") to entries.child("seconds")
            entries.neutral("schedule" to null, "frequencies" to emptyList<Any>())
            prompt.neutral("ends" to true, "padded" to true)
            return Manifest(
                entries.line("name"), entries.positive("sample_rate", 768_000), entries.positive("channels", 64),
                entries.child("latent").neutral("padding" to null).run {
                    Latent(positive("length"), positive("channels"), positive("downsampling"), numbers("shorter"))
                },
                prompt.positive("max_length", 65_536), prompt.optional("tokenizer")?.file(), seconds.number("min"), seconds.number("max"),
                entries.text("objective"),
                entries.child("defaults").neutral("apg" to 0.0, "seconds" to null, "limiter" to false).run {
                    Defaults(text("sampler"), positive("steps", 10_000), number("cfg_scale"), truth("fit_length"))
                },
                entries.child("tiling").run { Tiling(positive("tile"), whole("overlap"), positive("per_latent")) },
                entries.child("graphs").children().mapValues { (_, component) -> component.children().mapValues { it.value.graph() } },
                entries.child("stages").children().mapValues { it.value.stage() },
                entries.child("guidance").neutral("empty" to "zeroed").run { Guidance(texts("zeroed"), texts("kept")) },
                entries.optional("vocabulary")?.file(),
                entries.optional("usual_level")?.let { UsualLevel(it.number("median"), it.number("lowest")) },
            ).also { manifest ->
                entries.line("license")
                entries.optional("checks")?.file()
                entries.unused("schema", "minor", "source_sha256", "adapters", "folded")
                prompt.unused("vocabulary_size")
                if ((current["minor"] as? Long ?: 0) <= MINOR) entries.refuseUnknown()
                checkSizes(manifest)
                checkStages(manifest)
            }
        }
    }
}

// What bundles of schema 1 consist of, which their manifests did not say: stage, component, inputs, outputs.
private val SCHEMA_1 = listOf(
    "condition conditioners input_ids,attention_mask,seconds_total cross_attn_cond,global_cond",
    "project dit cross_attn_cond,global_cond global_embed", "denoise dit x,t,global_embed v",
    "head decoder latents features", "tail decoder features audio", "encode encoder audio mean,stdev",
)

/** The entries of a manifest of schema 1 as schema 2 has them; its ports have no shapes but for those that follow the latents. */
internal fun fromSchema1(entries: Map<*, *>): Map<*, *> {
    fun ports(stage: String, names: String) = names.split(",").associateWith { name ->
        val follows = stage in setOf("denoise", "head") && name in LATENT_VALUES
        val type = if (name in PROMPT_VALUES) "int32" else "float32"
        mapOf("type" to type, "shape" to if (follows) listOf(1L, "latents") else emptyList())
    }
    val stages = SCHEMA_1.map { it.split(" ") }.filter { (_, component) -> component in (entries["graphs"] as? Map<*, *>).orEmpty() }
        .associate { (stage, component, inputs, outputs) ->
            stage to mapOf("component" to component, "inputs" to ports(stage, inputs), "outputs" to ports(stage, outputs), "more" to true)
        }
    val guidance = mapOf("zeroed" to listOf("cross_attn_cond"), "kept" to listOf("global_cond"))
    return entries + mapOf("schema" to SCHEMA, "minor" to MINOR, "stages" to stages, "guidance" to guidance)
}

/** The stages so that each comes after those whose values it reads; IllegalArgumentException for a circle. */
internal fun order(stages: Map<String, Stage>): List<String> {
    val gives = stages.flatMap { (name, stage) -> stage.outputs.keys.map { it to name } }.toMap()
    val done = LinkedHashSet<String>()
    fun visit(name: String, path: List<String>) {
        require(name !in path) { "stages ${path.joinToString(" and ")} wait for each other" }
        if (name in done) return
        for (port in stages.getValue(name).inputs.keys) gives[port]?.let { visit(it, path + name) }
        done.add(name)
    }
    for (name in stages.keys) visit(name, emptyList())
    return done.toList()
}

private fun checkSizes(manifest: Manifest) {
    val (latent, tiling) = manifest.latent to manifest.tiling
    val latents = latent.length.toLong() * latent.channels
    val audio = latent.length.toDouble() * latent.downsampling * manifest.channels
    require(maxOf(latents.toDouble(), audio) <= MOST_ELEMENTS) { "the latents or the audio have more than $MOST_ELEMENTS values" }
    require(tiling.overlap >= 0 && 2L * tiling.overlap < tiling.tile) {
        "tiling.overlap ${tiling.overlap} leaves nothing of tile ${tiling.tile}"
    }
    require(latent.downsampling % tiling.perLatent == 0) {
        "tiling.per_latent ${tiling.perLatent} does not divide latent.downsampling ${latent.downsampling}"
    }
    require(latent.shorter == latent.shorter.sorted().distinct() && latent.shorter.all { it in 1 until latent.length }) {
        "latent.shorter ${latent.shorter} must ascend, from 1 to below latent.length ${latent.length}"
    }
    require(latent.lengths.min().toLong() * tiling.perLatent >= tiling.tile) {
        "tiling.tile ${tiling.tile} is longer than the shortest latents"
    }
    manifest.usualLevel?.run { require(lowest <= median) { "usual_level.lowest $lowest is above usual_level.median $median" } }
}

private fun checkStages(manifest: Manifest) {
    fun newer(what: String): Nothing = throw EdgeAudioError("model ${manifest.name} cannot run here: $what; upgrade the app")
    val stages = manifest.stages
    require(stages.size <= MOST_STAGES) { "there are more than $MOST_STAGES stages" }
    val gives = HashMap<String, String>()
    val latents = manifest.latent.length.toLong() * manifest.latent.channels
    for ((name, stage) in stages) {
        require(stage.component in manifest.graphs) { "stage $name is in component ${stage.component}, which has no graph" }
        for (output in stage.outputs.keys) {
            require(output !in gives) { "stages ${gives[output]} and $name both give $output" }
            gives[output] = name
        }
        for ((port, described) in stage.inputs + stage.outputs) {
            require((described.type == "int32") == (port in PROMPT_VALUES)) { "stages.$name: port $port is ${described.type}" }
            val fits = stage.more || port !in LATENT_VALUES || described.size(manifest.latent.length) == latents
            require(fits) { "stages.$name: port $port has not the size of the latents" }
        }
    }
    for ((name, stage) in stages) for (port in stage.inputs.keys) {
        if (port !in HOST_VALUES && port !in gives) newer("stage $name reads $port, which this app does not make")
    }
    for (wanted in listOf(V, AUDIO)) require(wanted in gives) { "no stage gives $wanted" }
    for (value in manifest.guidance.run { zeroed + kept }) require(value in gives) { "guidance names $value, which no stage gives" }
    val contract = Contract(manifest)
    if (stages.getValue(contract.tail).inputs.size != 1) newer("stage ${contract.tail} reads more than one value")
    for (value in listOf(V, AUDIO).flatMap { contract.reads.getValue(gives.getValue(it)) + it }.filter { it in gives }) {
        val component = contract.component(value)
        if (component !in GENERATING) newer("stage ${gives[value]} is in component $component, which this app does not run")
    }
}

/** An object of the manifest and its place in it, for errors that name the entry. What is asked for is known. */
private class Entries(private val values: Map<*, *>, private val where: String) {
    private val known = HashSet<String>()
    private val inner = ArrayList<Entries>()

    fun text(key: String): String = get(key) as? String ?: wrong(key, "a string")
    fun line(key: String): String =
        text(key).also { require(PRINTABLE.matches(it)) { "$where.$key must be one line of at most 200 printable characters" } }
    fun number(key: String): Double = (get(key) as? Number)?.toDouble()?.takeIf { it.isFinite() } ?: wrong(key, "a finite number")
    fun whole(key: String): Int = int(get(key)) ?: wrong(key, "a whole number")
    fun positive(key: String, most: Int = MOST_ELEMENTS): Int =
        whole(key).also { require(it in 1..most) { "$where.$key is $it, must be at least 1 and at most $most" } }
    fun truth(key: String): Boolean = (find(key) ?: false) as? Boolean ?: wrong(key, "true or false")
    fun numbers(key: String): List<Int> = list(key).map { int(it) ?: wrong(key, "whole numbers") }
    fun texts(key: String): List<String> = list(key).map { it as? String ?: wrong(key, "strings") }
    fun child(key: String): Entries = optional(key) ?: missing(key)
    fun optional(key: String): Entries? =
        find(key)?.let { found -> Entries(found as? Map<*, *> ?: wrong(key, "an object"), "$where.$key").also(inner::add) }
    fun children(): Map<String, Entries> = values.keys.associate { "$it" to child("$it") }

    fun file(): FileEntry {
        val entry = FileEntry(text("file"), get("bytes") as? Long ?: wrong("bytes", "a whole number"), text("sha256"))
        require(FILE_NAME.matches(entry.file)) { "$where.file '${entry.file.take(40)}' is no bare file name" }
        require(entry.bytes >= 0 && SHA256.matches(entry.sha256)) { "the size or the sha256 of file ${entry.file} cannot be" }
        return entry
    }

    fun graph(): FileEntry = file().also { unused("fidelity", "flops", "made_from") }.also { optional("recipe")?.file() }

    fun stage(): Stage = Stage(
        text("component"), child("inputs").ports(), child("outputs").ports(),
        truth("more"),
    ).also { neutral("resizes" to false) }

    private fun ports(): Map<String, Port> = children().mapValues { it.value.port() }

    private fun port(): Port = Port(text("type"), list("shape").map { it ?: wrong("shape", "a list of dimensions") }).also { port ->
        if (port.type != "float32" && port.type != "int32") wrong("type", "float32 or int32")
        for (size in port.shape) if (!(size is String && BY_LENGTH.matches(size)) && (size !is Long || size !in 1..MOST_ELEMENTS)) {
            wrong("shape", "numbers or latents")
        }
    }

    /** Entries of families of models that this app does not run: it reads on only where they say nothing. */
    fun neutral(vararg entries: Pair<String, Any?>): Entries {
        for ((key, value) in entries) if (key in values && find(key) != value) {
            throw EdgeAudioError("this model cannot run here: $where.$key is not known to this app; upgrade the app")
        }
        return this
    }

    /** Entries that this app has no use for. */
    fun unused(vararg keys: String) {
        known.addAll(keys)
    }

    fun refuseUnknown() {
        for (key in values.keys) require(key in known) { "$where.${"$key".take(40)}: expected no such entry" }
        inner.forEach { it.refuseUnknown() }
    }

    private fun find(key: String): Any? = values[key].also { known.add(key) }
    private fun get(key: String): Any = find(key) ?: missing(key)
    private fun list(key: String): List<*> = (find(key) ?: emptyList<Any>()) as? List<*> ?: wrong(key, "a list")
    private fun int(value: Any?): Int? = (value as? Long)?.takeIf { it in Int.MIN_VALUE..Int.MAX_VALUE }?.toInt()
    private fun missing(key: String): Nothing = throw IllegalArgumentException("$where.$key is missing")
    private fun wrong(key: String, expected: String): Nothing =
        throw IllegalArgumentException("$where.$key: expected $expected, found ${values[key].toString().take(40)}")
}
