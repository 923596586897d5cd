"""`edge-audio info` and `edge-audio cache`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.precision import recommended
from edge_audio.bundle.store import Bundle
from edge_audio.cli import configuration
from edge_audio.cli.options import Commands, add_json, add_model
from edge_audio.cli.result import print_result
from edge_audio.errors import UsageError
from edge_audio.pipeline import default_model
from edge_audio.system import cache, device
from edge_audio.values import counted


def add_info(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "info",
        help="what is in a model, and how this computer would run it",
        description=(
            "What is in a model, and how this computer would run it. Fails if a file of it is"
            " missing or is not what the manifest says."
        ),
    )
    parser.set_defaults(run=info)
    parser.add_argument("folder", metavar="MODEL", nargs="?", help="the same as --model MODEL")
    add_model(parser)
    parser.add_argument(
        "--prompts", action="store_true", help="what the model can be asked for, with examples"
    )
    add_json(parser)


def info(arguments: argparse.Namespace) -> None:
    """`edge-audio info`"""
    if arguments.folder is not None and arguments.model is not None:
        raise UsageError("two models are given; name one folder, with or without --model")
    bundle = Bundle.open(arguments.folder or arguments.model or default_model())
    if arguments.prompts:
        if arguments.json:
            print_result({"prompts": [dataclasses.asdict(family) for family in bundle.prompts]})
        else:
            print("\n".join(_prompt_lines(bundle)))
        return
    bundle.verify()
    here, file = device.describe(), arguments.configuration.path
    advice = recommended(here)
    chosen = {
        "precision": bundle.choose(None, advice.preferred),
        "reason": advice.reason,
        "half": device.recommended_half(here),
        "threads": device.recommended_threads(here),
    }
    found = {
        "folder": str(bundle.folder),
        "sha256": bundle.sha256,
        "manifest": dataclasses.asdict(bundle.manifest),
        "device": dataclasses.asdict(here),
        "chosen": chosen,
        "cache": _cache_state(),
        "configuration": None if file is None else str(file),
    }
    if arguments.json:
        print_result(found)
    else:
        lines = (*_info_lines(bundle, here, chosen), f"  settings   {_configuration_line(file)}")
        print("\n".join(lines))


def _configuration_line(read: Path | None) -> str:
    """Which file was read, or where one could be."""
    if read is not None:
        return f"{read}, where no flag says otherwise"
    place = configuration.path()
    return "no file is read" if place is None else f"no {place}; docs/configuration.md"


def add_cache(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "cache",
        help="what is kept between runs, and how to empty it",
        description=(
            "Where weights are kept as the CPU wants them, so that big models load at once."
        ),
    )
    parser.set_defaults(run=show_cache)
    parser.add_argument(
        "--purge", action="store_true", help="delete all of it; it is made again when needed"
    )
    add_json(parser)


def show_cache(arguments: argparse.Namespace) -> None:
    """`edge-audio cache`"""
    freed = cache.purge() if arguments.purge else 0
    if arguments.json:
        print_result(_cache_state() | ({"freed": freed} if arguments.purge else {}))
    elif arguments.purge:
        print(f"{cache.folder() or 'no folder'}: {freed / 1e6:.1f} MB freed")
    else:
        print(cache_line())


def _cache_state() -> dict[str, Any]:
    """The folder, if there is one, and whether packed weights are kept in it."""
    place = cache.folder()
    return {
        "folder": None if place is None else str(place),
        "bytes": cache.size(),
        "why_not": cache.why_not(),
    }


def cache_line() -> str:
    reason = cache.why_not()
    if reason:
        return f"not kept: {reason}"
    return f"{cache.folder()}, {cache.size() / 1e6:.1f} MB (edge-audio cache --purge empties it)"


def _info_lines(bundle: Bundle, here: device.Device, chosen: dict[str, Any]) -> Iterator[str]:
    yield from _model_lines(bundle.manifest, bundle)
    yield "this computer"
    memory = f", {here.memory / 2**30:.1f} GiB of memory" if here.memory else ""
    yield f"  {here.model or here.architecture}, {here.architecture}{memory}"
    yield f"  features   {' '.join(here.features) or 'none known'}"
    yield (
        "  precision "
        f" {', '.join(f'{name}={value}' for name, value in chosen['precision'].items())}"
    )
    yield f"             {chosen['reason']}"
    half = "the CPU computes in fp16: a float decoder does" if chosen["half"] else "no"
    yield f"  fp16       {half}"
    yield f"  threads    {chosen['threads']}, of {here.cores} cores of the fast kind"
    yield f"  cache      {cache_line()}"


def _prompt_lines(bundle: Bundle) -> Iterator[str]:
    if not bundle.prompts:
        yield (
            f"{bundle.manifest.name} brings no list of what it knows; see the card of the model it"
            " was made of"
        )
    width = max((len(family.name) for family in bundle.prompts), default=0)
    for family in bundle.prompts:
        yield f"{family.name:{width}}  {' · '.join(family.prompts)}"


def _model_lines(manifest: Manifest, bundle: Bundle) -> Iterator[str]:
    latent, best = manifest.latent, manifest.defaults
    yield f"{manifest.name} in {bundle.folder}"
    yield f"  licence    {manifest.license}"
    for adapter in manifest.adapters:
        yield f"  adapter    {adapter.name}, strength {adapter.strength:g}"
    yield (
        f"  audio      up to {manifest.max_seconds:.2f} s, {manifest.sample_rate} Hz,"
        f" {counted(manifest.channels, 'channel')}"
    )
    lengths = " or ".join(map(str, latent.lengths))
    yield f"  latents    {lengths} x {latent.channels}, {latent.downsampling} samples each"
    text = "a prompt" if manifest.prompt.tokenizer else "token ids only (no tokenizer)"
    yield f"  prompt     {text}, up to {manifest.prompt.max_length} tokens"
    yield f"  seconds    {manifest.seconds.min:g} to {manifest.seconds.max:g}"
    yield (
        f"  made for   {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}"
        f" ({manifest.objective})"
    )
    for component, entries in manifest.graphs.items():
        for precision in bundle.precisions(component):
            entry = entries[precision]
            # of each signature; `project` has two outputs for every block
            worst: dict[str, float] = {}
            for name, value in entry.fidelity.items():
                signature = name.partition(".")[0]
                worst[signature] = min(value, worst.get(signature, value))
            fidelity = ", ".join(
                f"{signature} {value:.1f} dB" for signature, value in worst.items()
            )
            yield f"  {component:12} {precision:5} {entry.bytes / 1e6:9.2f} MB  {fidelity}".rstrip()
