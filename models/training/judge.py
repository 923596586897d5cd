"""A second judge: a small classifier that learnt from synthesised sounds which family a clip is of.

It shares nothing with the checks: it sees only a log-mel spectrogram, boiled down to how loud each
band is on average, how much that moves, and at which rates. The sounds that it learns from are none
of the training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_audio.evaluate.metrics import log_mel

from .sounds import FIRST, World

#: sounds of each family that it learns from, and the set they are of
EACH, SEED = 40, 4242
#: dB below the loudest band: synthesised sounds are clean below that, which no decoder's are, and
#: that is not what is to be told apart
HEARD = 30.0
#: modulation rates that it sees, from one in four seconds up
RATES = 24


def features(samples: np.ndarray, rate: int) -> np.ndarray:
    """What the judge sees of a clip, [samples] or [samples, channels]: [features]."""
    mel = log_mel(samples.reshape(len(samples), -1), rate)
    mel = np.maximum(mel - mel.max(), -HEARD)
    groups = np.stack([part.mean(axis=1) for part in np.array_split(mel, 4, axis=1)], axis=1)
    level = 10 ** (groups / 20)
    rates = np.abs(np.fft.rfft(level - level.mean(axis=0), 1024, axis=0))[
        1 : 4 * RATES + 1 : 4
    ] / len(level)
    rises = np.maximum(np.diff(mel, axis=0), 0)
    return np.concatenate(
        [
            mel.mean(axis=0),
            mel.std(axis=0),
            np.percentile(mel, 95, axis=0),
            rises.mean(axis=0),
            np.log10(rates + 1e-4).ravel(),
        ]
    )


class Judge:
    """Learns on construction, in some ten seconds; `accuracy` is its share of right answers on
    synthesised sounds it has not heard.
    """

    def __init__(self, each: int = EACH, world: World = FIRST):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.world = world
        self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
        heard, names = self._sounds(each, SEED)
        self.model.fit(heard, names)
        fresh, names = self._sounds(max(2, each // 5), SEED + 1)
        self.accuracy = float(np.mean(self.model.predict(fresh) == names))

    def _sounds(self, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        names = np.repeat(list(self.world.families), each)
        return (
            np.stack(
                [
                    self._features(
                        self.world.make_sound(
                            np.random.default_rng([seed, index]), name, seconds=4.0
                        ).audio
                    )
                    for index, name in enumerate(names)
                ]
            ),
            names,
        )

    def _features(self, audio: np.ndarray) -> np.ndarray:
        return features(audio, self.world.sample_rate)

    def hear(self, clips: Sequence[np.ndarray]) -> list[str]:
        """The family that each clip sounds like."""
        return list(self.model.predict(np.stack([self._features(clip) for clip in clips])))


def confusion(families: Sequence[str], asked: Sequence[str], heard: Sequence[str]) -> np.ndarray:
    """Share of the clips of each asked family (row) that were heard as each family (column), in the
    order of `families`.
    """
    places = {name: index for index, name in enumerate(families)}
    counts = np.zeros((len(places), len(places)))
    for a, h in zip(asked, heard):
        counts[places[a], places[h]] += 1
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def draw(families: Sequence[str], table: np.ndarray, path: Path, title: str) -> None:
    """The confusion table as a picture: what was asked for downwards, what was heard to
    the right.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 + len(families) / 7, 1.5 + len(families) / 7), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(table, cmap="magma_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(families)), families, rotation=90, fontsize=7)
    axes.set_yticks(range(len(families)), families, fontsize=7)
    axes.set(xlabel="heard as", ylabel="asked for", title=title)
    figure.savefig(path, dpi=110)
