package edgeaudio

private const val REMEMBERED_BYTES = 32L shl 20

/** The stages of a bundle in the order in which they can run, and what follows from what they read. Knows no family of models. */
class Contract(private val manifest: Manifest) {
    val stages: Map<String, Stage> = order(manifest.stages).associateWith(manifest.stages::getValue)
    val gives: Map<String, String> = stages.flatMap { (name, stage) -> stage.outputs.keys.map { it to name } }.toMap()

    /** stage -> names of all that it reads, also by way of other stages. */
    val reads: Map<String, Set<String>> = LinkedHashMap<String, Set<String>>().also { reads ->
        for ((name, stage) in stages) {
            reads[name] = stage.inputs.keys + stage.inputs.keys.flatMap { gives[it]?.let(reads::getValue).orEmpty() }
        }
    }

    /** The stage that gives audio, tile by tile. */
    val tail: String get() = gives.getValue(AUDIO)

    /** The values that the sampling needs and that components of their own give before it. */
    val conditioning: List<String> = reads.getValue(gives.getValue(V)).filter { it in gives && of(component(it)).all(::lasts) }

    /** Whether what a stage gives is the same on every step of a clip. */
    fun lasts(stage: String): Boolean = reads.getValue(stage).none { it in CHANGING }

    /** The stages of a component. */
    fun of(component: String): List<String> = stages.keys.filter { stages.getValue(it).component == component }

    /** The component whose graph gives a value. */
    fun component(value: String): String = stages.getValue(gives.getValue(value)).component

    /** The signature of a stage for latents of [length]. */
    fun signature(stage: String, length: Int): String =
        if (length == manifest.latent.length || !stages.getValue(stage).followsLength) stage else "${stage}_$length"
}

/** Runs stages; values are FloatArray or IntArray. */
interface Stages {
    /** Names of all that a stage reads. */
    fun inputs(stage: String): Collection<String>

    fun call(stage: String, inputs: Map<String, Any>): Map<String, FloatArray>
}

/**
 * What is known while a clip is made: values that were set, and what stages gave. The stage that gives a value is run when it is asked for,
 * and again only after something that it reads has become another array.
 */
class Values(private val contract: Contract, private val stages: Stages, private val parent: Values? = null) {
    private class Run(val inputs: Map<String, Any>, val outputs: Map<String, FloatArray>)

    private val set = HashMap<String, Any>()
    private val runs = HashMap<String, Run>()

    /** Set values by name; one that is what it was does not make anything run again. */
    fun set(values: Map<String, Any>): Values {
        for ((name, value) in values) if (!isSame(set[name], value)) set[name] = value
        return this
    }

    /** The same values but for some: what does not depend on those is shared. */
    fun fork(values: Map<String, Any>): Values = Values(contract, stages, this).set(values)

    /** The floats of a name; runs what has to run for them. */
    operator fun get(name: String): FloatArray = find(name) as FloatArray

    private fun find(name: String): Any {
        set[name]?.let { return it }
        val stage = contract.gives[name] ?: runs.keys.firstOrNull { name in runs.getValue(it).outputs } // not listed (`Stage.more`)
        if (stage == null || (parent != null && contract.reads.getValue(stage).none { it in set })) {
            return parent?.find(name) ?: throw EdgeAudioError("no stage gives $name and nothing made it; export the model again")
        }
        return outputs(stage).getValue(name)
    }

    private fun outputs(stage: String): Map<String, FloatArray> {
        val listed = contract.stages.getValue(stage).inputs.keys.associateWith(::find) // runs those that give unlisted ones
        val inputs = listed + (stages.inputs(stage) - listed.keys).associateWith(::find)
        val last = runs[stage]
        if (last != null && inputs.all { (name, value) -> last.inputs[name] === value }) return last.outputs
        return stages.call(stage, inputs).also { runs[stage] = Run(inputs, it) }
    }
}

/** What stages gave, for the next clip that has them read the same. What was asked for longest ago is forgotten first. */
class Remembered(private val most: Long = REMEMBERED_BYTES) {
    private class Run(val signature: String, val inputs: Map<String, Any>, val outputs: Map<String, FloatArray>) {
        val bytes = (inputs.values + outputs.values).sumOf { 4L * sizeOf(it) }
    }

    private val runs = ArrayDeque<Run>()

    /** What [signature] gives for [inputs]: from before, or by [run]. */
    fun outputs(signature: String, inputs: Map<String, Any>, run: () -> Map<String, FloatArray>): Map<String, FloatArray> {
        val known = runs.firstOrNull { it.signature == signature && inputs.all { (name, value) -> isSame(it.inputs[name], value) } }
        runs.remove(known)
        runs.add(known ?: Run(signature, inputs, run()))
        while (runs.size > 1 && runs.sumOf { it.bytes } > most) runs.removeFirst()
        return runs.last().outputs
    }
}

internal fun sizeOf(values: Any): Int = (values as? FloatArray)?.size ?: (values as IntArray).size

private fun isSame(one: Any?, other: Any): Boolean = when (other) {
    is FloatArray -> other.contentEquals(one as? FloatArray)
    is IntArray -> other.contentEquals(one as? IntArray)
    else -> false
}
