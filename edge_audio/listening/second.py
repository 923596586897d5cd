"""The checks of the second sound world, where they are not those of the first: what a sound is most
like (`profile`), and one claim for each attribute that was asked for.

How hard something is played ("soft", "loud") and of which kind a drum is ("acoustic") are not
judged: a check hears no level, and both kinds have one profile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from edge_audio.listening.claims import (
    CENTS,
    CHECKS,
    TEMPO_ERROR,
    Attributes,
    Check,
    Claim,
    Verdict,
    cents,
    rate_claim,
    verdict,
    within,
)
from edge_audio.listening.measures import (
    ANALYSIS_RATE,
    band_pass,
    brightness_slide,
    burst_edges,
    burst_rate,
    contour,
    decay_rate,
    duration,
    harmonic_hz,
    onset_count,
    onset_strength,
    pulse_rate,
    repetition,
    share_near,
    spectrum,
    strongest_hz,
    trend,
)
from edge_audio.listening.profile import like

# The families of which the first world's check says all that there is to say.
AS_BEFORE = (
    "tone pluck chord pad arpeggio sweep siren alarm beeps metronome engine rain waves wind fire"
    " thunder frog cuckoo drops stream noise"
).split()
STEP = 0.25  # s from one note of a scale or an arpeggio to the next
FIRST = 0.02  # s; where sounds begin
REACH = 2.4  # semitones around a note in which its line is looked for
# Hz that part low from high
REGISTERS = {
    "laser": 950.0,
    "coin": 950.0,
    "notification": 850.0,
    "buzz": 155.0,
    "click": 1700.0,
    "tom": 97.0,
    "woodblock": 645.0,
    "bongo": 730.0,
    "conga": 270.5,
    "agogo": 1220.0,
}


# Hits, of which the level has to fall: dB per second at least, if they last as long as the clip.
FALLING = 2.0
HITS = frozenset(
    "kick snare hat open_hat clap crash tom ride splash rimshot cowbell tambourine triangle"
    " woodblock bongo conga claves maracas agogo taiko gun tabla finger_snap click coin bell"
    " explosion".split()
)


def _over_soon(audio: np.ndarray) -> Claim:
    whole, seconds = len(audio) / ANALYSIS_RATE, duration(audio)
    rate = 0.0 if seconds < 0.7 * whole else decay_rate(audio)
    return Claim(
        seconds < 0.7 * whole or rate <= -FALLING,
        f"{seconds:.2f} s of {whole:.2f}",
        "a hit that dies away",
    )


def _line_near(audio: np.ndarray, hz: float, share: float) -> float:
    """The strongest frequency within REACH semitones of `hz`; NaN where there is less than this
    share of the energy.
    """
    frequency, magnitude = spectrum(audio)
    near = np.abs(np.log2(np.maximum(frequency, 1) / hz)) <= REACH / 12
    power = magnitude**2
    if power[near].sum() < share * power.sum():
        return float("nan")
    return float(frequency[near][magnitude[near].argmax()])


# A bell's note is one that is hardly there: it is heard by the strongest partial, so much higher.
STRIKE = {"tubular_bell": 4.02}


def _note(audio: np.ndarray, attributes: Attributes, family: str) -> tuple[Claim, ...]:
    """The line of the note itself, or a series that has it as its fundamental; a weak line is
    enough where the strongest series is its octave or twelfth.
    """
    if "note" not in attributes:
        return ()
    hz, series = attributes["hz"], harmonic_hz(audio, 30, 4200)
    heard = [_line_near(audio, hz, 0.003), series]
    if any(abs(cents(series, multiple * hz)) <= CENTS for multiple in (2, 3)):
        heard.append(_line_near(audio, hz, 1e-5))
    if family in STRIKE:
        heard.append(strongest_hz(audio) / STRIKE[family])
    errors = [abs(cents(f, hz)) if f == f else np.inf for f in heard]
    best = heard[int(np.argmin(errors))]
    wanted = f"{attributes['note']} {hz:.1f} Hz +-{CENTS:g} cents"
    return (Claim(min(errors) <= CENTS, f"{best:.1f} Hz", wanted),)


def _held(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    low, high = {"short": (0.05, 1.7), "long": (1.2, 60)}.get(
        attributes.get("length", ""), (0.05, 60)
    )
    return (within("length", duration(audio), low, high, " s"),)


_TRIADS = {"major": (0, 4, 7), "minor": (0, 3, 7)}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def _tone_strengths(audio: np.ndarray) -> np.ndarray:
    """Energy at each of the twelve tones, octaves 3 to 5 together: [12]."""
    return np.array(
        [
            sum(
                share_near(audio, 440 * 2 ** ((tone - 9) / 12 + octave), 40)
                for octave in (-1, 0, 1)
            )
            for tone in range(12)
        ]
    )


def _chord(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    if "chord" not in attributes:
        return ()
    strengths = 10 * np.log10(_tone_strengths(audio) + 1e-6)
    weakest = {
        f"{root} {quality}": min(strengths[(number + step) % 12] for step in steps)
        for number, root in enumerate(_NAMES)
        for quality, steps in _TRIADS.items()
    }
    best = max(weakest, key=lambda name: weakest[name])
    chord = attributes["chord"]
    return (
        Claim(weakest[chord] > weakest[best] - 4, best, chord),
        within("weakest note", float(weakest[chord] - strengths.max()), -25, 0.1, " dB"),
    )


def _run(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    """Notes in their order; up and down, where no direction was asked for."""
    hz = list(attributes.get("hz", ()))
    if not hz:
        return ()
    notes = hz if "scale" in attributes else [*hz, 2 * hz[0]]
    again = "scale" not in attributes
    length = len(audio) / ANALYSIS_RATE
    count = int((min(length, FIRST + duration(audio)) - FIRST) / STEP)
    count = count if again else min(count, len(notes))
    strengths = []
    for index in range(count):
        start = round((FIRST + index * STEP + 0.03) * ANALYSIS_RATE)
        piece = audio[start : start + round(0.2 * ANALYSIS_RATE)]
        strengths.append([share_near(piece, note, 45) for note in notes])
    right = {}
    for direction in ("rising", "falling"):
        order = list(range(len(notes)))[:: 1 if direction == "rising" else -1]
        right[direction] = float(
            np.mean(
                [row[order[i % len(order)]] >= 0.5 * max(row) for i, row in enumerate(strengths)]
            )
        )
    asked = attributes.get("direction", max(right, key=lambda name: right[name]))
    return (within(f"notes {asked}", right[asked], 0.7, 1),)


def _tempo(audio: np.ndarray, attributes: Attributes, factors: tuple[float, ...]) -> Claim:
    """The period at which hits repeat, or a simple multiple of it."""
    low = onset_strength(band_pass(audio, 30, 150))
    high = onset_strength(band_pass(audio, 300, 8000))
    bpm = attributes.get("bpm")
    heard = [60 / p for p in (repetition(low + high, 0.25, 1.2)[0], repetition(low)[0]) if p > 0]
    regular = repetition(low + high, 0.25, 1.2)[1]
    if bpm is None:
        return within("regularity", regular, 0.35, 1.01)
    error = min((abs(h * f / bpm - 1) for h in heard for f in factors), default=np.inf)
    return Claim(error <= TEMPO_ERROR, f"{heard[0]:.1f} bpm" if heard else "no tempo", f"{bpm} bpm")


def _register(audio: np.ndarray, attributes: Attributes, family: str) -> tuple[Claim, ...]:
    register, border = attributes.get("register"), REGISTERS[family]
    if register is None:
        return ()
    if family in ("laser", "coin", "notification"):
        hz = 2 ** float(np.median(contour(audio, 0.032, 0.008, -20).octaves))
    elif family == "buzz":
        hz = harmonic_hz(audio, 50, 500)
    else:
        hz = strongest_hz(audio, 60)
    low, high = (border, 8000) if register == "high" else (20, border)
    return (within("pitch", hz, low, high, " Hz"),)


def _laser(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    starts, ends = burst_edges(audio, -20)
    shots, length = len(starts), float(np.median(ends - starts))
    low, high = {"one": (1, 2), "repeated": (2, 30)}.get(attributes.get("shots", ""), (1, 30))
    short, long = {"short": (0.02, 0.3), "long": (0.2, 0.8)}.get(
        attributes.get("length", ""), (0.02, 0.8)
    )
    return (
        within("shots", shots, low, high),
        within("length of a shot", length, short, long, " s"),
        *_register(audio, attributes, "laser"),
    )


def _power(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    line = contour(audio, 0.04, 0.01)
    direction = attributes.get("direction", "rising" if trend(line) > 0 else "falling")
    sign = 1 if direction == "rising" else -1
    low, high = {"fast": (0.25, 0.8), "slow": (0.75, 1.8)}.get(
        attributes.get("rate", ""), (0.25, 1.8)
    )
    return (
        within(f"{direction}: trend", sign * trend(line), 0.6, 1),
        within("length", duration(audio), low, high, " s"),
    )


def _count(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    heard = onset_count(audio)
    hits = attributes.get("hits", min(max(heard, 1), 3))
    return (within("hits", heard, hits, hits),)


def _lasting(short: float, long: float) -> Callable[[np.ndarray, Attributes], tuple[Claim, ...]]:
    """At most `short` seconds, at least `long`."""

    def claims(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
        low, high = {"short": (0.02, short), "long": (long, 60)}.get(
            attributes.get("length", ""), (0.02, 60)
        )
        return (within("length", duration(audio), low, high, " s"),)

    return claims


def _whoosh(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    slide = brightness_slide(audio)
    direction = attributes.get("direction", "rising" if slide > 0 else "falling")
    sign = 1 if direction == "rising" else -1
    return (
        within(f"{direction} by", sign * slide, 0.5, 5, " octaves"),
        *_lasting(0.5, 0.45)(audio, attributes),
    )


def _rate(
    measure: Callable[[np.ndarray], float],
    name: str,
    slack: tuple[float, float],
    unnamed: tuple[float, float],
    key: str = "per_second",
) -> Callable[[np.ndarray, Attributes], tuple[Claim, ...]]:
    def claims(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
        return (rate_claim(name, measure(audio), attributes.get(key), slack, unnamed, ""),)

    return claims


def _nothing(audio: np.ndarray, attributes: Attributes) -> tuple[Claim, ...]:
    return ()


def _repeats(audio: np.ndarray, shortest: float, longest: float) -> float:
    return 1 / repetition(onset_strength(audio), shortest, longest)[0]


_CLAIMS: dict[str, Callable[[np.ndarray, Attributes], tuple[Claim, ...]]] = {
    "laser": _laser,
    "power": _power,
    "notification": lambda a, k: (*_count(a, k), *_register(a, k, "notification")),
    "knock": _count,
    "buzz": lambda a, k: (*_lasting(0.65, 0.9)(a, k), *_register(a, k, "buzz")),
    "explosion": _lasting(0.75, 0.6),
    "whoosh": _whoosh,
    "helicopter": _rate(lambda a: pulse_rate(a, 5, 30), "blades", (0.8, 1.25), (6, 22)),
    "heartbeat": _rate(
        lambda a: 60 * _repeats(a, 0.35, 1.2), "heartbeats", (0.8, 1.25), (48, 150), "bpm"
    ),
    "footsteps": _rate(lambda a: _repeats(a, 0.2, 1.2), "steps", (0.7, 1.4), (1.0, 4.5)),
    "clock": _rate(lambda a: burst_rate(a, -14)[0], "ticks", (0.7, 1.35), (0.7, 5.4)),
    "beat": lambda a, k: (_tempo(a, k, (1.0, 0.5, 2.0)),),
    "house": lambda a, k: (_tempo(a, k, (1.0, 0.5)),),
    "swing": lambda a, k: (_tempo(a, k, (1.0, 0.5, 2.0, 1.5, 3.0)),),
    "latin": lambda a, k: (_tempo(a, k, (1.0, 0.5, 2.0, 4.0)),),
}


def _check_of(family: str) -> Check:
    """The check of a family that has a profile."""

    def check(audio: np.ndarray, attributes: Attributes) -> Verdict:
        claims = [*_CLAIMS.get(family, _nothing)(audio, attributes)]
        if family in REGISTERS and family not in ("laser", "notification", "buzz"):
            claims += _register(audio, attributes, family)
        if "note" in attributes or ("length" in attributes and family not in _CLAIMS):
            claims += [*_note(audio, attributes, family), *_held(audio, attributes)]
        if family in HITS:
            claims.append(_over_soon(audio))
        if family.endswith("_chord"):
            claims += _chord(audio, attributes)
        if family.endswith(("_scale", "_arpeggio")):
            claims += _run(audio, attributes)
        return verdict(*claims, *like(audio, family))

    return check


@functools.cache
def second_checks(families: tuple[str, ...]) -> dict[str, Check]:
    """The check of every family of the second world."""
    return {
        family: CHECKS[family] if family in AS_BEFORE else _check_of(family) for family in families
    }
