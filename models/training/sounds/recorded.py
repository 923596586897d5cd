"""Sounds of `sonic-pi-samples`, of which those alone are used that its copyright file lists as CC0.

Left out, although listed: loops, and what was done to records (backspin, rewind, scratch), since
both may hold what is somebody else's.
"""

from __future__ import annotations

import functools
from math import gcd

import numpy as np
import soundfile
from scipy.signal import resample_poly

from edge_audio.errors import EdgeAudioError

from .packages import SAMPLES, cc0_samples
from .synthesis import FIRST_ONSET, Rng, sample_rate, samples
from .world import Attributes, Family, Synthesiser

# What `load` refuses, as the start of a name.
LEFT_OUT = ("loop_", "vinyl_backspin", "vinyl_rewind", "vinyl_scratch")
# Samples that families draw from, for whoever wants to know which.
RECORDED: set[str] = set()
SILENCE = 0.003  # of the peak; what comes before it is cut off


@functools.cache
def load(name: str) -> np.ndarray:
    """A sample at the rate of the studio, float64 [samples, 2], its peak at 1."""
    if name not in cc0_samples() or name.startswith(LEFT_OUT):
        raise EdgeAudioError(f"{SAMPLES.name} does not list {name} as CC0, or it is left out here")
    audio, rate = soundfile.read(SAMPLES.require() / f"{name}.flac", always_2d=True)
    audio = np.repeat(audio, 2, axis=1)[:, :2] if audio.shape[1] == 1 else audio[:, :2]
    audio = audio - audio.mean(axis=0)
    audio /= np.abs(audio).max()
    start = int(np.flatnonzero(np.abs(audio).max(axis=1) > SILENCE)[0])
    return _at_rate(audio[start:], sample_rate(), rate)


