package edgeaudio

/** A prompt as the `condition` signature takes it: ids and mask of length L; `count` tokens in the whole prompt, the last included. */
class Tokens(val ids: IntArray, val mask: IntArray, val count: Int) {
    val truncated: Boolean get() = count > ids.size
}

/** Ids in the fixed length [maxLength]. Of a longer list the last id, which ends the sequence, stays last. */
fun padded(ids: List<Int>, maxLength: Int, padId: Int = 0): Tokens {
    val kept = if (ids.size <= maxLength) ids else ids.take(maxLength - 1) + ids.last()
    val row = IntArray(maxLength) { kept.getOrElse(it) { padId } }
    return Tokens(row, IntArray(maxLength) { if (row[it] != padId) 1 else 0 }, ids.size)
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
