"""A limiter that looks ahead and streams: peaks above full scale are turned down before they
come, softly, and everything else is left as it is.

The gain is decided in blocks of BLOCK samples, for all channels together, as the limiter of
Stability AI's on-device port does (stable-audio-3, `optimized/tflite`): what a block's peak needs,
the least of that around it, smoothed by a Hann window, and straight lines between the middles of
blocks. Here the least is taken one block further than the window reaches, so that no sample is
above the ceiling: between two middles the gain is between those of two blocks, and neither is more
than what either of the two needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: amplitude that no sample passes, -0.2 dBFS
CEILING = 0.977
BLOCK = 64
#: blocks on either side that the smoothing reaches, and the least gain is taken of
SMOOTH, LEAST = 4, 5
#: blocks that must be known on either side of one for its gain, and those beside it
REACH = SMOOTH + LEAST + 1
_WINDOW = np.hanning(2 * SMOOTH + 3)[1:-1]
_WINDOW /= _WINDOW.sum()


class Limiter:
    """Limits one clip, block by block."""

    def __init__(self, ceiling: float = CEILING):
        self.ceiling = ceiling
        #: the least that was used so far, and the largest sample that came
        self.gain, self.peak = 1.0, 0.0

    @property
    def over(self) -> float:
        """How far the clip went above full scale, in dB; 0 or less if it did not."""
        return 20 * math.log10(max(self.peak, 1e-10))

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """float32 [n, channels] of any lengths, and the same samples in other lengths, limited.

        They do not depend on how a clip is cut into blocks. They come REACH blocks later.
        """
        held, before = None, 0  # samples not yet given, after `before` blocks that were
        for samples in blocks:
            held = samples if held is None else np.concatenate([held, samples])
            ready = len(held) // BLOCK - REACH - before
            if ready > 0:
                yield self._limited(held, before, ready)
                drop = max(0, before + ready - REACH)
                held, before = held[drop * BLOCK :], before + ready - drop
        if held is not None and len(held) > before * BLOCK:
            yield self._limited(held, before, math.ceil(len(held) / BLOCK) - before)

    def _limited(self, held: np.ndarray, first: int, count: int) -> np.ndarray:
        """Blocks `first` to `first + count` of the held samples, limited."""
        peaks = np.abs(held).max(axis=1)
        peaks = np.pad(peaks, (0, -len(peaks) % BLOCK)).reshape(-1, BLOCK).max(axis=1)
        # beyond the ends nothing needs turning down
        needed = np.pad(self.ceiling / np.maximum(peaks, self.ceiling), REACH, constant_values=1.0)
        least = sliding_window_view(needed, 2 * LEAST + 1).min(axis=1)
        # of blocks -1 to one after the last; tap by tap, so that it is the same for any length
        taps = sliding_window_view(least, 2 * SMOOTH + 1).T
        gains = sum(weight * tap for weight, tap in zip(_WINDOW, taps))
        before, here, after = (gains[first + i : first + count + i, None] for i in range(3))
        half = np.arange(BLOCK // 2) + 0.5
        rise, fall = (BLOCK / 2 + half) / BLOCK, half / BLOCK
        gain = np.concatenate([before + (here - before) * rise, here + (after - here) * fall], 1)
        samples = held[first * BLOCK : (first + count) * BLOCK]
        gain = gain.astype(np.float32).reshape(-1)[: len(samples)]
        self.gain = min(self.gain, float(gain.min()))
        self.peak = max(self.peak, float(np.abs(samples).max()))
        return samples * gain[:, None]
