"""What the checks of all families are made of: claims, a verdict, and the table of checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CENTS = 50.0  # allowed error of a pitch: half a semitone, so that a neighbouring note fails


TEMPO_ERROR = 0.04  # allowed relative error of a tempo


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check, with what was heard and what was asked for, to be read by people."""

    passed: bool
    measured: str
    expected: str


@dataclass(frozen=True)
class Claim:
    """One thing a check asks for, e.g.

    Claim(True, "441.2 Hz (+5 cents)", "A4 440.0 Hz +-50 cents").
    """

    holds: bool
    measured: str
    expected: str


Attributes = dict[str, Any]


Check = Callable[
    [np.ndarray, Attributes], Verdict
]  # audio: float64 [frames], mono, ANALYSIS_RATE, peak 1


CHECKS: dict[str, Check] = {}


def family_check(family: str) -> Callable[[Check], Check]:
    """Put a check function into the table."""

    def register(function: Check) -> Check:
        CHECKS[family] = function
        return function

    return register


def verdict(*claims: Claim) -> Verdict:
    """Passed if all claims hold. The first claim is the headline."""
    return Verdict(
        all(claim.holds for claim in claims),
        "; ".join(claim.measured for claim in claims),
        "; ".join(claim.expected for claim in claims),
    )


def within(name: str, value: float, low: float, high: float, unit: str = "") -> Claim:
    """The claim that low <= value <= high. A value that could not be measured (NaN) fails."""
    return Claim(
        bool(low <= value <= high), f"{name} {value:.3g}{unit}", f"{name} {low:g}..{high:g}{unit}"
    )


def tempo_claim(period: float, bpm: float | None) -> Claim:
    measured = 60 / period if period > 0 else float("nan")
    if bpm is None:
        return within("tempo", measured, 55, 190, " bpm")
    return Claim(
        abs(measured / bpm - 1) <= TEMPO_ERROR,
        f"{measured:.1f} bpm",
        f"{bpm:g} bpm +-{TEMPO_ERROR * 100:g} %",
    )


def cents(measured: float, expected: float) -> float:
    return 1200 * float(np.log2(max(measured, 1e-3) / expected))


def rate_claim(
    name: str,
    measured: float,
    wanted: float | None,
    slack: tuple[float, float],
    unnamed: tuple[float, float],
    unit: str,
) -> Claim:
    """About as fast as asked, `slack` being the factors allowed; where no rate was named, within
    `unnamed`.
    """
    low, high = unnamed if wanted is None else (slack[0] * wanted, slack[1] * wanted)
    return within(name, measured, low, high, unit)


def direction_heard(attributes: Attributes, measured: float) -> tuple[str, int]:
    """What was asked for, its sign; where nothing was, what is heard."""
    direction = attributes.get("direction", "rising" if measured > 0 else "falling")
    return direction, 1 if direction == "rising" else -1


def pitch_claim(measured: float, attributes: Attributes, unnamed: tuple[float, float]) -> Claim:
    """The note that was asked for; where none was, one between two frequencies in Hz, where such
    instruments play.
    """
    if "hz" not in attributes:
        return within("pitch", measured, *unnamed, " Hz")
    error = cents(measured, attributes["hz"])
    wanted = f"{attributes['note']} {attributes['hz']:.1f} Hz +-{CENTS:g} cents"
    return Claim(abs(error) <= CENTS, f"{measured:.1f} Hz ({error:+.0f} cents)", wanted)
