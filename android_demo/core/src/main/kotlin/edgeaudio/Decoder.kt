package edgeaudio

/** A tail run: it reads frames [start, start + tile) of the features and counts for [begin, end). */
data class Tile(val start: Int, val begin: Int, val end: Int)

/**
 * Tiles that cover frames [0, length), in order and without gaps. A graph pads with zeros, as the whole decoder does at its ends and
 * nowhere else: no tile reaches over an end, the last is aligned to it, and `overlap` frames are dropped only at inner edges.
 */
fun plan(length: Int, tile: Int, overlap: Int): List<Tile> {
    require(overlap >= 0 && 2 * overlap < tile && tile <= length) { "tiles of $tile frames with overlap $overlap cannot cover $length" }
    val tiles = ArrayList<Tile>()
    var begin = 0
    while (begin < length) {
        val start = (begin - overlap).coerceIn(0, length - tile)
        val end = if (start + tile == length) length else start + tile - overlap
        tiles.add(Tile(start, begin, end))
        begin = end
    }
    return tiles
}

/** The tiles that must run on [length] latents for the first [frames] samples of audio. */
fun tilesFor(manifest: Manifest, length: Int, frames: Int): List<Tile> {
    val tiling = manifest.tiling
    val perFrame = manifest.latent.downsampling / tiling.perLatent
    return plan(length * tiling.perLatent, tiling.tile, tiling.overlap).filter { it.begin * perFrame < frames }
}

/** Decode the features of [length] latents tile by tile and yield blocks of audio [n · channels], [frames] samples in all. */
fun decode(
    manifest: Manifest, length: Int, features: FloatArray, frames: Int, tail: (FloatArray) -> FloatArray,
): Sequence<FloatArray> = sequence {
    val (tiling, channels) = manifest.tiling to manifest.channels
    val width = features.size / (length * tiling.perLatent)
    val perFrame = manifest.latent.downsampling / tiling.perLatent
    for (tile in tilesFor(manifest, length, frames)) {
        val part = features.copyOfRange(tile.start * width, (tile.start + tiling.tile) * width)
        val audio = tail(part)
        if (audio.size != tiling.tile * perFrame * channels) {
            throw EdgeAudioError(
                "the decoder's tail gave ${audio.size / channels} samples for a tile of ${tiling.tile} frames, the manifest says " +
                    "${tiling.tile * perFrame}; export the model again",
            )
        }
        val end = minOf(tile.end * perFrame, frames)
        yield(audio.copyOfRange((tile.begin - tile.start) * perFrame * channels, (end - tile.start * perFrame) * channels))
    }
}

/** Seconds at either end of a clip: too short to be heard, long enough not to click where a sound begins late or is cut. */
const val FADE_IN = 0.001
const val FADE_OUT = 0.005

/**
 * Fade a block [n · channels], which begins at frame [begin] of a clip of [frames] in all: in a straight line up from zero over FADE_IN and
 * down to it over FADE_OUT.
 */
fun fade(block: FloatArray, begin: Int, frames: Int, channels: Int, sampleRate: Int): FloatArray {
    val (rise, fall) = listOf(FADE_IN, FADE_OUT).map { Math.rint(it * sampleRate).toFloat() }
    for (index in block.indices) {
        val position = (begin + index / channels).toFloat()
        var gain = 1f
        if (rise > 0) gain = minOf(gain, position / rise)
        if (fall > 0) gain = minOf(gain, ((frames - 1).toFloat() - position) / fall)
        block[index] *= gain
    }
    return block
}
