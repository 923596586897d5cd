"""Latents to audio, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edge_audio.bundle.manifest import AUDIO
from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.measure import db, rms
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.model.codec import encode, features_of, tiles_for
from edge_audio.sampling.noise import NoiseStream


@symptom
def decoder_probes(probe: Probe) -> Iterator[Row]:
    """What latents of zeros and of noise sound like: quiet, and without the decoder's own
    rhythm.
    """
    request = probe.request()
    shape = probe.traces[0].latents.shape
    silent = rms(probe.decoded(request, np.zeros(shape, np.float32)).samples)
    yield row(
        OK if silent < -20 else WARN,
        f"zeros give {db(silent, 'dBFS')}",
        "below -20 dBFS",
        "The decoder makes sound of nothing: a bias or an activation is wrong.",
        silent,
    )
    noisy = probe.decoded(request, NoiseStream(7).normal(shape)).samples
    comb = _comb(noisy, probe.manifest.latent.downsampling)
    yield row(
        OK if comb < 15 else WARN,
        f"lines at multiples of the latents' rate {db(comb)} above their neighbours",
        "below 15 dB",
        "The phases of a transposed convolution do not fit together: its weights may be transposed,"
        " or folded wrongly.",
        comb,
        "noise",
    )


@symptom
def decoder_seams(probe: Probe) -> Iterator[Row]:
    """Tiles that begin elsewhere give the same audio: the overlap is as wide as what the
    tail sees.
    """
    manifest, contract = probe.manifest, probe.pipeline.model.contract
    latents_ = probe.traces[0].latents
    tiling, per_frame = manifest.tiling, manifest.latent.downsampling // manifest.tiling.per_latent
    multiple = 1 if manifest.latent.padding is None else manifest.latent.padding.multiple
    shift = multiple * max(1, (tiling.tile - 2 * tiling.overlap) // (3 * multiple))
    with probe.pipeline.model.lease() as lease:
        port, features = features_of(lease.call, contract, latents_)
        if (
            features.shape[1] < tiling.tile + shift
            or len(tiles_for(manifest, latents_.shape[1], 1 << 62)) < 2
        ):
            yield row(OK, "one tile holds the clip: there are none")
            return
        one, two = (
            lease.call(contract.gives[AUDIO], {port: features[:, at : at + tiling.tile]})[AUDIO][0]
            for at in (0, shift)
        )
    begin, end = (shift + tiling.overlap) * per_frame, (tiling.tile - tiling.overlap) * per_frame
    near = metrics.snr(two[begin - shift * per_frame : end - shift * per_frame], one[begin:end])
    limit = {"f32": 60.0, "f16": 40.0}.get(probe.pipeline.precision["decoder"], 8.0)
    yield row(
        OK if near > limit else FAIL,
        f"tiles agree at {db(near)}",
        f"more than {limit:g} dB",
        "The overlap in the manifest is smaller than what the tail sees, or the graph pads where it"
        " must not.",
        near,
    )


@symptom
def round_trip(probe: Probe) -> Iterator[Row]:
    """Latents through decoder and encoder, where the bundle has one."""
    if "encoder" not in probe.manifest.graphs:
        yield row(OK, "no encoder in this bundle")
        return
    latents_ = probe.trace(probe.request(fit_length=False)).latents
    audio = probe.whole(latents_).samples
    with probe.pipeline.model.lease() as lease:
        back = encode(lease.call, probe.pipeline.model.contract, audio)
    likeness = metrics.cosine(back, latents_)
    yield row(
        OK if likeness > 0.5 else WARN,
        f"latents come back with cosine {likeness:.2f}",
        "more than 0.5",
        "Decoder and encoder do not belong together, or one of them is wrong; random weights have"
        " near 0.",
        likeness,
    )


def _comb(samples: np.ndarray, period: int) -> float:
    """dB by which the spectrum at multiples of 1 / `period` stands out, at most of 16 parts of the
    band.
    """
    from scipy.signal import welch

    window = 16 * period
    if len(samples) < 2 * window:
        return 0.0
    power = welch(samples.mean(axis=1).astype(np.float64), nperseg=window)[1] + 1e-20
    lines = np.arange(16, len(power) - 8, 16)
    ratio = [
        10 * math.log10(power[line - 1 : line + 2].max() / np.median(power[line - 7 : line + 8]))
        for line in lines
    ]
    return float(max(np.median(part) for part in np.array_split(ratio, min(16, len(ratio)))))
