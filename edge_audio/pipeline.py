"""Prompt -> clip: condition, sample, decode; each graph is opened when its stage begins and freed
when it ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio import __version__
from edge_audio.audio.clip import Clip
from edge_audio.bundle.store import MANIFEST_NAME, Bundle
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning
from edge_audio.model.codec import decode, faded, tiles_for
from edge_audio.model.tokens import Tokenizer, Tokens, padded
from edge_audio.request import Request
from edge_audio.sampling.guidance import Projected, guided
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS, Denoise, Step
from edge_audio.system import cache, device
from edge_audio.system.graph import Graph, check_threads

MODEL_VARIABLE = "EDGE_AUDIO_MODEL"
#: precisions whose arithmetic is floating point, all or mostly
HALF = ("f32", "f16", "mixed")
#: bytes that a graph needs beside its weights, at most (full size, head of the decoder)
ACTIVATIONS = 200_000_000


class Cancelled(EdgeAudioError):
    """The progress callback returned False."""


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` of a stage ("condition", "sample", "decode") is done; step 0 says that the
    stage begins.
    """

    stage: str
    step: int
    steps: int


OnProgress = Callable[[Progress], "bool | None"]
Report = Callable[[str, int, int], None]


def _silent(stage: str, step: int, steps: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Conditioning:
    """What the transformer is told, once a clip."""

    #: float32 [1, L + 1, C]
    cross_attn_cond: np.ndarray
    #: cross_attn_cond of what guidance steers away from; None without guidance
    unconditional: np.ndarray | None
    #: float32 [1, C], the same for both
    global_cond: np.ndarray


class Pipeline:
    """A model ready to generate. Not for several threads at once: give each its own."""

    def __init__(
        self,
        bundle: Bundle,
        precision: dict[str, str],
        threads: int,
        keep_loaded: bool = False,
        half: bool = False,
    ):
        """precision: component -> precision, for every generating component (`Bundle.choose`).

        half: as in `load`.
        """
        self.bundle, self.precision, self.threads, self.keep_loaded = (
            bundle,
            precision,
            threads,
            keep_loaded,
        )
        self.half = half and precision["decoder"] in HALF
        self._paths: dict[str, Path] = {}
        self._kept: dict[str, Graph] = {}
        self._tokenizer: Tokenizer | None = None

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        precision: str | Mapping[str, str] | None = None,
        threads: int | None = None,
        keep_loaded: bool = False,
        half: bool | None = None,
    ) -> Pipeline:
        """Open a bundle; graphs are opened when they are needed.

        model: folder of a bundle; None: the one named by $EDGE_AUDIO_MODEL, or the bundled pocket
        model. precision: "int8", "dit=int8,decoder=f16", or None for what suits this CPU. threads:
        None for what suits this CPU. keep_loaded: keep graphs open from one clip to the next. half:
        whether a decoder in floating point computes in float16, None where that suits this CPU.
        EdgeAudioError if this system cannot run it at all.
        """
        if threads is not None:
            check_threads(threads)
        bundle, here = Bundle.open(default_model() if model is None else model), device.describe()
        chosen = bundle.choose(precision, device.recommended_precision(here).preferred)
        half = device.recommended_half(here) if half is None else half
        if half and not device.runs_compiled_model(here):
            raise EdgeAudioError(
                f"{here.model or 'this CPU'} cannot compute in float16 through LiteRT; leave"
                " --fp16 out"
            )
        return cls(bundle, chosen, threads or device.recommended_threads(here), keep_loaded, half)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Free graphs that `keep_loaded` kept."""
        while self._kept:
            self._kept.popitem()[1].close()

    def generate(
        self,
        prompt: str | Request | None = None,
        *,
        progress: OnProgress | None = None,
        on_block: Callable[[np.ndarray, int], None] | None = None,
        **settings,
    ) -> Clip:
        """Make a clip of exactly round(seconds * sample_rate) frames.

        settings: the fields of Request (seconds, seed, steps, sampler, cfg_scale, negative, ids,
        fit_length). on_block: called with each block [frames, channels] as soon as it is decoded,
        and the frames still to come. progress: called with a Progress; when it returns False,
        Cancelled is raised. Whatever ends a generation, the next one works. EdgeAudioWarning says
        which settings this model cannot use well, and what is wrong with the clip's level.
        """
        request = self._resolved(prompt, settings)
        timings: dict[str, float] = {}
        blocks, left = [], request.frames(self.bundle.manifest)
        for block in self._blocks(request, progress, timings):
            blocks.append(block)
            left -= len(block)
            if on_block:
                on_block(block, left)
        clip = Clip(
            np.concatenate(blocks), self.bundle.manifest.sample_rate, self.recipe(request), timings
        )
        levels, usual = clip.levels(), self.bundle.manifest.usual_level
        for note in levels.symptoms():
            _warn(f"{note}; run edge-audio diagnose to see why")
        if usual and levels.is_quiet(usual):
            _warn(
                f"the clip is quiet: {levels.loudest_dbfs:.0f} dBFS where it is loudest, this"
                f" model's sounds have {usual.median:.0f}; it may not know what was asked for"
            )
        return clip

    def stream(
        self, prompt: str | Request | None = None, *, progress: OnProgress | None = None, **settings
    ) -> Iterator[np.ndarray]:
        """Like `generate`, as float32 blocks [frames, channels]: the first comes when one tile is
        decoded.
        """
        return self._blocks(self._resolved(prompt, settings), progress, {})

    def _resolved(self, prompt: str | Request | None, settings: dict) -> Request:
        request = prompt if isinstance(prompt, Request) else Request(prompt)
        request = dataclasses.replace(request, **settings).resolved(self.bundle.manifest)
        for note in request.advice(self.bundle.manifest) + self._unknown_words(request):
            _warn(note)
        return request

    def _unknown_words(self, request: Request) -> list[str]:
        vocabulary, texts = self.bundle.vocabulary, (request.prompt, request.negative)
        notes = (
            vocabulary.note(text, self.bundle.manifest.name)
            for text in texts
            if text and vocabulary
        )
        return [note for note in notes if note]

    def _blocks(
        self, request: Request, progress: OnProgress | None, timings: dict[str, float]
    ) -> Iterator[np.ndarray]:
        report = _reporter(progress)
        conditioning = self.condition(request, report, timings)
        report("sample", 0, request.steps)
        with self.velocity(request, conditioning, timings) as v:
            for step in self.trajectory(request, v):
                report("sample", step.index + 1, step.total)
        manifest = self.bundle.manifest
        yield from faded(
            self.decode(request, step.x, report, timings),
            request.frames(manifest),
            manifest.sample_rate,
        )

    # The stages one by one, for those who look between them. They take resolved requests; `timings`
    # gets what they took.

    def condition(
        self, request: Request, report: Report = _silent, timings: dict[str, float] | None = None
    ) -> Conditioning:
        """What the transformer is told."""
        report("condition", 0, 1)
        seconds = np.array([request.seconds], np.float32)
        with self._opened("conditioners", "condition", timings) as graph:

            def run(tokens: Tokens) -> dict[str, np.ndarray]:
                found = graph(
                    "condition",
                    input_ids=tokens.ids,
                    attention_mask=tokens.mask,
                    seconds_total=seconds,
                )
                return {
                    name: self._finite(values, "conditioners") for name, values in found.items()
                }

            positive = run(self.tokens(request))
            # Without a prompt, and to steer away from nothing in particular: zeros, the seconds
            # token included. The global condition, which tells the seconds too, is kept.
            zeros = np.zeros_like(positive["cross_attn_cond"])
            cond = positive["cross_attn_cond"] if request.has_text else zeros
            uncond = None
            if request.is_guided:
                negative = (
                    self._encoded(request.negative, "negative prompt") if request.negative else None
                )
                uncond = run(negative)["cross_attn_cond"] if negative else zeros
        report("condition", 1, 1)
        return Conditioning(cond, uncond, positive["global_cond"])

    def tokens(self, request: Request) -> Tokens:
        """What the text encoder reads."""
        manifest = self.bundle.manifest
        if request.prompt is not None and request.has_text:
            return self._encoded(request.prompt, "prompt")
        # An empty prompt needs the graph only for global_cond; one token keeps its attention well
        # defined.
        return padded(request.ids or (1,), manifest.prompt.max_length)

    def _encoded(self, text: str, what: str) -> Tokens:
        max_length = self.bundle.manifest.prompt.max_length
        if self._tokenizer is None:
            self._tokenizer = Tokenizer(self.bundle.tokenizer_path(), max_length)
        tokens = self._tokenizer.encode(text)
        if tokens.truncated:
            _warn(
                f"the {what} has {tokens.count} tokens and was cut to the {max_length} that the"
                " model reads; shorten it"
            )
        return tokens

    @contextlib.contextmanager
    def velocity(
        self, request: Request, conditioning: Conditioning, timings: dict[str, float] | None = None
    ) -> Iterator[Denoise]:
        """The transformer as a function (x [1, T, C], t) -> v, guidance included, for the length of
        a `with`.
        """
        length = request.latents(self.bundle.manifest)
        signature = self.bundle.manifest.latent.signature("denoise", length)
        with self._opened("dit", "sample", timings) as graph:

            def project(cross_attn_cond: np.ndarray) -> Projected:
                return graph(
                    "project", cross_attn_cond=cross_attn_cond, global_cond=conditioning.global_cond
                )

            def denoise(x: np.ndarray, t: float, projected: Projected) -> np.ndarray:
                return graph(signature, x=x, t=np.array([t], np.float32), **projected)["v"]

            uncond = conditioning.unconditional
            yield guided(
                denoise,
                project(conditioning.cross_attn_cond),
                None if uncond is None else project(uncond),
                request.cfg_scale if request.is_guided else 1.0,
            )

    def trajectory(self, request: Request, v: Denoise) -> Iterator[Step]:
        """The sampler's steps from the request's own noise; the last one's x are the latents [1, T,
        C].
        """
        noise, sampler = NoiseStream(request.seed), SAMPLERS[request.sampler]
        x = noise.normal(
            (1, request.latents(self.bundle.manifest), self.bundle.manifest.latent.channels)
        )
        for step in sampler.sample(v, x, sampler.schedule(request.steps), noise.normal):
            if step.index + 1 == step.total:
                self._finite(step.x, "dit")
            yield step

    def decode(
        self,
        request: Request,
        latents: np.ndarray,
        report: Report = _silent,
        timings: dict[str, float] | None = None,
    ) -> Iterator[np.ndarray]:
        """Blocks of audio, float32 [frames, channels], as the decoder gives them: not faded at the
        ends.
        """
        manifest = self.bundle.manifest
        frames = request.frames(manifest)
        total = len(tiles_for(manifest, latents.shape[1], frames))
        report("decode", 0, total)
        with self._opened("decoder", "decode", timings) as graph:
            for index, block in enumerate(decode(graph, manifest, latents, frames)):
                yield self._finite(block, "decoder")
                report("decode", index + 1, total)

    @contextlib.contextmanager
    def graph(self, component: str) -> Iterator[Graph]:
        """A component's graph, for those who call it with inputs of their own."""
        with self._opened(component, "look", None) as graph:
            yield graph

    def recipe(self, request: Request) -> dict:
        """All that makes the clip again, ready for JSON; `threads` is for information, `save` fills
        in the gain.
        """
        settings = {
            **dataclasses.asdict(request),
            "ids": None if request.ids is None else list(request.ids),
        }
        return {
            "edge_audio": __version__,
            "model": self.bundle.manifest.name,
            "bundle_sha256": self.bundle.sha256,
            **settings,
            "precision": dict(self.precision),
            "half": self.half,
            "threads": self.threads,
            "gain": 1.0,
        }

    def _finite(self, values: np.ndarray, component: str) -> np.ndarray:
        if not np.isfinite(values).all():
            raise EdgeAudioError(
                f"the {component} graph in {self.precision[component]} gave values that are not"
                f" numbers; try another one with --precision {component}=f32 or export the model"
                " again"
            )
        return values

    @contextlib.contextmanager
    def _opened(
        self, component: str, stage: str, timings: dict[str, float] | None
    ) -> Iterator[Graph]:
        """A component's graph for one stage, freed at its end whatever happens, unless graphs are
        kept.
        """
        timings = {} if timings is None else timings
        start = time.perf_counter()
        graph = self._kept.pop(component, None) or self._open(component)
        timings[f"{stage}_load"] = time.perf_counter() - start
        start = time.perf_counter()
        try:
            yield graph
        finally:
            timings[f"{stage}_run"] = time.perf_counter() - start
            if self.keep_loaded:
                self._kept[component] = graph
            else:
                graph.close()

    def _open(self, component: str) -> Graph:
        precision = self.precision[component]
        if component not in self._paths:  # checked once, then trusted
            self._paths[component] = self.bundle.graph_path(component, precision)
        path, entry = self._paths[component], self.bundle.manifest.graphs[component][precision]
        half = self.half and component == "decoder"
        with cache.packed_weights(path, f"{entry.sha256} half" if half else entry.sha256) as packed:
            if packed is None:  # the graph packs a copy of its own
                _check_memory(path, entry.bytes)
            graph = Graph(path, self.threads, packed, half)
        try:
            return graph.check(component, self.bundle.manifest.latent.shorter)
        except EdgeAudioError:
            graph.close()
            raise


