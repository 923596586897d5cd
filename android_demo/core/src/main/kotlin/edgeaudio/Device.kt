package edgeaudio

private val DOT_PRODUCTS = listOf("i8mm", "asimddp", "avx512_vnni", "avx_vnni")

/** What suits a CPU, from the text of /proc/cpuinfo. int8 pays only with 8-bit dot products. */
class Device(cpuinfo: String, cores: Int) {
    private val hasDotProduct: Boolean

    /** At most four: the graphs are small, and slow cores hold up fast ones. */
    val threads: Int = cores.coerceIn(1, 4)

    init {
        val features = Regex("(?m)^(?:Features|flags)\\s*:(.*)$").findAll(cpuinfo).map { it.groupValues[1].split(' ').toSet() }.toList()
        val shared = if (features.isEmpty()) emptySet() else features.reduce { a, b -> a intersect b }
        hasDotProduct = DOT_PRODUCTS.any { it in shared }
    }

    /** Precisions of a component, best first. */
    fun preferred(component: String): List<String> = when {
        !hasDotProduct -> listOf("f32", "f16", "int8", "mixed", "int4")
        component == "decoder" -> listOf("mixed", "int8", "f32", "f16", "int4")
        else -> listOf("int8", "mixed", "f32", "f16", "int4")
    }
}
