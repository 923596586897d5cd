"""Adapters from files: the official code's .safetensors, and folders of PEFT. Nothing is ever
unpickled.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_audio.bundle.rules import LONGEST_NAME
from edge_audio.bundle.store import file_sha256
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.lora.adapter import KINDS, MAGNITUDES, XS, Adapter, Filter, Layer, Reader, quoted
from edge_audio.system import safetensors

#: of older files; the shape of their magnitudes tells whether of rows or of columns
_OLD = "dora"

_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_PEFT_CONFIG, _PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_OFFICIAL_KEY = re.compile(r"(?P<layer>.+)\.parametrizations\.weight\.0\.(?P<part>\w+)")
_PEFT_KEY = re.compile(
    r"base_model\.model\.(?P<layer>.+?)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)"
    r"(\.default)?(\.weight)?"
)
#: ways to begin the low-rank matrices that leave the weights as they were
_PEFT_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")
#: more names than any model has layers
_MOST_NAMES = 10_000


def read_adapter(path: Path, strength: float = 1.0) -> Adapter:
    """An adapter's names and configuration; its tensors are read when they are merged.

    path: a .safetensors file of the official code, or a folder of PEFT. EdgeAudioError says what of
    it is missing, damaged or not known here.
    """
    try:
        path, strength = Path(path), float(strength)
    except (TypeError, ValueError):
        raise UsageError(
            f"{quoted(path)} and {quoted(strength)} are no file and its strength; write"
            ' ("style.safetensors", 0.8)'
        ) from None
    if not math.isfinite(strength):
        raise UsageError(
            f"strength {strength} of {path} is not a finite number; 1 is what it was trained at"
        )
    if path.name == _PEFT_WEIGHTS:
        path = path.parent
    if path.is_dir():
        adapter = _read_peft(path, strength)
    elif path.suffix.lower() in _PICKLES:
        raise _pickled(path)
    elif not path.is_file():
        raise EdgeAudioError(
            f"{path} is missing; give the .safetensors file of an adapter, or the folder of one of"
            " PEFT"
        )
    else:
        adapter = _read_official(path, strength)
    if len(adapter.name) > LONGEST_NAME or not adapter.name.isprintable():
        raise EdgeAudioError(
            f"the name of adapter {quoted(adapter.name)} cannot stand in a manifest; rename it"
        )
    return adapter


def read_adapters(given: Iterable[tuple[str | Path, float]]) -> tuple[Adapter, ...]:
    """Several, in the order in which they are to act; UsageError if one is there twice."""
    adapters: list[Adapter] = []
    for path, strength in given:
        adapter = read_adapter(Path(path), strength)
        if any(adapter.sha256 == other.sha256 for other in adapters):
            raise UsageError(f"{path} was given twice; give it once, with the strength of both")
        adapters.append(adapter)
    return tuple(adapters)


def argument(text: str) -> tuple[Path, float]:
    """FILE=STRENGTH, or FILE, whose name may have a = in it, as a command line has it;
    ArgumentTypeError if it is neither.
    """
    file, _, strength = text.rpartition("=")
    try:
        given = (Path(file), float(strength)) if file else (Path(text), 1.0)
    except ValueError:
        given = Path(text), 1.0
        if not given[0].exists():
            raise argparse.ArgumentTypeError(
                f"{text!r} is neither a file nor one with a strength like style.safetensors=0.8"
            ) from None
    return given


def _read_official(path: Path, strength: float) -> Adapter:
    """A file as `save_lora_safetensors` of stable-audio-3 writes it: its metadata may have a
    `lora_config`.
    """
    found, metadata = safetensors.read(path)
    tensors = _by_layer(path, found, _OFFICIAL_KEY)
    config = _json(path, metadata.get("lora_config", "{}"), "lora_config")
    kind = config.get("adapter_type", "lora")
    if kind == _OLD:
        kind = _old_kind(tensors.values())
    if kind not in KINDS:
        raise EdgeAudioError(
            f"{path} has adapter_type {quoted(kind)}; known are {', '.join(KINDS)} and {_OLD}"
        )
    _refuse_parts(path, kind, tensors)
    rank = config.get("rank")
    if rank is None:
        read = next(iter(tensors.values()))["M_xs" if kind.endswith(XS) else "lora_A"]
        rank = len(np.atleast_1d(read()))
    rank = _rank(path, rank)
    alpha = _alpha(path, config.get("alpha", rank))
    filters = {key: _names(path, key, config.get(key)) for key in ("include", "exclude")}
    return Adapter(
        path,
        file_sha256(path),
        kind,
        strength,
        {layer: Layer(rank, alpha / rank, parts) for layer, parts in tensors.items()},
        # a file without them may come from anywhere, and hold only some layers
        Filter(filters["include"], filters["exclude"] or ()) if filters.keys() & config else None,
    )


def _read_peft(folder: Path, strength: float) -> Adapter:
    """A folder as PEFT's `save_pretrained` writes it (LoraConfig, `get_pattern_key`)."""
    weights, described = folder / _PEFT_WEIGHTS, folder / _PEFT_CONFIG
    pickled = weights.with_suffix(".bin")
    if not weights.is_file() and pickled.is_file():
        raise _pickled(pickled)
    for file in (described, weights):
        if not file.is_file():
            raise EdgeAudioError(
                f"{file} is missing; give a .safetensors file, or a folder with {_PEFT_CONFIG} and"
                f" {_PEFT_WEIGHTS}"
            )
    config = _json(described, described.read_bytes(), described.name)
    for key, known in (
        ("peft_type", ("LORA",)),
        ("fan_in_fan_out", (None, False)),
        ("use_dora", (None, False, True)),
        ("use_rslora", (None, False, True)),
        ("alora_invocation_tokens", (None,)),
        ("init_lora_weights", _PEFT_BEGINNINGS),
    ):
        if config.get(key) not in known:
            raise EdgeAudioError(
                f"{described} has {key} {quoted(config.get(key))}; only adapters with"
                f" {' or '.join(map(repr, known))} can be merged"
            )
    tensors = _by_layer(weights, safetensors.read(weights)[0], _PEFT_KEY)
    for parts in tensors.values():
        if "lora_magnitude_vector" in parts:
            parts["magnitude"] = parts.pop("lora_magnitude_vector")
    kind = "dora-rows" if config.get("use_dora") else "lora"
    _refuse_parts(weights, kind, tensors)
    layers = {}
    for layer, parts in tensors.items():
        rank = _rank(described, _by_name(described, config, "rank_pattern", layer, "r"))
        alpha = _alpha(described, _by_name(described, config, "alpha_pattern", layer, "lora_alpha"))
        # rank-stabilised LoRA (Kalajdzievski 2023) divides by the root
        divisor = math.sqrt(rank) if config.get("use_rslora") else rank
        layers[layer] = Layer(rank, alpha / divisor, parts)
    sha256 = hashlib.sha256((file_sha256(weights) + file_sha256(described)).encode()).hexdigest()
    return Adapter(folder, sha256, kind, strength, layers)


