package edgeaudio

import java.io.File
import java.io.InputStream
import java.security.MessageDigest

const val SCHEMA = 1L
const val MANIFEST_NAME = "manifest.json"
val PRECISIONS = listOf("f32", "f16", "int8", "int4", "mixed")

/** The components every bundle must have. */
val GENERATING = listOf("conditioners", "dit", "decoder")

/** component -> signature -> inputs, outputs that a graph must at least have. The names are the contract. */
val SIGNATURES: Map<String, Map<String, Pair<List<String>, List<String>>>> = mapOf(
    "conditioners" to mapOf(
        "condition" to (listOf("input_ids", "attention_mask", "seconds_total") to listOf("cross_attn_cond", "global_cond")),
    ),
    "dit" to mapOf(
        "project" to (listOf("cross_attn_cond", "global_cond") to listOf("global_embed")),
        "denoise" to (listOf("x", "t", "global_embed") to listOf("v")),
    ),
    "decoder" to mapOf("head" to (listOf("latents") to listOf("features")), "tail" to (listOf("features") to listOf("audio"))),
)

/** A file of the bundle, as it was when the bundle was written. */
data class FileEntry(val file: String, val bytes: Long, val sha256: String)

/** Shape of the latents, [length, channels]; one latent stands for `downsampling` samples. `shorter` are further lengths. */
data class Latent(val length: Int, val channels: Int, val downsampling: Int, val shorter: List<Int>) {
    val lengths: List<Int> get() = shorter + length

    /** Name of a signature for latents of [length]. */
    fun signature(name: String, length: Int): String = if (length == this.length) name else "${name}_$length"
}

/** The decoder's tail runs on `tile` frames at a time; `overlap` frames at an inner edge are thrown away. */
data class Tiling(val tile: Int, val overlap: Int, val perLatent: Int)

/** The settings this model was made for. */
data class Defaults(val sampler: String, val steps: Int, val cfgScale: Double)

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
    val vocabulary: FileEntry?,
    val usualLevel: UsualLevel?,
) {
    /** Length of what the model generates, in seconds. */
    val maxSeconds: Double get() = latent.length.toDouble() * latent.downsampling / sampleRate

    companion object {
        /** IllegalArgumentException names the first entry that is missing, of the wrong type or impossible. */
        fun fromJson(root: Map<*, *>): Manifest {
            val entries = Entries(root, "manifest")
            val latent = entries.child("latent")
            val prompt = entries.child("prompt")
            val seconds = entries.child("seconds")
            val defaults = entries.child("defaults")
            val tiling = entries.child("tiling")
            return Manifest(
                entries.text("name"), entries.positive("sample_rate"), entries.positive("channels"),
                Latent(latent.positive("length"), latent.positive("channels"), latent.positive("downsampling"), latent.numbers("shorter")),
                prompt.positive("max_length"), prompt.optional("tokenizer")?.file(), seconds.number("min"), seconds.number("max"),
                entries.text("objective"),
                Defaults(defaults.text("sampler"), defaults.positive("steps"), defaults.number("cfg_scale")),
                Tiling(tiling.positive("tile"), tiling.whole("overlap"), tiling.positive("per_latent")),
                entries.child("graphs").children().mapValues { (_, component) -> component.children().mapValues { it.value.file() } },
                entries.optional("vocabulary")?.file(),
                entries.optional("usual_level")?.let { UsualLevel(it.number("median"), it.number("lowest")) },
            ).also(::check)
        }

        private fun check(manifest: Manifest) {
            val (latent, tiling) = manifest.latent to manifest.tiling
            require(tiling.overlap >= 0 && 2 * tiling.overlap < tiling.tile) {
                "tiling.overlap ${tiling.overlap} leaves nothing of tile ${tiling.tile}"
            }
            require(latent.downsampling % tiling.perLatent == 0) {
                "tiling.per_latent ${tiling.perLatent} does not divide latent.downsampling ${latent.downsampling}"
            }
            require(latent.shorter == latent.shorter.sorted().distinct() && latent.shorter.all { it in 1 until latent.length }) {
                "latent.shorter ${latent.shorter} must ascend, from 1 to below latent.length ${latent.length}"
            }
            require(latent.lengths.min() * tiling.perLatent >= tiling.tile) {
                "tiling.tile ${tiling.tile} is longer than the shortest latents"
            }
        }
    }
}

