"""Pitch and spectrum on their way through a sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import hilbert

from edge_audio.listening.measures.level import ACTIVE_DB, ANALYSIS_RATE, active_part
from edge_audio.listening.measures.rhythm import band_pass


def frames_of(audio: np.ndarray, frame: float, hop: float) -> tuple[np.ndarray, np.ndarray]:
    """Short-time power spectra: frequencies in Hz [bins] and powers [frames, bins], twice
    zero-padded.
    """
    size, step = round(frame * ANALYSIS_RATE), round(hop * ANALYSIS_RATE)
    padded = np.pad(audio, (0, max(0, size - len(audio))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step] * np.hanning(size)
    return np.fft.rfftfreq(2 * size, 1 / ANALYSIS_RATE), np.abs(np.fft.rfft(windows, 2 * size)) ** 2


@dataclass(frozen=True)
class Contour:
    """The strongest frequency over time, only where the clip is loud enough to have one."""

    times: np.ndarray  # [points] s
    octaves: np.ndarray  # [points] log2 of Hz
    # median over the points: share of the energy close to the strongest frequency, 0 to 1
    purity: float


def contour(
    audio: np.ndarray, frame: float = 0.048, hop: float = 0.012, floor_db: float = ACTIVE_DB
) -> Contour:
    """Follow the strongest frequency above 80 Hz."""
    hz, power = frames_of(audio, frame, hop)
    audible = np.where(hz >= 80, power, 0)
    level = audible.sum(axis=1)
    loud = level > level.max() * 10 ** (floor_db / 10)
    best = audible.argmax(axis=1)
    # A steady sine fills +-2 bins of the unpadded transform; +-3 leaves room for pitch that moves
    # within the frame.
    near = np.abs(hz[None, :] - hz[best][:, None]) <= 3 / frame
    purity = (audible * near).sum(axis=1) / (level + 1e-12)
    times = np.arange(len(best)) * hop + frame / 2
    return Contour(
        times[loud], np.log2(np.maximum(hz[best], 80.0))[loud], float(np.median(purity[loud]))
    )


def steadiness(line: Contour) -> float:
    """How far the pitch strays from its median, in cents (median absolute deviation)."""
    return 1200 * float(np.median(np.abs(line.octaves - np.median(line.octaves))))


def trend(line: Contour) -> float:
    """Rank correlation of pitch and time: 1 = always rising, -1 = always falling."""
    if len(line.octaves) < 5:
        return float("nan")
    ranks = line.octaves.argsort().argsort()
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def travel(line: Contour) -> float:
    """Octaves between the first and the last tenth of the contour; negative = it ends lower."""
    tenth = max(1, len(line.octaves) // 10)
    return float(np.median(line.octaves[-tenth:]) - np.median(line.octaves[:tenth]))


def sway(line: Contour) -> tuple[float, float, float]:
    """The sine that fits the pitch contour best: its rate per second, its height in octaves, the
    share it explains.
    """
    best = (float("nan"), 0.0, 0.0)
    pitch = line.octaves - line.octaves.mean()
    for rate in np.geomspace(0.3, 6.0, 90):
        angle = 2 * np.pi * rate * line.times
        basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
        weights = np.linalg.lstsq(basis, pitch, rcond=None)[0]
        explained = 1 - float(((pitch - basis @ weights) ** 2).sum() / ((pitch**2).sum() + 1e-9))
        if explained > best[2]:
            best = (float(rate), 2 * float(np.hypot(*weights[:2])), explained)
    return best


def falls(line: Contour) -> list[np.ndarray]:
    """Split a contour where the pitch jumps up by more than an octave or pauses: one array of
    octaves per piece.
    """
    jumps = np.diff(line.octaves) > 1.0
    pauses = np.diff(line.times) > 0.08
    pieces = np.split(line.octaves, np.flatnonzero(jumps | pauses) + 1)
    return [piece for piece in pieces if len(piece) >= 5]


def vibrato(audio: np.ndarray, hz: float) -> tuple[float, float]:
    """How far the pitch of a tone at `hz` swings, in cents RMS, and how many times a second."""
    analytic = hilbert(band_pass(active_part(audio), 0.9 * hz, 1.1 * hz))
    cents = 1200 * np.log2(
        np.maximum(np.diff(np.unwrap(np.angle(analytic))) * ANALYSIS_RATE / (2 * np.pi), 1.0) / hz
    )
    edge = round(0.15 * ANALYSIS_RATE)
    swing = uniform_filter1d(cents, round(0.02 * ANALYSIS_RATE))[edge:-edge]
    if len(swing) < ANALYSIS_RATE // 2:
        return float("nan"), float("nan")
    swing = swing - uniform_filter1d(swing, round(0.4 * ANALYSIS_RATE))
    size = 1 << 17
    strengths = np.abs(np.fft.rfft(swing * np.hanning(len(swing)), size))
    return float(np.std(swing)), float(strengths.argmax() * ANALYSIS_RATE / size)


def notes_in_turn(audio: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    """Strongest frequency in Hz of the stretches of `length` seconds from each start on; NaN where
    it is quiet.
    """
    loudest, notes = np.sqrt(np.mean(active_part(audio) ** 2)), []
    for start in starts:
        piece = audio[round(start * ANALYSIS_RATE) : round((start + length) * ANALYSIS_RATE)]
        quiet = (
            len(piece) < 0.5 * length * ANALYSIS_RATE or np.sqrt(np.mean(piece**2)) < 0.15 * loudest
        )
        magnitude = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 16))
        notes.append(np.nan if quiet else float(magnitude.argmax() * ANALYSIS_RATE / (1 << 16)))
    return np.array(notes)


def brightness_slide(audio: np.ndarray) -> float:
    """Octaves that the centre of the spectrum moves from the first to the last third of the active
    part.
    """
    hz, power = frames_of(active_part(audio), 0.048, 0.012)
    centres = np.log2((hz * power).sum(axis=1) / (power.sum(axis=1) + 1e-12) + 1.0)
    third = max(1, len(centres) // 3)
    return float(np.median(centres[-third:]) - np.median(centres[:third]))
