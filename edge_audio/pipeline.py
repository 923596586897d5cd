"""Prompt -> clip, for people: `Pipeline` opens a model and drives its sessions."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.audio.source import Source
from edge_audio.bundle.precision import recommended
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.lora.merging import styles
from edge_audio.model.model import FREE, MODEL_VARIABLE, Model, default_model
from edge_audio.model.tokens import Tokens
from edge_audio.notes import Note
from edge_audio.request import Request
from edge_audio.sampling.samplers import Denoise, Noise, Step
from edge_audio.session import Block, Progress, Session
from edge_audio.settings import Settings
from edge_audio.system import device
from edge_audio.system.graph import Graph
from edge_audio.windows import session_for

__all__ = ["MODEL_VARIABLE", "Cancelled", "Conditioning", "Pipeline", "Progress", "default_model"]

#: what merging styles is called in a Progress
MERGE = "merge"

OnProgress = Callable[[Progress], "bool | None"]
OnBlock = Callable[[np.ndarray, int], None]


class Cancelled(EdgeAudioError):
    """The progress callback returned False."""


@dataclass(frozen=True)
class Conditioning:
    """What the transformer is told, for those who change it (`Pipeline.velocity`): the values that
    stages give before the sampling (`Contract.conditioning`), such as cross_attn_cond.
    """

    prompt: Mapping[str, np.ndarray]
    #: what guidance steers away from; None without guidance
    unconditional: Mapping[str, np.ndarray] | None = None

    def told(self, **values: np.ndarray) -> Conditioning:
        """The same, but for some of the prompt's values."""
        return dataclasses.replace(self, prompt={**self.prompt, **values})


class Stream(Iterator[np.ndarray]):
    """Blocks of a clip, float32 [frames, channels]; `notes` is what a person should know of it."""

    def __init__(self, session: Session, progress: OnProgress | None):
        self._session, self._blocks = session, _blocks(session, progress)

    def __next__(self) -> np.ndarray:
        return next(self._blocks).samples

    @property
    def notes(self) -> tuple[Note, ...]:
        """So far."""
        return tuple(self._session.notes)

    def close(self) -> None:
        """End it early; what it used is freed."""
        self._blocks.close()


