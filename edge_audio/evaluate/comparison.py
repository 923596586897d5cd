"""What `compare` found: every candidate's numbers, and as JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from edge_audio.audio.clip import Clip
from edge_audio.evaluate.verdict import Finding


@dataclass(frozen=True)
class Layer:
    """What a layer gives in the candidate, against the reference, on the same inputs of
    the graph.
    """

    component: str
    name: str
    snr: float
    #: 1 where the layer has the right scale
    gain: float


@dataclass(frozen=True)
class Sound:
    """One clip: what can be measured of it, and how far it is from the reference's of the same
    prompt and seed.
    """

    prompt: str
    seed: int
    loudness: float | None
    peak_dbfs: float
    clipped: float
    dc: float
    stereo_correlation: float | None
    #: sounds as asked, where the bundle's checks can tell
    passed: bool | None = None
    heard: str | None = None
    latents_snr: float | None = None
    spectral_distance: float | None = None
    log_mel_distance: float | None = None
    #: `same` sound as the reference's, or `another`
    kind: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A precision: its clips, and, unless it is the reference, what its stages do on the
    reference's inputs.
    """

    precision: dict[str, str]
    bytes: int
    sounds: list[Sound]
    adherence: float | None
    #: a number a prompt
    cross_attn_cond_snr: list[float] = field(default_factory=list)
    global_cond_snr: list[float] = field(default_factory=list)
    #: [clips][calls of the transformer]: the prompt's v, on the reference's x and t
    v_snr: list[list[float]] = field(default_factory=list)
    v_cosine: list[list[float]] = field(default_factory=list)
    #: the same for what the sampler uses, guidance included; empty without guidance
    guided_snr: list[list[float]] = field(default_factory=list)
    #: error power of v by latent channel, over the mean signal power
    channel_errors: list[float] = field(default_factory=list)
    #: audio of the same latents, a number a clip
    decoder_snr: list[float] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    frechet: float | None = None
    verdict: str = ""
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Several precisions against the first of them, on the same noise."""

    edge_audio: str
    model: str
    bundle_sha256: list[str]
    reference: str
    request: dict[str, Any]
    prompts: list[str]
    seeds: list[int]
    #: t of every call of the transformer
    times: list[float]
    #: what two seeds of the reference differ by: the measure of `another` sound
    seeds_differ: dict[str, float]
    candidates: dict[str, Candidate]
    #: time and memory, in processes of their own
    measured: dict[str, Any]
    #: precision -> audio, in the order of `sounds`; not part of the JSON
    clips: dict[str, list[Clip]] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Ready for json.dumps; numbers rounded to what they mean."""
        found = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "clips"
        }
        found["candidates"] = {
            name: dataclasses.asdict(candidate) for name, candidate in self.candidates.items()
        }
        rounded: dict[str, Any] = _rounded(found)
        return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
