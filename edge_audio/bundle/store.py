"""A bundle: the folder that holds one exported model, and the manifest that describes it.

The manifest is the only thing the exporter and the runtime share, so its schema lives here, once,
as dataclasses; `python -m export` writes it through :meth:`Manifest.to_json` and the runtime reads
it through :meth:`Bundle.open`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_audio.bundle.vocabulary import SoundFamily, Vocabulary, read_vocabulary
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.system import cache

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
PRECISIONS = ("f32", "f16", "int8", "int4", "mixed")
#: The components every bundle must have; `encoder` is optional (it serves audio-to-audio).
GENERATING = ("conditioners", "dit", "decoder")
COMPONENTS = (*GENERATING, "encoder")

#: component -> signature -> (inputs, outputs) that a graph must at least have. The names are the
#: contract.
SIGNATURES: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "conditioners": {
        "condition": (
            ("input_ids", "attention_mask", "seconds_total"),
            ("cross_attn_cond", "global_cond"),
        ),
    },
    "dit": {
        # `project` also returns the cross-attention keys and values of every block (cross_k_00,
        # cross_v_00, ...); the runtime hands all it returns to `denoise` by name and needs to know
        # none of them.
        "project": (("cross_attn_cond", "global_cond"), ("global_embed",)),
        "denoise": (("x", "t", "global_embed"), ("v",)),
    },
    "decoder": {"head": (("latents",), ("features",)), "tail": (("features",), ("audio",))},
    "encoder": {"encode": (("audio",), ("mean", "stdev"))},
}

#: Signatures that a bundle may have again for shorter latents, as NAME_LENGTH (`denoise_64`), on
#: the same weights.
BY_LENGTH = ("denoise", "head")


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
        """Name of a BY_LENGTH signature for latents of `length`."""
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
    schema: int = SCHEMA
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
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Inverse of `to_json`; ValueError names the first entry that is missing, unknown or of the
        wrong type.
        """
        manifest = _build(cls, json.loads(text), "manifest")
        latent = manifest.latent
        for name, value in (
            ("sample_rate", manifest.sample_rate),
            ("channels", manifest.channels),
            ("latent.length", latent.length),
            ("latent.channels", latent.channels),
            ("latent.downsampling", latent.downsampling),
            ("tiling.tile", manifest.tiling.tile),
            ("tiling.per_latent", manifest.tiling.per_latent),
            ("prompt.max_length", manifest.prompt.max_length),
            ("defaults.steps", manifest.defaults.steps),
        ):
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")
        if not 0 <= 2 * manifest.tiling.overlap < manifest.tiling.tile:
            raise ValueError(
                f"tiling.overlap {manifest.tiling.overlap} leaves nothing of tile"
                f" {manifest.tiling.tile}"
            )
        if latent.downsampling % manifest.tiling.per_latent:
            raise ValueError(
                f"tiling.per_latent {manifest.tiling.per_latent} does not divide "
                f"latent.downsampling {latent.downsampling}"
            )
        if (level := manifest.usual_level) and level.lowest > level.median:
            raise ValueError(
                f"usual_level.lowest {level.lowest:g} is above usual_level.median {level.median:g}"
            )
        shorter = list(latent.shorter)
        if shorter != sorted(set(shorter)) or any(
            not 1 <= length < latent.length for length in shorter
        ):
            raise ValueError(
                f"latent.shorter {shorter} must ascend, from 1 to below latent.length"
                f" {latent.length}"
            )
        if min(latent.lengths) * manifest.tiling.per_latent < manifest.tiling.tile:
            raise ValueError(
                f"tiling.tile {manifest.tiling.tile} is longer than the shortest latents"
            )
        return manifest


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Opening reads only the manifest; each file is checked when its path is
    asked for.
    """

    folder: Path
    manifest: Manifest
    #: Hash of manifest.json, which holds the hash of every other file: it identifies the model.
    sha256: str

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Read and check `folder`/manifest.json.

        EdgeAudioError says what is wrong and what to do.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise EdgeAudioError(
                f"no bundle at {folder}: {MANIFEST_NAME} is missing; "
                "in a clone of edge-audio, make one with `python -m export CHECKPOINT_DIR OUT_DIR`"
            )
        try:
            raw = path.read_bytes()
            schema = json.loads(raw).get("schema")
        except (OSError, ValueError, AttributeError) as error:
            raise EdgeAudioError(
                f"{path} cannot be read ({error}); export the model again"
            ) from None
        if schema != SCHEMA:
            newer = isinstance(schema, int) and schema > SCHEMA
            mend = "upgrade edge-audio" if newer else "export the model again"
            raise EdgeAudioError(
                f"{path} has schema {schema}, this edge-audio reads schema {SCHEMA}; {mend}"
            )
        try:
            manifest = Manifest.from_json(raw.decode())
        except ValueError as error:
            raise EdgeAudioError(
                f"{path} is not a valid manifest ({error}); export the model again"
            ) from None
        for component in GENERATING:
            if not set(PRECISIONS) & set(manifest.graphs.get(component, {})):
                raise EdgeAudioError(
                    f"{path} lists no {component} graph in a known precision; export the model"
                    " again"
                )
        return cls(folder, manifest, hashlib.sha256(raw).hexdigest())

    def precisions(self, component: str) -> tuple[str, ...]:
        """The precisions in which `component` is here, in the order of PRECISIONS."""
        return tuple(p for p in PRECISIONS if p in self.manifest.graphs.get(component, {}))

    def graph_path(self, component: str, precision: str) -> Path:
        """Path of a graph file whose size and hash have been checked: just now, or before it was
        last touched.
        """
        entries = self.manifest.graphs.get(component, {})
        if precision not in entries:
            raise EdgeAudioError(
                f"{self.folder} has no {component} in {precision}; "
                f"it has {', '.join(self.precisions(component)) or 'none at all'}"
            )
        return self._checked(entries[precision])

    def tokenizer_path(self) -> Path | None:
        """Path of the checked SentencePiece model, or None for a bundle that serves ids only."""
        entry = self.manifest.prompt.tokenizer
        return None if entry is None else self._checked(entry)

    def checks_path(self) -> Path | None:
        """Path of the checked file of prompts to measure the model with, or None."""
        entry = self.manifest.checks
        return None if entry is None else self._checked(entry)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The words that the model knows, or None for a bundle without such a list."""
        entry = self.manifest.vocabulary
        return None if entry is None else read_vocabulary(self._checked(entry))

    @property
    def prompts(self) -> tuple[SoundFamily, ...]:
        """Families of sounds that the model makes, with prompts that ask for them; none for a
        bundle without such a list.
        """
        return self.vocabulary.families if self.vocabulary else ()

    def choose(
        self,
        spec: str | Mapping[str, str] | None,
        preferred: Callable[[str], tuple[str, ...]] = lambda component: PRECISIONS,
    ) -> dict[str, str]:
        """Which precision each generating component runs in.

        spec: None (the first of `preferred(component)` that is here), "int8" (for all), or
        "dit=int8,decoder=f16" (the others as with None), which a recipe writes as a mapping.
        UsageError for a malformed spec, EdgeAudioError for a precision that this bundle does not
        have.
        """
        if isinstance(spec, Mapping):
            spec = ",".join(f"{component}={precision}" for component, precision in spec.items())
        chosen = {}
        for component in GENERATING:
            here = self.precisions(component)
            chosen[component] = next((p for p in preferred(component) if p in here), here[0])
        for part in [] if spec is None else spec.split(","):
            component, _, precision = part.strip().rpartition("=")
            if precision not in PRECISIONS or (component and component not in GENERATING):
                raise UsageError(
                    f"precision {part.strip()!r} is not understood; write one of"
                    f" {', '.join(PRECISIONS)}, or COMPONENT=PRECISION with a component of"
                    f" {', '.join(GENERATING)}"
                )
            for name in (component,) if component else GENERATING:
                if precision not in self.precisions(name):
                    raise EdgeAudioError(
                        f"{self.folder} has no {name} in {precision}; "
                        f"it has {', '.join(self.precisions(name))}"
                    )
                chosen[name] = precision
        return chosen

    def _checked(self, entry: FileEntry) -> Path:
        path = self.folder / entry.file
        mend = "copy the bundle again or export the model again"
        if not path.is_file():
            raise EdgeAudioError(f"{path} is missing; {mend}")
        if path.stat().st_size != entry.bytes:
            raise EdgeAudioError(
                f"{path} has {path.stat().st_size} bytes, the manifest says {entry.bytes}; {mend}"
            )
        if not cache.is_verified(path, entry.sha256):
            if file_sha256(path) != entry.sha256:
                raise EdgeAudioError(f"{path} has another sha256 than the manifest says; {mend}")
            cache.remember_verified(path, entry.sha256)
        return path