def _by_layer(
    path: Path, tensors: Mapping[str, Reader], pattern: re.Pattern[str]
) -> dict[str, dict[str, Reader]]:
    """Layer -> its tensors by name; EdgeAudioError for a name that is no adapter's."""
    layers: dict[str, dict[str, Reader]] = {}
    for key, read in tensors.items():
        match = pattern.fullmatch(key)
        if not match:
            raise EdgeAudioError(
                f"{path} holds tensor {quoted(key)}, which no adapter has; give"
                " an adapter as the official code or PEFT writes it"
            )
        layers.setdefault(match["layer"], {})[match["part"]] = read
    if not layers:
        raise EdgeAudioError(f"{path} holds no tensors; download it again")
    return layers


def _refuse_parts(path: Path, kind: str, layers: Mapping[str, Mapping[str, Reader]]) -> None:
    """EdgeAudioError for the first layer that lacks a tensor of its kind or has one of another.
    Magnitudes may be left out, of all layers.
    """
    needed = {"M_xs"} if kind.endswith(XS) else {"lora_A", "lora_B"}
    magnitudes = set(MAGNITUDES[kind.removesuffix(XS)])
    if any(magnitudes & parts.keys() for parts in layers.values()):
        needed |= magnitudes
    for layer, parts in layers.items():
        if missing := sorted(needed - parts.keys()):
            raise EdgeAudioError(
                f"{path} has no {missing[0]} of {quoted(layer)}, which kind {kind} needs; download"
                " it again"
            )
        if foreign := sorted(parts.keys() - needed):
            raise EdgeAudioError(
                f"{path} has {quoted(foreign[0])} of {quoted(layer)}, which kind {kind} has not;"
                " its adapter_type must say what it is"
            )


