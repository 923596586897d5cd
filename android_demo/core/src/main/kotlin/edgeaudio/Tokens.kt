package edgeaudio

/** A prompt as the text encoder takes it: ids and mask of length L; `count` tokens in the whole prompt, the last included. */
class Tokens(val ids: IntArray, val mask: IntArray, val count: Int) {
    val truncated: Boolean get() = count > ids.size
}

/**
 * Ids in the fixed length [maxLength]. Of a longer list the last id, which ends the sequence, stays last. Padding that the ids bring at
 * their end is none of them; between others it counts like any id.
 */
fun padded(ids: List<Int>, maxLength: Int, padId: Int = 0): Tokens {
    val given = ids.take(1) + ids.drop(1).dropLastWhile { it == padId }
    val kept = if (given.size <= maxLength) given else given.take(maxLength - 1) + given.last()
    return Tokens(IntArray(maxLength) { kept.getOrElse(it) { padId } }, IntArray(maxLength) { if (it < kept.size) 1 else 0 }, given.size)
}

/** Prompt -> token ids and mask, the T5 way: SentencePiece ids, one end-of-sequence id, padding. */
class Tokenizer(model: ByteArray, private val maxLength: Int) {
    private val pieces = SentencePiece(model)

    init {
        if (pieces.eosId < 0) {
            throw EdgeAudioError("the tokenizer has no end-of-sequence piece; export with the tokenizer of the T5 encoder")
        }
    }

    /** UsageError for text that is not Unicode (a lone surrogate). */
    fun encode(text: String): Tokens {
        if (!Charsets.UTF_8.newEncoder().canEncode(text)) throw UsageError("prompt has characters that are no text; type it again")
        return padded(pieces.encode(text) + pieces.eosId, maxLength, maxOf(pieces.padId, 0))
    }
}
