"""The manifest: all that a runtime must know about a model besides its weights.

It is the only thing that the exporter and the runtimes share, so its schema lives here, once, as
dataclasses; `docs/manifest.schema.json` is made of them. `docs/bundle.md` says what may change in
it, and what a runtime does with a manifest that is older or newer than itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_audio.bundle import schema

#: Version of the manifest that this package writes: the second number counts entries that were
#: added and may be ignored, the first one changes that may not.
SCHEMA, MINOR = 2, 0
MANIFEST_NAME = "manifest.json"
#: The components every bundle must have; `encoder` is optional (it serves audio-to-audio).
GENERATING = ("conditioners", "dit", "decoder")
COMPONENTS = (*GENERATING, "encoder")

#: Values that a runtime makes itself, by what they belong to. A stage that reads one of them runs
#: whenever that changes, and a stage that reads another stage's values whenever those do.
HOST_VALUES = {
    "prompt": ("input_ids", "attention_mask"),
    "clip": ("seconds_total", "audio"),
    "step": ("x", "t"),
    "decode": ("latents",),
}
#: What a runtime asks the stages for.
V, AUDIO = "v", "audio"
#: A dimension of a port that follows the length of the latents: "latents", or "4*latents".
BY_LENGTH = re.compile(r"(?:([1-9]\d{0,3})\*)?latents")

#: What no model has; a manifest that says so was damaged, or made to do harm.
LARGEST = {"sample_rate": 768_000, "channels": 64, "max_length": 65_536, "elements": 1 << 28}
LONGEST_NAME = 200


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
class Port:
    """A value that a stage reads or gives: its type, and its shape with numbers or BY_LENGTH."""

    type: str
    shape: tuple[int | str, ...]

    def shape_at(self, latents: int) -> tuple[int, ...]:
        """The shape for latents of that length."""
        return tuple(n if isinstance(n, int) else _times(n) * latents for n in self.shape)

    @property
    def follows_length(self) -> bool:
        """Whether a dimension depends on the length of the latents."""
        return any(isinstance(size, str) for size in self.shape)


@dataclass(frozen=True)
class Stage:
    """A signature of a component's graph, and its ports by name.

    A runtime hands it the values whose names it reads: those that it makes itself (HOST_VALUES) and
    those that other stages gave. more: the graph may have further ports, which go by their names
    like the others (bundles of schema 1, whose manifest did not list them).
    """

    component: str
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    more: bool = False

    @property
    def follows_length(self) -> bool:
        """Whether the graph has a signature of it for every length of the latents."""
        return any(port.follows_length for port in (*self.inputs.values(), *self.outputs.values()))


@dataclass(frozen=True)
class Latent:
    """Shape of the latents, [length, channels]; one latent stands for `downsampling` samples of
    audio.

    `shorter` are further lengths, ascending, that the graphs can run at.
    """

    length: int
    channels: int
    downsampling: int
    shorter: tuple[int, ...] = ()

    @property
    def lengths(self) -> tuple[int, ...]:
        """All lengths, ascending; the last is the model's own."""
        return *self.shorter, self.length

    def signature(self, name: str, length: int) -> str:
        """Name of a signature that follows the length, for latents of `length`."""
        return name if length == self.length else f"{name}_{length}"


@dataclass(frozen=True)
class Prompt:
    """How text becomes ids. `tokenizer` is None in a bundle that serves token ids only."""

    max_length: int
    tokenizer: FileEntry | None = None


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
class Defaults:
    """The settings this model was made for."""

    sampler: str
    steps: int
    cfg_scale: float


@dataclass(frozen=True)
class Guidance:
    """What guidance steers away from: the prompt's branch with the values of `zeroed` at zero, or,
    given a negative prompt, another prompt's branch with the values of `kept` from the first.
    """

    zeroed: tuple[str, ...]
    kept: tuple[str, ...] = ()


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
        entries = json.loads(text)
        if isinstance(entries, dict) and entries.get("schema") == 1:
            entries = from_schema_1(entries)
        newer = isinstance(entries, dict) and schema.whole(entries.get("minor")) > MINOR
        manifest: Manifest = schema.build(cls, entries, "manifest", ignore_unknown=newer)
        for check in (_check_sizes, _check_tiling, _check_names, _check_stages):
            check(manifest)
        return manifest


def json_schema() -> dict[str, Any]:
    """The manifest as JSON Schema (draft 2020-12)."""
    return schema.json_schema(Manifest, "edge-audio manifest")


# What bundles of schema 1 consist of, which their manifests did not say.
_SCHEMA_1 = {
    "condition": (
        "conditioners",
        ("input_ids", "attention_mask", "seconds_total"),
        ("cross_attn_cond", "global_cond"),
    ),
    "project": ("dit", ("cross_attn_cond", "global_cond"), ("global_embed",)),
    "denoise": ("dit", ("x", "t", "global_embed"), ("v",)),
    "head": ("decoder", ("latents",), ("features",)),
    "tail": ("decoder", ("features",), ("audio",)),
    "encode": ("encoder", ("audio",), ("mean", "stdev")),
}


