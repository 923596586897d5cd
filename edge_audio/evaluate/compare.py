"""`edge-audio compare`: what a smaller precision costs in fidelity, and what it saves, measured on
the same noise.

The first precision is the reference. For every prompt and seed it makes a clip, and what went
through its graphs is kept. Every other precision, the candidate, is then asked the same questions:
the same prompt to its conditioners, the same x and t to its transformer, the same latents to its
decoder. After that it makes the clip by itself, from the same noise. Nothing is random, so the same
command gives the same numbers, but for those of time and memory, which stand apart under
`measured`.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio import __version__
from edge_audio.audio.clip import Clip
from edge_audio.bundle.manifest import GENERATING
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.evaluate import bench, metrics
from edge_audio.evaluate.layers import exposed
from edge_audio.evaluate.prompts import Prompt, of_bundle
from edge_audio.evaluate.trace import Trace, answers, decoded, walk
from edge_audio.evaluate.verdict import Finding, judge
from edge_audio.listening import CHECKS, check
from edge_audio.pipeline import Pipeline, default_model
from edge_audio.request import Settings
from edge_audio.system.graph import Graph

#: calls of the transformer whose inside is looked at
LAYER_CALLS = 3
#: dB: latents that come to this are the same sound, however noisily it is decoded
SAME_LATENTS = 10.0
#: Otherwise it is the same if its log-mel distance is below this share of what two seeds differ by,
#: or below NEAR.
SAME_SOUND = 0.5
#: dB of log-mel distance: sounds without chance are the same for all seeds
NEAR = 3.0

Say = Callable[[str], None]
Arrays = dict[str, np.ndarray]


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
class Report:
    """All of it. `clips`: precision -> audio, in the order of `sounds`; not part of the JSON."""

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


def compare(
    models: Sequence[str | Path] = (),
    precisions: Sequence[str] | None = None,
    prompts: Sequence[Prompt] | None = None,
    seeds: int = 1,
    threads: int | None = None,
    repeats: int = 2,
    say: Say = lambda line: None,
    **settings: Any,
) -> Report:
    """Measure `precisions` (default: all that every component has) against the first of them.

    models: folders of bundles of the same checkpoint (default: the pocket model); a precision is
    taken from the first that has it. prompts: default, those that the bundle brings. settings: of
    Request, for all clips. repeats: clips that the cost is measured with, 0 for none.
    EdgeAudioError for different models or a precision that none has.
    """
    folders = [Path(model) for model in models] or [default_model()]
    bundles = [Bundle.open(folder) for folder in folders]
    _same_model(bundles)
    precisions = list(precisions or bench.common_precisions(bundles[0]))
    if len(set(precisions)) < len(precisions) or len(precisions) < 2:
        raise UsageError(
            f"precisions {', '.join(precisions) or 'none'}: name two or more different ones to"
            " compare, such as f32,int8"
        )
    if seeds < 1:
        raise UsageError(f"seeds {seeds} make no clip; use 1 or more")
    places = {precision: _place(folders, precision, threads) for precision in precisions}
    first = Bundle.open(places[precisions[0]])
    prompts = list(prompts or of_bundle(first))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        settings = {name: value for name, value in settings.items() if value is not None}
        jobs = [
            (prompt, prompt.request(first, seed, **settings))
            for prompt in prompts
            for seed in range(1, seeds + 1)
        ]
        runs: dict[str, _Run] = {}
        for precision in precisions:
            pipeline = Pipeline.load(places[precision], precision, threads, memory="all")
            runs[precision] = _Run(precision, pipeline, jobs, runs.get(precisions[0]), say)
            runs[precision].make()
        reference = runs[precisions[0]]
        spread = _spread_of_seeds(reference, jobs)
        measured = _cost(places, precisions, threads, jobs[0][1], repeats, say) if repeats else {}
    candidates = {precision: runs[precision].candidate(spread) for precision in precisions}
    for precision in precisions[1:]:
        findings, word = judge(candidates[precision], candidates[precisions[0]], spread)
        candidates[precision] = dataclasses.replace(
            candidates[precision], findings=findings, verdict=word
        )
    request = {
        name: value
        for name, value in dataclasses.asdict(jobs[0][1]).items()
        if name not in ("prompt", "seed", "ids")
    }
    return Report(
        __version__,
        first.manifest.name,
        sorted({bundle.sha256 for bundle in bundles}),
        precisions[0],
        request,
        [prompt.text for prompt in prompts],
        list(range(1, seeds + 1)),
        reference.traces[0].times,
        spread,
        candidates,
        measured,
        {precision: [trace.clip for trace in runs[precision].traces] for precision in precisions},
    )


def _same_model(bundles: list[Bundle]) -> None:
    first = bundles[0]
    for other in bundles[1:]:
        if (other.manifest.source_sha256, other.manifest.latent) != (
            first.manifest.source_sha256,
            first.manifest.latent,
        ):
            raise EdgeAudioError(
                f"{first.folder} ({first.manifest.name}) and {other.folder} ({other.manifest.name})"
                " are different models; compare precisions of one checkpoint"
            )


def _place(folders: list[Path], precision: str, threads: int | None) -> Path:
    """The first folder that has a precision; the error of the first one if none has it."""
    errors = []
    for folder in folders:
        try:
            Pipeline.load(folder, precision, threads)
            return folder
        except UsageError:
            raise
        except EdgeAudioError as error:
            errors.append(error)
    raise errors[0]


class _Run:
    """One precision: its clips, and, with a reference, its answers to what the reference
    was asked.
    """

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        jobs: list[tuple[Prompt, Settings]],
        reference: _Run | None,
        say: Say,
    ):
        self.name, self.pipeline, self.jobs, self.reference, self._say = (
            name,
            pipeline,
            jobs,
            reference,
            say,
        )
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
                            getattr(trace.conditioning, name), getattr(theirs.conditioning, name)
                        ),
                    )
        self.pipeline.close()
        if self.reference:
            self._say(f"{self.name}: layers")
            self.layers = _layers(self.pipeline, self.reference, self.jobs[0][1])

    def _note(self, name: str, value: Any) -> None:
        self._stages.setdefault(name, []).append(value)

    def _sample(self, trace: Trace) -> None:
        with self.pipeline.velocity(trace.settings, trace.conditioning) as v:
            walk(trace, v, self.pipeline)
        if not self.reference:
            guided = trace.settings.is_guided
            own = [v for _, _, v in trace.calls]
            self.plain.append(answers(self.pipeline, trace) if guided else own)

    def _answer(self, reference: _Run, number: int) -> None:
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
        if prompt.family in CHECKS:
            heard = check(clip.samples, clip.sample_rate, prompt.family, prompt.attributes)
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
            prompt.text,
            request.seed,
            metrics.loudness(clip.samples, clip.sample_rate),
            levels.peak_dbfs,
            levels.clipped,
            levels.dc,
            metrics.stereo_correlation(clip.samples),
            passed=None if heard is None else heard.passed,
            heard=None if heard is None else heard.measured,
            **against,
        )


def _spread_of_seeds(reference: _Run, jobs: list[tuple[Prompt, Settings]]) -> dict[str, float]:
    """How far two clips of one prompt are from each other: the next seed against each of the first
    few clips.
    """
    pairs: list[tuple[np.ndarray, np.ndarray, int]] = []
    seen: set[str] = set()
    for trace, (prompt, request) in zip(reference.traces, jobs):
        if prompt.text in seen or len(seen) == 8:
            continue
        seen.add(prompt.text)
        other = reference.pipeline.generate(
            dataclasses.replace(request, seed=request.seed + len(jobs) + 1)
        )
        pairs.append((other.samples, trace.clip.samples, trace.clip.sample_rate))
    reference.pipeline.close()
    others = [metrics.log_mel(other, rate) for other, _, rate in pairs]
    own = [metrics.log_mel(samples, rate) for _, samples, rate in pairs]
    return {
        "log_mel_distance": statistics.fmean(metrics.log_mel_distance(*pair) for pair in pairs),
        "spectral_distance": statistics.fmean(
            metrics.spectral_distance(*pair[:2]) for pair in pairs
        ),
        "frechet": metrics.frechet_distance(others, own),
    }


def _layers(pipeline: Pipeline, reference: _Run, request: Settings) -> list[Layer]:
    """Every layer's output in both graphs, on the same inputs: what the reference was given for the
    first clip.
    """
    trace, manifest = reference.traces[0], pipeline.bundle.manifest
    tokens = reference.pipeline.tokens(request)
    project = {
        "cross_attn_cond": trace.conditioning.cross_attn_cond,
        "global_cond": trace.conditioning.global_cond,
    }
    some = [
        trace.calls[i]
        for i in sorted({round(i) for i in np.linspace(0, len(trace.calls) - 1, LAYER_CALLS)})
    ]
    length = request.latents(manifest)
    denoise, head = (manifest.latent.signature(name, length) for name in ("denoise", "head"))

    def asked(component: str, graph: Graph, earlier: Arrays | None) -> list[tuple[str, Arrays]]:
        """(signature, its outputs); what depends on an earlier signature gets the reference's
        (`earlier`).
        """
        if component == "conditioners":
            return [
                (
                    "condition",
                    graph(
                        "condition",
                        input_ids=tokens.ids,
                        attention_mask=tokens.mask,
                        seconds_total=np.array([request.seconds], np.float32),
                    ),
                )
            ]
        if component == "dit":
            projected = graph("project", **project)
            given = {
                name: value
                for name, value in (earlier or projected).items()
                if name == "global_embed" or name.startswith("cross_")
            }
            return [
                ("project", projected),
                *(
                    (denoise, graph(denoise, x=x, t=np.array([t], np.float32), **given))
                    for x, t, _ in some
                ),
            ]
        features = graph(head, latents=trace.latents)
        tile = (earlier or features)["features"][:, : manifest.tiling.tile]
        return [(head, features), ("tail", graph("tail", features=tile))]

    found = []
    for component in GENERATING:
        if (
            pipeline.precision[component] == reference.pipeline.precision[component]
            and pipeline.bundle == reference.pipeline.bundle
        ):
            continue
        runs: list[list[tuple[str, Arrays]]] = []
        names: dict[str, list[str]] = {}
        for one in (reference.pipeline, pipeline):
            signatures = {
                "conditioners": ("condition",),
                "dit": ("project", denoise),
                "decoder": (head, "tail"),
            }[component]
            path = one.bundle.graph_path(component, one.precision[component])
            with exposed(path, signatures, one.threads) as (graph, layers):
                names = names or layers
                runs.append(asked(component, graph, runs[0][0][1] if runs else None))
        values: dict[str, list[tuple[float, float]]] = {}
        for (signature, expected), (_, actual) in zip(*runs):
            for layer in names[signature]:
                if layer in actual:
                    values.setdefault(layer, []).append(
                        (
                            metrics.snr(actual[layer], expected[layer]),
                            metrics.gain(_varying(actual[layer]), _varying(expected[layer])),
                        )
                    )
        found += [
            Layer(
                component,
                layer,
                min(snr for snr, _ in pairs),
                statistics.median(gain for _, gain in pairs),
            )
            for layer, pairs in values.items()
        ]
    return found


def _varying(values: np.ndarray) -> np.ndarray:
    """What a layer's output has beside its bias, which would hide a wrong scale: less the mean over
    time, if there is time.
    """
    rows = values.reshape(-1, values.shape[-1])
    return rows - rows.mean(axis=0) if len(rows) > 1 else rows


def _cost(
    places: dict[str, Path],
    precisions: Iterable[str],
    threads: int | None,
    request: Settings,
    repeats: int,
    say: Say,
) -> dict[str, Any]:
    """Time and memory of each precision, each in fresh processes (`evaluate.bench`)."""
    found: dict[str, Any] = {"precisions": {}}
    for precision in precisions:
        say(f"{precision}: time and memory")
        report = bench.bench(
            places[precision],
            [precision],
            None if threads is None else [threads],
            request,
            repeats,
        )
        row = report.rows[0]
        found["precisions"][precision] = {
            "load_cold": row.load_cold,
            "load_warm": row.load_warm.mean,
            "condition": row.condition.mean,
            "step": row.step.mean,
            "sample": row.sample.mean,
            "decode": row.decode.mean,
            "total": row.total.mean,
            "peak_memory": row.peak,
        }
        found |= {"threads": row.threads, "repeats": repeats, "machine": report.machine}
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
