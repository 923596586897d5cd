"""Families that the soundfont plays: notes, chords, scales, arpeggios, hits and beats.

The labels are exact: the key that is played is the note, the times are the tempo. What a caption
leaves open differs from take to take: the preset, how hard it is played, how a drum is tuned, and
the room.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from .slots import CHORDS, USUAL_CHORDS, note_hz, note_slot, usual_notes
from .soundfont import DRUM_BANK, Note, Preset, key_of, play
from .synthesis import FIRST_ONSET, Rng, decay, onsets, sample_rate, samples
from .world import Attributes, Family, Slot, Synthesiser, value, without_article

# How hard it is played; what follows is the middle of the velocities, and the level in dB.
TOUCH: Slot = {
    "soft": value(
        "soft",
        "gentle",
        "quiet",
        adverb=("softly", "gently"),
        numbers={"velocity": 45, "level_db": -5.0},
    ),
    "loud": value("loud", "strong", adverb=("loudly",), numbers={"velocity": 108, "level_db": 2.0}),
}
# Of notes that are held: a stab, or as long as the clip.
HELD: Slot = {"short": value("short", "brief"), "long": value("long", "held", "sustained")}
# More words than the first world has: some of its "rising" wordings are not understood.
WAY: Slot = {
    "rising": value(
        "rising",
        "ascending",
        "upward",
        "climbing",
        adverb=("up", "upwards"),
        span=("from low to high",),
        verb=("rises", "goes up", "climbs"),
    ),
    "falling": value(
        "falling",
        "descending",
        "downward",
        "dropping",
        adverb=("down", "downwards"),
        span=("from high to low",),
        verb=("falls", "goes down", "drops"),
    ),
}
_MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)  # semitones above the root
SCALES: Slot = {
    f"{root} major": value(
        f"{root} major", numbers={"hz": [note_hz(f"{root}4") * 2 ** (s / 12) for s in _MAJOR]}
    )
    for root in ("C", "D", "E", "F", "G", "A")
}
STEP = 0.25  # s from one note of a scale or an arpeggio to the next
SHORT_NOTE = (0.18, 0.35)  # s
VELOCITIES = 10  # how far a velocity strays to each side
DRUM_CENTS = 80.0  # of tuning, to each side; a drum has no note
LOWEST_HZ = 20.0  # some presets have a constant offset
TILT = 2.0  # dB per octave around 1 kHz, up or down


def _velocity(attributes: Attributes, rng: Rng) -> int:
    return round(attributes.get("velocity", 85) + rng.uniform(-VELOCITIES, VELOCITIES))


def _played(
    presets: Sequence[Preset], notes: Sequence[Note], count: int, rng: Rng, tail: bool = True
) -> np.ndarray:
    """Float [count, 2], now and then in a small room."""
    preset = presets[rng.integers(len(presets))]
    cents = rng.uniform(-DRUM_CENTS, DRUM_CENTS) if preset[0] == DRUM_BANK else 0.0
    audio = play(preset, notes, count, cents).astype(np.float64)
    audio = sosfilt(butter(1, LOWEST_HZ, "high", fs=sample_rate(), output="sos"), audio, axis=0)
    audio = _coloured(audio, rng)
    room, share = rng.uniform(0.2, 0.7), rng.uniform(0.0, 0.25)
    noise = rng.standard_normal((samples(room), 2)) * decay(samples(room), room / 6.9)[:, None]
    if not tail or rng.random() < 0.5:
        return audio
    wet = fftconvolve(audio, noise, axes=0)[:count]
    return audio + share * wet * np.sqrt(np.mean(audio**2) / (np.mean(wet**2) + 1e-20))


def _coloured(audio: np.ndarray, rng: Rng) -> np.ndarray:
    """Brighter or darker, and a little to one side: another microphone."""
    hz = np.fft.rfftfreq(2 * len(audio), 1 / sample_rate())
    octaves = np.clip(np.log2(np.maximum(hz, 1.0) / 1000), -3, 3)
    gain = 10 ** (rng.uniform(-TILT, TILT) * octaves / 20)
    audio = np.fft.irfft(
        np.fft.rfft(audio, 2 * len(audio), axis=0) * gain[:, None], 2 * len(audio), axis=0
    )[: len(audio)]
    turn = rng.uniform(-0.15, 0.15)
    return audio * np.array([1 - turn, 1 + turn])


def instrument(
    presets: Sequence[Preset],
    lowest: str,
    highest: str,
    *names: str,
    held: bool = False,
    weight: float = 1.0,
) -> Family:
    """A family that plays one note on one of the presets."""

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        note = Note(
            FIRST_ONSET,
            held_seconds(attributes, count, rng),
            key_of(attributes["hz"]),
            _velocity(attributes, rng),
        )
        return _played(presets, [note], count, rng)

    return note_family(synthesise, lowest, highest, *names, held=held, weight=weight)


def held_seconds(attributes: Attributes, count: int, rng: Rng) -> float:
    """How long a note is held: a stab, nearly as long as the clip, or as long as it rings."""
    whole = count / sample_rate() - FIRST_ONSET
    length = attributes.get("length")
    if length == "short":
        return float(rng.uniform(*SHORT_NOTE))
    return whole - float(rng.uniform(0.2, 0.5)) if length == "long" else whole


def note_family(
    synthesise: Synthesiser,
    lowest: str,
    highest: str,
    *names: str,
    held: bool = False,
    weight: float = 1.0,
) -> Family:
    """A family of single notes, soft or loud, short or long if they are held; `names` with their
    articles, the first two in captions. Since a note is heard soft where loud is held out, no note
    of an instrument is never heard.
    """
    one, other = names[0], names[min(1, len(names) - 1)]
    noun, second = without_article(one), without_article(other)
    phrasings = (
        f"{one} playing {{note}}",
        f"{noun} {{note}}",
        f"{{a_note}} {noun} note",
        f"{noun}, note {{note}}",
        f"{other} at {{note}}",
        f"{second} {{note}}",
    )
    length = "{length} " if held else ""
    full = (
        f"{{a_touch}} {length}{noun} note at {{note}}",
        f"{noun} {{note}}, {length}{'and ' if held else ''}{{touch}}",
    )
    held_out = (
        f"{{note}} on {one}",
        f"{second} note, {{note}}",
        f"{{touch}} {length}{second} note, {{note}}",
    )
    casual = (
        *(f"{{a_note:about}} {without_article(name)}" for name in names),
        f"{{a_touch}} {noun}",
        f"{one} playing {{touch:adverb}}",
        f"{{a_touch}} {noun} {{note}}",
    )
    slots: dict[str, Slot] = {"note": note_slot(lowest, highest), "touch": TOUCH}
    usual = {"note": usual_notes(lowest, highest)}
    if held:
        slots["length"], usual["length"] = HELD, ("long",)
        full += (f"{{a_length}} {{touch}} {second} note, {{note}}",)
        phrasings += (f"{{a_length}} {noun} note at {{note}}", f"{{length}} {noun} {{note}}")
        casual += (f"{{a_length}} {noun} note", f"{{a_length}} {second}")
    else:
        full += (f"{one} playing {{note}} {{touch:adverb}}",)
    return Family(
        synthesise,
        phrasings + full,
        held_out,
        slots,
        names,
        casual,
        usual,
        weight,
        shortest=2.0 if held else 1.2,
    )


def chord(
    presets: Sequence[Preset], *names: str, strum: float = 0.0, octave: int = 0, held: bool = False
) -> Family:
    """A family that plays a triad; `strum` seconds from one note to the next."""

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        keys = [key_of(hz) + 12 * octave for hz in attributes["hz"]]
        keys += [keys[0] + 12] if strum else []
        whole = count / sample_rate() - FIRST_ONSET - (rng.uniform(0.2, 0.5) if held else 0.0)
        gap = strum * rng.uniform(0.7, 1.3)
        velocity = _velocity(attributes, rng)
        notes = [
            Note(FIRST_ONSET + index * gap, whole - index * gap, key, velocity)
            for index, key in enumerate(keys)
        ]
        return _played(presets, notes, count, rng)

    one, other = (without_article(name) for name in (names[0], names[min(1, len(names) - 1)]))
    return Family(
        synthesise,
        (
            f"{{a_chord}} {one}",
            f"{{chord}} {one}",
            f"{one}, {{chord}}",
            f"{one} in {{chord}}",
            f"{other}, {{chord}}",
            f"{{a_touch}} {{chord}} {one}",
            f"{{touch}} {one}, {{chord}}",
        ),
        (f"{other} in {{chord}}", f"{{chord}} {one}, {{touch}}"),
        {"chord": CHORDS, "touch": TOUCH},
        names,
        (f"{{a_chord:about}} {one}", f"{{a_touch}} {one}"),
        {"chord": USUAL_CHORDS},
        shortest=1.5,
    )


def _run(hz: Sequence[float], direction: str) -> list[int]:
    keys = [key_of(frequency) for frequency in hz]
    return keys if direction == "rising" else keys[::-1]


def scale(presets: Sequence[Preset], one: str, *names: str, held: bool = False) -> Family:
    """Eight notes of a major scale, up or down, four a second; `one` is the instrument."""

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        run, velocity = _run(attributes["hz"], attributes["direction"]), _velocity({}, rng)
        notes = [
            Note(FIRST_ONSET + STEP * index, 0.9 * STEP if held else 1.5 * STEP, key, velocity)
            for index, key in enumerate(run)
        ]
        return _played(presets, notes, count, rng)

    noun = without_article(one)
    return Family(
        synthesise,
        (
            f"{{a_direction}} {noun} scale in {{scale}}",
            f"{{direction}} {{scale}} scale on {one}",
            f"{noun} scale going {{direction:adverb}}, {{scale}}",
            f"{one} playing {{a_scale}} scale {{direction:adverb}}",
            f"{{scale}} {noun} scale, {{direction}}",
            f"{noun} scale in {{scale}} {{direction:span}}",
        ),
        (
            f"{{scale}} scale on {one} going {{direction:adverb}}",
            f"{{a_direction}} {{scale}} {noun} scale",
        ),
        {"scale": SCALES, "direction": WAY},
        (f"a {noun} scale" if one.startswith("a ") else f"{one} scale", *names),
        (
            f"{{a_direction}} {noun} scale",
            f"{noun} scale going {{direction:adverb}}",
            f"{{scale}} {noun} scale",
            f"a {noun} scale that {{direction:verb}}",
        ),
        {"scale": ("C major", "D major", "F major", "G major")},
        shortest=2.5,
    )


def arpeggio(presets: Sequence[Preset], one: str, *names: str) -> Family:
    """The notes of a chord and the octave, up or down, again and again, four a second."""

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        hz, velocity = attributes["hz"], _velocity({}, rng)
        run = _run([*hz, 2 * hz[0]], attributes["direction"])
        notes = [
            Note(start, 1.2 * STEP, run[index % len(run)], velocity)
            for index, start in enumerate(onsets(count, STEP))
        ]
        return _played(presets, notes, count, rng)

    noun = without_article(one)
    return Family(
        synthesise,
        (
            f"{{a_direction}} {{chord}} {noun} arpeggio",
            f"{{direction}} {noun} arpeggio in {{chord}}",
            f"{noun} arpeggio going {{direction:adverb}}, {{chord}}",
            f"{one} playing {{a_chord}} arpeggio {{direction:adverb}}",
            f"{noun} arpeggio, {{chord}}, {{direction}}",
            f"{{chord}} {noun} arpeggio {{direction:span}}",
        ),
        (
            f"{{direction}} {{chord}} arpeggio on {one}",
            f"{{chord}} {noun} arpeggio going {{direction:adverb}}",
        ),
        {"chord": CHORDS, "direction": WAY},
        (f"a {noun} arpeggio", *names),
        (
            f"{{a_direction}} {noun} arpeggio",
            f"{{chord}} {noun} arpeggio",
            f"a {noun} arpeggio that {{direction:verb}}",
            f"{noun} arpeggio going {{direction:adverb}}",
        ),
        {"chord": USUAL_CHORDS},
        shortest=2.0,
    )


Hits = Sequence[tuple[Preset, int]]  # presets and keys, of which one is drawn


def kit_hit(hits: Hits, start: float, velocity: int, count: int, rng: Rng) -> np.ndarray:
    """One hit of one of these: float [count, 2]."""
    preset, key = hits[rng.integers(len(hits))]
    return _played([preset], [Note(start, 0.5, key, velocity)], count, rng)


def percussion(
    hits: Hits, *names: str, weight: float = 0.7, low: Hits = (), words: tuple[str, ...] = ()
) -> Family:
    """A single hit, soft or loud; with `low`, high (`hits`) or low as well. `words` are more names
    for captions.
    """
    slots: dict[str, Slot] = {"touch": TOUCH}
    if low:
        slots["register"] = {"high": value("high", "high-pitched"), "low": value("low", "deep")}

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        chosen = low if attributes.get("register") == "low" else hits
        return kit_hit(chosen, FIRST_ONSET, _velocity(attributes, rng), count, rng)

    return one_shot(synthesise, slots, *names, weight=weight, words=words)


def one_shot(
    synthesise: Synthesiser,
    slots: dict[str, Slot],
    *names: str,
    weight: float = 0.7,
    words: tuple[str, ...] = (),
) -> Family:
    """A single hit: the wordings of `percussion`, of any slots that are words before a noun."""
    noun, second = (without_article(name) for name in (names[0], names[min(1, len(names) - 1)]))
    every = " ".join(f"{{{slot}}}" for slot in slots)
    first, *rest = slots
    before = " ".join((f"{{a_{first}}}", *(f"{{{slot}}}" for slot in rest)))
    phrasings: tuple[str, ...]
    held_out: tuple[str, ...]
    if slots:
        phrasings = (
            f"{before} {noun}",
            f"{every} {noun} hit",
            f"one {every} {noun}",
            f"{noun} hit, {every}",
            f"{before} {second} one-shot",
        )
        held_out = (f"single {every} {noun}", f"{second}, {every}")
    else:
        phrasings, held_out = (), ()
    casual = tuple(f"{{a_{slot}}} {noun}" for slot in slots) if len(slots) > 1 else ()
    return Family(
        synthesise,
        phrasings + words,
        held_out,
        slots,
        names,
        casual,
        weight=weight,
        bursts=True,
    )


def kits(*programs: int) -> tuple[Preset, ...]:
    """Drum kits by their programs."""
    return tuple((DRUM_BANK, program) for program in programs)


def pattern(
    kit: Preset, parts: Sequence[tuple[int, Sequence[float], int]], count: int, rng: Rng
) -> np.ndarray:
    """A loop on one kit: parts of a key, start times in seconds, a velocity: float [count, 2]."""
    notes = [
        Note(float(start), 0.2, key, int(np.clip(velocity + rng.uniform(-5, 5), 1, 127)))
        for key, starts, velocity in parts
        for start in starts
    ]
    return _played([kit], notes, count, rng, tail=False)
