package edgeaudio

import kotlin.math.round
import kotlin.random.Random

/** The objective of models that were distilled to few steps without guidance (ARC). */
private const val POST_TRAINED = "rf_denoiser"

/** What to generate. null leaves a setting to the model (seconds: its full length; seed: a random one). */
data class Request(
    val prompt: String? = null,
    val seconds: Double? = null,
    val seed: Long? = null,
    val steps: Int? = null,
    val sampler: String? = null,
    val cfgScale: Double? = null,
    val negative: String? = null,
    val ids: List<Int>? = null,
    val fitLength: Boolean? = null,
) {
    /** The same with every setting filled in and checked. UsageError for what no model could serve, EdgeAudioError for this one. */
    fun resolved(manifest: Manifest): Settings {
        val best = manifest.defaults
        val settings = Settings(
            prompt, seconds ?: manifest.maxSeconds, seed ?: Random.nextLong(1L shl 31), steps ?: best.steps, sampler ?: best.sampler,
            cfgScale ?: best.cfgScale, negative, ids, fitLength ?: best.fitLength,
        )
        return settings.also { it.check(manifest) }
    }
}

/** A request without gaps. */
data class Settings(
    val prompt: String?,
    val seconds: Double,
    val seed: Long,
    val steps: Int,
    val sampler: String,
    val cfgScale: Double,
    val negative: String?,
    val ids: List<Int>?,
    val fitLength: Boolean,
) {
    /** Whether there is a prompt (or ids) to follow. */
    val hasText: Boolean get() = prompt?.isNotBlank() ?: !ids.isNullOrEmpty()

    /** Whether guidance has an effect: not at scale 1, nor where both of its branches would be the same. */
    val isGuided: Boolean get() = cfgScale != 1.0 && (hasText || !negative.isNullOrEmpty())

    /** Samples of audio asked for. */
    fun frames(manifest: Manifest): Int = round(seconds * manifest.sampleRate).toInt()

    /** Length of the latents to run on. */
    fun latents(manifest: Manifest): Int {
        val fitting = if (fitLength) manifest.latent.lengths else listOf(manifest.latent.length)
        return fitting.first { it * manifest.latent.downsampling >= frames(manifest) }
    }

    /** What this asks of the model that it cannot do well, each with what it was made for. */
    fun advice(manifest: Manifest): List<String> {
        val best = manifest.defaults
        val recommended = "this model was made for ${best.sampler}, ${best.steps} steps, cfg ${plain(best.cfgScale)}"
        val postTrained = manifest.objective == POST_TRAINED
        return listOfNotNull(
            "the prompt is empty; generating without one".takeIf { !hasText },
            "the negative prompt has no effect at cfg 1; use cfg 3 to 7 with a model made for it"
                .takeIf { !negative.isNullOrEmpty() && cfgScale == 1.0 },
            "cfg ${plain(cfgScale)} overdrives a post-trained model; $recommended".takeIf { postTrained && isGuided && cfgScale > 2 },
            "euler with $steps steps is not what a post-trained model can use; $recommended"
                .takeIf { postTrained && sampler == "euler" && steps >= 30 },
            "${plain(seconds)} seconds is outside what the model was trained on"
                .takeIf { seconds !in manifest.minSeconds..manifest.maxTrainedSeconds && seconds != manifest.maxSeconds },
        )
    }

    internal fun check(manifest: Manifest) {
        if (sampler !in SAMPLERS) throw UsageError("sampler '$sampler' is unknown; use one of ${SAMPLERS.keys.joinToString()}")
        checkSteps(steps)
        if (seed < 0) throw UsageError("seed $seed is not usable; choose a whole number from 0 to ${Long.MAX_VALUE}")
        if (!cfgScale.isFinite()) throw UsageError("cfg $cfgScale is not a finite number; use 1 for no guidance, 3 to 7 for more")
        if ((prompt == null) == (ids == null)) throw UsageError("give either a prompt or ids, one of them")
        val text = if (hasText && ids == null) prompt else negative
        if (!text.isNullOrEmpty() && manifest.tokenizer == null) {
            throw EdgeAudioError("model ${manifest.name} has no tokenizer and cannot read '${text.take(40)}'; give token ids, or export " +
                "it again with --tokenizer FILE")
        }
        if (ids.orEmpty().any { it < 0 }) throw UsageError("ids must be whole numbers from 0; give them as the tokenizer of the model does")
        if (ids.orEmpty().size > manifest.maxLength) {
            throw EdgeAudioError("${ids!!.size} ids are more than model ${manifest.name} reads; give at most ${manifest.maxLength}")
        }
        if (!seconds.isFinite() || seconds <= 0 || frames(manifest) < 1) {
            throw UsageError("seconds ${plain(seconds)} is no duration; use more than 0, at most ${plain(manifest.maxSeconds)}")
        }
        if (frames(manifest) > manifest.latent.length * manifest.latent.downsampling) {
            throw EdgeAudioError("seconds ${plain(seconds)} is more than model ${manifest.name} can make; use at most " +
                plain(manifest.maxSeconds))
        }
    }

    private fun plain(value: Double) = if (value == round(value)) "${value.toLong()}" else "$value"
}
