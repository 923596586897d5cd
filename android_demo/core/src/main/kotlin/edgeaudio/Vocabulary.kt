package edgeaudio

/** A kind of sound, by its commonest name, and prompts that ask for it. */
data class SoundFamily(val name: String, val prompts: List<String>)

private const val NAMED = 4
private const val NEAREST = 3
private const val LONGEST_WORD = 24
private val WORD = Regex("[\\p{L}\\p{N}]+(?:[-'’#][\\p{L}\\p{N}]+)*#?")

/**
 * All words that a model was trained on, in lower case, the families of sounds that it makes, and what a name alone may mean: words of a
 * prompt without those of [fillers] -> captions, of which the seed chooses one. [articles] change nothing at the beginning of a name. Says
 * what the Python runtime says.
 */
class Vocabulary(
    val words: Set<String>,
    val families: List<SoundFamily>,
    private val readings: Map<String, List<String>> = emptyMap(),
    private val fillers: Set<String> = emptySet(),
    private val articles: Set<String> = emptySet(),
) {
    /** The prompt as the model should read it: itself, or, for a name alone, a caption that also says what the name leaves open. */
    fun reading(prompt: String, seed: Long): String {
        val leftOut = unknown(prompt).filter { word -> word.all { it.isLetter() } } + fillers
        val words = words(prompt).filter { it !in leftOut }
        val options = readings[words.joinToString(" ")]
            ?: readings[words.drop(1).joinToString(" ")].takeIf { words.firstOrNull() in articles }
            ?: emptyList()
        if (options.isEmpty()) return prompt
        return options[chosen(seed, options.size)]
    }

    private fun words(text: String): List<String> = WORD.findAll(text.lowercase()).map { it.value }.toList()

    /** The words of a prompt that the model has never met, in their order. A compound of known words ("drum-beat") is known. */
    fun unknown(prompt: String): List<String> =
        words(prompt).distinct().filterNot { it in words || words.containsAll(it.split('-', '\'', '’')) }

    /** Known words that are spelled nearly like [word], the nearest first. */
    fun nearest(word: String): List<String> {
        if (word.length < 3 || word.length == 3 && word.all { it.isLetter() }) return emptyList()
        val allowed = maxOf(1, word.length / 4)
        return words.filter { it.length > 1 && kotlin.math.abs(it.length - word.length) <= allowed }
            .map { editDistance(word, it) to it }.filter { it.first <= allowed }
            .sortedWith(compareBy({ it.first }, { it.second })).map { it.second }.take(NEAREST)
    }

    /** What to tell a person about the unknown words of a prompt; null if there are none. */
    fun note(prompt: String, model: String): String? {
        val unknown = unknown(prompt).take(NAMED).ifEmpty { return null }
        val quoted = unknown.joinToString(" or ") { "'${it.take(LONGEST_WORD)}'" }
        val similar = unknown.flatMap(::nearest).distinct().take(NEAREST)
        val meant = if (similar.isEmpty()) "" else " (did you mean ${similar.joinToString(" or ")}?)"
        val every = maxOf(1, families.size / NAMED)
        val known = families.filterIndexed { index, _ -> index % every == 0 }.take(NAMED).joinToString { it.name }
        return "the $model model knows no $quoted$meant; it knows $known …"
    }

    companion object {
        /** IllegalArgumentException if this is no vocabulary file. */
        fun parse(text: String): Vocabulary {
            val root = Json.parse(text) as? Map<*, *> ?: throw IllegalArgumentException("it is no object")
            val families = list(root["families"]).map {
                val family = it as? Map<*, *> ?: throw IllegalArgumentException("a family is no object")
                SoundFamily(text(family["name"]), list(family["prompts"]).map(::text))
            }
            val captions = root["captions"]?.let(::list).orEmpty().map(::text)
            val readings = (root["readings"] as? Map<*, *>).orEmpty().map { (words, reading) ->
                text(words) to list(reading).map { if (it is Long) captions.getOrNull(it.toInt()) else it }.map(::text)
            }
            val fillers = root["fillers"]?.let(::list).orEmpty().map(::text)
            val articles = root["articles"]?.let(::list).orEmpty().map(::text)
            return Vocabulary(list(root["words"]).map(::text).toSet(), families, readings.toMap(), fillers.toSet(), articles.toSet())
        }

        private fun list(value: Any?): List<*> = value as? List<*> ?: throw IllegalArgumentException("a list is missing")
        private fun text(value: Any?): String = value as? String ?: throw IllegalArgumentException("it holds something else than words")
    }
}

/** A number below [count] that follows from the seed: the remainder of an unsigned number, which Java knows only since Android 8. */
internal fun chosen(seed: Long, count: Int): Int = splitMix(seed, 1).let { ((it ushr 1) % count * 2 + (it and 1)) % count }.toInt()

/** Letters to insert, delete, replace or swap with their neighbour (optimal string alignment). */
internal fun editDistance(one: String, other: String): Int {
    var previous = IntArray(0)
    var before = IntArray(0)
    var row = IntArray(other.length + 1) { it }
    for (i in 1..one.length) {
        previous = before
        before = row
        row = IntArray(other.length + 1)
        row[0] = i
        for (j in 1..other.length) {
            row[j] = minOf(before[j] + 1, row[j - 1] + 1, before[j - 1] + if (one[i - 1] == other[j - 1]) 0 else 1)
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1]) row[j] = minOf(row[j], previous[j - 2] + 1)
        }
    }
    return row[other.length]
}