/** An object of the manifest and its place in it, for errors that name the entry. */
private class Entries(private val values: Map<*, *>, private val where: String) {
    private fun get(key: String): Any = values[key] ?: throw IllegalArgumentException("$where.$key is missing")

    fun text(key: String): String = get(key) as? String ?: wrong(key, "a string")
    fun number(key: String): Double = (get(key) as? Number)?.toDouble() ?: wrong(key, "a finite number")
    fun whole(key: String): Int =
        (get(key) as? Long)?.takeIf { it in Int.MIN_VALUE..Int.MAX_VALUE }?.toInt() ?: wrong(key, "a whole number")
    fun long(key: String): Long = get(key) as? Long ?: wrong(key, "a whole number")
    fun positive(key: String): Int = whole(key).also { require(it >= 1) { "$where.$key is $it, must be at least 1" } }
    fun numbers(key: String): List<Int> =
        (values[key] as? List<*> ?: emptyList<Any>()).map { (it as? Long)?.toInt() ?: wrong(key, "whole numbers") }
    fun child(key: String): Entries = optional(key) ?: throw IllegalArgumentException("$where.$key is missing")
    fun optional(key: String): Entries? = values[key]?.let { Entries(it as? Map<*, *> ?: wrong(key, "an object"), "$where.$key") }
    fun children(): Map<String, Entries> = values.keys.associate { "$it" to child("$it") }
    fun file() = FileEntry(text("file"), long("bytes"), text("sha256"))

    private fun wrong(key: String, expected: String): Nothing =
        throw IllegalArgumentException("$where.$key: expected $expected, found ${values[key].toString().take(40)}")
}

/** Where the files of a bundle are: a folder, or an app's assets. */
interface BundleFiles {
    val name: String

    /** null if there is no such file. */
    fun open(file: String): InputStream?
}

/** A bundle in a folder. */
class Folder(val folder: File) : BundleFiles {
    override val name: String get() = folder.path
    override fun open(file: String): InputStream? = File(folder, file).takeIf { it.isFile }?.inputStream()
}

/** An opened bundle. Opening reads only the manifest; each file is checked when it is asked for. */
class Bundle private constructor(val files: BundleFiles, val manifest: Manifest, val sha256: String) {
    private val checked = HashSet<String>()

    /** The precisions in which [component] is here, in the order of PRECISIONS. */
    fun precisions(component: String): List<String> = PRECISIONS.filter { it in manifest.graphs[component].orEmpty() }

    /** A graph's entry, after its size and hash have been checked. */
    fun graph(component: String, precision: String): FileEntry {
        val entry = manifest.graphs[component]?.get(precision) ?: throw EdgeAudioError(
            "${files.name} has no $component in $precision; it has ${precisions(component).joinToString().ifEmpty { "none at all" }}",
        )
        return entry.also(::check)
    }

    /** The SentencePiece model, or null for a bundle that serves ids only. */
    fun tokenizer(): ByteArray? = manifest.tokenizer?.let(::read)

    /** The words that the model knows, or null for a bundle without such a list. */
    val vocabulary: Vocabulary? by lazy {
        manifest.vocabulary?.let { entry ->
            try {
                Vocabulary.parse(read(entry).toString(Charsets.UTF_8))
            } catch (error: IllegalArgumentException) {
                throw EdgeAudioError("${files.name}/${entry.file} is no list of what a model knows (${error.message}); copy the bundle again")
            }
        }
    }

    /** Families of sounds that the model makes, with prompts that ask for them. */
    val prompts: List<SoundFamily> get() = vocabulary?.families.orEmpty()

