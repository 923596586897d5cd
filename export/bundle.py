"""Put a bundle together: build the components, convert, verify, write the manifest.

Each graph is kept as soon as it is verified, in a folder beside the bundle; an export that was
interrupted goes on from there, and one that is run again makes only what changed. The bundle itself
is replaced at the end, all at once or not at all (`publish`).
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from edge_audio.bundle.manifest import (
    COMPONENTS,
    GENERATING,
    MANIFEST_NAME,
    FileEntry,
    GraphEntry,
    Manifest,
    Stage,
    Tiling,
    UsualLevel,
)
from edge_audio.bundle.store import file_entry
from edge_audio.bundle.vocabulary import Vocabulary
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.prompts import Prompt, read, to_json
from edge_audio.lora.adapter import ADAPTED, Adapter, identity
from edge_audio.lora.folded import kept
from edge_audio.lora.reading import read_adapters
from edge_audio.request import check_cfg_scale
from edge_audio.sampling.schedule import check_steps
from edge_audio.system.graph import Graph

from . import mixed
from .architecture import Architecture
from .architectures import architecture_of
from .checkpoint import Checkpoint
from .publish import (
    CHECKS_NAME,
    FOLDED_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
    complete,
    is_interrupted,
    locked,
    publish,
)
from .quantize import PRECISIONS
from .staging import Staging
from .styles import merge, prove


@dataclass(frozen=True)
class Options:
    """What the user may decide. None: what the checkpoint suggests."""

    precisions: tuple[str, ...] = ("f32", "f16", "int8")
    components: tuple[str, ...] = COMPONENTS
    tokenizer: Path | None = None
    name: str | None = None
    license: str = "see the source checkpoint"
    tile: int | None = None
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    latent_lengths: tuple[int, ...] = ()
    #: whether clips are made on the shortest of them that holds them, unless something else is said
    fit_length: bool = False
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
    #: adapters to merge into the weights, one after the other: a file or a folder, and how
    #: strongly it is to act; 1 is what it was trained at
    adapters: tuple[tuple[Path, float], ...] = ()


def export(
    source: Path, out: Path, options: Options = Options(), say: Callable[[str], None] = print
) -> Manifest:
    """Export the checkpoint directory `source` as a bundle in `out`.

    A bundle that stands in `out` is replaced when the new one is complete; other files there stay.
    `say` gets a line for every step. EdgeAudioError for anything in the checkpoint or the options
    that cannot be exported, and while another export into `out` is running.
    """
    out = out.resolve()
    _refuse_options(out, options)
    architecture = architecture_of(source)
    config = architecture.read_config(source, options.latent_lengths)
    adapters = read_adapters(options.adapters)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out):
        if complete(out):
            say(f"{out}: an interrupted export was completed")
        return _export(source, architecture, config, adapters, out, options, say)


def _export(
    source: Path,
    architecture: Architecture,
    config: Any,
    adapters: tuple[Adapter, ...],
    out: Path,
    options: Options,
    say: Callable[[str], None],
) -> Manifest:
    checkpoint = architecture.read_checkpoint(source, config)
    adapters = tuple(adapter.fitted(checkpoint.tensors) for adapter in adapters)
    checkpoint = merge(checkpoint, adapters)
    tokenizer = architecture.find_tokenizer(source, options.tokenizer, config)
    if tokenizer is None:
        say(
            f"warning: no SentencePiece model in {source}: the bundle will take token ids only; add"
            " one with --tokenizer"
        )
    # All are built once to see that every tensor fits, and again one by one: at full size they do
    # not belong in memory together.
    tile = options.tile or architecture.tile
    tiling = architecture.build(checkpoint, config, tile)["decoder"].tiling
    say(
        "tensors used: "
        + " · ".join(f"{part} {count}" for part, count in checkpoint.audit().items())
    )
    for adapter in adapters:
        say(
            f"merged {adapter.name} at {adapter.strength:g}: {adapter.kind},"
            f" {len(adapter.layers)} layers"
        )
    origin = f"{checkpoint.sha256} {config} {tiling}"
    own = {name: identity(adapters, name) for name in ADAPTED}
    staging = Staging(out, origin, architecture.sources, say, own)
    measured = mixed.NAME in options.precisions
    plain = [precision for precision in options.precisions if precision != mixed.NAME]
    try:
        # `mixed` is measured against float32 and made of it, whether that is asked for or not.
        graphs = {}
        for name in options.components:
            needed = (
                ["f32", *([mixed.BASE] if name in architecture.tables else [])]
                if measured and name in GENERATING
                else []
            )
            builder = functools.partial(architecture.builders[name], checkpoint, config, tile)
            wanted = list(dict.fromkeys([*needed, *plain]))
            if name not in GENERATING:  # runs once a clip, in the most exact that is there
                wanted = [next((p for p in PRECISIONS if p in plain), "f16")]
            graphs[name] = staging.make(name, builder, wanted)
            if "f32" in graphs[name]:
                prove(staging.folder / graphs[name]["f32"].file, name, checkpoint)
        if tokenizer is not None:
            shutil.copyfile(tokenizer, staging.folder / TOKENIZER_NAME)
        if options.checks:
            (staging.folder / CHECKS_NAME).write_text(to_json(options.checks), encoding="utf-8")
        factors = {name: checkpoint.tensors[name] for name in kept(checkpoint.tensors)}
        (staging.folder / FOLDED_NAME).write_bytes(
            save(
                {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in factors.items()}
            )
        )
        if options.vocabulary:
            (staging.folder / VOCABULARY_NAME).write_text(
                options.vocabulary.to_json(), encoding="utf-8"
            )
        entries = tuple(
            file_entry(staging.folder / name) if wanted else None
            for wanted, name in (
                (tokenizer, TOKENIZER_NAME),
                (options.checks, CHECKS_NAME),
                (options.vocabulary, VOCABULARY_NAME),
                (True, FOLDED_NAME),
            )
        )
        tokenizer_entry, checks_entry, vocabulary_entry, folded_entry = entries

        stages: dict[str, Stage] = {}
        for name, found in graphs.items():
            smallest = min(found.values(), key=lambda entry: entry.bytes)
            with Graph(staging.folder / smallest.file) as graph:
                stages |= architecture.stages_of(name, graph, config.latent, tiling)

        def written(precisions: Iterable[str]) -> Manifest:
            chosen = {
                name: {p: found[p] for p in precisions if p in found}
                if name in GENERATING
                else found
                for name, found in graphs.items()
            }
            manifest = _manifest(
                architecture,
                config,
                checkpoint,
                adapters,
                tiling,
                tokenizer_entry,
                checks_entry,
                vocabulary_entry,
                folded_entry,
                chosen,
                stages,
                options,
                out.name,
            )
            (staging.folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
            return Manifest.from_json(manifest.to_json())  # the runtime must be able to read it

        if measured:
            written(["f32"])
            asked = read(options.prompts) if options.prompts else options.checks
            for name, entry in mixed.make(
                staging.folder, options.target_snr, asked, options.recipe, say
            ).items():
                graphs[name][mixed.NAME] = dataclasses.replace(
                    entry, flops=graphs[name]["f32"].flops
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


def _refuse_options(out: Path, options: Options) -> None:
    known = (*PRECISIONS, mixed.NAME)
    for precision in options.precisions:
        if precision not in known:
            raise EdgeAudioError(
                f"precision {precision!r} cannot be exported; choose from {', '.join(known)}"
            )
    mixed.validate(options.target_snr, options.prompts, options.recipe)
    missing = [component for component in GENERATING if component not in options.components]
    if missing or not set(options.components) <= set(COMPONENTS):
        raise EdgeAudioError(
            f"components {', '.join(options.components)} make no bundle; it needs"
            f" {', '.join(GENERATING)}, and may have encoder"
        )
    if not options.precisions:
        raise EdgeAudioError(f"no precision was asked for; choose from {', '.join(known)}")
    if options.tile is not None and options.tile < 1:
        raise EdgeAudioError(f"tile {options.tile} is not a number of latents; give 1 or more")
    if options.steps is not None:
        check_steps(options.steps)
    if options.cfg_scale is not None:
        check_cfg_scale(options.cfg_scale)
    if out.exists() and not out.is_dir():
        raise EdgeAudioError(f"{out} is a file; give a folder for the bundle")
    holds_bundle = (out / MANIFEST_NAME).exists() or is_interrupted(out)
    if out.is_dir() and any(out.iterdir()) and not holds_bundle:
        raise EdgeAudioError(f"{out} is not empty and holds no bundle; give a new folder")


def _manifest(
    architecture: Architecture,
    config: Any,
    checkpoint: Checkpoint,
    adapters: tuple[Adapter, ...],
    tiling: Tiling,
    tokenizer: FileEntry | None,
    checks: FileEntry | None,
    vocabulary: FileEntry | None,
    folded: FileEntry | None,
    graphs: dict[str, dict[str, GraphEntry]],
    stages: dict[str, Stage],
    options: Options,
    folder_name: str,
) -> Manifest:
    suggested = architecture.defaults[config.objective]
    return Manifest(
        name=options.name or folder_name,
        license=options.license,
        source_sha256=checkpoint.sha256,
        adapters=tuple(adapter.entry for adapter in adapters),
        sample_rate=config.sample_rate,
        channels=config.channels,
        latent=config.latent,
        prompt=architecture.prompt(config, tokenizer),
        seconds=architecture.seconds(config),
        objective=config.objective,
        tiling=tiling,
        graphs=graphs,
        stages=stages,
        guidance=architecture.guidance,
        checks=checks,
        vocabulary=vocabulary,
        folded=folded,
        usual_level=options.usual_level,
        defaults=dataclasses.replace(
            suggested,
            sampler=options.sampler or suggested.sampler,
            steps=suggested.steps if options.steps is None else options.steps,
            cfg_scale=suggested.cfg_scale if options.cfg_scale is None else options.cfg_scale,
            fit_length=options.fit_length,
        ),
        **architecture.more(config),
    )
