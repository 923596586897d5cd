package edgeaudio

import java.io.File
import java.io.InputStream
import java.security.MessageDigest

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
            val schema = root["schema"] as? Long ?: 0
            if (schema !in 1..SCHEMA) {
                val mend = if (schema > SCHEMA) "upgrade the app" else "export the model again"
                throw EdgeAudioError("$path has schema ${root["schema"]}, this app reads schema 1 to $SCHEMA; $mend")
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
