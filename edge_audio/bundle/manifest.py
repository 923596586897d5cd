"""The manifest: all that a runtime must know about a model besides its weights.

It is the only thing that the exporter and the runtimes share, so its schema lives here, once, as
dataclasses; `docs/manifest.schema.json` is made of them. `docs/bundle.md` says what may change in
it, and what a runtime does with a manifest that is older or newer than itself.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_audio.bundle import schema

#: Version of the manifest that this package writes: the second number counts entries that were
#: added and may be ignored, the first one changes that may not.
SCHEMA, MINOR = 2, 4
MANIFEST_NAME = "manifest.json"
#: The components every bundle must have; `encoder` is optional (it serves audio-to-audio).
GENERATING = ("conditioners", "dit", "decoder")
COMPONENTS = (*GENERATING, "encoder")

#: Values that a runtime makes itself, by what they belong to. A stage that reads one of them runs
#: whenever that changes, and a stage that reads another stage's values whenever those do.
HOST_VALUES = {
    "prompt": ("input_ids", "attention_mask", "learned_padding"),
    "clip": (
        "seconds_total",
        "seconds_features",
        "positions",
        "padding_mask",
        "keep",
        "kept_latents",
        "audio",
    ),
    "step": ("x", "t", "t_features"),
    "decode": ("latents",),
}
#: all of them
HOST = frozenset(name for names in HOST_VALUES.values() for name in names)
#: What a runtime asks the stages for.
V, AUDIO, MEAN = "v", "audio", "mean"
#: A dimension of a port that follows a length, that of the latents, of the prompt, or of what is
#: kept of other latents: "latents", "4*latents", "tokens+2".
BY_LENGTH = re.compile(r"(?:([1-9]\d{0,3})\*)?(latents|tokens|kept)(?:\+([1-9]\d{0,3}))?")
LATENTS, TOKENS, KEPT = "latents", "tokens", "kept"


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle, as it was when the bundle was written."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class GraphEntry(FileEntry):
    """One graph in one precision.

    fidelity: what the export measured against the float function, output -> dB. flops:
    floating-point operations of matrix products and convolutions, signature -> number. made_from: a
    hash of all that went into the file; an export that would make the same leaves it as it is.
    recipe: of `mixed`, how each layer is stored and why.
    """

    fidelity: dict[str, float] = field(default_factory=dict)
    flops: dict[str, float] = field(default_factory=dict)
    made_from: str = ""
    recipe: FileEntry | None = None


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter that was merged into the weights (`--lora`): the name of its file, the hash of
    what was read of it, and how strongly it acts; 1 is what it was trained at.
    """

    name: str
    sha256: str
    strength: float


@dataclass(frozen=True)
class Port:
    """A value that a stage reads or gives: its type, and its shape with numbers or BY_LENGTH."""

    type: str
    shape: tuple[int | str, ...]

    def shape_at(self, lengths: Mapping[str, int]) -> tuple[int, ...]:
        """The shape for these lengths, by name."""
        return tuple(
            size if isinstance(size, int) else by_length(size).at(lengths) for size in self.shape
        )

    def lengths_of(self, shape: tuple[int, ...]) -> dict[str, int]:
        """The lengths that an array of that shape has, by what this port's dimensions follow."""
        found = {}
        for size, actual in zip(self.shape, shape):
            if isinstance(size, str):
                dimension = by_length(size)
                found[dimension.of] = dimension.length(actual)
        return found

    @functools.cached_property  # asked at every call of a stage
    def follows(self) -> frozenset[str]:
        """LATENTS, TOKENS, KEPT: the lengths that its dimensions depend on."""
        return frozenset(by_length(size).of for size in self.shape if isinstance(size, str))


