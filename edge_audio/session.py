"""One clip on its way: a generator of events that progress bars, players, servers and examiners
consume. Whoever drives it owns progress and cancelling: to cancel is to ask for no more.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_audio.audio.limiter import Limiter
from edge_audio.audio.loop import shortened
from edge_audio.bundle.manifest import AUDIO, MEAN, V
from edge_audio.errors import EdgeAudioError
from edge_audio.model.codec import decode, decode_circle, encode, faded, tiles_for
from edge_audio.model.contract import CONDITION, DECODE, SAMPLE, Call, Ports, Values
from edge_audio.model.model import Lease, Model
from edge_audio.model.tokens import Tokens, padded
from edge_audio.notes import Note
from edge_audio.sampling.editing import CROSS_FADE, keep_mask, keeping, pasted, rolled, started
from edge_audio.sampling.features import level_features, seconds_features
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS, Denoise, Noise, Step
from edge_audio.settings import Settings
from edge_audio.version import __version__

#: what a sound to start from is timed as
ENCODE = "encode"
#: the branches of guidance
BRANCHES = PROMPT, UNCONDITIONAL = "prompt", "unconditional"


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` of a stage ("condition", "sample", "decode") is done; step 0 says that the
    stage begins.
    """

    stage: str
    step: int
    steps: int


@dataclass(frozen=True)
class Sampled:
    """A step of the sampler was done."""

    step: Step


@dataclass(frozen=True)
class Block:
    """Audio, float32 [frames, channels], and the frames still to come."""

    samples: np.ndarray
    left: int


Event = Progress | Sampled | Block


@dataclass(frozen=True)
class Called:
    """A stage was run: its inputs and outputs by name, for those who look inside."""

    stage: str
    branch: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


Watch = Callable[[Called], None]


