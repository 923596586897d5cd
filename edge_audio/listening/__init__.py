"""Does a clip sound as asked? One check per family of sounds, made of small named measures.

A check never hears the caption, only the samples, the family and its attributes. It has to be fair
to what a small model and its codec do to a sound (a noise floor 25 dB down, nothing above 4 kHz,
attacks smeared by 30 ms, a level that wobbles), and still fail on silence, on white noise, on
another family, and on a neighbouring note or tempo. So each check asks for two things: that the
clip is the right *kind* of sound, and that the named attribute is right. An attribute that is not
named, as in "a bell", may have any value: then only the kind is judged, and that the value is one
of that kind.

    >>> check(audio, 16_000, "tone", {"note": "A4", "hz": 440.0})
    Verdict(passed=True, measured='441.2 Hz (+5 cents); ...', expected='A4 440.0 Hz +-50 cents;
    ...')

To add a family: write a function `(audio, attributes) -> Verdict` and put it in the table with
`@family_check("name")`.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import resample_poly

from edge_audio.listening import electronic, nature, pitched, rhythm  # noqa: F401 (fill the table)
from edge_audio.listening.claims import CHECKS, Attributes, Check, Claim, Verdict
from edge_audio.listening.measures import ANALYSIS_RATE
from edge_audio.listening.profile import profiles
from edge_audio.listening.second import second_checks

__all__ = ["CHECKS", "Claim", "Verdict", "check", "checks_of"]

SILENCE = 1e-3  # a clip whose peak is below this is silent
SHORTEST = 0.25  # s; nothing can be said of less


def checks_of(world: str) -> dict[str, Check]:
    """The checks of the families of a sound world, "first" or "second"."""
    return CHECKS if world == "first" else second_checks(profiles().families)


def check(
    audio: np.ndarray,
    sample_rate: int,
    family: str,
    attributes: Attributes,
    world: str = "first",
) -> Verdict:
    """Judge a clip: float [frames] or [frames, channels] at `sample_rate` Hz, asked to be `family`
    with `attributes`.

    family: one of `checks_of(world)`. attributes: those that were asked for, and the numbers that
    follow from them (`models.training.sounds.complete_attributes`).
    """
    mono = np.asarray(audio, dtype=np.float64)
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    if mono.size < SHORTEST * sample_rate or not np.isfinite(mono).all():
        return Verdict(False, "too short or not finite", f"a clip with {family}")
    mono = mono - mono.mean()  # a constant offset cannot be heard
    if np.abs(mono).max() < SILENCE:
        return Verdict(False, "silence", f"a clip with {family}")
    if sample_rate != ANALYSIS_RATE:
        common = gcd(sample_rate, ANALYSIS_RATE)
        mono = resample_poly(mono, ANALYSIS_RATE // common, sample_rate // common)
    return checks_of(world)[family](mono / np.abs(mono).max(), attributes)
