"""The sound world of the pocket model: named, clear sounds with captions, made on the fly.

A tiny model can only learn a small world well. So each family here is simple, free of clutter, and exactly what its
caption says: a note has exactly its equal-tempered frequency, a beat exactly its tempo. What the caption does not
mention (level, phase, timbre) varies a little, so that the model learns to ignore it.

Every family has at most one attribute that the caption names (a note, a tempo, a direction ...): its *key*. The values
that the key can take are listed, so the whole world can be enumerated (see `captions_corpus`).

    >>> sound = make_sound(np.random.default_rng(0), "tone", {"note": "A4"})
    >>> sound.audio.shape, sound.attributes
    ((65536,), {'note': 'A4', 'hz': 440.0})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLE_RATE = 16_000  # Hz
CLIP_SAMPLES = 65_536  # 4.096 s: a power of two, so that it divides evenly into latent frames
FULL_SECONDS = 4.0  # the length asked for most often
FIRST_ONSET = 0.02  # s; rhythms start here, so that the first attack is not cut by the start of the clip
FADE_OUT = 0.02  # s; ends every sound, so that it does not click
PEAK = 0.56  # of full scale, at most; with +-3 dB of level around it no clip goes above 0.79
LOUDEST_RMS = 0.18  # of the loudest tenth of a second: a steady sine is held down to the loudness of the rest

Attributes = dict[str, Any]
Rng = np.random.Generator
# (attributes, samples to make, random generator) -> float [samples], any level: `make_sound` sets the level.
Synthesiser = Callable[[Attributes, int, Rng], np.ndarray]


@dataclass(frozen=True)
class Sound:
    """One training example: a clip and a phrase that describes it."""

    caption: str
    family: str
    attributes: Attributes  # e.g. {"note": "A4", "hz": 440.0}; empty where the family has no attribute
    audio: np.ndarray  # float32 [CLIP_SAMPLES], mono, zeros after `seconds`
    seconds: float  # asked length


@dataclass(frozen=True)
class Family:
    """A kind of sound: how people ask for it, what can be asked for, and how to make it."""

    synthesise: Synthesiser
    phrasings: Mapping[str, tuple[str, ...]]  # templates for each value of the key; "*" holds those for any value
    key: str = ""  # the attribute that captions name; "" where there is none
    values: tuple[Any, ...] = (None,)  # what the key can be
    describe: Callable[[Any], Attributes] = lambda value: {}  # value of the key -> all attributes
    weight: float = 1.0  # how often the family is drawn, relative to the others
    shortest: float = 1.0  # s; the shortest length that still shows what the caption says

    def templates(self, value: Any) -> tuple[str, ...]:
        """The caption templates that fit this value of the key."""
        return self.phrasings.get(str(value), ()) + self.phrasings.get("*", ())

    def sample_attributes(self, rng: Rng) -> Attributes:
        """Draw a value of the key, evenly, and return all the attributes that follow from it."""
        return self.describe(self.values[rng.integers(len(self.values))])


# ---------------------------------------------------------------------------------------------------------------------
# Notes, chords, tempos
# ---------------------------------------------------------------------------------------------------------------------

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TEMPOS = tuple(range(60, 181, 10))  # beats per minute
CHORD_INTERVALS = {"major": (0, 4, 7), "minor": (0, 3, 7)}  # semitones above the root
CHORDS = tuple(f"{root} {quality}" for quality in CHORD_INTERVALS for root in "CDEFGA")
SIREN_RATES = {"slow": 0.5, "fast": 3.0}  # rises and falls per second
BEEP_RATES = {"slow": 1.5, "fast": 5.0}  # beeps per second
HEART_RATES = {"slow": 60, "fast": 120}  # heartbeats per minute
LASER_INTERVAL = 0.5  # s between repeated shots


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


def _describe_note(note: str) -> Attributes:
    return {"note": note, "hz": note_hz(note)}


def _describe_chord(chord: str) -> Attributes:
    return {"chord": chord, "hz": chord_hz(chord)}


# ---------------------------------------------------------------------------------------------------------------------
# Building blocks of synthesis. `count` is always a number of samples.
# ---------------------------------------------------------------------------------------------------------------------


def _times(count: int) -> np.ndarray:
    """Time of every sample in seconds: [count]."""
    return np.arange(count) / SAMPLE_RATE


def _glide(hz: np.ndarray, phase: float = 0.0) -> np.ndarray:
    """A sine that follows a frequency curve in Hz: [count] -> [count]."""
    return np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE + phase)


def _partials(count: int, hz: list[float], levels: list[float], decays: list[float], rng: Rng) -> np.ndarray:
    """A sum of sines, each with its own level and exponential decay time in seconds: [count].

    Partials above 0.45 of the sample rate are left out: they would fold back as wrong notes.
    """
    t = _times(count)
    mix = np.zeros(count)
    for frequency, level, decay in zip(hz, levels, decays):
        if frequency < 0.45 * SAMPLE_RATE:
            mix += level * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 2 * np.pi))
    return mix


def _attack(audio: np.ndarray, seconds: float) -> np.ndarray:
    """Fade the start in over `seconds`, so that it does not click."""
    ramp = min(len(audio), max(1, round(seconds * SAMPLE_RATE)))
    audio[:ramp] *= np.linspace(0, 1, ramp)
    return audio


def _shaped_noise(count: int, gain: Callable[[np.ndarray], np.ndarray], rng: Rng) -> np.ndarray:
    """Gaussian noise with RMS 1 and the spectrum `gain(Hz)`: [count].

    The noise is made in the frequency domain, at the next power of two, where the transform is fastest.
    """
    size = max(1024, 1 << (count - 1).bit_length())
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum = rng.standard_normal(len(hz)) + 1j * rng.standard_normal(len(hz))
    spectrum *= gain(np.maximum(hz, 1.0))
    noise = np.fft.irfft(spectrum, size)[:count]
    return noise / (noise.std() + 1e-12)


def _band(low: float, high: float, slope_db: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Gain curve of a band from `low` to `high` Hz with soft edges, tilted by `slope_db` per octave."""

    def gain(hz: np.ndarray) -> np.ndarray:
        edges = 1 / np.sqrt((1 + (low / hz) ** 8) * (1 + (hz / high) ** 8))
        return edges * 10 ** (slope_db * np.log2(hz / 1000.0) / 20)

    return gain


