"""Slots of several families, with values and words: notes, chords, directions, rates, counts."""

from __future__ import annotations

from .world import Slot, value

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CHORD_INTERVALS = {"major": (0, 4, 7), "minor": (0, 3, 7)}  # semitones above the root


def note_hz(note: str) -> float:
    """Equal-tempered frequency in Hz of a note such as "C#5" (A4 = 440 Hz)."""
    name, octave = note[:-1], int(note[-1])
    semitones_above_a4 = NOTE_NAMES.index(name) - 9 + 12 * (octave - 4)
    return 440.0 * 2.0 ** (semitones_above_a4 / 12)


def notes_between(lowest: str, highest: str) -> tuple[str, ...]:
    """All semitones from `lowest` to `highest`, both included."""
    names = [f"{name}{octave}" for octave in range(9) for name in NOTE_NAMES]
    return tuple(names[names.index(lowest) : names.index(highest) + 1])


def chord_hz(chord: str) -> tuple[float, ...]:
    """Frequencies in Hz of a chord such as "A minor", in root position, its root in octave 4."""
    root, quality = chord.split()
    return tuple(note_hz(f"{root}4") * 2.0 ** (steps / 12) for steps in CHORD_INTERVALS[quality])


def note_slot(lowest: str, highest: str) -> Slot:
    """All semitones between two notes; roughly, those of the lowest and the highest quarter are low
    and high.
    """
    notes = notes_between(lowest, highest)
    quarter = len(notes) // 4
    return {
        note: value(
            note,
            about=("low",) * (index < quarter) + ("high",) * (index >= len(notes) - quarter),
            numbers={"hz": note_hz(note)},
        )
        for index, note in enumerate(notes)
    }


def usual_notes(lowest: str, highest: str) -> tuple[str, ...]:
    """The naturals of the middle half."""
    notes = notes_between(lowest, highest)
    quarter = len(notes) // 4
    return tuple(note for note in notes[quarter : len(notes) - quarter] if "#" not in note)


CHORDS: Slot = {
    chord: value(chord, about=tuple(chord.split()[1:]), numbers={"hz": chord_hz(chord)})
    for chord in (
        f"{root} {quality}"
        for quality in CHORD_INTERVALS
        for root in ("C", "D", "E", "F", "G", "A")
    )
}
USUAL_CHORDS = ("C major", "F major", "G major", "A minor", "D minor")
DIRECTION: Slot = {
    "rising": value(
        "rising",
        "upward",
        "ascending",
        adverb=("up", "upwards"),
        span=("from low to high",),
        verb=("rises", "goes up"),
    ),
    "falling": value(
        "falling",
        "downward",
        "descending",
        adverb=("down", "downwards"),
        span=("from high to low",),
        verb=("falls", "goes down"),
    ),
}


def rate(slow: dict, fast: dict) -> Slot:
    """Slow or fast, and the numbers that this means for a family."""
    return {
        "slow": value("slow", adverb=("slowly",), numbers=slow),
        "fast": value("fast", "quick", "rapid", adverb=("quickly", "fast"), numbers=fast),
    }


REGISTER: Slot = {"high": value("high", "high-pitched"), "low": value("low", "low-pitched")}
COUNT: Slot = {
    "one": value("one", kind=("single",), number=("one", "once"), numbers={"hits": 1}),
    "two": value(
        "two", kind=("double",), number=("two", "twice"), many=("two",), numbers={"hits": 2}
    ),
    "three": value(
        "three",
        kind=("triple",),
        number=("three", "three times"),
        many=("three",),
        numbers={"hits": 3},
    ),
}
