"""What a manifest must hold to beyond its schema: it is input from strangers, so sizes are bounded
before they are believed, and stages connect before any of them is run.
"""

from __future__ import annotations

import re

from edge_audio.bundle.manifest import (
    AUDIO,
    BY_LENGTH,
    HOST,
    LATENTS,
    Manifest,
    Port,
    Stage,
    V,
    files,
    order,
)

#: What no model has; a manifest that says so was damaged, or made to do harm.
LARGEST = {"sample_rate": 768_000, "channels": 64, "max_length": 65_536, "elements": 1 << 28}
LONGEST_NAME = 200


def enforce(manifest: Manifest) -> None:
    """ValueError names the first rule that a manifest breaks."""
    for rule in (_sizes_exist, _tiling_covers, _names_are_plain, _stages_connect):
        rule(manifest)


def _sizes_exist(manifest: Manifest) -> None:
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
    *shorter, longest = latent.lengths
    if shorter != sorted(set(shorter)) or any(not 1 <= n < longest for n in shorter):
        raise ValueError(f"latent.shorter {shorter} must ascend, from 1 to below {longest}")
    if (padding := latent.padding) and not (0 <= padding.seconds < 1e6 and padding.multiple >= 1):
        raise ValueError(f"latent.padding {padding.seconds} by {padding.multiple} cannot be")
    if (level := manifest.usual_level) and level.lowest > level.median:
        raise ValueError(
            f"usual_level.lowest {level.lowest:g} is above usual_level.median {level.median:g}"
        )


def _tiling_covers(manifest: Manifest) -> None:
    latent, tiling = manifest.latent, manifest.tiling
    if not 0 <= 2 * tiling.overlap < tiling.tile:
        raise ValueError(f"tiling.overlap {tiling.overlap} leaves nothing of tile {tiling.tile}")
    if latent.downsampling % tiling.per_latent:
        raise ValueError(
            f"tiling.per_latent {tiling.per_latent} does not divide "
            f"latent.downsampling {latent.downsampling}"
        )
    multiple = latent.padding.multiple * tiling.per_latent if latent.padding else 1
    if any(n % multiple for n in (tiling.tile, tiling.overlap)):
        raise ValueError(f"tiling does not begin at multiples of {multiple} frames")
    if min(latent.lengths) * tiling.per_latent < tiling.tile:
        raise ValueError(f"tiling.tile {tiling.tile} is longer than the shortest latents")


def _names_are_plain(manifest: Manifest) -> None:
    """Names are shown on terminals and pages, and files are opened: nothing may hide in them."""
    adapters = (("an adapter's name", adapter.name) for adapter in manifest.adapters)
    own = (
        ("name", manifest.name),
        ("license", manifest.license),
        ("objective", manifest.objective),
        ("defaults.sampler", manifest.defaults.sampler),
        ("source_sha256", manifest.source_sha256),
    )
    for name, text in (*own, *adapters):
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise ValueError(
                f"{name} must be one line of at most {LONGEST_NAME} printable characters"
            )
    for adapter in manifest.adapters:
        if not re.fullmatch("[0-9a-f]{64}", adapter.sha256):
            raise ValueError(f"the sha256 of adapter {adapter.name} cannot be")
    for entry in files(manifest):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", entry.file):
            raise ValueError(f"file {entry.file[:40]!r} is no bare file name")
        if entry.bytes < 0 or not re.fullmatch("[0-9a-f]{64}", entry.sha256):
            raise ValueError(f"the size or the sha256 of file {entry.file} cannot be")


def _stages_connect(manifest: Manifest) -> None:
    given: dict[str, str] = {}
    for name, stage in manifest.stages.items():
        if stage.component not in manifest.graphs:
            raise ValueError(f"stage {name} is in component {stage.component}, which has no graph")
        for port_name, port in (*stage.inputs.items(), *stage.outputs.items()):
            _port_exists(f"stages.{name}: port {port_name}", port)
        _lengths_are_known(name, stage)
        for output in stage.outputs:
            if output in given:
                raise ValueError(f"stages {given[output]} and {name} both give {output}")
            given[output] = name
    for name, stage in manifest.stages.items():
        for port_name in stage.inputs:
            if port_name not in HOST and port_name not in given:
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


def _lengths_are_known(name: str, stage: Stage) -> None:
    read = frozenset().union(*(port.follows for port in stage.inputs.values()))
    if unknown := stage.follows - read:
        raise ValueError(f"stage {name} gives {min(unknown)} and reads nothing of that length")
    if not stage.resizes and (others := stage.follows - {LATENTS}):
        raise ValueError(f"stage {name} follows {min(others)}, so it must be one that resizes")
    if stage.resizes and stage.more:
        raise ValueError(f"stage {name} resizes, so it must list all its ports")


def _port_exists(where: str, port: Port) -> None:
    if port.type not in ("float32", "int32"):
        raise ValueError(f"{where} is of type {port.type[:20]!r}; write float32 or int32")
    for size in port.shape:
        if isinstance(size, str) and not BY_LENGTH.fullmatch(size):
            raise ValueError(
                f"{where} has the dimension {size[:20]!r}; write a number, latents, tokens or kept"
            )
        if isinstance(size, int) and not 1 <= size <= LARGEST["elements"]:
            raise ValueError(f"{where} has the dimension {size}")
