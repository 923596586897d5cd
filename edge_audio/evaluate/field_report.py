"""`edge-audio report`: what others need to know of a computer on which something is wrong, and
nothing that is private.

Every entry comes from a source that holds nothing private: no host, user, folder, value of a
variable, or prompt. What libraries say in errors is the exception, and is cleaned.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.metadata
import os
import platform
import re
import socket
from pathlib import Path
from typing import Any

from edge_audio import __version__
from edge_audio.audio.play import find_player
from edge_audio.bundle import places
from edge_audio.bundle.precision import recommended
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.evaluate.bench import IDS, run_child
from edge_audio.model.model import default_model
from edge_audio.request import Request
from edge_audio.system import cache, device

PACKAGES = ("ai-edge-litert", "numpy", "sentencepiece", "soundfile")
#: whose files may lie over those of ai-edge-litert
NIGHTLY = "ai-edge-litert-nightly"
#: what the clip is asked for, its seconds at most, and after it so many clips more
_PROMPT, _SECONDS, _AGAIN = "steady rain", 1.0, 1
#: begins the names of the program's variables
_VARIABLES = "EDGE_AUDIO_"
_HIDDEN = "…"
#: an absolute path, as far as it has no spaces
_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|\\\\|(?<![\w.])~?/)[^\s'\"`|<>]*")


def collect(
    model: str | None = None, precision: str | None = None, threads: int | None = None
) -> dict[str, Any]:
    """The report, for json.dumps. UsageError for a precision or number of threads that is none;
    what else goes wrong is part of the report.
    """
    here = device.describe()
    usual = device.recommended_threads(here)
    threads = usual if threads is None else device.usable_threads(threads)
    report = {
        "edge_audio": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": _system(),
        "cpu": {
            "model": here.model,
            "architecture": here.architecture,
            "fast_cores": here.cores,
            "cpus": device.cpus(),
            "features": list(here.features),
        },
        "memory": {"total": here.memory, "free": device.memory().available},
        "packages": _packages(),
        "unsupported": device.unsupported(),
        "cache": {"bytes": cache.size(), "why_not": cache.why_not()},
        "player": _player(),
        "variables": sorted(name for name in os.environ if name.startswith(_VARIABLES)),
    }
    found: dict[str, Any] = _cleaned(report | _model(model, precision, threads, here))
    return found


def markdown(report: dict[str, Any]) -> str:
    """The report as a table to paste."""
    rows = [(name, _cell(text)) for name, text in _rows(report) if text]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)])


def _rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    cpu, memory, model, clip = (report[name] for name in ("cpu", "memory", "model", "clip"))
    kept = report["cache"]["why_not"] or f"{report['cache']['bytes'] / 1e6:.1f} MB"
    rows = [
        ("edge-audio", report["edge_audio"]),
        ("Python", report["python"]),
        ("system", ", ".join(filter(None, report["system"].values()))),
        ("CPU", f"{cpu['model'] or 'unknown'}, {cpu['architecture']}"),
        ("cores", f"{cpu['fast_cores']} fast ones, {cpu['cpus']} CPUs"),
        ("features", " ".join(cpu["features"]) or "none known"),
        ("memory", f"{_gib(memory['total'])}, {_gib(memory['free'])} free"),
        ("packages", ", ".join(f"{name} {is_}" for name, is_ in report["packages"].items())),
        ("unsupported", report["unsupported"] or ""),
        ("cache", kept),
        ("player", report["player"] or "none"),
        ("variables", ", ".join(report["variables"])),
    ]
    if "error" in model:
        return [*rows, ("model", model["error"])]
    chosen = ", ".join(f"{name}={precision}" for name, precision in model["precision"].items())
    half = ", decoder in fp16" if model["half"] else ""
    rows += [
        ("model", f"{model['name']}, sha256 {model['sha256']}"),
        ("runs in", f"{chosen}{half}, {model['threads']} threads: {model['reason']}"),
    ]
    if "error" in clip:
        return [*rows, ("clip", clip["error"])]
    rows += [
        (f"clip {number}", f"{made['total']:.3f} s ({_stages(made['timings'])})")
        for number, made in enumerate(clip["clips"], 1)
    ]
    made = f"{clip['seconds']:g} s of audio, {clip['steps']} steps of {clip['sampler']}"
    return [*rows, ("each", f"{made}, cfg {clip['cfg_scale']:g}"), ("peak memory", _peak(clip))]


def _system() -> dict[str, str]:
    name = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    distribution = {}
    with contextlib.suppress(OSError, AttributeError):
        distribution = platform.freedesktop_os_release()
    # what follows the numbers of a kernel's release is whatever its builder wrote
    release = re.match(r"[\d.]*", platform.mac_ver()[0] or platform.release())
    return {
        "name": f"{name} {release[0] if release else ''}".strip(),
        "distribution": distribution.get("PRETTY_NAME", ""),
        "libc": " ".join(platform.libc_ver()).strip(),
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found[NIGHTLY] = importlib.metadata.version(NIGHTLY)
    with contextlib.suppress(ImportError, OSError):
        import soundfile

        found["libsndfile"] = soundfile.__libsndfile_version__
    return found


def _player() -> str | None:
    try:
        return find_player()
    except EdgeAudioError:
        return None


def _model(
    model: str | None, precision: str | None, threads: int, here: device.Device
) -> dict[str, Any]:
    """The bundle, what of it would run here, and what a clip took in a process of its own, since a
    graph that this CPU cannot run ends its process.
    """
    folder = places.resolve(model) if model else default_model()
    try:
        bundle = Bundle.open(folder)
        advice, manifest = recommended(here), bundle.manifest
        chosen = bundle.choose(precision, advice.preferred)
    except UsageError:
        raise
    except EdgeAudioError as error:
        return {"model": {"error": _said(error, folder)}, "clip": {"error": "there is no model"}}
    told = {
        "name": manifest.name,
        "sha256": bundle.sha256,
        "precision": chosen,
        "reason": "asked for" if precision else advice.reason,
        "half": device.recommended_half(here),
        "threads": threads,
        "bytes": sum(manifest.graphs[name][chosen[name]].bytes for name in chosen),
    }
    try:
        bundle.verify()
        text = manifest.prompt.tokenizer is not None
        seconds = min(max(_SECONDS, manifest.seconds.min), manifest.max_seconds)
        asked = Request(
            _PROMPT if text else None, ids=None if text else IDS, seconds=seconds, seed=1
        )
        settings = asked.resolved(manifest)
        job = {
            "model": str(folder),
            "precision": chosen,
            "threads": threads,
            "request": settings.entries,
            "repeats": _AGAIN,
        }
        found = run_child("clips", job, threads)
    except EdgeAudioError as error:
        return {"model": told, "clip": {"error": _said(error, folder)}}
    clip = {
        "seconds": settings.seconds,
        "steps": settings.steps,
        "sampler": settings.sampler,
        "cfg_scale": settings.cfg_scale,
        "clips": [{"total": made["total"], "timings": made["timings"]} for made in found["clips"]],
        "peak": found["peak"],
    }
    return {"model": told, "clip": clip}


def _said(error: EdgeAudioError, folder: Path) -> str:
    """What is wrong, without the folder of the model, however it was given: of its files, the
    names. What to do is left out: it may name the other models that are kept here.
    """
    said = str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), _HIDDEN)
    return said.partition("; ")[0]


def _cleaned(value: Any) -> Any:
    """The same without paths, host and user in its texts."""
    if isinstance(value, dict):
        return {name: _cleaned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if not isinstance(value, str):
        return value
    for private in _private_folders():
        value = value.replace(private, _HIDDEN)
    value = re.sub(f"{_HIDDEN}+", _HIDDEN, _PATH.sub(_HIDDEN, value))
    for private in _private_names():
        value = re.sub(rf"(?<!\w){re.escape(private)}(?!\w)", _HIDDEN, value)
    return value


def _private_folders() -> list[str]:
    """This one, and where the user is at home: paths with spaces, too."""
    folders = []
    with contextlib.suppress(RuntimeError, OSError):
        folders += [str(Path.cwd()), str(Path.home())]
    return sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)


def _private_names() -> list[str]:
    """Of host and user, unless they are words that every computer has."""
    names = [platform.node(), socket.gethostname(), os.environ.get("USER", "")]
    with contextlib.suppress(Exception):  # no name for this user id: each system has its own error
        names.append(getpass.getuser())
    names += [name.partition(".")[0] for name in names]
    return sorted({name for name in names if len(name) > 2 and name not in _COMMON}, key=len)[::-1]


#: users and hosts that tell nothing, and would tear words out of what is said
_COMMON = {"root", "user", "admin", "localhost", "ubuntu", "debian", "raspberrypi"}


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size else "unknown"


def _peak(clip: dict[str, Any]) -> str:
    return f"{clip['peak'] / 1e6:.0f} MB" if clip["peak"] else ""


def _stages(timings: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {seconds:.3f}" for name, seconds in timings.items())
