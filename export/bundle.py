"""Put a bundle together: build the components, convert, verify, write the manifest.

Each graph is kept as soon as it is verified, in a folder beside the bundle; an export that was
interrupted goes on from there, and one that is run again makes only what changed. The bundle itself
is replaced at the end, all at once or not at all (`publish`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import hashlib
import importlib.metadata
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from edge_audio.bundle.manifest import (
    COMPONENTS,
    GENERATING,
    MANIFEST_NAME,
    Defaults,
    FileEntry,
    GraphEntry,
    Manifest,
    SecondsRange,
    Stage,
    Tiling,
    UsualLevel,
)
from edge_audio.bundle.manifest import Prompt as PromptEntry
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.bundle.vocabulary import Vocabulary
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.evaluate.layers import operations
from edge_audio.evaluate.prompts import Prompt, read, to_json
from edge_audio.sampling.schedule import check_steps
from edge_audio.system.graph import Graph

from . import mixed
from .autoencoder import TILE, Decoder, Encoder
from .checkpoint import Checkpoint, read_checkpoint
from .conditioners import Conditioners
from .config import ModelConfig, read_config
from .convert import Examples, convert, examples, fidelity, flops, refuse_inert_inputs, save_modules
from .dit import DiT
from .publish import (
    CHECKS_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
    complete,
    is_interrupted,
    locked,
    publish,
    staging_folder,
)
from .quantize import PRECISIONS, methods_for, quantize
from .stages import GUIDANCE, stages_of

#: What suits an objective when the user names nothing else: post-trained models want few steps and
#: no guidance.
DEFAULTS = {
    "rf_denoiser": Defaults("pingpong", 8, 1.0),
    "rectified_flow": Defaults("dpmpp", 50, 5.0),
}
#: components with a method `store`: their float32 graph is another one for smaller precisions
TABLES = ("conditioners",)
NOTE = ".entry.json"
#: what decides how a graph comes out, besides checkpoint and options
SOURCES = (
    "autoencoder.py",
    "checkpoint.py",
    "conditioners.py",
    "config.py",
    "convert.py",
    "dit.py",
    "layers.py",
    "quantize.py",
    "t5.py",
)
TOKENIZER_NAMES = ("spiece.model", "tokenizer.model", "t5/spiece.model", "tokenizer/spiece.model")
PAD, EOS = 0, 1


@dataclass(frozen=True)
class Options:
    """What the user may decide. None: what the checkpoint suggests."""

    precisions: tuple[str, ...] = ("f32", "f16", "int8")
    components: tuple[str, ...] = COMPONENTS
    tokenizer: Path | None = None
    name: str | None = None
    license: str = "see the source checkpoint"
    tile: int = TILE
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    latent_lengths: tuple[int, ...] = ()
    #: prompts with what they should sound like, for a model whose sounds `evaluate.checks` can
    #: measure
    checks: tuple[Prompt, ...] = ()
    #: what the model can be asked for, if it knows few words
    vocabulary: Vocabulary | None = None
    usual_level: UsualLevel | None = None
    target_snr: float = mixed.TARGET
    #: what `mixed` is measured with, a prompt a line; default: some of `checks`, or a few for any
    #: model
    prompts: Path | None = None
    #: how `mixed` stores each layer, if that is known already: a file NAME.mixed.json of another
    #: bundle, or a folder of them
    recipe: Path | None = None


#: component -> what makes it of a checkpoint; the number is the decoder's tile, in latents
BUILDERS: dict[str, Callable[[Checkpoint, ModelConfig, int], tf.Module]] = {
    "conditioners": lambda checkpoint, config, tile: Conditioners(checkpoint, config),
    "dit": lambda checkpoint, config, tile: DiT(checkpoint, config),
    "decoder": Decoder,
    "encoder": lambda checkpoint, config, tile: Encoder(checkpoint, config),
}


def build(checkpoint: Checkpoint, config: ModelConfig, tile: int = TILE) -> dict[str, tf.Module]:
    """All components by name; afterwards `checkpoint.audit()` knows what was used."""
    return {name: builder(checkpoint, config, tile) for name, builder in BUILDERS.items()}


def export(
    source: Path, out: Path, options: Options = Options(), say: Callable[[str], None] = print
) -> Manifest:
    """Export the checkpoint directory `source` as a bundle in `out`.

    A bundle that stands in `out` is replaced when the new one is complete; other files there stay.
    `say` gets a line for every step. EdgeAudioError for anything in the checkpoint or the options
    that cannot be exported, and while another export into `out` is running.
    """
    out = out.resolve()
    _check_options(out, options)
    config = read_config(source).with_lengths(options.latent_lengths)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out):
        if complete(out):
            say(f"{out}: an interrupted export was completed")
        return _export(source, config, out, options, say)


def _export(
    source: Path, config: ModelConfig, out: Path, options: Options, say: Callable[[str], None]
) -> Manifest:
    checkpoint = read_checkpoint(source)
    tokenizer = _find_tokenizer(source, options.tokenizer, config.t5.vocab_size)
    if tokenizer is None:
        say(
            f"warning: no SentencePiece model in {source}: the bundle will take token ids only; add"
            " one with --tokenizer"
        )
    # All are built once to see that every tensor fits, and again one by one: at full size they do
    # not belong in memory together.
    tiling = build(checkpoint, config, options.tile)["decoder"].tiling
    say(
        "tensors used: "
        + " · ".join(f"{part} {count}" for part, count in checkpoint.audit().items())
    )
    staging = Staging(out, f"{checkpoint.sha256} {config} {tiling}", say)
    measured = mixed.NAME in options.precisions
    plain = [precision for precision in options.precisions if precision != mixed.NAME]
    try:
        # `mixed` is measured against float32 and made of it, whether that is asked for or not.
        graphs = {}
        for name in options.components:
            needed = (
                ["f32", *([mixed.BASE] if name in TABLES else [])]
                if measured and name in GENERATING
                else []
            )
            builder = functools.partial(BUILDERS[name], checkpoint, config, options.tile)
            graphs[name] = staging.make(name, builder, list(dict.fromkeys([*needed, *plain])))
        if tokenizer is not None:
            shutil.copyfile(tokenizer, staging.folder / TOKENIZER_NAME)
        if options.checks:
            (staging.folder / CHECKS_NAME).write_text(to_json(options.checks))
        if options.vocabulary:
            (staging.folder / VOCABULARY_NAME).write_text(options.vocabulary.to_json())
        entries = [
            file_entry(staging.folder / name) if wanted else None
            for wanted, name in (
                (tokenizer, TOKENIZER_NAME),
                (options.checks, CHECKS_NAME),
                (options.vocabulary, VOCABULARY_NAME),
            )
        ]

        stages = {}
        for name, found in graphs.items():
            smallest = min(found.values(), key=lambda entry: entry.bytes)
            with Graph(staging.folder / smallest.file) as graph:
                stages |= stages_of(name, graph, config.latent, tiling)

        def written(precisions: Iterable[str]) -> Manifest:
            chosen = {
                name: {p: found[p] for p in precisions if p in found}
                for name, found in graphs.items()
            }
            manifest = _manifest(
                config, checkpoint, tiling, *entries, chosen, stages, options, out.name
            )
            (staging.folder / MANIFEST_NAME).write_text(manifest.to_json())
            return Manifest.from_json(manifest.to_json())  # the runtime must be able to read it

        if measured:
            written(["f32"])
            asked = read(options.prompts) if options.prompts else options.checks
            for name, made in mixed.make(
                staging.folder, options.target_snr, asked, options.recipe, say
            ).items():
                graphs[name][mixed.NAME] = dataclasses.replace(
                    made, flops=graphs[name]["f32"].flops
                )
        manifest = written(options.precisions)
        made = [graph for found in manifest.graphs.values() for graph in found.values()]
        names = [
            MANIFEST_NAME,
            *(
                entry.file
                for entry in (*entries, *made, *(graph.recipe for graph in made))
                if entry
            ),
        ]
        publish(staging.folder, names, out)
    except BaseException:
        staging.keep_what_is_done()
        raise
    shutil.rmtree(staging.folder)
    return manifest


def _check_options(out: Path, options: Options) -> None:
    known = (*PRECISIONS, mixed.NAME)
    for precision in options.precisions:
        if precision not in known:
            raise EdgeAudioError(
                f"precision {precision!r} cannot be exported; choose from {', '.join(known)}"
            )
    mixed.check_options(options.target_snr, options.prompts, options.recipe)
    missing = [component for component in GENERATING if component not in options.components]
    if missing or not set(options.components) <= set(COMPONENTS):
        raise EdgeAudioError(
            f"components {', '.join(options.components)} make no bundle; it needs"
            f" {', '.join(GENERATING)}, and may have encoder"
        )
    if not options.precisions:
        raise EdgeAudioError(f"no precision was asked for; choose from {', '.join(known)}")
    if options.tile < 1:
        raise EdgeAudioError(f"tile {options.tile} is not a number of latents; give 1 or more")
    if options.steps is not None:
        check_steps(options.steps)
    if options.cfg_scale is not None and not math.isfinite(options.cfg_scale):
        raise EdgeAudioError(
            f"cfg {options.cfg_scale} is not a finite number; give 1 for no guidance"
        )
    if out.exists() and not out.is_dir():
        raise EdgeAudioError(f"{out} is a file; give a folder for the bundle")
    holds_bundle = (out / MANIFEST_NAME).exists() or is_interrupted(out)
    if out.is_dir() and any(out.iterdir()) and not holds_bundle:
        raise EdgeAudioError(f"{out} is not empty and holds no bundle; give a new folder")


def _find_tokenizer(source: Path, given: Path | None, vocab_size: int) -> Path | None:
    """The given SentencePiece model, or the one in the checkpoint directory; checked against T5's
    conventions.
    """
    import sentencepiece

    path = given or next(
        (source / name for name in TOKENIZER_NAMES if (source / name).is_file()), None
    )
    if path is None:
        return None
    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise EdgeAudioError(
            f"{path} is no SentencePiece model ({first_line(error)}); give T5's spiece.model"
        ) from None
    if (processor.pad_id(), processor.eos_id()) != (PAD, EOS):
        raise EdgeAudioError(
            f"{path} has pad id {processor.pad_id()} and eos id {processor.eos_id()}, T5 has 0 and"
            " 1; give T5's spiece.model"
        )
    if processor.vocab_size() > vocab_size:
        raise EdgeAudioError(
            f"{path} has {processor.vocab_size()} pieces, the text encoder knows {vocab_size}; "
            "give the tokenizer that belongs to it"
        )
    return path


class Staging:
    """The folder beside the bundle in which graphs are made; each has a note of what it was made
    from.
    """

    def __init__(self, out: Path, origin: str, say: Callable[[str], None]):
        """origin: what all graphs depend on."""
        self.folder, self._out, self._say = staging_folder(out), out, say
        self._standing = _standing_graphs(out)
        digest = hashlib.sha256(
            f"{origin} {tf.__version__} {importlib.metadata.version('ai-edge-quantizer')}".encode()
        )
        for name in SOURCES:
            digest.update((Path(__file__).parent / name).read_bytes())
        self._origin = digest.hexdigest()
        self.folder.mkdir(exist_ok=True)

    def make(
        self, name: str, builder: Callable[[], tf.Module], precisions: Iterable[str]
    ) -> dict[str, GraphEntry]:
        """The graphs of the component that `builder` makes; those that are there already are taken,
        the others made.
        """
        entries = {precision: self._found(name, precision) for precision in precisions}
        missing = [precision for precision, entry in entries.items() if entry is None]
        for precision in sorted(set(entries) - set(missing)):
            self._say(f"{entries[precision].file}: kept, nothing that it is made from has changed")
        if missing:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                self._say(f"{name}: computing what its graphs must give")
                component = builder()
                expected, counted = examples(component), flops(component)
                floats = self._floats(component, missing, entries.get("f32"), Path(folder))
                del component  # at full size it is gigabytes, and conversion needs more
                gc.collect()
                for precision in missing:
                    entries[precision] = self._make(
                        name, precision, floats[precision](), expected, counted
                    )
        return {precision: entries[precision] for precision in precisions}

    def _floats(
        self, component: tf.Module, precisions: list[str], standing: GraphEntry | None, folder: Path
    ) -> dict[str, Callable[[], Path]]:
        """Precision -> function that gives the float32 graph to make it of, converted when it is
        first needed.
        """
        if standing is not None and not hasattr(component, "store"):
            return dict.fromkeys(precisions, lambda: self.folder / standing.file)

        @functools.cache
        def converted(saved: Path) -> Path:
            graph = saved.with_suffix(".tflite")
            graph.write_bytes(convert(saved))
            shutil.rmtree(saved)
            return graph

        saved = save_modules(component, folder, precisions)
        return {
            precision: functools.partial(converted, saved[precision]) for precision in precisions
        }

    def keep_what_is_done(self) -> None:
        """After a failure: finished graphs stay for the next try, anything else goes."""
        if any(self.folder.glob(f"*{NOTE}")):
            self._say(
                f"warning: finished graphs are kept in {self.folder}; run the same export again to"
                " go on from there"
            )
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _make(
        self, name: str, precision: str, graph: Path, expected: Examples, counted: dict[str, int]
    ) -> GraphEntry:
        """One graph of its float32 form."""
        start = time.perf_counter()
        path = self.folder / f"{name}.{precision}.tflite"
        path.with_suffix(NOTE).unlink(missing_ok=True)
        self._say(f"{path.name}: {'converting' if precision == 'f32' else 'quantizing'}")
        if precision in ("f32", mixed.BASE):
            shutil.copyfile(graph, path)
        else:
            path.write_bytes(
                quantize(
                    graph,
                    methods_for(precision, (operation.layer for operation in operations(graph))),
                )
            )
        with Graph(path, threads=2) as graph:
            measured = fidelity(expected, graph)
            refuse_inert_inputs(expected, graph)
        entry = GraphEntry(
            **vars(file_entry(path)),
            fidelity=measured,
            flops=counted,
            made_from=self._made_from(name, precision),
        )
        path.with_suffix(NOTE).write_text(json.dumps(vars(entry)))
        worst = min(measured, key=measured.get)
        self._say(
            f"{path.name}: {entry.bytes / 1e6:.1f} MB in {time.perf_counter() - start:.0f} s,"
            f" {worst} at {measured[worst]:.0f} dB of the float function"
        )
        return entry

    def _found(self, name: str, precision: str) -> GraphEntry | None:
        """A graph that an interrupted export or the standing bundle has, if it would come out the
        same.
        """
        candidates = [(self._out, self._standing.get(name, {}).get(precision))]
        with contextlib.suppress(OSError, ValueError, TypeError):
            note = self.folder / f"{name}.{precision}{NOTE}"
            candidates.append((self.folder, GraphEntry(**json.loads(note.read_text()))))
        kept, made_from = (
            self.folder / f"{name}.{precision}.tflite",
            self._made_from(name, precision),
        )
        for place, entry in candidates:
            # a manifest may name any file, one outside its folder too; an export writes this one
            if entry and entry.made_from == made_from and entry.file == kept.name:
                path = place / kept.name
                if path.is_file() and file_entry(path).sha256 == entry.sha256:
                    if path != kept:
                        kept.unlink(missing_ok=True)
                        shutil.copyfile(path, kept)
                    return entry
        return None

    def _made_from(self, name: str, precision: str) -> str:
        return hashlib.sha256(f"{self._origin} {name} {precision}".encode()).hexdigest()


def _standing_graphs(out: Path) -> dict[str, dict[str, GraphEntry]]:
    """What the bundle in `out` has; nothing if there is none that can be read."""
    try:
        return Bundle.open(out).manifest.graphs
    except EdgeAudioError:
        return {}


def _manifest(
    config: ModelConfig,
    checkpoint: Checkpoint,
    tiling: Tiling,
    tokenizer: FileEntry | None,
    checks: FileEntry | None,
    vocabulary: FileEntry | None,
    graphs: dict[str, dict[str, GraphEntry]],
    stages: dict[str, Stage],
    options: Options,
    folder_name: str,
) -> Manifest:
    suggested = DEFAULTS[config.objective]
    return Manifest(
        name=options.name or folder_name,
        license=options.license,
        source_sha256=checkpoint.sha256,
        sample_rate=config.sample_rate,
        channels=config.channels,
        latent=config.latent,
        prompt=PromptEntry(config.max_length, tokenizer),
        seconds=SecondsRange(config.seconds.min, config.seconds.max),
        objective=config.objective,
        tiling=tiling,
        graphs=graphs,
        stages=stages,
        guidance=GUIDANCE,
        checks=checks,
        vocabulary=vocabulary,
        usual_level=options.usual_level,
        defaults=Defaults(
            options.sampler or suggested.sampler,
            suggested.steps if options.steps is None else options.steps,
            suggested.cfg_scale if options.cfg_scale is None else options.cfg_scale,
        ),
    )