def default_model() -> Path:
    """$EDGE_AUDIO_MODEL, or the pocket model: inside the installed package, else in the source
    tree's models/.
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    package = Path(__file__).resolve().parent
    places = (package / "pocket", package.parent / "models" / "pocket")
    return next((place for place in places if (place / MANIFEST_NAME).is_file()), places[-1])


def _check_memory(path: Path, weights: int) -> None:
    """Before a graph is loaded: EdgeAudioError if it cannot fit, a warning if it will make the
    system swap.
    """
    needed, memory = weights + min(weights, ACTIVATIONS), device.memory()
    if memory.available and needed > memory.available + memory.swap:
        raise EdgeAudioError(
            f"{path.name} needs {needed / 1e9:.2f} GB of memory and {memory.available / 1e9:.2f} GB"
            f" are free{f', {memory.swap / 1e9:.2f} GB of swap included' if memory.swap else ''};"
            " close other programs, add swap, or use --precision int8"
        )
    if memory.available and needed > memory.available:
        _warn(
            f"{path.name} needs {needed / 1e9:.2f} GB of memory and {memory.available / 1e9:.2f} GB"
            " are free, so it will swap; close other programs or use --precision int8"
        )


def _reporter(progress: OnProgress | None) -> Report:
    def report(stage: str, step: int, steps: int) -> None:
        if progress is not None and progress(Progress(stage, step, steps)) is False:
            raise Cancelled(
                f"cancelled in stage {stage} after step {step} of {steps}; generate again when"
                " ready"
            )

    return report


def _warn(message: str) -> None:
    warnings.warn(message, EdgeAudioWarning, stacklevel=4)