def _slow_wander(count: int, cycles_per_second: float, rng: Rng) -> np.ndarray:
    """A smooth random curve between -1 and 1: cosine steps between random points, [count]."""
    position = _times(count) * cycles_per_second * 2
    points = rng.uniform(-1, 1, int(position[-1]) + 2)
    index = position.astype(int)
    blend = (1 - np.cos(np.pi * (position - index))) / 2
    return points[index] * (1 - blend) + points[index + 1] * blend


def _place(count: int, hit: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Repeat `hit` at the given start times in seconds: [count]. What falls past the end is cut."""
    track = np.zeros(count)
    for start in np.round(np.asarray(starts) * SAMPLE_RATE).astype(int):
        piece = hit[: max(0, count - start)]
        track[start : start + len(piece)] += piece
    return track


def _onsets(count: int, interval: float, first: float = FIRST_ONSET) -> np.ndarray:
    """Start times in seconds, every `interval` seconds; none so close to the end that it would be only a click."""
    return np.arange(first, count / SAMPLE_RATE - 0.05, interval)


# ---------------------------------------------------------------------------------------------------------------------
# Pitched sounds
# ---------------------------------------------------------------------------------------------------------------------


def _tone(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    wave = np.sin(2 * np.pi * attributes["hz"] * _times(count) + rng.uniform(0, 2 * np.pi))
    return _attack(wave, 0.015)


def _pluck(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """One plucked string: exact harmonics that die away faster the higher they are."""
    harmonics = np.arange(1, 9)
    levels = harmonics ** -rng.uniform(1.1, 1.5)
    decays = rng.uniform(0.6, 0.9) / (1 + 0.5 * (harmonics - 1))
    return _attack(_partials(count, list(harmonics * attributes["hz"]), list(levels), list(decays), rng), 0.002)


def _bell(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A struck metal bar: its overtones (2.76, 5.40) are no whole multiples, and the named pitch rings longest."""
    ratios = np.array([1.0, 2.756, 5.404])
    levels = [1.0, rng.uniform(0.3, 0.45), rng.uniform(0.15, 0.25)]
    decays = [rng.uniform(1.6, 2.2), 0.8, 0.25]
    return _attack(_partials(count, list(ratios * attributes["hz"]), levels, decays, rng), 0.002)


def _bass(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A low held note; the overtones make it audible on small loudspeakers."""
    harmonics = np.arange(1, 7)
    levels = harmonics ** -rng.uniform(1.0, 1.3)
    return _attack(_partials(count, list(harmonics * attributes["hz"]), list(levels), [4.0] * 6, rng), 0.01)


def _chord(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Three held notes at the same level, each with one soft overtone."""
    roots = attributes["hz"]
    overtone = rng.uniform(0.1, 0.2)
    hz = [*roots, *(2 * frequency for frequency in roots)]
    return _attack(_partials(count, hz, [1.0] * 3 + [overtone] * 3, [4.0] * 6, rng), 0.015)


# ---------------------------------------------------------------------------------------------------------------------
# Moving and electronic sounds
# ---------------------------------------------------------------------------------------------------------------------


def _sweep(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A sine that moves over the whole length by the same number of octaves each second."""
    low, high = rng.uniform(150, 220), rng.uniform(1900, 2500)
    start, end = (low, high) if attributes["direction"] == "rising" else (high, low)
    return _attack(_glide(np.geomspace(start, end, count)), 0.01)


def _siren(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Pitch that goes up and down around a centre, half an octave each way, starting from the bottom."""
    bend = -np.cos(2 * np.pi * attributes["hz"] * _times(count))
    return _attack(_glide(rng.uniform(700, 900) * 2 ** (0.5 * bend)), 0.01)


def _beeps(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Short steady beeps, half of the time on, half off."""
    interval = 1 / attributes["per_second"]
    length = round(0.5 * interval * SAMPLE_RATE)
    beep = _attack(np.sin(2 * np.pi * rng.uniform(900, 1100) * _times(length)), 0.005)
    beep = _attack(beep[::-1], 0.005)[::-1]
    return _place(count, beep, _onsets(count, interval))


def _laser(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A quick fall through four octaves, once or again and again."""
    length = round(rng.uniform(0.28, 0.36) * SAMPLE_RATE)
    shot = _attack(_glide(np.geomspace(rng.uniform(2400, 3000), 180, length)), 0.003)
    shot *= np.linspace(1, 0, length) ** 0.5
    starts = _onsets(count, attributes["interval"])
    return _place(count, shot, starts[:1] if attributes["shots"] == "one" else starts)


# ---------------------------------------------------------------------------------------------------------------------
# Drums and rhythms
# ---------------------------------------------------------------------------------------------------------------------


def _kick_hit(rng: Rng) -> np.ndarray:
    """A thump: a sine that drops from about 160 to 50 Hz and dies away within half a second."""
    t = _times(round(0.6 * SAMPLE_RATE))
    fall = 50 + rng.uniform(90, 130) * np.exp(-t / 0.03)
    return _attack(_glide(fall) * np.exp(-t / rng.uniform(0.11, 0.14)), 0.002)


def _snare_hit(rng: Rng) -> np.ndarray:
    """A crack of mid-band noise over a short drum tone."""
    count = round(0.5 * SAMPLE_RATE)
    t = _times(count)
    rattle = 0.45 * _shaped_noise(count, _band(500, 4500), rng) * np.exp(-t / rng.uniform(0.07, 0.09))
    skin = 0.4 * np.sin(2 * np.pi * rng.uniform(180, 210) * t) * np.exp(-t / 0.05)
    return _attack(rattle + skin, 0.001)


def _hat_hit(rng: Rng) -> np.ndarray:
    """A short tick of high noise. It starts at 3 kHz, so that a dull codec does not lose it."""
    count = round(0.3 * SAMPLE_RATE)
    decay = np.exp(-_times(count) / rng.uniform(0.04, 0.05))
    return _attack(0.35 * _shaped_noise(count, _band(3200, 7500), rng) * decay, 0.001)


def _one_shot(hit: Callable[[Rng], np.ndarray]) -> Synthesiser:
    """A family that is one single hit."""
    return lambda attributes, count, rng: _place(count, hit(rng), np.array([FIRST_ONSET]))


def _beat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Kick on beats 1 and 3, snare on 2 and 4, a soft hat on every half beat. All kicks of a clip are alike."""
    beat = 60 / attributes["bpm"]
    kicks = _place(count, _kick_hit(rng), _onsets(count, 2 * beat))
    snares = _place(count, _snare_hit(rng), _onsets(count, 2 * beat, FIRST_ONSET + beat))
    hats = _place(count, _hat_hit(rng), _onsets(count, beat / 2))
    return kicks + rng.uniform(0.7, 0.85) * snares + rng.uniform(0.25, 0.4) * hats


def _metronome(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A dry click on every beat, and nothing in between."""
    t = _times(round(0.15 * SAMPLE_RATE))
    click = _attack(np.sin(2 * np.pi * rng.uniform(1300, 1700) * t) * np.exp(-t / 0.02), 0.001)
    return _place(count, click, _onsets(count, 60 / attributes["bpm"]))


def _heartbeat(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Two soft low thumps close together (lub-dub), then a rest."""
    interval = 60 / attributes["bpm"]
    t = _times(round(0.25 * SAMPLE_RATE))
    thump = _attack(np.sin(2 * np.pi * rng.uniform(55, 70) * t) * np.exp(-t / 0.05), 0.01)
    first = _onsets(count, interval)
    return _place(count, thump, first) + 0.7 * _place(count, thump, first + 0.3 * interval)


# ---------------------------------------------------------------------------------------------------------------------
# Nature and noise
# ---------------------------------------------------------------------------------------------------------------------


def _rain(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """A steady wash, softer towards the treble than white noise, with many small drops on it."""
    wash = _shaped_noise(count, _band(300, 7000, rng.uniform(-4.5, -3.5)), rng)
    drop_t = _times(160)
    drop = np.sin(2 * np.pi * rng.uniform(1200, 1800) * drop_t) * np.exp(-drop_t / 0.002)
    hits = (rng.random(count) < 50 / SAMPLE_RATE) * rng.uniform(0.5, 1.5, count)
    return _attack(wash + 1.5 * np.convolve(hits, drop)[:count], 0.02)


def _waves(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Surf: dull noise that swells and ebbs every 3 to 4 s, brighter while it breaks."""
    cycle = _times(count) / rng.uniform(3.0, 3.8)
    swell = ((1 - np.cos(2 * np.pi * cycle)) / 2) ** 1.5
    dull = _shaped_noise(count, _band(100, 900, -3.0), rng)
    bright = _shaped_noise(count, _band(500, 3000, -3.0), rng)
    return (0.05 + swell) * (dull + 0.5 * swell * bright)


def _wind(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    """Narrow low noise whose pitch wanders between about 200 and 600 Hz: a blend of three neighbouring bands."""
    place = 1 + _slow_wander(count, 0.6, rng)  # 0 .. 2: which of the bands is in front
    mix = np.zeros(count)
    for index, centre in enumerate((200, 340, 580)):
        nearness = np.clip(1 - np.abs(place - index), 0, 1)
        mix += np.sqrt(nearness) * _shaped_noise(count, _band(centre * 0.85, centre * 1.18), rng)
    return _attack(mix * (1 + 0.2 * _slow_wander(count, 0.5, rng)), 0.05)


def _noise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
    return _attack(rng.standard_normal(count), 0.01)


# ---------------------------------------------------------------------------------------------------------------------
# The families. {a_note} and {a_bpm} are the note and the tempo with their article: "an A4", "a 120 bpm".
# ---------------------------------------------------------------------------------------------------------------------


def _note_family(synthesise: Synthesiser, lowest: str, highest: str, weight: float, *phrasings: str) -> Family:
    return Family(synthesise, {"*": phrasings}, "note", notes_between(lowest, highest), _describe_note, weight)


def _tempo_family(synthesise: Synthesiser, weight: float, *phrasings: str) -> Family:
    # The shortest clip holds at least two beats at 60 bpm: with fewer there is no tempo to hear.
    return Family(synthesise, {"*": phrasings}, "bpm", TEMPOS, lambda bpm: {"bpm": bpm}, weight, shortest=2.5)


def _plain_family(synthesise: Synthesiser, *phrasings: str, shortest: float = 1.0) -> Family:
    return Family(synthesise, {"*": phrasings}, shortest=shortest)


FAMILIES: dict[str, Family] = {
    "tone": _note_family(
        _tone, "C3", "C6", 2.5,
        "a sine tone at {note}", "steady {note} tone", "pure tone, note {note}", "{a_note} sine wave",
        "sine wave at {note}", "a steady tone on the note {note}", "{note} pure sine tone",
    ),
    "pluck": _note_family(
        _pluck, "C3", "C6", 2.0,
        "a plucked string at {note}", "plucked {note} string", "guitar pluck, note {note}", "{a_note} string pluck",
        "a guitar string plucked at {note}", "{note} plucked guitar note", "one plucked string note, {note}",
    ),
    "bell": _note_family(
        _bell, "C4", "C6", 1.5,
        "a bell ringing at {note}", "bell, note {note}", "{a_note} bell", "a bell struck at {note}",
        "{note} bell chime", "a ringing chime on the note {note}",
    ),
    "bass": _note_family(
        _bass, "C2", "B2", 1.0,
        "a low bass note at {note}", "bass note {note}", "{a_note} bass note", "deep bass, note {note}",
        "a deep {note} bass", "synth bass at {note}",
    ),
    "chord": Family(
        _chord,
        {"*": ("a chord of {chord}", "{chord} chord", "{a_chord} chord", "a held {chord} chord",
               "an organ chord in {chord}", "sustained chord, {chord}")},
        "chord", CHORDS, _describe_chord,
    ),
    "sweep": Family(
        _sweep,
        {
            "rising": ("a rising sine sweep", "rising sweep", "a sweep going up", "sine sweep from low to high",
                       "a tone gliding upwards", "upward pitch sweep", "pitch sweep up"),
            "falling": ("a falling sine sweep", "falling sweep", "a sweep going down", "sine sweep from high to low",
                        "a tone gliding downwards", "downward pitch sweep", "pitch sweep down"),
        },
        "direction", ("rising", "falling"), lambda direction: {"direction": direction}, weight=2.0,
    ),
    "siren": Family(
        _siren,
        {
            "slow": ("a slow siren", "slow siren wailing", "siren, slow", "a siren slowly going up and down",
                     "slow wailing alarm siren"),
            "fast": ("a fast siren", "fast siren wailing", "siren, fast", "a siren quickly going up and down",
                     "fast warbling alarm siren"),
        },
        "rate", tuple(SIREN_RATES), lambda rate: {"rate": rate, "hz": SIREN_RATES[rate]}, shortest=2.5,
    ),
    "beeps": Family(
        _beeps,
        {
            "slow": ("slow beeps", "a slow beeping", "slow electronic beeps", "beeps, slow", "a slowly repeating beep",
                     "slow beep beep beep"),
            "fast": ("fast beeps", "a fast beeping", "fast electronic beeps", "beeps, fast", "a quickly repeating beep",
                     "fast beep beep beep"),
        },
        "rate", tuple(BEEP_RATES), lambda rate: {"rate": rate, "per_second": BEEP_RATES[rate]}, shortest=2.0,
    ),
    "laser": Family(
        _laser,
        {
            "one": ("a laser shot", "one laser zap", "single laser blast", "a laser gun fired once", "laser pew"),
            "repeated": ("repeated laser shots", "laser zaps", "many laser blasts", "a laser gun firing repeatedly",
                         "laser pew pew pew"),
        },
        "shots", ("one", "repeated"), lambda shots: {"shots": shots, "interval": LASER_INTERVAL}, shortest=1.5,
    ),
    "kick": _plain_family(
        _one_shot(_kick_hit),
        "a kick drum", "kick drum hit", "one bass drum hit", "single kick", "a bass drum thump", "a kick drum one-shot",
    ),
    "snare": _plain_family(
        _one_shot(_snare_hit),
        "a snare drum", "snare drum hit", "one snare hit", "single snare", "a snare drum crack", "a snare one-shot",
    ),
    "hat": _plain_family(
        _one_shot(_hat_hit),
        "a hi-hat", "closed hi-hat hit", "one hi-hat tick", "single hi-hat", "a closed hi-hat", "a hi-hat one-shot",
    ),
    "beat": _tempo_family(
        _beat, 3.0,
        "drum beat at {bpm} bpm", "{bpm} bpm beat", "{a_bpm} bpm drum loop", "a drum loop at {bpm} bpm",
        "drums playing at {bpm} bpm", "drum groove, {bpm} bpm", "{a_bpm} bpm rock beat",
    ),
    "metronome": _tempo_family(
        _metronome, 2.0,
        "metronome at {bpm} bpm", "{bpm} bpm metronome", "a metronome ticking at {bpm} bpm",
        "{a_bpm} bpm click track", "click track, {bpm} bpm", "metronome clicks at {bpm} bpm",
    ),
    "heartbeat": Family(
        _heartbeat,
        {
            "slow": ("a slow heartbeat", "slow heart beating", "a calm heartbeat", "heartbeat, slow",
                     "a heart beating slowly"),
            "fast": ("a fast heartbeat", "fast heart beating", "a racing heartbeat", "heartbeat, fast",
                     "a heart beating quickly"),
        },
        "rate", tuple(HEART_RATES), lambda rate: {"rate": rate, "bpm": HEART_RATES[rate]}, shortest=2.5,
    ),
    "rain": _plain_family(
        _rain, "rain", "steady rain", "rain falling", "heavy rain on the ground", "the sound of rain", "a rain shower",
    ),
    "waves": _plain_family(
        _waves, "ocean waves", "waves on a beach", "the sound of sea waves", "a wave rolling onto the shore",
        "sea surf", "slow ocean waves", shortest=3.8,
    ),
    "wind": _plain_family(
        _wind, "wind", "wind blowing", "howling wind", "the sound of wind", "a gust of wind", "a cold wind blowing",
    ),
    "noise": _plain_family(
        _noise, "white noise", "a white noise hiss", "static noise", "hiss", "steady hissing noise",
        "the hiss of static",
    ),
}


# ---------------------------------------------------------------------------------------------------------------------
# Making captions, sounds and data sets
# ---------------------------------------------------------------------------------------------------------------------


def _with_article(word: str) -> str:
    """ "A4" -> "an A4", "C4" -> "a C4", "80" -> "an 80": as it is spoken."""
    return ("an " if word[0] in "AEF8" else "a ") + word


def _fill(template: str, attributes: Attributes) -> str:
    """Put the attributes into a caption template."""
    words = {name: str(value) for name, value in attributes.items()}
    return template.format(**words, **{f"a_{name}": _with_article(word) for name, word in words.items()})


def _draw_family(rng: Rng) -> str:
    weights = np.array([family.weight for family in FAMILIES.values()])
    return list(FAMILIES)[rng.choice(len(weights), p=weights / weights.sum())]


def _draw_seconds(family: Family, rng: Rng) -> float:
    """The full length six times out of ten, else anything down to the shortest that makes sense."""
    if rng.random() < 0.6:
        return FULL_SECONDS
    return round(float(rng.uniform(family.shortest, FULL_SECONDS)), 2)


def _finish(audio: np.ndarray, rng: Rng) -> np.ndarray:
    """Set the level, fade the end out and fill up with silence: [count] -> float32 [CLIP_SAMPLES]."""
    tenth = SAMPLE_RATE // 10
    loudest = np.sqrt(max(np.mean(piece**2) for piece in np.split(audio, range(tenth, len(audio), tenth))))
    scale = min(PEAK / np.abs(audio).max(), LOUDEST_RMS / loudest)
    audio = audio * (scale * 10 ** (rng.uniform(-3, 3) / 20))
    fade = min(len(audio), round(FADE_OUT * SAMPLE_RATE))
    audio[-fade:] *= np.linspace(1, 0, fade)
    clip = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    clip[: len(audio)] = audio
    return clip


def complete_attributes(family: str, attributes: Attributes) -> Attributes:
    """All attributes from the family's key alone: ("tone", {"note": "A4"}) -> {"note": "A4", "hz": 440.0}."""
    kind = FAMILIES[family]
    return kind.describe(attributes[kind.key]) if kind.key else {}


def captions_of(family: str, attributes: Attributes) -> list[str]:
    """Every phrasing of one family with these attributes, e.g. "a sine tone at A4", "steady A4 tone", ..."""
    kind = FAMILIES[family]
    return [_fill(template, attributes) for template in kind.templates(attributes.get(kind.key))]


def make_sound(
    rng: Rng, family: str | None = None, attributes: Attributes | None = None, seconds: float | None = None
) -> Sound:
    """Make one sound; whatever is not given is drawn at random.

    `attributes` need only hold the family's key, e.g. {"note": "A4"}: the rest follows from it.
    `seconds` is at most CLIP_SAMPLES / SAMPLE_RATE = 4.096.
    """
    name = family or _draw_family(rng)
    kind = FAMILIES[name]
    chosen = complete_attributes(name, attributes) if attributes else kind.sample_attributes(rng)
    length = _draw_seconds(kind, rng) if seconds is None else seconds
    captions = captions_of(name, chosen)
    caption = captions[rng.integers(len(captions))]
    count = min(CLIP_SAMPLES, round(length * SAMPLE_RATE))
    return Sound(caption, name, chosen, _finish(kind.synthesise(chosen, count, rng), rng), length)


def sound_at(index: int, seed: int) -> Sound:
    """Clip number `index` of the data set `seed`. It depends on nothing else, so clips can be made in any order."""
    return make_sound(np.random.default_rng([seed, index]))


def make_dataset(count: int, seed: int) -> Iterator[Sound]:
    """The first `count` clips of the data set `seed`, one at a time."""
    for index in range(count):
        yield sound_at(index, seed)


def captions_corpus() -> Iterator[str]:
    """Every caption that can occur: all phrasings with all values. For training a vocabulary."""
    for name, family in FAMILIES.items():
        for value in family.values:
            yield from captions_of(name, family.describe(value))