def file_sha256(path: str | Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def file_entry(path: Path) -> FileEntry:
    """The manifest's entry for a file that was just written."""
    return FileEntry(path.name, path.stat().st_size, file_sha256(path))


def _build(kind, value, where: str):
    """Turn parsed JSON into `kind` (a dataclass, dict, optional or scalar type); ValueError names
    the place.
    """
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = next(arg for arg in typing.get_args(kind) if arg is not type(None))
        return None if value is None else _build(inner, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), where, "a list", value)
        return tuple(
            _build(typing.get_args(kind)[0], item, f"{where}[{index}]")
            for index, item in enumerate(value)
        )
    if origin is dict:
        _expect(isinstance(value, dict), where, "an object", value)
        return {
            key: _build(typing.get_args(kind)[1], item, f"{where}.{key}")
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(kind):
        _expect(isinstance(value, dict), where, "an object", value)
        hints = typing.get_type_hints(kind)
        for key in value:
            _expect(key in hints, f"{where}.{key}", "no such entry", value[key])
        required = {
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        for key in sorted(required - value.keys()):
            raise ValueError(f"{where}.{key} is missing")
        return kind(
            **{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()}
        )
    if kind is float:
        _expect(
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and math.isfinite(value),
            where,
            "a finite number",
            value,
        )
        return float(value)
    _expect(type(value) is kind, where, kind.__name__, value)
    return value


def _expect(condition: bool, where: str, expected: str, value) -> None:
    if not condition:
        raise ValueError(f"{where}: expected {expected}, found {json.dumps(value)[:40]}")