@dataclass(frozen=True)
class ByLength:
    """A dimension that follows a length: times · length + more."""

    times: int
    of: str
    more: int

    def at(self, lengths: Mapping[str, int]) -> int:
        """Its size for these lengths."""
        return self.times * lengths[self.of] + self.more

    def length(self, size: int) -> int:
        """The length for which it has at least that size."""
        return -(-(size - self.more) // self.times)


@functools.lru_cache(maxsize=64)
def by_length(text: str) -> ByLength:
    """A dimension written like BY_LENGTH; ValueError for anything else."""
    match = BY_LENGTH.fullmatch(text)
    if not match:
        raise ValueError(f"dimension {text[:20]!r} is neither a number nor like 2*latents")
    return ByLength(int(match[1] or 1), match[2], int(match[3] or 0))


@dataclass(frozen=True)
class Stage:
    """A signature of a component's graph, and its ports by name.

    A runtime hands it the values whose names it reads: those that it makes itself (HOST_VALUES) and
    those that other stages gave. more: the graph may have further ports, which go by their names
    like the others (bundles of schema 1, whose manifest did not list them). resizes: the graph has
    one signature of it, which is resized to whatever lengths it is given; others have one for each
    length that the manifest names.
    """

    component: str
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    more: bool = False
    resizes: bool = False

    @functools.cached_property
    def follows(self) -> frozenset[str]:
        """The lengths that its ports depend on."""
        ports = (*self.inputs.values(), *self.outputs.values())
        return frozenset().union(*(port.follows for port in ports))

    def lengths_of(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """The lengths that inputs of these shapes have, the most where they contradict."""
        lengths: dict[str, int] = {}
        for name, port in self.inputs.items():
            for kind, length in port.lengths_of(shapes[name]).items():
                lengths[kind] = max(length, lengths.get(kind, 0))
        return lengths


@dataclass(frozen=True)
class Padding:
    """How many latents a clip has, of a model that makes clips of any length: those of its seconds
    and of `seconds` more, made up to a multiple of `multiple`.
    """

    seconds: float
    multiple: int


@dataclass(frozen=True)
class Latent:
    """Shape of the latents, [length, channels]; one latent stands for `downsampling` samples of
    audio.

    `shorter` are further lengths, ascending, that the graphs can run at. padding: of models whose
    clips may have any number of latents up to `length`; the others' clips have one of the graphs'
    lengths.
    """

    length: int
    channels: int
    downsampling: int
    shorter: tuple[int, ...] = ()
    padding: Padding | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """All lengths, ascending; the last is the model's own."""
        return *self.shorter, self.length

    def signature(self, name: str, length: int) -> str:
        """Name of a signature that follows the length, for latents of `length`."""
        return name if length == self.length else f"{name}_{length}"


@dataclass(frozen=True)
class Prompt:
    """How text becomes ids. `tokenizer` is None in a bundle that serves token ids only.

    vocabulary_size: ids are below it. padded: whether a prompt is filled up to max_length.
    """

    max_length: int
    tokenizer: FileEntry | None = None
    vocabulary_size: int | None = None
    #: whether an end-of-sequence id is appended
    ends: bool = True
    padded: bool = True


@dataclass(frozen=True)
class SecondsRange:
    """What the number conditioner was trained on; values outside are clamped inside the graph."""

    min: float
    max: float


@dataclass(frozen=True)
class Tiling:
    """The decoder's tail runs on `tile` frames of features at a time; `overlap` frames at an inner
    edge are thrown away.

    The head gives `per_latent` frames for every latent.
    """

    tile: int
    overlap: int
    per_latent: int


@dataclass(frozen=True)
class Schedule:
    """The noise levels that a model was made for, whatever the sampler: evenly spaced in log-SNR
    from `start` to `end` (type "logsnr").
    """

    type: str
    start: float
    end: float


@dataclass(frozen=True)
class Defaults:
    """The settings this model was made for.

    apg: how much of what guidance adds along its own direction is taken away (`sampling.guidance`);
    0: nothing.
    """

    sampler: str
    steps: int
    cfg_scale: float
    apg: float = 0.0
    #: None: as long as the model can make
    seconds: float | None = None
    #: whether peaks above full scale are turned down while a clip is made (`audio.limiter`)
    limiter: bool = False
    #: whether a clip is made on the shortest latents that hold it, of a model that learnt to
    fit_length: bool = False


@dataclass(frozen=True)
class Guidance:
    """What guidance steers away from: the prompt's branch with the values of `zeroed` at zero, or,
    given a negative prompt, another prompt's branch with the values of `kept` from the first.

    empty: what an empty prompt is to the model, "zeroed" like the branch that guidance steers away
    from, or "encoded", a prompt of no tokens.
    """

    zeroed: tuple[str, ...]
    kept: tuple[str, ...] = ()
    empty: str = "zeroed"


@dataclass(frozen=True)
class UsualLevel:
    """How loud the sounds are that a model was trained on, each at its loudest
    (`Levels.loudest_dbfs`), in dBFS.
    """

    median: float
    lowest: float


@dataclass(frozen=True)
class Manifest:
    """Everything the runtime must know about a model besides its weights."""

    name: str
    license: str
    source_sha256: str
    sample_rate: int
    channels: int
    latent: Latent
    prompt: Prompt
    seconds: SecondsRange
    objective: str
    defaults: Defaults
    tiling: Tiling
    graphs: dict[str, dict[str, GraphEntry]]
    stages: dict[str, Stage]
    guidance: Guidance
    schema: int = SCHEMA
    minor: int = MINOR
    #: prompts with what they should sound like (`evaluate.prompts`), for models whose sounds can be
    #: measured
    checks: FileEntry | None = None
    #: what the model can be asked for (`vocabulary.Vocabulary`), for models that know few words
    vocabulary: FileEntry | None = None
    usual_level: UsualLevel | None = None
    #: the noise levels; None: the sampler's own
    schedule: Schedule | None = None
    #: of the features of numbers, for models that leave these to the runtime (`sampling.features`)
    frequencies: tuple[float, ...] = ()
    #: in the order in which they were merged into the weights of the source
    adapters: tuple[AdapterEntry, ...] = ()
    #: tensors of the source that graphs hold only as products, for adapters that change them
    #: (`lora.folded`)
    folded: FileEntry | None = None

    @property
    def longest(self) -> dict[str, int]:
        """The most that there can be of each length."""
        length = self.latent.length
        return {LATENTS: length, TOKENS: self.prompt.max_length, KEPT: length}

    @property
    def max_seconds(self) -> float:
        """Length of what the model generates, in seconds."""
        return self.latent.length * self.latent.downsampling / self.sample_rate

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Inverse of `to_json`; ValueError names the first entry that is missing, unknown or wrong.

        A manifest of schema 1 is read as one of this schema. Entries that a newer minor version
        added are ignored.
        """
        from edge_audio.bundle import migration, rules  # both speak of manifests

        entries = json.loads(text)
        if isinstance(entries, dict) and entries.get("schema") == 1:
            entries = migration.from_schema_1(entries)
        newer = isinstance(entries, dict) and schema.whole(entries.get("minor")) > MINOR
        manifest: Manifest = schema.build(cls, entries, "manifest", ignore_unknown=newer)
        rules.enforce(manifest)
        return dataclasses.replace(manifest, minor=MINOR)  # what `to_json` would write of it


def json_schema() -> dict[str, Any]:
    """The manifest as JSON Schema (draft 2020-12)."""
    return schema.json_schema(Manifest, "edge-audio manifest")


def order(stages: dict[str, Stage]) -> list[str]:
    """The stages so that each comes after those whose values it reads; ValueError for a circle."""
    gives = {output: name for name, stage in stages.items() for output in stage.outputs}
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"stages {' and '.join(path)} wait for each other")
        if name not in done:
            for port in stages[name].inputs:
                if port in gives:
                    visit(gives[port], (*path, name))
            done.append(name)

    for name in stages:
        visit(name, ())
    return done


def files(manifest: Manifest) -> Iterator[FileEntry]:
    """Every file that the manifest names."""
    graphs = [entry for entries in manifest.graphs.values() for entry in entries.values()]
    recipes = [entry.recipe for entry in graphs]
    others = (
        manifest.prompt.tokenizer,
        manifest.checks,
        manifest.vocabulary,
        manifest.folded,
    )
    return (entry for entry in (*graphs, *recipes, *others) if entry is not None)
