package edgeaudio

/** Reads JSON into Map, List, String, Long, Double, Boolean and null. Strict, small, and without Android's org.json. */
internal class Json private constructor(private val text: String) {
    private var at = 0
    private var depth = 0

    private fun value(): Any? {
        skipSpace()
        return when (val next = peek()) {
            '{' -> objectValue()
            '[' -> listValue()
            '"' -> string()
            't', 'f', 'n' -> literal()
            else -> if (next == '-' || next.isDigit()) number() else fail("found '$next'")
        }
    }

    private fun objectValue(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        each('{', '}') {
            skipSpace()
            val key = string()
            expect(':')
            if (found.put(key, value()) != null) fail("entry $key is there twice")
        }
        return found
    }

    private fun listValue(): List<Any?> = mutableListOf<Any?>().also { found -> each('[', ']') { found.add(value()) } }

    private fun each(open: Char, close: Char, item: () -> Unit) {
        expect(open)
        skipSpace()
        if (++depth > DEEPEST) fail("more than $DEEPEST levels")
        var separated = true
        while (peek() != close) {
            if (!separated) expect(',')
            item()
            skipSpace()
            separated = false
        }
        depth--
        at++
    }

    private fun string(): String {
        expect('"')
        val found = StringBuilder()
        while (true) {
            when (val next = take()) {
                '"' -> return found.toString()
                '\\' -> found.append(escaped())
                else -> if (next < ' ') fail("a control character in a string") else found.append(next)
            }
        }
    }

    private fun escaped(): Char = when (val next = take()) {
        '"', '\\', '/' -> next
        'b' -> '\b'
        'f' -> '\u000c'
        'n' -> '\n'
        'r' -> '\r'
        't' -> '\t'
        'u' -> {
            if (at + 4 > text.length) fail("it ends within an escape")
            val code = text.substring(at, at + 4).toIntOrNull(16) ?: fail("a wrong escape")
            at += 4
            code.toChar()
        }
        else -> fail("a wrong escape")
    }

    private fun number(): Any {
        val found = NUMBER.matchAt(text, at)?.value ?: fail("a wrong number")
        at += found.length
        return found.toLongOrNull() ?: found.toDouble()
    }

    private fun literal(): Any? {
        val word = LITERALS.keys.find { text.startsWith(it, at) } ?: fail("an unknown word")
        at += word.length
        return LITERALS[word]
    }

    private fun expect(char: Char) {
        skipSpace()
        if (take() != char) fail("expected '$char'")
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("it ends too early")

    private fun take(): Char = peek().also { at++ }

    private fun fail(what: String): Nothing = throw IllegalArgumentException("$what at character $at")

    companion object {
        private const val DEEPEST = 64
        private val LITERALS = mapOf("true" to true, "false" to false, "null" to null)
        private val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")

        /** IllegalArgumentException says what is wrong and where. */
        fun parse(text: String): Any? {
            val reader = Json(text)
            val found = reader.value()
            reader.skipSpace()
            if (reader.at < text.length) reader.fail("something follows")
            return found
        }

        /** A string as JSON, for recipes. */
        fun quoted(text: String): String = text.asIterable().joinToString("", "\"", "\"") { char ->
            if (char == '"' || char == '\\') "\\$char" else if (char < ' ') "\\u%04x".format(char.code) else "$char"
        }
    }
}
