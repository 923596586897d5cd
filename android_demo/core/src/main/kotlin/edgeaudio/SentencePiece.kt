package edgeaudio

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val SPACE = "\u2581"
private const val UNKNOWN_PENALTY = 10f

/**
 * A unigram SentencePiece model (Kudo 2018): text is normalised, then cut into the pieces whose scores sum highest. Gives the ids that
 * the sentencepiece library gives.
 */
class SentencePiece(model: ByteArray) {
    private class Piece(data: ByteArray, val id: Int) {
        var text = ""
        var score = 0f
        var type = NORMAL

        init {
            Proto(data).fields { number, value ->
                when (number) {
                    1 -> text = (value as ByteArray).toString(Charsets.UTF_8)
                    2 -> score = Float.fromBits((value as Long).toInt())
                    3 -> type = (value as Long).toInt()
                }
            }
        }
    }

    private val pieces = HashMap<String, Piece>()
    private val bytes = HashMap<Int, Int>()
    private val normalizer: Normalizer
    private val longest: Int
    private var unknownId = 0
    private var byteFallback = false
    private val unknownScore: Float
    private val bestScore: Float

    var padId = -1
        private set
    var eosId = 2
        private set

    init {
        val all = ArrayList<Piece>()
        var spec = ByteArray(0)
        try {
            Proto(model).fields { number, value ->
                when (number) {
                    PIECES -> all.add(Piece(value as ByteArray, all.size))
                    TRAINER -> readTrainer(value as ByteArray)
                    NORMALIZER -> spec = value as ByteArray
                }
            }
            for (piece in all) when (piece.type) {
                NORMAL, USER_DEFINED, UNUSED -> pieces[piece.text] = piece
                BYTE -> bytes[piece.text.substring(3, 5).toInt(16)] = piece.id
            }
        } catch (error: RuntimeException) {
            throw EdgeAudioError("the tokenizer is not a SentencePiece model (${error.message}); export the model again")
        }
        val scores = all.filter { it.type == NORMAL }.map { it.score }
        if (scores.isEmpty()) throw EdgeAudioError("the tokenizer is not a SentencePiece model (no pieces); export the model again")
        longest = all.maxOf { it.text.length }
        unknownScore = scores.min() - UNKNOWN_PENALTY
        bestScore = scores.max()
        normalizer = Normalizer(spec)
    }

    private fun readTrainer(data: ByteArray) = Proto(data).fields { number, value ->
        when (number) {
            3 -> require((value as Long) == 1L) { "it is not a unigram model" }
            35 -> byteFallback = value as Long != 0L
            40 -> unknownId = (value as Long).toInt()
            42 -> eosId = (value as Long).toInt()
            43 -> padId = (value as Long).toInt()
        }
    }

    /** Ids of [text], without an end-of-sequence id. */
    fun encode(text: String): List<Int> = ids(normalizer.normalize(text))

    /** Viterbi: the best way to reach every character, in float32 and with the library's order of comparisons. */
    private fun ids(text: String): List<Int> {
        val from = IntArray(text.length + 1) { -1 }
        val reached = FloatArray(text.length + 1)
        val chosen = IntArray(text.length + 1)
        fun reach(start: Int, end: Int, score: Float, id: Int) {
            val total = score + reached[start]
            if (from[end] >= 0 && total <= reached[end]) return
            from[end] = start
            reached[end] = total
            chosen[end] = id
        }
        var start = 0
        while (start < text.length) {
            val width = Character.charCount(text.codePointAt(start))
            var single = false
            for (end in start + 1..minOf(text.length, start + longest)) {
                val piece = pieces[text.substring(start, end)] ?: continue
                if (piece.type == UNUSED) continue
                val length = text.substring(start, end).toByteArray().size
                val score = if (piece.type == USER_DEFINED) (length * bestScore - 0.1).toFloat() else piece.score
                reach(start, end, score, piece.id)
                single = single || end == start + width
            }
            if (!single) reach(start, start + width, unknownScore, unknownId)
            start += width
        }
        val found = ArrayList<Int>()
        var end = text.length
        var unknownEnd = -1 // of a run of unknown characters, which counts as one piece
        while (end > 0) {
            val begin = from[end]
            if (chosen[end] != unknownId) {
                found.add(chosen[end])
                unknownEnd = -1
            } else if (byteFallback) {
                for (byte in text.substring(begin, end).toByteArray().reversed()) found.add(bytes.getValue(byte.toInt() and 255))
            } else if (unknownEnd < 0) {
                found.add(unknownId)
                unknownEnd = end
            }
            end = begin
        }
        return found.asReversed()
    }

    private companion object {
        const val PIECES = 1
        const val TRAINER = 2
        const val NORMALIZER = 3
        const val NORMAL = 1
        const val USER_DEFINED = 4
        const val UNUSED = 5
        const val BYTE = 6
    }
}