def _old_kind(layers: Iterable[Mapping[str, Reader]]) -> str:
    """Of columns where magnitudes are [1, in], otherwise of rows (`resolve_adapter_type`)."""
    first = next((parts["magnitude"] for parts in layers if "magnitude" in parts), None)
    shape = first().shape if first else ()
    return "dora-cols" if len(shape) == 2 and shape[0] == 1 else "dora-rows"


def _json(path: Path, text: str | bytes, what: str) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise EdgeAudioError(f"{path}: {what} is no JSON object; download it again")
    return entries


def _by_name(path: Path, config: Mapping[str, Any], entry: str, layer: str, default: str) -> Any:
    """The value of the first name in an entry that the layer's name is or ends with, or the
    default's. PEFT takes these names for regular expressions; a stranger's could run forever.
    """
    given = config.get(entry) or {}
    for pattern, value in given.items() if isinstance(given, dict) else ():
        name = pattern.removeprefix("^").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", name):
            raise EdgeAudioError(
                f"{path} has {entry} {quoted(pattern)}, which is no name of layers; only names can"
                " be read"
            )
        if layer == name or (layer.endswith(f".{name}") and not pattern.startswith("^")):
            return value
    return config.get(default)


def _rank(path: Path, rank: Any) -> int:
    if type(rank) is not int or rank < 1:
        raise EdgeAudioError(f"{path} has rank {quoted(rank)}; an adapter has 1 or more")
    return rank


def _alpha(path: Path, alpha: Any) -> float:
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if not number or not abs(alpha) < 1e6:
        raise EdgeAudioError(f"{path} has alpha {quoted(alpha)}; an adapter has a finite number")
    return float(alpha)


def _names(path: Path, key: str, given: Any) -> tuple[str, ...] | None:
    """Parts of names, brackets written out: "layers.[0-2]." is three of them."""
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise EdgeAudioError(f"{path}: {key} of lora_config is no list of names; download it again")
    names = tuple(
        itertools.islice(
            (name for one in given for name in _written_out(one.strip())), _MOST_NAMES + 1
        )
    )
    if len(names) > _MOST_NAMES:
        raise EdgeAudioError(
            f"{path}: {key} of lora_config stands for too many names; a model has fewer layers"
        )
    return names


def _written_out(pattern: str) -> Iterator[str]:
    match = re.search(r"\[(\d{1,9})-(\d{1,9})\]", pattern)
    if not match:
        yield pattern
        return
    low, high = sorted((int(match[1]), int(match[2])))
    for number in range(low, high + 1):
        yield from _written_out(f"{pattern[: match.start()]}{number}{pattern[match.end() :]}")


def _pickled(path: Path) -> EdgeAudioError:
    return EdgeAudioError(
        f"{path} is a pickle, which may run code when it is read, and is not read; ask for the"
        " adapter as .safetensors"
    )
