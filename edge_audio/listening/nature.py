"""The checks of weather, water, animals and noise."""

from __future__ import annotations

import numpy as np

from edge_audio.listening.claims import (
    Attributes,
    Claim,
    Verdict,
    family_check,
    rate_claim,
    verdict,
    within,
)
from edge_audio.listening.measures import (
    burst_edges,
    burst_rate,
    centroid,
    contour,
    duration,
    level_spread,
    line_share,
    onset_count,
    onset_strength,
    power_share,
    pulse_rate,
    repetition,
    rise_time,
    roughness,
    sharpest_rise,
    spikiness,
    steadiness,
    tilt,
)


def _noise_claims(audio: np.ndarray) -> tuple[Claim, ...]:
    """What all long noises have in common: no lines in the spectrum, and a level that flutters at
    random.
    """
    return (
        within("energy in lines", line_share(audio), 0, 0.35),
        within("roughness", roughness(audio), 0.38, 0.65),
        within("length", duration(audio), 0.7, 60, " s"),
    )


@family_check("rain")
def _check_rain(audio: np.ndarray, attributes: Attributes) -> Verdict:
    if "amount" not in attributes:
        heavy, light = (_check_rain(audio, {"amount": amount}) for amount in ("heavy", "light"))
        return light if light.passed else heavy
    if attributes["amount"] == "light":
        return verdict(
            within("single drops stand out", spikiness(audio), 5, 200),
            within("centroid", centroid(audio), 900, 3500, " Hz"),
            within("energy below 500 Hz", power_share(audio, 0, 500), 0, 0.3),
            within("drops", onset_count(audio) / duration(audio), 1.5, 12, " per s"),
            within("length", duration(audio), 0.7, 60, " s"),
        )
    return verdict(
        within("tilt", tilt(audio), -8, -2, " dB/octave"),
        within("energy below 800 Hz", power_share(audio, 0, 800), 0, 0.7),
        within("energy below 200 Hz", power_share(audio, 0, 200), 0, 0.12),
        within("tonality", contour(audio).purity, 0, 0.35),
        within("level spread", level_spread(audio), 0, 6, " dB"),
        *_noise_claims(audio),
    )


@family_check("waves")
def _check_waves(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("swell", level_spread(audio), 7, 60, " dB"),
        within("rises in", rise_time(audio), 0.35, 4, " s"),
        within("sharpest rise", sharpest_rise(audio), 0, 9, " dB"),
        within("energy below 1200 Hz", power_share(audio, 0, 1200), 0.6, 1),
        within("tonality", contour(audio).purity, 0, 0.5),
        *_noise_claims(audio),
    )


@family_check("wind")
def _check_wind(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within(
            "energy below 1000 Hz", power_share(audio, 0, 1000), 0.8, 1
        ),  # rain has about half of it there
        within("centroid", centroid(audio), 120, 1000, " Hz"),
        within("tilt", tilt(audio), -60, -8, " dB/octave"),
        within("level spread", level_spread(audio), 0, 9, " dB"),
        *_noise_claims(audio),
    )


@family_check("fire")
def _check_fire(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("cracks stand out", spikiness(audio), 8, 500),
        within("cracks", onset_count(audio) / duration(audio), 1, 9, " per s"),
        within("length of a crack", burst_rate(audio)[2], 0, 0.08, " s"),
        within("energy below 600 Hz", power_share(audio, 0, 600), 0.1, 0.9),
        within("tonality", contour(audio).purity, 0, 0.6),
    )


@family_check("thunder")
def _check_thunder(audio: np.ndarray, attributes: Attributes) -> Verdict:
    half = len(audio) // 2
    return verdict(
        within("energy below 200 Hz", power_share(audio, 0, 200), 0.85, 1),
        within("energy in lines", line_share(audio), 0, 0.6),
        within("swell", level_spread(audio), 5, 60, " dB"),
        within(
            "second half",
            10 * np.log10(np.mean(audio[half:] ** 2) / np.mean(audio[:half] ** 2) + 1e-9),
            -40,
            -2,
            " dB",
        ),
        within("sharpest rise", sharpest_rise(audio), 0, 16, " dB"),
        within("length", duration(audio), 0.8, 60, " s"),
    )