class Pipeline:
    """A model ready to generate, also for several threads at once."""

    def __init__(self, model: Model):
        self.model = model

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        precision: str | Mapping[str, str] | None = None,
        threads: int | None = None,
        half: bool | None = None,
        memory: str | int = FREE,
        lora: Sequence[tuple[str | Path, float]] = (),
        progress: OnProgress | None = None,
    ) -> Pipeline:
        """Open a bundle; graphs are opened when they are needed.

        Args:
            model: folder of a bundle, or name of a model that is kept (`edge-audio models`); None:
                the one that $EDGE_AUDIO_MODEL names, or the bundled pocket model.
            precision: "int8", "dit=int8,decoder=f16", the mapping of a recipe, or None for what
                suits this CPU.
            threads: at most one a CPU is used; None for what suits this CPU.
            half: whether a decoder in floating point computes in float16, None where that suits
                this CPU.
            memory: what stays loaded between stages and clips: "free" (nothing), "fit" (what fits
                into half of the free memory), "all", or a number of bytes of weights.
            lora: styles to merge into the weights, one after the other: adapters with their
                strengths, such as [("vinyl.safetensors", 0.8)]. What was merged is kept for the
                next time.
            progress: called with a Progress while styles are merged; when it returns False,
                Cancelled is raised.

        Raises:
            EdgeAudioError: there is no such bundle, this system cannot run it at all, or an adapter
                is not for it.
            UsageError: a precision, strength or budget that is none.
        """
        asked = None if threads is None else device.usable_threads(threads)
        bundle, here = Bundle.open(default_model() if model is None else model), device.describe()
        chosen = bundle.choose(precision, recommended(here).preferred)
        half = device.recommended_half(here) if half is None else half
        if half and not device.runs_compiled_model(here):
            raise EdgeAudioError(
                f"{here.model or 'this CPU'} cannot compute in float16 through LiteRT; leave"
                " --fp16 out"
            )
        threads = asked or device.recommended_threads(here)

        def merged(done: int, layers: int) -> None:
            if progress and progress(Progress(MERGE, done, layers)) is False:
                raise Cancelled(f"cancelled after layer {done} of {layers}; load it again")

        return cls(
            Model(bundle, chosen, threads, half, memory, styles(bundle, chosen, lora, merged))
        )

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def bundle(self) -> Bundle:
        """The opened bundle."""
        return self.model.bundle

    @property
    def precision(self) -> dict[str, str]:
        """component -> precision that it runs in."""
        return self.model.precision

    @property
    def threads(self) -> int:
        """That a graph runs on."""
        return self.model.threads

    @property
    def half(self) -> bool:
        """Whether the decoder computes in float16."""
        return self.model.half

    def close(self) -> None:
        """Free graphs that the budget kept and nobody uses."""
        self.model.close()

    def generate(
        self,
        prompt: str | Request | Settings | None = None,
        *,
        seconds: float | None = None,
        seed: int | None = None,
        steps: int | None = None,
        sampler: str | None = None,
        cfg_scale: float | None = None,
        negative: str | None = None,
        ids: tuple[int, ...] | None = None,
        fit_length: bool | None = None,
        apg: float | None = None,
        pad_seconds: float | None = None,
        limiter: bool | None = None,
        init: Source | Clip | str | Path | None = None,
        strength: float | None = None,
        replace: Sequence[tuple[float, float]] | None = None,
        keep: Sequence[tuple[float, float]] | None = None,
        extend: float | None = None,
        extend_before: float | None = None,
        loop: bool | None = None,
        bars: float | None = None,
        bpm: float | None = None,
        noise: Noise | None = None,
        progress: OnProgress | None = None,
        on_block: OnBlock | None = None,
        **unknown: Any,
    ) -> Clip:
        """Make a clip of exactly round(seconds * sample_rate) frames.

        seconds, seed, steps, sampler, cfg_scale, negative, ids, fit_length, apg, pad_seconds,
        limiter, init, strength, replace, keep, extend, extend_before, loop, bars and bpm are as in
        Request.

        Args:
            prompt: what to hear, or a whole Request; the settings beside it override its own.
            noise: supplies every draw in place of the seed: shape -> standard normal float32, in
                the order of use (first the latents to start from, [1, T, C]).
            on_block: called with each block [frames, channels] as soon as it is decoded, and the
                frames still to come.
            progress: called with a Progress; when it returns False, Cancelled is raised. Whatever
                ends a generation, the next one works.

        Returns:
            The clip; `clip.notes` says which settings this model cannot use well, and what is wrong
            with the clip's level.

        Raises:
            UsageError: a setting that no model could serve.
            EdgeAudioError: one that this model cannot serve, or a damaged bundle.
        """
        given = {
            "seconds": seconds,
            "seed": seed,
            "steps": steps,
            "sampler": sampler,
            "cfg_scale": cfg_scale,
            "negative": negative,
            "ids": ids,
            "fit_length": fit_length,
            "apg": apg,
            "pad_seconds": pad_seconds,
            "limiter": limiter,
            "init": init,
            "strength": strength,
            "replace": None if replace is None else tuple(map(tuple, replace)),
            "keep": None if keep is None else tuple(map(tuple, keep)),
            "extend": extend,
            "extend_before": extend_before,
            "loop": loop,
            "bars": bars,
            "bpm": bpm,
        }
        session = session_for(self.model, self.settings(prompt, **given, **unknown), noise)
        blocks = []
        for block in _blocks(session, progress):
            blocks.append(block.samples)
            if on_block:
                on_block(block.samples, block.left)
        rate = self.bundle.manifest.sample_rate
        clip = Clip(np.concatenate(blocks), rate, session.recipe(), session.timings)
        notes = (*session.notes, *_level_notes(clip, self.bundle))
        return dataclasses.replace(clip, notes=notes, latents=session.latents)

    def stream(
        self,
        prompt: str | Request | Settings | None = None,
        *,
        progress: OnProgress | None = None,
        noise: Noise | None = None,
        **settings: Any,
    ) -> Stream:
        """Like `generate`, as float32 blocks [frames, channels]: the first comes when one tile is
        decoded.
        """
        return Stream(session_for(self.model, self.settings(prompt, **settings), noise), progress)

    def settings(self, prompt: str | Request | Settings | None = None, **given: Any) -> Settings:
        """What a request comes to with this model: every gap filled, everything checked."""
        if isinstance(prompt, Settings):
            prompt = Request.of(prompt)
        request = prompt if isinstance(prompt, Request) else Request(prompt)
        known = [field.name for field in dataclasses.fields(Request)]
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.4)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise UsageError(f"setting {name!r} is unknown; {meant}")
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(request, **given).resolved(self.bundle.manifest)

    # The stages one by one, for those who look between them.

    def condition(self, settings: Settings) -> Conditioning:
        """What the transformer is told."""
        names = self.model.contract.conditioning()
        return Conditioning(
            *(
                {name: branch[name] for name in names}
                for branch in Session(self.model, settings).condition()
            )
        )

    def tokens(self, settings: Settings) -> Tokens:
        """What the text encoder reads."""
        return Session(self.model, settings).tokens()

    @contextlib.contextmanager
    def velocity(self, settings: Settings, conditioning: Conditioning) -> Iterator[Denoise]:
        """The transformer as a function (x [1, T, C], t) -> v, guidance included, for the length of
        a `with`.
        """
        session, told = Session(self.model, settings), [conditioning.prompt]
        if settings.is_guided and conditioning.unconditional is not None:
            told.append(conditioning.unconditional)
        with self.model.lease() as lease:
            yield session.velocity(session.branches(lease, *told), lease)

    def trajectory(self, settings: Settings, v: Denoise) -> Iterator[Step]:
        """The sampler's steps from the settings' own noise; the last one's x are the latents
        [1, T, C].
        """
        return Session(self.model, settings).steps(v)

    def decode(self, settings: Settings, latents: np.ndarray) -> Iterator[np.ndarray]:
        """Blocks of audio, float32 [frames, channels], as the decoder gives them: not faded."""
        return Session(self.model, settings).decode(latents)

    @contextlib.contextmanager
    def graph(self, component: str) -> Iterator[Graph]:
        """A component's graph, for those who call it with inputs of their own."""
        with self.model.lease() as lease:
            yield lease.graph(component)


def _blocks(session: Session, progress: OnProgress | None) -> Generator[Block, None, None]:
    """A session's blocks, its progress reported on the way."""
    events = iter(session)
    try:
        for event in events:
            if isinstance(event, Block):
                yield event
            elif isinstance(event, Progress) and progress and progress(event) is False:
                raise Cancelled(
                    f"cancelled in stage {event.stage} after step {event.step} of {event.steps};"
                    " generate again when ready"
                )
    finally:
        events.close()


def _level_notes(clip: Clip, bundle: Bundle) -> list[Note]:
    levels, usual = clip.levels(), bundle.manifest.usual_level
    notes = [
        Note("level", f"{symptom}; run edge-audio diagnose to see why")
        for symptom in levels.symptoms()
    ]
    if usual and levels.is_quiet(usual):
        notes.append(
            Note(
                "level",
                f"the clip is quiet: {levels.loudest_dbfs:.0f} dBFS where it is loudest, this"
                f" model's sounds have {usual.median:.0f}; it may not know what was asked for",
            )
        )
    return notes