/** SentencePiece's normaliser: a table of rewritten character sequences, and what becomes of spaces. */
private class Normalizer(spec: ByteArray) {
    private var trie = IntArray(0)
    private var rewritten = ByteArray(0)
    private var dummyPrefix = true
    private var removeExtra = true
    private var escape = true

    init {
        Proto(spec).fields { number, value ->
            when (number) {
                2 -> readTable(value as ByteArray)
                3 -> dummyPrefix = value as Long != 0L
                4 -> removeExtra = value as Long != 0L
                5 -> escape = value as Long != 0L
            }
        }
    }

    private fun readTable(data: ByteArray) {
        if (data.isEmpty()) return
        val buffer = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
        trie = IntArray(buffer.getInt() / 4) { buffer.getInt() }
        rewritten = data.copyOfRange(buffer.position(), data.size)
    }

    fun normalize(text: String): String {
        val input = text.toByteArray()
        val space = if (escape) SPACE.toByteArray() else byteArrayOf(' '.code.toByte())
        val out = ByteArrayOutputStream()
        var at = 0
        while (removeExtra && at < input.size) {
            val (part, width) = prefix(input, at)
            if (!part.contentEquals(byteArrayOf(BLANK))) break
            at += width
        }
        if (at == input.size) return ""
        if (dummyPrefix) out.write(space)
        var afterSpace = removeExtra
        while (at < input.size) {
            val (part, width) = prefix(input, at)
            val begin = if (afterSpace) part.indexOfFirst { it != BLANK }.let { if (it < 0) part.size else it } else 0
            for (byte in part.drop(begin)) if (byte == BLANK) out.write(space) else out.write(byte.toInt())
            if (begin < part.size) afterSpace = part.last() == BLANK
            at += width
            if (!removeExtra) afterSpace = false
        }
        val normalized = out.toByteArray().toString(Charsets.UTF_8)
        return if (removeExtra) normalized.trimEnd(if (escape) SPACE[0] else ' ') else normalized
    }

    /** What stands for the longest known sequence at [at], and how many bytes of input that is. */
    private fun prefix(input: ByteArray, at: Int): Pair<ByteArray, Int> {
        var node = if (trie.isEmpty()) 0 else offset(trie[0])
        var found = -1
        var width = 0
        for (index in at until if (trie.isEmpty()) at else input.size) {
            val label = input[index].toInt() and 255
            node = node xor label
            val unit = trie[node]
            if (unit and LABEL != label) break
            node = node xor offset(unit)
            if (unit ushr 8 and 1 == 1) {
                found = trie[node] and Int.MAX_VALUE
                width = index + 1 - at
            }
        }
        if (found < 0) {
            val one = UTF8_WIDTHS[(input[at].toInt() and 255) ushr 4]
            return input.copyOfRange(at, at + one) to one
        }
        val end = (found until rewritten.size).first { rewritten[it] == 0.toByte() }
        return rewritten.copyOfRange(found, end) to width
    }

    // A unit of a double-array trie (Darts-clone): bits 0-7 label, 8 has a leaf, 9 wide offset, 10-30 offset, 31 is a leaf.

    private fun offset(unit: Int): Int = unit ushr 10 shl (unit and 512 ushr 6)

    private companion object {
        const val BLANK = ' '.code.toByte()
        const val LABEL = 0xFF or (1 shl 31)
        val UTF8_WIDTHS = intArrayOf(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
    }
}

/** The wire format of protocol buffers, as far as a SentencePiece model uses it. */
private class Proto(private val data: ByteArray) {
    private var at = 0

    /** Number and value of every field: Long for numbers (bits, for fixed32), ByteArray for anything with a length. */
    fun fields(use: (Int, Any) -> Unit) {
        while (at < data.size) {
            val tag = varint()
            val value: Any = when ((tag and 7).toInt()) {
                0 -> varint()
                1 -> fixed(8)
                2 -> bytes(varint().toInt())
                5 -> fixed(4)
                else -> throw IllegalArgumentException("unknown wire type")
            }
            use((tag ushr 3).toInt(), value)
        }
    }

    private fun varint(): Long {
        var value = 0L
        for (shift in 0..63 step 7) {
            val byte = data[at++].toLong()
            value = value or (byte and 127 shl shift)
            if (byte >= 0) return value
        }
        throw IllegalArgumentException("a number is too long")
    }

    private fun fixed(size: Int): Long =
        (0 until size).fold(0L) { sum, index -> sum or (data[at + index].toLong() and 255 shl 8 * index) }.also { at += size }

    private fun bytes(size: Int): ByteArray {
        require(size in 0..data.size - at) { "it ends too early" }
        return data.copyOfRange(at, at + size).also { at += size }
    }
}
