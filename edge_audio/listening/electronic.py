"""The checks of signals and game sounds."""

from __future__ import annotations

import numpy as np

from edge_audio.listening.claims import (
    Attributes,
    Claim,
    Verdict,
    direction_heard,
    family_check,
    rate_claim,
    verdict,
    within,
)
from edge_audio.listening.measures import (
    ANALYSIS_RATE,
    brightness_slide,
    burst_edges,
    centroid,
    contour,
    decay_rate,
    decay_time,
    duration,
    falls,
    harmonic_hz,
    level_spread,
    line_share,
    notes_in_turn,
    onset_count,
    power_share,
    sharpest_rise,
    steadiness,
    sway,
    travel,
    trend,
)


@family_check("sweep")
def _check_sweep(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    direction, sign = direction_heard(attributes, trend(line))
    return verdict(
        within(f"{direction}: trend", sign * trend(line), 0.9, 1),
        within("travel", sign * travel(line), 1.5, 6, " octaves"),
        within("purity", line.purity, 0.5, 1),
        within("length", duration(audio), 0.7, 60, " s"),
    )


def _register_claim(hz: float, attributes: Attributes, border: float) -> tuple[Claim, ...]:
    """Above or below a border in Hz, where high or low is asked for."""
    low, high = {"high": (border, 8000), "low": (20, border)}.get(
        attributes.get("register", ""), (20, 8000)
    )
    return (within("pitch", hz, low, high, " Hz"),)


@family_check("siren")
def _check_siren(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    rate, height, explained = sway(line)
    return verdict(
        rate_claim("sway", rate, attributes.get("per_second"), (0.7, 1.4), (0.35, 4.2), " per s"),
        *_register_claim(2 ** float(line.octaves.mean()), attributes, 680),
        within("height", height, 0.4, 2, " octaves"),
        within("regularity", explained, 0.6, 1),
        within("purity", line.purity, 0.5, 1),
        within("level spread", level_spread(audio), 0, 8, " dB"),
    )


@family_check("beeps")
def _check_beeps(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -9)
    intervals = np.diff(starts) if len(starts) > 1 else np.array([np.nan])
    interval = float(np.median(intervals))
    line, rate = contour(audio, floor_db=-9), attributes.get("per_second")
    return verdict(
        rate_claim("beeps", 1 / interval, rate, (0.7, 1.4), (1.0, 7.0), " per s"),
        within(
            "share of even gaps", float(np.mean(np.abs(intervals / interval - 1) < 0.3)), 0.7, 1
        ),
        within("share of time on", float(np.median(ends - starts)) / interval, 0.25, 0.75),
        *_register_claim(2 ** float(np.median(line.octaves)), attributes, 750),
        within("pitch wander", steadiness(line), 0, 80, " cents"),
        within("purity", line.purity, 0.5, 1),
    )


@family_check("laser")
def _check_laser(audio: np.ndarray, attributes: Attributes) -> Verdict:
    shots = [
        piece for piece in falls(contour(audio, 0.032, 0.008, -20)) if piece[0] - piece[-1] > 1
    ]
    downward = [float(np.mean(np.diff(shot) <= 0.02)) for shot in shots]
    steps = [len(shot) for shot in shots]
    low, high = {"one": (1, 1), "repeated": (2, 40)}.get(attributes.get("shots", ""), (1, 40))
    return verdict(
        within("falling shots", len(shots), low, high),
        within("steps that fall", float(np.mean(downward or [0])), 0.8, 1),
        within("length of a shot", float(np.median(steps or [0])) * 0.008, 0.1, 0.6, " s"),
        within(
            "sound outside shots",
            duration(audio) - attributes.get("interval", 0.5) * len(shots),
            -60,
            0.5,
            " s",
        ),
    )


@family_check("alarm")
def _check_alarm(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio)
    rate, _, explained = sway(line)
    low, high = np.percentile(line.octaves, (15, 85))
    near = np.minimum(np.abs(line.octaves - low), np.abs(line.octaves - high)) < 0.07
    return verdict(
        rate_claim("turns", rate, attributes.get("per_second"), (0.7, 1.4), (0.56, 4.2), " per s"),
        within("height", float(high - low), 0.25, 0.65, " octaves"),
        within("time on two notes", float(near.mean()), 0.75, 1),
        within("regularity", explained, 0.5, 1),
        within("level spread", level_spread(audio), 0, 8, " dB"),
    )


@family_check("phone")
def _check_phone(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -12)
    lengths = ends - starts
    return verdict(
        within("rings", len(starts), 1, 3),
        within("length of a ring", float(lengths[0]), 0.75, 1.25, " s"),
        within("pause", float(starts[1] - ends[0]) if len(starts) > 1 else 1.0, 0.7, 1.3, " s"),
        within("energy from 600 to 1300 Hz", power_share(audio, 600, 1300), 0.7, 1),
        within("two notes", line_share(audio, 1), 0, 0.45),
    )


@family_check("coin")
def _check_coin(audio: np.ndarray, attributes: Attributes) -> Verdict:
    first, second = notes_in_turn(audio, np.array([0.03, 0.13]), 0.06)
    return verdict(
        within("first note", first, 850, 1150, " Hz"),
        within("step", 12 * np.log2(second / first), 3.5, 6.5, " semitones"),
        within("dies away in", decay_time(audio), 0.1, 0.8, " s"),
        within("length", duration(audio), 0.15, 1.2, " s"),
    )


@family_check("power")
def _check_power(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio, 0.04, 0.01)
    direction, sign = direction_heard(attributes, trend(line))
    return verdict(
        within(f"{direction}: trend", sign * trend(line), 0.85, 1),
        within("travel", sign * travel(line), 1.3, 3, " octaves"),
        within("length", duration(audio), 0.4, 1.0, " s"),
    )


@family_check("notification")
def _check_notification(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line, dings = contour(audio), onset_count(audio)
    hits = attributes.get("hits", min(max(dings, 1), 3))
    return verdict(
        within("dings", dings, hits, hits),
        within("pitch", 2 ** float(np.median(line.octaves)), 680, 1500, " Hz"),
        within("rise", travel(line), -0.1 if hits == 1 else 0.15, 0.9, " octaves"),
        within("purity", line.purity, 0.5, 1),
        within("length", duration(audio), 0.15, 1.8, " s"),
    )


@family_check("buzz")
def _check_buzz(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low, high = {"short": (0.15, 0.65), "long": (1.0, 2.2)}.get(
        attributes.get("length", ""), (0.15, 2.2)
    )
    return verdict(
        within("length", duration(audio), low, high, " s"),
        within("pitch", harmonic_hz(audio, 60, 500), 100, 140, " Hz"),
        within("energy above 300 Hz", power_share(audio, 300, 8000), 0.2, 0.9),
        within("decay", decay_rate(audio), -20, 20, " dB/s"),
    )


@family_check("click")
def _check_click(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("length", duration(audio), 0, 0.11, " s"),
        within("energy from 700 to 3500 Hz", power_share(audio, 700, 3500), 0.6, 1),
        within("centroid", centroid(audio), 900, 2600, " Hz"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("explosion")
def _check_explosion(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("energy below 400 Hz", power_share(audio, 0, 400), 0.6, 1),
        within("energy in lines", line_share(audio), 0, 0.45),
        within("decay", decay_rate(audio), -60, -6, " dB/s"),
        within("sharpest rise", sharpest_rise(audio[: ANALYSIS_RATE // 2]), 6, 100, " dB"),
        within("length", duration(audio), 0.35, 3.0, " s"),
    )


@family_check("whoosh")
def _check_whoosh(audio: np.ndarray, attributes: Attributes) -> Verdict:
    slide = brightness_slide(audio)
    direction, sign = direction_heard(attributes, slide)
    return verdict(
        within(f"{direction} by", sign * slide, 0.6, 4, " octaves"),
        within("energy in lines", line_share(audio), 0, 0.3),
        within("length", duration(audio), 0.25, 1.2, " s"),
        within("sharpest rise", sharpest_rise(audio), 0, 14, " dB"),
    )