    private fun read(entry: FileEntry): ByteArray {
        check(entry)
        return files.open(entry.file)!!.use { it.readBytes() }
    }

    /** Which precision each component runs in: [spec] is null, "int8", or "dit=int8,decoder=f32"; [preferred] decides the rest. */
    fun choose(spec: String?, preferred: (String) -> List<String>): Map<String, String> {
        val chosen = GENERATING.associateWithTo(LinkedHashMap()) { component ->
            val here = precisions(component)
            preferred(component).firstOrNull { it in here } ?: here.first()
        }
        for (part in spec?.split(",").orEmpty()) {
            val component = part.trim().substringBeforeLast("=", "")
            val precision = part.trim().substringAfterLast("=")
            if (precision !in PRECISIONS || (component.isNotEmpty() && component !in GENERATING)) {
                throw UsageError(
                    "precision '${part.trim()}' is not understood; write one of ${PRECISIONS.joinToString()}, or COMPONENT=PRECISION " +
                        "with a component of ${GENERATING.joinToString()}",
                )
            }
            for (name in if (component.isEmpty()) GENERATING else listOf(component)) {
                if (precision !in precisions(name)) {
                    throw EdgeAudioError("${files.name} has no $name in $precision; it has ${precisions(name).joinToString()}")
                }
                chosen[name] = precision
            }
        }
        return chosen
    }

    private fun check(entry: FileEntry) {
        if (entry.file in checked) return
        val mend = "copy the bundle again or export the model again"
        val path = "${files.name}/${entry.file}"
        val stream = files.open(entry.file) ?: throw EdgeAudioError("$path is missing; $mend")
        val (bytes, sha256) = stream.use(::sizeAndHash)
        if (bytes != entry.bytes) throw EdgeAudioError("$path has $bytes bytes, the manifest says ${entry.bytes}; $mend")
        if (sha256 != entry.sha256) throw EdgeAudioError("$path has another sha256 than the manifest says; $mend")
        checked.add(entry.file)
    }

    companion object {
        /** Read and check manifest.json. EdgeAudioError says what is wrong and what to do. */
        fun open(files: BundleFiles): Bundle {
            val path = "${files.name}/$MANIFEST_NAME"
            val raw = files.open(MANIFEST_NAME)?.use { it.readBytes() }
                ?: throw EdgeAudioError("no bundle at ${files.name}: $MANIFEST_NAME is missing; copy a whole bundle there")
            val root = try {
                Json.parse(raw.toString(Charsets.UTF_8)) as? Map<*, *> ?: throw IllegalArgumentException("it is no object")
            } catch (error: IllegalArgumentException) {
                throw EdgeAudioError("$path cannot be read (${error.message}); export the model again")
            }
            if (root["schema"] != SCHEMA) {
                val newer = (root["schema"] as? Long ?: 0) > SCHEMA
                val mend = if (newer) "upgrade the app" else "export the model again"
                throw EdgeAudioError("$path has schema ${root["schema"]}, this app reads schema $SCHEMA; $mend")
            }
            val manifest = try {
                Manifest.fromJson(root)
            } catch (error: IllegalArgumentException) {
                throw EdgeAudioError("$path is not a valid manifest (${error.message}); export the model again")
            }
            for (component in GENERATING) {
                if (PRECISIONS.none { it in manifest.graphs[component].orEmpty() }) {
                    throw EdgeAudioError("$path lists no $component graph in a known precision; export the model again")
                }
            }
            return Bundle(files, manifest, raw.inputStream().use(::sizeAndHash).second)
        }

        private fun sizeAndHash(stream: InputStream): Pair<Long, String> {
            val digest = MessageDigest.getInstance("SHA-256")
            val piece = ByteArray(1 shl 20)
            var size = 0L
            while (true) {
                val count = stream.read(piece)
                if (count < 0) break
                digest.update(piece, 0, count)
                size += count
            }
            return size to digest.digest().joinToString("") { "%02x".format(it) }
        }
    }
}
