"""One precision of a comparison at work."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_audio import listening
from edge_audio.audio.loudness import loudness
from edge_audio.evaluate import metrics
from edge_audio.evaluate.comparison import Candidate, Layer, Sound
from edge_audio.evaluate.layer_errors import compare_layers
from edge_audio.evaluate.prompts import Prompt
from edge_audio.evaluate.trace import Trace, answers, decoded, stages, walk
from edge_audio.pipeline import Pipeline
from edge_audio.session import Called
from edge_audio.settings import Settings

#: dB: latents that come to this are the same sound, however noisily it is decoded
SAME_LATENTS = 10.0
#: Otherwise it is the same if its log-mel distance is below this share of what two seeds differ by,
#: or below NEAR.
SAME_SOUND = 0.5
#: dB of log-mel distance: sounds without chance are the same for all seeds
NEAR = 3.0

Say = Callable[[str], None]


class PrecisionRun:
    """One precision: its clips, and, with a reference, its answers to what the reference
    was asked.
    """

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        jobs: list[tuple[Prompt, Settings]],
        reference: PrecisionRun | None,
        say: Say,
    ):
        self.name, self.pipeline, self.jobs = name, pipeline, jobs
        self.reference, self._say = reference, say
        self.traces: list[Trace] = []
        #: of the reference: v of every call of a trace, for the prompt alone
        self.plain: list[list[np.ndarray]] = []
        self.layers: list[Layer] = []
        self._stages: dict[str, list[Any]] = {}

    def make(self) -> None:
        """Stage after stage for all clips, so that one graph at a time is open."""
        self._say(f"{self.name}: conditioners")
        self.traces = [Trace(request, self.pipeline.condition(request)) for _, request in self.jobs]
        self.pipeline.close()
        for number, (trace, (prompt, _)) in enumerate(zip(self.traces, self.jobs), 1):
            self._say(f"{self.name}: transformer, clip {number} of {len(self.jobs)}, {prompt.text}")
            self._sample(trace)
            if self.reference:
                self._answer(self.reference, number - 1)
        self.pipeline.close()
        self._say(f"{self.name}: decoder")
        for number, (trace, (_, request)) in enumerate(zip(self.traces, self.jobs)):
            trace.clip = decoded(self.pipeline, request, trace.latents)
            if self.reference:
                theirs = self.reference.traces[number]
                same = decoded(self.pipeline, request, theirs.latents)
                self._note("decoder_snr", metrics.snr(same.samples, theirs.clip.samples))
                for name in ("cross_attn_cond", "global_cond"):
                    self._note(
                        f"{name}_snr",
                        metrics.snr(
                            trace.conditioning.prompt[name], theirs.conditioning.prompt[name]
                        ),
                    )
        self.pipeline.close()
        if self.reference:
            self._say(f"{self.name}: layers")
            self.layers = self._compared_layers(self.reference)

    def _note(self, name: str, value: Any) -> None:
        self._stages.setdefault(name, []).append(value)

    def _sample(self, trace: Trace) -> None:
        with self.pipeline.velocity(trace.settings, trace.conditioning) as v:
            walk(trace, v, self.pipeline)
        if not self.reference:
            guided = trace.settings.is_guided
            own = [v for _, _, v in trace.calls]
            self.plain.append(answers(self.pipeline, trace) if guided else own)

    def _answer(self, reference: PrecisionRun, number: int) -> None:
        """What this precision's transformer says to every call of the reference's trajectory."""
        theirs = reference.traces[number]
        pairs = list(zip(answers(self.pipeline, theirs), reference.plain[number]))
        self._note("v_snr", [metrics.snr(*pair) for pair in pairs])
        self._note("v_cosine", [metrics.cosine(*pair) for pair in pairs])
        self._note("channels", np.mean([metrics.channel_errors(*pair) for pair in pairs], axis=0))
        if theirs.settings.is_guided:
            guided = answers(self.pipeline, theirs, guided=True)
            self._note(
                "guided_snr", [metrics.snr(v, call[2]) for v, call in zip(guided, theirs.calls)]
            )

    @functools.cached_property
    def stages(self) -> dict[str, list[Called]]:
        """What the stages were asked for the first clip, for all that are compared with it."""
        return stages(self.pipeline, self.jobs[0][1])

    def _compared_layers(self, reference: PrecisionRun) -> list[Layer]:
        return compare_layers(self.pipeline, reference.pipeline, reference.stages)

    def candidate(self, spread: dict[str, float]) -> Candidate:
        """The numbers."""
        sounds = [self._sound(number, spread) for number in range(len(self.jobs))]
        judged = [sound.passed for sound in sounds if sound.passed is not None]
        graphs = self.pipeline.bundle.manifest.graphs
        noted: dict[str, Any] = {
            name: values for name, values in self._stages.items() if name != "channels"
        }
        mels = [
            metrics.log_mel(trace.clip.samples, trace.clip.sample_rate) for trace in self.traces
        ]
        if self.reference:
            theirs = [
                metrics.log_mel(trace.clip.samples, trace.clip.sample_rate)
                for trace in self.reference.traces
            ]
            noted["frechet"] = metrics.frechet_distance(mels, theirs)
            noted["channel_errors"] = np.mean(self._stages["channels"], axis=0).tolist()
        return Candidate(
            precision=self.pipeline.precision,
            bytes=sum(graphs[name][p].bytes for name, p in self.pipeline.precision.items()),
            sounds=sounds,
            adherence=statistics.fmean(judged) if judged else None,
            layers=self.layers,
            **noted,
        )

    def _sound(self, number: int, spread: dict[str, float]) -> Sound:
        prompt, request = self.jobs[number]
        clip, latents = self.traces[number].clip, self.traces[number].latents
        levels, heard = clip.levels(), None
        if prompt.family in listening.CHECKS:
            heard = listening.check(
                clip.samples, clip.sample_rate, prompt.family, prompt.attributes
            )
        against: dict[str, Any] = {}
        if self.reference:
            theirs = self.reference.traces[number]
            distance = metrics.log_mel_distance(clip.samples, theirs.clip.samples, clip.sample_rate)
            closeness = metrics.snr(latents, theirs.latents)
            same = closeness >= SAME_LATENTS or distance <= max(
                NEAR, SAME_SOUND * spread["log_mel_distance"]
            )
            against = {
                "latents_snr": closeness,
                "log_mel_distance": distance,
                "spectral_distance": metrics.spectral_distance(clip.samples, theirs.clip.samples),
                "kind": "same" if same else "another",
            }
        return Sound(
            prompt=prompt.text,
            seed=request.seed,
            loudness=loudness(clip.samples, clip.sample_rate),
            peak_dbfs=levels.peak_dbfs,
            clipped=levels.clipped,
            dc=levels.dc,
            stereo_correlation=metrics.stereo_correlation(clip.samples),
            passed=None if heard is None else heard.passed,
            heard=None if heard is None else heard.measured,
            **against,
        )
