"""Put a bundle together: build the components, convert, verify, write the manifest. Nothing is left behind when it fails."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

import tensorflow as tf

from edge_audio.bundle import (COMPONENTS, GENERATING, MANIFEST_NAME, SCHEMA, Defaults, FileEntry, GraphEntry, Latent, Manifest,
                               Prompt, SecondsRange, file_entry)
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.graph import Graph
from edge_audio.schedule import check_steps

from .autoencoder import TILE, Decoder, Encoder
from .checkpoint import Checkpoint, read_checkpoint
from .conditioners import Conditioners
from .config import ModelConfig, read_config
from .convert import convert, fidelity, refuse_inert_inputs, save_module
from .dit import DiT
from .quantize import RECIPES

DEFAULTS = {"rf_denoiser": Defaults("pingpong", 8, 1.0), "rectified_flow": Defaults("dpmpp", 50, 5.0)}
"""What suits an objective when the user names nothing else: post-trained models want few steps and no guidance."""
TOKENIZER_NAME = "tokenizer.model"
TOKENIZER_NAMES = ("spiece.model", "tokenizer.model", "t5/spiece.model", "tokenizer/spiece.model")
PAD, EOS = 0, 1


@dataclass(frozen=True)
class Options:
    """What the user may decide. None: what the checkpoint suggests."""

    precisions: tuple[str, ...] = tuple(RECIPES)
    components: tuple[str, ...] = COMPONENTS
    tokenizer: Path | None = None
    name: str | None = None
    license: str = "see the source checkpoint"
    tile: int = TILE
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None


def build(checkpoint: Checkpoint, config: ModelConfig, tile: int = TILE) -> dict[str, tf.Module]:
    """All components by name; afterwards `checkpoint.audit()` knows what was used."""
    return {"conditioners": Conditioners(checkpoint, config), "dit": DiT(checkpoint, config),
            "decoder": Decoder(checkpoint, config, tile), "encoder": Encoder(checkpoint, config)}


def export(source: Path, out: Path, options: Options = Options(), say: Callable[[str], None] = print) -> Manifest:
    """Export the checkpoint directory `source` as a bundle in `out`.

    A bundle that stands in `out` is replaced when the new one is complete; other files there stay. `say` gets a line for every
    step. EdgeAudioError for anything in the checkpoint or the options that cannot be exported.
    """
    out = out.resolve()
    _check_options(out, options)
    config, checkpoint = read_config(source), read_checkpoint(source)
    tokenizer = _find_tokenizer(source, options.tokenizer, config.t5.vocab_size)
    if tokenizer is None:
        say(f"warning: no SentencePiece model in {source}: the bundle will take token ids only; add one with --tokenizer")
    components = build(checkpoint, config, options.tile)
    say("tensors used: " + " · ".join(f"{part} {count}" for part, count in checkpoint.audit().items()))
    checkpoint.tensors.clear()  # the components hold what they need
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        staging = Path(folder) / "bundle"
        staging.mkdir()
        graphs = {name: _write_graphs(name, components[name], staging, options.precisions, say)
                  for name in options.components}
        entry = None
        if tokenizer is not None:
            shutil.copyfile(tokenizer, staging / TOKENIZER_NAME)
            entry = file_entry(staging / TOKENIZER_NAME)
        manifest = _manifest(config, checkpoint, components["decoder"], entry, graphs, options, out.name)
        (staging / MANIFEST_NAME).write_text(manifest.to_json())
        Manifest.from_json(manifest.to_json())  # the runtime must be able to read it
        _publish(staging, out, Path(folder) / "old")
    return manifest


def _check_options(out: Path, options: Options) -> None:
    for precision in options.precisions:
        if precision not in RECIPES:
            raise EdgeAudioError(f"precision {precision!r} cannot be exported; choose from {', '.join(RECIPES)}")
    missing = [component for component in GENERATING if component not in options.components]
    if missing or not set(options.components) <= set(COMPONENTS):
        raise EdgeAudioError(f"components {', '.join(options.components)} make no bundle; it needs {', '.join(GENERATING)}, "
                             "and may have encoder")
    if not options.precisions:
        raise EdgeAudioError(f"no precision was asked for; choose from {', '.join(RECIPES)}")
    if options.tile < 1:
        raise EdgeAudioError(f"tile {options.tile} is not a number of latents; give 1 or more")
    if options.steps is not None:
        check_steps(options.steps)
    if options.cfg_scale is not None and not math.isfinite(options.cfg_scale):
        raise EdgeAudioError(f"cfg {options.cfg_scale} is not a finite number; give 1 for no guidance")
    if out.exists() and not out.is_dir():
        raise EdgeAudioError(f"{out} is a file; give a folder for the bundle")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_NAME).exists():
        raise EdgeAudioError(f"{out} is not empty and holds no bundle; give a new folder")


def _find_tokenizer(source: Path, given: Path | None, vocab_size: int) -> Path | None:
    """The given SentencePiece model, or the one in the checkpoint directory; checked against T5's conventions."""
    import sentencepiece

    path = given or next((source / name for name in TOKENIZER_NAMES if (source / name).is_file()), None)
    if path is None:
        return None
    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise EdgeAudioError(f"{path} is no SentencePiece model ({first_line(error)}); "
                             "give T5's spiece.model") from None
    if (processor.pad_id(), processor.eos_id()) != (PAD, EOS):
        raise EdgeAudioError(f"{path} has pad id {processor.pad_id()} and eos id {processor.eos_id()}, T5 has 0 and 1; "
                             "give T5's spiece.model")
    if processor.vocab_size() > vocab_size:
        raise EdgeAudioError(f"{path} has {processor.vocab_size()} pieces, the text encoder knows {vocab_size}; "
                             "give the tokenizer that belongs to it")
    return path


