"""The checks of drums and of everything that knocks, ticks and steps."""

from __future__ import annotations

import numpy as np

from edge_audio.listening.claims import (
    TEMPO_ERROR,
    Attributes,
    Verdict,
    family_check,
    rate_claim,
    tempo_claim,
    verdict,
    within,
)
from edge_audio.listening.measures import (
    band_pass,
    burst_edges,
    burst_rate,
    busy_share,
    centroid,
    contour,
    decay_rate,
    decay_time,
    duration,
    harmonic_hz,
    level_spread,
    line_share,
    onset_count,
    onset_strength,
    power_share,
    repetition,
    strongest_hz,
)


@family_check("kick")
def _check_kick(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("pitch", strongest_hz(audio, 30), 35, 130, " Hz"),
        within("energy below 200 Hz", power_share(audio, 0, 200), 0.7, 1),
        within("dies away in", decay_time(audio), 0.05, 0.6, " s"),
        within("length", duration(audio), 0.05, 0.8, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("snare")
def _check_snare(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("centroid", centroid(audio), 900, 2900, " Hz"),
        within("energy above 800 Hz", power_share(audio, 800, 8000), 0.4, 1),
        within(
            "tonality", contour(band_pass(audio, 800, 8000)).purity, 0, 0.45
        ),  # leaves out the drum's own tone
        within("dies away in", decay_time(audio), 0.04, 0.45, " s"),
        within("length", duration(audio), 0.05, 0.7, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("hat")
def _check_hat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("centroid", centroid(audio), 2900, 8000, " Hz"),
        within("energy below 1500 Hz", power_share(audio, 0, 1500), 0, 0.12),
        within("tonality", contour(audio).purity, 0, 0.45),
        within("dies away in", decay_time(audio), 0.02, 0.35, " s"),
        within("length", duration(audio), 0.02, 0.5, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("beat")
def _check_beat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    """Tempo from kicks and snares together.

    Half or double tempo is accepted in one case only, where it is truly ambiguous: when loud hats
    (or a weak snare) make another subdivision repeat best, but the kicks alone come exactly every
    second beat, as asked.
    """
    low, high = (
        onset_strength(band_pass(audio, 30, 150)),
        onset_strength(band_pass(audio, 300, 8000)),
    )
    onsets = low + high
    period, regularity = repetition(onsets, 0.25, 1.2)
    bpm = attributes.get("bpm")
    tempo = tempo_claim(period, bpm)
    kicks = tempo_claim(repetition(low)[0] / 2, bpm)
    octave_off = (
        bpm is not None
        and min(abs(60 / period / bpm * factor - 1) for factor in (0.5, 2)) <= TEMPO_ERROR
    )
    return verdict(
        kicks if octave_off else tempo,
        within("regularity", regularity, 0.6, 1.01),
        within("share of time in attacks", busy_share(onsets), 0, 0.35),
        within("energy below 200 Hz", power_share(audio, 0, 200), 0.1, 0.99),
        within("energy above 800 Hz", power_share(audio, 800, 8000), 0.01, 0.9),
        within("level spread", level_spread(audio, 0.05), 9, 100, " dB"),
        within("hits", onset_count(audio), 3, 100),
    )


@family_check("metronome")
def _check_metronome(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio))
    starts, ends = burst_edges(audio, -9)
    return verdict(
        tempo_claim(
            period, attributes.get("bpm")
        ),  # all clicks are alike, so half or double tempo is simply wrong
        within("regularity", regularity, 0.4, 1.01),
        within("energy from 800 to 3000 Hz", power_share(audio, 800, 3000), 0.6, 1),
        within("length of a click", float(np.median(ends - starts)), 0.01, 0.14, " s"),
        within(
            "clicks per beat",
            (len(starts) - 1) * period / (starts[-1] - starts[0] + 1e-9),
            0.75,
            1.3,
        ),
    )


@family_check("heartbeat")
def _check_heartbeat(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio), 0.35)
    beats = duration(audio) / period if period > 0 else float("nan")
    return verdict(
        rate_claim(
            "heartbeats", 60 / period, attributes.get("bpm"), (0.8, 1.25), (48, 150), " per min"
        ),
        within("thumps per beat", onset_count(audio) / beats, 1.4, 2.8),
        within("regularity", regularity, 0.6, 1.01),
        within("energy below 200 Hz", power_share(audio, 0, 200), 0.85, 1),
    )


@family_check("clap")
def _check_clap(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("centroid", centroid(audio), 900, 2500, " Hz"),
        within("energy from 600 to 3200 Hz", power_share(audio, 600, 3200), 0.75, 1),
        within("energy below 400 Hz", power_share(audio, 0, 400), 0, 0.1),
        within("tonality", contour(audio).purity, 0, 0.6),
        within("dies away in", decay_time(audio), 0.03, 0.4, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("tom")
def _check_tom(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low, high = {"high": (150, 290), "low": (65, 125)}.get(
        attributes.get("register", ""), (65, 290)
    )
    return verdict(
        within("pitch", strongest_hz(audio), low, high, " Hz"),
        within("energy below 350 Hz", power_share(audio, 0, 350), 0.8, 1),
        within("dies away in", decay_time(audio), 0.08, 0.7, " s"),
        within("length", duration(audio), 0.1, 0.9, " s"),
        within("hits", onset_count(audio), 1, 1),
    )


@family_check("crash")
def _check_crash(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("centroid", centroid(audio), 2400, 7000, " Hz"),
        within("energy in lines", line_share(audio), 0, 0.3),
        within("decay", decay_rate(audio), -40, -7, " dB/s"),
        within("length", duration(audio), 0.4, 3, " s"),
    )


@family_check("house")
def _check_house(audio: np.ndarray, attributes: Attributes) -> Verdict:
    low = onset_strength(band_pass(audio, 30, 200))
    period, regularity = repetition(low, 0.25, 1.2)
    return verdict(
        tempo_claim(period, attributes.get("bpm")),
        within("regularity", regularity, 0.6, 1.01),
        within("energy below 200 Hz", power_share(audio, 0, 200), 0.5, 0.995),
        within("energy above 2500 Hz", power_share(audio, 2500, 8000), 0.002, 0.5),
        within("level spread", level_spread(audio, 0.05), 9, 100, " dB"),
    )


@family_check("footsteps")
def _check_footsteps(audio: np.ndarray, attributes: Attributes) -> Verdict:
    period, regularity = repetition(onset_strength(audio), 0.2, 1.2)
    return verdict(
        rate_claim(
            "steps", 1 / period, attributes.get("per_second"), (0.7, 1.4), (1.0, 4.5), " per s"
        ),
        within("regularity", regularity, 0.5, 1.01),
        within("energy below 300 Hz", power_share(audio, 0, 300), 0.25, 0.97),
        within("energy from 400 to 2500 Hz", power_share(audio, 400, 2500), 0.02, 0.75),
        within("share of time in attacks", busy_share(onset_strength(audio)), 0, 0.6),
    )


@family_check("knock")
def _check_knock(audio: np.ndarray, attributes: Attributes) -> Verdict:
    knocks = onset_count(audio)
    hits = attributes.get("hits", min(max(knocks, 1), 3))
    return verdict(
        within("knocks", knocks, hits, hits),
        within("energy from 180 to 1000 Hz", power_share(audio, 180, 1000), 0.7, 1),
        within("length", duration(audio), 0.02, 0.3 * hits - 0.05, " s"),
        within(
            "time between",
            float(np.median(np.diff(burst_edges(audio)[0]))) if hits > 1 else 0.3,
            0.2,
            0.4,
            " s",
        ),
    )


@family_check("engine")
def _check_engine(audio: np.ndarray, attributes: Attributes) -> Verdict:
    firing = harmonic_hz(audio, 20, 150)
    return verdict(
        rate_claim("firing", firing, attributes.get("firing"), (0.75, 1.35), (24, 115), " Hz"),
        within("energy below 800 Hz", power_share(audio, 0, 800), 0.8, 1),
        within("level spread", level_spread(audio), 0, 8, " dB"),
        within("length", duration(audio), 0.7, 60, " s"),
    )


@family_check("clock")
def _check_clock(audio: np.ndarray, attributes: Attributes) -> Verdict:
    rate, even, length = burst_rate(audio, -14)
    return verdict(
        rate_claim("ticks", rate, attributes.get("per_second"), (0.75, 1.3), (0.75, 5.2), " per s"),
        within("share of even gaps", even, 0.7, 1),
        within("length of a tick", length, 0.01, 0.15, " s"),
        within("energy from 500 to 1200 Hz", power_share(audio, 500, 1200), 0.6, 1),
    )