class Session:
    """The making of one clip.

    >>> session = Session(model, settings)
    >>> for event in session:
    ...     ...

    `notes`, `latents` float32 [1, T, C] and `timings` in seconds fill up on the way.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        noise: Noise | None = None,
        watch: Watch | None = None,
    ):
        """noise: shape -> standard normal float32, called for every draw in the order of use, in
        place of the seed's. watch: called with every stage that ran.
        """
        self.model, self.settings = model, settings
        self.noise = noise or NoiseStream(settings.seed).normal
        self.is_replayed = noise is not None
        self.watch = watch
        self.notes: list[Note] = settings.advice(model.manifest)
        self.timings: dict[str, float] = {}
        self.latents: np.ndarray | None = None
        self._init_latents: np.ndarray | None = None
        vocabulary = model.bundle.vocabulary
        for text in (settings.prompt, settings.negative):
            if text and vocabulary and (said := vocabulary.note(text, model.manifest.name)):
                self.notes.append(Note("words", said))

    def __iter__(self) -> Generator[Event, None, None]:
        """Make the clip, event by event."""
        settings, manifest = self.settings, self.model.manifest
        yield Progress(CONDITION, 0, 1)
        branches = self.condition()
        yield Progress(CONDITION, 1, 1)
        yield Progress(SAMPLE, 0, settings.steps)
        with self.model.lease(self.timings, SAMPLE) as lease:
            for step in self.steps(self.velocity(branches, lease)):
                yield Progress(SAMPLE, step.index + 1, step.total)
                yield Sampled(step)
        assert self.latents is not None  # the last step set them
        frames = settings.frames(manifest)
        tiles = len(tiles_for(manifest, self.latents.shape[1], frames))
        yield Progress(DECODE, 0, tiles)
        left = frames
        for index, samples in enumerate(self.finished(self.decode(self.latents))):
            left -= len(samples)
            yield Block(samples, left)
            yield Progress(DECODE, min(index + 1, tiles - 1) if left else tiles, tiles)

    # The parts, for those who look between them.

    def condition(self) -> list[Values]:
        """What the transformer is told: the prompt's branch, and with guidance the one that it
        steers away from.
        """
        settings, guidance = self.settings, self.model.manifest.guidance
        with self.model.lease(self.timings, CONDITION) as lease:
            root = self._values(lease)
            tokens, negative = self.tokens(), None
            if settings.is_guided and settings.negative:
                negative = self._encoded(self.reading(settings.negative), "negative prompt")
                # as long as each other, so that graphs are not resized from branch to branch
                tokens, negative = tokens.filled(negative), negative.filled(tokens)
            root.set(**_text_values(tokens), **self._clip_values())
            # Without a prompt, and to steer away from nothing in particular: zeros, the seconds
            # token included. What `kept` names tells the seconds too, and stays.
            encoded = settings.has_text or guidance.empty == "encoded"
            prompt = root if encoded else root.fork(PROMPT, **self._zeros(root))
            branches = [prompt]
            if negative is not None:
                kept = {name: root[name] for name in guidance.kept}
                branches.append(
                    root.fork(UNCONDITIONAL, **_text_values(negative, padding=0.0), **kept)
                )
            elif settings.is_guided:
                branches.append(root.fork(UNCONDITIONAL, **self._zeros(root)))
            for branch in branches:
                for name in self.model.contract.conditioning():
                    self._finite(branch[name], self.model.contract.gives[name])
        return branches

    def branches(self, lease: Lease, *told: Mapping[str, np.ndarray]) -> list[Values]:
        """Branches that are told what `Contract.conditioning` names, rather than the settings."""
        root = self._values(lease)
        kept = self.model.manifest.guidance.kept
        shared = {name: value for name, value in told[0].items() if name in kept}
        root.set(**self._clip_values(), **shared)
        return [
            root.fork(branch, **{n: v for n, v in values.items() if v is not shared.get(n)})
            for branch, values in zip(BRANCHES, told)
        ]

    def init_latents(self) -> np.ndarray:
        """Latents [1, T, C] of the sound to start from."""
        if self._init_latents is None:
            contract = self.model.contract
            with self.model.lease(self.timings, ENCODE) as lease:
                call, _ = self.worker(lease)
                latents = encode(
                    lambda stage, given: call(stage, given, PROMPT), contract, self._original
                )
            self._init_latents = self._finite(latents, contract.gives[MEAN])
        return self._init_latents

    def tokens(self) -> Tokens:
        """What the text encoder reads."""
        settings, prompt = self.settings, self.model.manifest.prompt
        if settings.prompt is not None and settings.has_text:
            return self._encoded(self.reading(settings.prompt), "prompt")
        # Where an empty prompt is zeros, the graph is needed only for what tells the seconds; one
        # token keeps its attention well defined.
        nothing = () if self.model.manifest.guidance.empty == "encoded" else (1,)
        ids = settings.ids or nothing
        return padded(ids, prompt.max_length, ends=prompt.ends, fill=prompt.padded)

    def reading(self, prompt: str) -> str:
        """A prompt as the model reads it: where it is a name alone, the seed decides what else it
        means (`Vocabulary.reading`).
        """
        vocabulary = self.model.bundle.vocabulary
        return prompt if vocabulary is None else vocabulary.reading(prompt, self.settings.seed)

    def velocity(self, branches: list[Values], lease: Lease) -> Denoise:
        """The transformer as a function (x [1, T, C], t) -> v, guidance included."""
        manifest, settings = self.model.manifest, self.settings
        for branch in branches:
            branch.work(*self.worker(lease))

        def v(x: np.ndarray, t: float, branch: Values) -> np.ndarray:
            branch.share(x=x, t=np.array([t], np.float32))
            if manifest.frequencies:
                branch.share(t_features=level_features(t, manifest.frequencies))
            return branch[V]

        scale = settings.cfg_scale if len(branches) > 1 else 1.0
        valid = settings.valid(manifest)
        return guided(v, branches[0], branches[-1], scale, settings.apg, valid)

    def steps(self, v: Denoise) -> Iterator[Step]:
        """The sampler's steps from the session's noise; the last one's x become `latents`."""
        settings, latent = self.settings, self.model.manifest.latent
        sampler = SAMPLERS[settings.sampler]
        shape = (1, settings.latents(self.model.manifest), latent.channels)
        x = self.noise(shape)
        if settings.init is not None:
            x = started(x, self.init_latents(), settings.strength)
            if settings.replace and not self._learned_to_keep:
                v = keeping(v, self._keep_mask(), self.init_latents())
        if settings.loop:
            v = rolled(v)
        sigmas = settings.sigmas(self.model.manifest)
        for step in sampler.sample(v, x, sigmas, self.noise):
            if step.index + 1 == step.total:
                self.latents = self._finite(step.x, self.model.contract.gives[V])
            yield step

    def decode(self, latents: np.ndarray) -> Iterator[np.ndarray]:
        """Blocks of audio, float32 [frames, channels], as the decoder gives them: not faded. Of a
        loop, all of the circle that it is made of.
        """
        contract = self.model.contract
        frames = self.settings.frames(self.model.manifest)
        with self.model.lease(self.timings, DECODE) as lease:
            call, _ = self.worker(lease)

            def run(stage: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
                return call(stage, inputs, PROMPT)

            blocks = (
                decode_circle(run, contract, latents)
                if self.settings.loop
                else decode(run, contract, latents, frames)
            )
            for block in blocks:
                yield self._finite(block, contract.gives[AUDIO])

    def finished(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks of audio as a clip has them: limited, if that was asked for, and faded."""
        manifest, limiter = self.model.manifest, Limiter()
        rate, frames = manifest.sample_rate, self.settings.frames(manifest)
        if self.settings.loop:
            blocks = self._looped(blocks, limiter)
        else:
            blocks = faded(limiter(blocks) if self.settings.limiter else blocks, frames, rate)
        if self.settings.replace:
            regions = self.settings.regions(manifest)
            original, fade = self._original[:frames], round(CROSS_FADE * rate)
            blocks = pasted(blocks, original, regions, fade)
        left = frames
        for block in blocks:
            left -= len(block)
            if not left and limiter.over > 0:  # before the last block, where some stop
                over = f"{limiter.over:.1f} dB above full scale"
                self.notes.append(Note("limiter", f"the limiter turned down peaks of up to {over}"))
            yield block

    def _looped(self, blocks: Iterable[np.ndarray], limiter: Limiter) -> Iterator[np.ndarray]:
        """The blocks of a circle as those of the loop; one that has to be shortened or limited
        comes at its end.
        """
        manifest = self.model.manifest
        frames = self.settings.frames(manifest)
        circle = self.settings.latents(manifest) * manifest.latent.downsampling
        if frames == circle and not self.settings.limiter:
            yield from blocks
            return
        loop = shortened(np.concatenate(list(blocks)), frames, manifest.sample_rate)
        if self.settings.limiter:  # which at the ends hears what is played before and after
            third = len(loop)
            loop = np.concatenate(list(limiter([np.concatenate([loop] * 3)])))[third : 2 * third]
        yield loop

    def recipe(self) -> dict[str, Any]:
        """All that makes the clip again, ready for JSON; `threads` is for information, `save` fills
        in the gain. A clip of replayed noise says so: its seed does not make it.
        """
        settings, model = self.settings, self.model
        more: dict[str, Any] = {"noise": "given"} if self.is_replayed else {}
        if settings.prompt and (reading := self.reading(settings.prompt)) != settings.prompt:
            more["read_as"] = reading
        if model.styles.adapters:
            more["lora"] = [dataclasses.asdict(adapter) for adapter in model.styles.adapters]
        return {
            "edge_audio": __version__,
            "model": model.manifest.name,
            "bundle_sha256": model.bundle.sha256,
            **settings.entries,
            "precision": dict(model.precision),
            "half": model.half,
            "threads": model.threads,
            "gain": 1.0,
            **more,
        }

    def _values(self, lease: Lease) -> Values:
        return Values(self.model.contract, *self.worker(lease))

    def worker(self, lease: Lease) -> tuple[Call, Ports]:
        """How stages are called, and what they read, while a lease lasts."""

        def call(
            stage: str, inputs: Mapping[str, np.ndarray], branch: str
        ) -> dict[str, np.ndarray]:
            outputs = lease.call(stage, inputs)
            if self.watch:
                self.watch(Called(stage, branch, inputs, outputs))
            return outputs

        return call, lease.ports

    def _clip_values(self) -> dict[str, np.ndarray]:
        """What the runtime tells the stages of the clip itself."""
        settings, manifest = self.settings, self.model.manifest
        length, seconds = settings.latents(manifest), manifest.seconds
        seconds_told = settings.seconds_told(manifest)
        values = {
            "seconds_total": np.array([seconds_told], np.float32),
            "positions": np.arange(length, dtype=np.int32)[None],
            "padding_mask": (np.arange(length) < settings.valid(manifest))[None].astype(np.float32),
            # nothing is kept, which is the same for every latent: one row stands for all
            "keep": np.zeros((1, 1, 1), np.float32),
            "kept_latents": np.zeros((1, 1, manifest.latent.channels), np.float32),
            **self._kept_values(),
        }
        if manifest.frequencies:
            values["seconds_features"] = seconds_features(
                seconds_told, seconds.min, seconds.max, manifest.frequencies
            )
        return values

    @property
    def _learned_to_keep(self) -> bool:
        """Whether the model was trained to keep parts, and is told which."""
        contract = self.model.contract
        return "keep" in contract.reads[contract.gives[V]]

    def _keep_mask(self) -> np.ndarray:
        manifest, settings = self.model.manifest, self.settings
        length, frames = settings.latents(manifest), settings.frames(manifest)
        regions = settings.regions(manifest)
        return keep_mask(length, manifest.latent.downsampling, frames, regions)

    def _kept_values(self) -> dict[str, np.ndarray]:
        """What a model is told that has learned to keep parts."""
        if not (self.settings.replace and self._learned_to_keep):
            return {}
        keep = self._keep_mask()[None, :, None]
        return {"keep": keep, "kept_latents": self.init_latents() * keep}

    @functools.cached_property
    def _original(self) -> np.ndarray:
        """The sound to start from as the model's audio, for all the latents of the clip."""
        manifest, source = self.model.manifest, self.settings.init
        assert source is not None  # nobody else asks
        frames = self.settings.latents(manifest) * manifest.latent.downsampling
        original = source.at(manifest.sample_rate, manifest.channels, frames)
        return np.pad(original, [(0, frames - len(original)), (0, 0)])

    def _zeros(self, values: Values) -> dict[str, np.ndarray]:
        return {name: np.zeros_like(values[name]) for name in self.model.manifest.guidance.zeroed}

    def _encoded(self, text: str, what: str) -> Tokens:
        tokens = self.model.tokenizer.encode(text)
        if tokens.truncated:
            limit = self.model.manifest.prompt.max_length
            self.notes.append(
                Note(
                    "tokens",
                    f"the {what} has {tokens.count} tokens and was cut to the {limit} that the"
                    " model reads; shorten it",
                )
            )
        return tokens

    def _finite(self, values: np.ndarray, stage: str) -> np.ndarray:
        if not np.isfinite(values).all():
            component = self.model.contract.stages[stage].component
            raise EdgeAudioError(
                f"the {component} graph in {self.model.precision[component]} gave values that are"
                f" not numbers; try another one with --precision {component}=f32 or export the"
                " model again"
            )
        return values


def _text_values(tokens: Tokens, padding: float = 1.0) -> dict[str, np.ndarray]:
    """What the runtime tells the stages of a text. padding: whether what follows the text is the
    padding that the model learned; a negative prompt's is zeros.
    """
    return {
        "input_ids": tokens.ids,
        "attention_mask": tokens.mask,
        "learned_padding": np.array([padding], np.float32),
    }