def _write_graphs(name: str, component: tf.Module, folder: Path, precisions: Iterable[str],
                  say: Callable[[str], None]) -> dict[str, GraphEntry]:
    """Convert one component to every precision; each file is loaded, run and measured before it counts."""
    entries = {}
    with tempfile.TemporaryDirectory(dir=folder.parent) as saved_model:
        save_module(component, Path(saved_model))
        for precision in precisions:
            path = folder / f"{name}.{precision}.tflite"
            path.write_bytes(convert(Path(saved_model), precision))
            with Graph(path, threads=2) as graph:
                graph.check(name)
                measured = fidelity(component, graph)
                refuse_inert_inputs(component, graph)
            entries[precision] = GraphEntry(**vars(file_entry(path)), fidelity=measured)
            worst = min(measured, key=measured.get)
            say(f"{path.name}: {entries[precision].bytes / 1e6:.1f} MB, {worst} at {measured[worst]:.0f} dB of the float "
                "function")
    return entries


def _manifest(config: ModelConfig, checkpoint: Checkpoint, decoder: Decoder, tokenizer: FileEntry | None,
              graphs: dict[str, dict[str, GraphEntry]], options: Options, folder_name: str) -> Manifest:
    suggested = DEFAULTS[config.objective]
    return Manifest(
        name=options.name or folder_name, license=options.license, source_sha256=checkpoint.sha256,
        sample_rate=config.sample_rate, channels=config.channels,
        latent=Latent(config.latent_length, config.latent_channels, config.downsampling),
        prompt=Prompt(config.max_length, tokenizer), seconds=SecondsRange(config.seconds.min, config.seconds.max),
        objective=config.objective, tiling=decoder.tiling, graphs=graphs, schema=SCHEMA,
        defaults=Defaults(options.sampler or suggested.sampler, suggested.steps if options.steps is None else options.steps,
                          suggested.cfg_scale if options.cfg_scale is None else options.cfg_scale))


def _publish(staging: Path, out: Path, old: Path) -> None:
    """Move a complete bundle into place; what it replaces goes to the folder `old`, and comes back if that fails."""
    out.mkdir(exist_ok=True)
    old.mkdir()
    replaced = [path for path in out.iterdir() if path.suffix == ".tflite" or path.name in (MANIFEST_NAME, TOKENIZER_NAME)]
    placed = []
    try:
        for path in replaced:
            path.replace(old / path.name)
        for path in list(staging.iterdir()):
            placed.append(path.replace(out / path.name))
    except BaseException:
        for path in placed:  # only these: a file of the old bundle that has not been moved yet has the same name
            path.unlink()
        for path in old.iterdir():
            path.replace(out / path.name)
        raise