def _at_rate(audio: np.ndarray, to: int, rate: int) -> np.ndarray:
    divisor = gcd(to, rate)
    resampled: np.ndarray = resample_poly(audio, to // divisor, rate // divisor, axis=0)
    return resampled


def recorded(name: str, count: int, rng: Rng, semitones: float = 1.0) -> np.ndarray:
    """The sample from FIRST_ONSET on, float64 [count, 2]; as on a tape, up to `semitones` faster
    and higher, or slower and lower.
    """
    audio = load(name)
    speed = 2 ** (rng.uniform(-semitones, semitones) / 12)
    places = np.arange(0, len(audio) - 1, speed)
    audio = np.stack([np.interp(places, np.arange(len(audio)), side) for side in audio.T], axis=1)
    clip = np.zeros((count, 2))
    start = samples(FIRST_ONSET)
    piece = audio[: count - start]
    clip[start : start + len(piece)] = piece
    return clip


def one_of(*names: str, semitones: float = 1.0) -> Synthesiser:
    """One of these samples."""
    RECORDED.update(names)

    def synthesise(attributes: Attributes, count: int, rng: Rng) -> np.ndarray:
        return recorded(names[rng.integers(len(names))], count, rng, semitones)

    return synthesise


# Not the muted ones, which are no more than a tick.
_TABLA = tuple(
    f"tabla_{stroke}"
    for stroke in "dhec ghe1 ghe2 ghe3 ghe4 ghe5 ghe6 ghe7 ghe8 na na_o na_s re tas1 tas2 tas3 te1"
    " te2 te_m te_ne tun1 tun2 tun3".split()
)

FAMILIES: dict[str, Family] = {
    "tabla": Family(
        one_of(*_TABLA, semitones=0.5),
        (
            "a tabla",
            "tabla hit",
            "one tabla stroke",
            "an indian tabla",
            "a tabla drum",
            "tabla drum hit",
        ),
        ("one indian tabla hit", "a tabla stroke"),
        names=("a tabla", "an indian drum", "a tabla drum"),
        bursts=True,
    ),
    "finger_snap": Family(
        one_of("perc_snap", "perc_snap2", semitones=2.0),
        (
            "a finger snap",
            "snapping fingers",
            "fingers snapping once",
            "one finger snap",
            "a snap of fingers",
        ),
        ("a single finger snap", "fingers snapping"),
        names=("a finger snap", "a snap", "a snapping finger"),
        weight=0.7,
        bursts=True,
    ),
    "cash_register": Family(
        one_of("perc_till"),
        (
            "a cash register",
            "cash register opening",
            "an old till",
            "a shop till ringing",
            "a cash register ringing",
        ),
        ("a shop cash register", "an old cash register"),
        names=("a cash register", "a till", "a shop till"),
        weight=0.7,
        shortest=3.0,
    ),
    "crow": Family(
        one_of("misc_crow", semitones=2.0),
        ("a crow", "a crow cawing", "crow caw", "a raven", "one caw of a crow"),
        ("a raven cawing", "one crow caw"),
        names=("a crow", "a raven", "a caw"),
        weight=0.7,
        bursts=True,
    ),
    "burp": Family(
        one_of("misc_burp", semitones=2.5),
        ("a burp", "someone burping", "a loud burp", "a rude burp", "one burp"),
        ("someone burping once", "one loud burp"),
        names=("a burp", "a belch", "burping"),
        weight=0.7,
        bursts=True,
    ),
    "drum_roll": Family(
        one_of("drum_roll", semitones=1.5),
        (
            "a drum roll",
            "snare drum roll",
            "rolling drums",
            "a circus drum roll",
            "drum roll, please",
        ),
        ("a circus snare roll", "a snare drum rolling"),
        names=("a drum roll", "a snare roll", "drumrolls"),
        weight=0.7,
        shortest=2.0,
    ),
    "glass": Family(
        one_of("ambi_glass_rub", semitones=2.0),
        (
            "a glass rubbed",
            "rubbing a wine glass",
            "a singing glass",
            "a wine glass singing",
            "a finger on a wine glass",
        ),
        ("a wine glass rubbed", "a singing wine glass"),
        names=("a wine glass", "a singing glass", "a glass harp"),
        weight=0.7,
        shortest=2.5,
    ),
    "drone": Family(
        one_of(
            "ambi_drone", "ambi_haunted_hum", "ambi_glass_hum", "ambi_lunar_land", semitones=2.0
        ),
        (
            "an ambient drone",
            "a dark drone",
            "a haunted hum",
            "a deep drone",
            "a spooky drone",
            "an eerie hum",
        ),
        ("a dark ambient hum", "an eerie drone"),
        names=("a drone", "a hum", "an ambient drone"),
        weight=1.2,
        shortest=2.0,
    ),
    "vinyl": Family(
        one_of("vinyl_hiss", semitones=1.0),
        (
            "vinyl hiss",
            "vinyl record noise",
            "an old record crackling",
            "a record player's hiss",
            "vinyl crackle",
        ),
        ("an old vinyl record", "vinyl record hiss"),
        names=("vinyl", "vinyl crackle", "an old record"),
        weight=0.8,
    ),
    "cinematic": Family(
        one_of("misc_cineboom", semitones=2.0),
        (
            "a cinematic boom",
            "a movie trailer hit",
            "a deep cinematic hit",
            "an epic boom",
            "a film trailer boom",
        ),
        ("an epic cinematic hit", "a deep movie trailer boom"),
        names=("a cinematic boom", "a trailer hit", "an epic hit"),
        weight=0.7,
        shortest=3.0,
    ),
    "blip": Family(
        one_of("elec_blip", "elec_blip2", "elec_plip", "elec_twip", "elec_ping", semitones=3.0),
        ("an electronic blip", "a computer blip", "a blip", "a robot blip", "one electronic blip"),
        ("a computer blip once", "one robot blip"),
        names=("a blip", "an electronic blip", "a plip"),
        weight=0.8,
        bursts=True,
    ),
}