@family_check("frog")
def _check_frog(audio: np.ndarray, attributes: Attributes) -> Verdict:
    starts, ends = burst_edges(audio, -20)
    lengths = (ends - starts)[ends - starts > 0.1]
    return verdict(
        within("energy from 400 to 1500 Hz", power_share(audio, 400, 1500), 0.8, 1),
        within("croaks", 1 / repetition(onset_strength(audio), 0.5, 1.2)[0], 1.0, 1.6, " per s"),
        within(
            "length of a croak", float(np.median(lengths)) if len(lengths) else 0.0, 0.2, 0.5, " s"
        ),
        within("pulses", pulse_rate(audio, 12, 60), 18, 26, " per s"),
    )


@family_check("cuckoo")
def _check_cuckoo(audio: np.ndarray, attributes: Attributes) -> Verdict:
    line = contour(audio, 0.048, 0.012, -14)
    calls = 1 / repetition(onset_strength(audio), 0.6, 2.4)[0]
    low, high = np.percentile(line.octaves, (20, 90))
    return verdict(
        rate_claim(
            "calls", calls, attributes.get("per_second"), (0.7, 1.4), (0.38, 1.75), " per s"
        ),
        within("interval", 12 * float(high - low), 2.5, 5.5, " semitones"),
        within("pitch", 2 ** float(np.median(line.octaves)), 450, 760, " Hz"),
        within("purity", line.purity, 0.5, 1),
        within("level spread", level_spread(audio, 0.05), 8, 100, " dB"),
    )


@family_check("drops")
def _check_drops(audio: np.ndarray, attributes: Attributes) -> Verdict:
    rate, _, length = burst_rate(audio)
    line = contour(audio, 0.032, 0.008, -20)
    rises = np.diff(line.octaves) > 0
    return verdict(
        rate_claim("drops", rate, attributes.get("per_second"), (0.7, 1.4), (0.84, 5.6), " per s"),
        within("energy from 500 to 1500 Hz", power_share(audio, 500, 1500), 0.75, 1),
        within("length of a drop", length, 0.02, 0.15, " s"),
        within("rise", float(rises.mean()) if len(rises) else 0.0, 0.3, 1),
    )


@family_check("stream")
def _check_stream(audio: np.ndarray, attributes: Attributes) -> Verdict:
    return verdict(
        within("energy from 350 to 1500 Hz", power_share(audio, 350, 1500), 0.7, 1),
        within("bubbles stand out", spikiness(audio), 2.6, 12),
        within("pitch wander", steadiness(contour(audio)), 120, 1200, " cents"),
        within("energy in lines", line_share(audio), 0, 0.35),
        within("level spread", level_spread(audio), 0, 11, " dB"),
        within("length", duration(audio), 0.7, 60, " s"),
    )


_SLOPES = {
    "white": (-1.6, 3),
    "pink": (-4.6, -1.6),
    "brown": (-9, -4.6),
    None: (-9, 3),
}  # dB per octave, as measured over amplitudes of noise


@family_check("noise")
def _check_noise(audio: np.ndarray, attributes: Attributes) -> Verdict:
    colour = attributes.get("colour")
    dull = colour == "brown" or (colour is None and tilt(audio) < -4.6)
    return verdict(
        within(f"{colour or 'any'}: tilt", tilt(audio), *_SLOPES[colour], " dB/octave"),
        within("tonality", contour(audio).purity, 0, 0.8 if dull else 0.45),
        within("level spread", level_spread(audio), 0, 7, " dB"),
        within("energy above 1 kHz", power_share(audio, 1000, 8000), 0.003, 1),
        within("energy in lines", line_share(audio), 0, 0.5 if dull else 0.35),
        within("roughness", roughness(audio), 0.38, 0.65),
        within("length", duration(audio), 0.7, 60, " s"),
    )