def from_schema_1(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries of a manifest of schema 1 as this schema has them; its ports have no shapes but
    for those that follow the latents.
    """
    graphs = entries.get("graphs")
    here = graphs if isinstance(graphs, dict) else {}

    def ports(stage: str, names: tuple[str, ...]) -> dict[str, Any]:
        by_length = stage in ("denoise", "head")
        return {
            name: {
                "type": "int32" if name in HOST_VALUES["prompt"] else "float32",
                "shape": ["latents"] if by_length and name in ("x", "v", "latents") else [],
            }
            for name in names
        }

    stages = {
        stage: {
            "component": component,
            "inputs": ports(stage, inputs),
            "outputs": ports(stage, outputs),
            "more": True,
        }
        for stage, (component, inputs, outputs) in _SCHEMA_1.items()
        if component in here
    }
    guidance = {"zeroed": ["cross_attn_cond"], "kept": ["global_cond"]}
    added = {"schema": SCHEMA, "minor": MINOR, "stages": stages, "guidance": guidance}
    return {**entries, **added}


def _times(size: str) -> int:
    match = BY_LENGTH.fullmatch(size)
    return int(match[1] or 1) if match else 0


def _check_sizes(manifest: Manifest) -> None:
    latent, prompt, tiling = manifest.latent, manifest.prompt, manifest.tiling
    for name, value, largest in (
        ("sample_rate", manifest.sample_rate, LARGEST["sample_rate"]),
        ("channels", manifest.channels, LARGEST["channels"]),
        ("latent.length", latent.length, LARGEST["elements"]),
        ("latent.channels", latent.channels, LARGEST["elements"]),
        ("latent.downsampling", latent.downsampling, LARGEST["elements"]),
        ("tiling.tile", tiling.tile, LARGEST["elements"]),
        ("tiling.per_latent", tiling.per_latent, LARGEST["elements"]),
        ("prompt.max_length", prompt.max_length, LARGEST["max_length"]),
        ("defaults.steps", manifest.defaults.steps, 10_000),
        ("the latents", latent.length * latent.channels, LARGEST["elements"]),
        (
            "the audio",
            latent.length * latent.downsampling * manifest.channels,
            LARGEST["elements"],
        ),
    ):
        if not 1 <= value <= largest:
            raise ValueError(f"{name} is {value}, must be at least 1 and at most {largest}")
    shorter = list(latent.shorter)
    if shorter != sorted(set(shorter)) or any(not 1 <= n < latent.length for n in shorter):
        raise ValueError(
            f"latent.shorter {shorter} must ascend, from 1 to below latent.length {latent.length}"
        )
    if (level := manifest.usual_level) and level.lowest > level.median:
        raise ValueError(
            f"usual_level.lowest {level.lowest:g} is above usual_level.median {level.median:g}"
        )


def _check_tiling(manifest: Manifest) -> None:
    latent, tiling = manifest.latent, manifest.tiling
    if not 0 <= 2 * tiling.overlap < tiling.tile:
        raise ValueError(f"tiling.overlap {tiling.overlap} leaves nothing of tile {tiling.tile}")
    if latent.downsampling % tiling.per_latent:
        raise ValueError(
            f"tiling.per_latent {tiling.per_latent} does not divide "
            f"latent.downsampling {latent.downsampling}"
        )
    if min(latent.lengths) * tiling.per_latent < tiling.tile:
        raise ValueError(f"tiling.tile {tiling.tile} is longer than the shortest latents")


def _check_names(manifest: Manifest) -> None:
    """Names are shown on terminals and pages, and files are opened: nothing may hide in them."""
    for name, text in (("name", manifest.name), ("license", manifest.license)):
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise ValueError(
                f"{name} must be one line of at most {LONGEST_NAME} printable characters"
            )
    for entry in files(manifest):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", entry.file):
            raise ValueError(f"file {entry.file[:40]!r} is no bare file name")
        if entry.bytes < 0 or not re.fullmatch("[0-9a-f]{64}", entry.sha256):
            raise ValueError(f"the size or the sha256 of file {entry.file} cannot be")


def _check_stages(manifest: Manifest) -> None:
    host = {name for names in HOST_VALUES.values() for name in names}
    given: dict[str, str] = {}
    for name, stage in manifest.stages.items():
        if stage.component not in manifest.graphs:
            raise ValueError(f"stage {name} is in component {stage.component}, which has no graph")
        for port_name, port in (*stage.inputs.items(), *stage.outputs.items()):
            _check_port(f"stages.{name}: port {port_name}", port)
        for output in stage.outputs:
            if output in given:
                raise ValueError(f"stages {given[output]} and {name} both give {output}")
            given[output] = name
    for name, stage in manifest.stages.items():
        for port_name in stage.inputs:
            if port_name not in host and port_name not in given:
                raise ValueError(
                    f"stage {name} reads {port_name}, which no stage gives and no runtime makes"
                )
    for wanted in (V, AUDIO):
        if wanted not in given:
            raise ValueError(f"no stage gives {wanted}")
    for name in (*manifest.guidance.zeroed, *manifest.guidance.kept):
        if name not in given:
            raise ValueError(f"guidance names {name[:40]}, which no stage gives")
    order(manifest.stages)


def _check_port(where: str, port: Port) -> None:
    if port.type not in ("float32", "int32"):
        raise ValueError(f"{where} is of type {port.type[:20]!r}; write float32 or int32")
    for size in port.shape:
        if isinstance(size, str) and not BY_LENGTH.fullmatch(size):
            raise ValueError(f"{where} has the dimension {size[:20]!r}; write a number or latents")
        if isinstance(size, int) and not 1 <= size <= LARGEST["elements"]:
            raise ValueError(f"{where} has the dimension {size}")


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
    others = (manifest.prompt.tokenizer, manifest.checks, manifest.vocabulary)
    return (entry for entry in (*graphs, *recipes, *others) if entry is not None)
