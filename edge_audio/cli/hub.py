"""`edge-audio pull`, `push-to` and `upload`."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_audio.bundle.store import Bundle
from edge_audio.cli.models import size
from edge_audio.cli.options import Commands, add_json, add_quiet
from edge_audio.cli.progress import Line
from edge_audio.cli.result import print_result
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate import needs
from edge_audio.hub import keeping

if TYPE_CHECKING:
    from edge_audio.hub.download import OnBytes
    from edge_audio.hub.plan import Plan

Say = Callable[[str], None]
PACKAGES = ("huggingface_hub",)
_PRECISION = "int8"


def add_pull(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "pull",
        help="fetch a model from the Hugging Face Hub",
        description=(
            "Fetch a bundle, or an official checkpoint with its text encoder, which is exported at"
            " once where memory allows (docs/models.md). An interrupted run goes on where it was."
            " HF_TOKEN and HF_ENDPOINT count as everywhere."
        ),
    )
    parser.set_defaults(run=pull)
    parser.add_argument(
        "repository",
        metavar="OWNER/NAME[@REVISION]",
        help="such as stabilityai/stable-audio-3-small-sfx; a revision is a branch, tag or commit",
    )
    parser.add_argument("--name", help="keep it under this name (default: the repository's)")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be fetched, and fetch nothing"
    )
    parser.add_argument(
        "--no-export", action="store_true", help="fetch a checkpoint and leave it at that"
    )
    parser.add_argument(
        "--precision",
        metavar="LIST",
        default=_PRECISION,
        help="of the export, as in edge-audio export (default: %(default)s)",
    )
    parser.add_argument("--latent-lengths", metavar="LIST", help="as in edge-audio export")
    parser.add_argument(
        "--without-encoder", action="store_true", help="as in edge-audio export: smaller, no edits"
    )
    add_quiet(parser)
    add_json(parser)


def add_push_to(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "push-to",
        help="bring a model to another computer, such as a Raspberry Pi, over ssh",
        description=(
            "Copy a bundle into the models folder of another computer, by rsync or scp, and compare"
            " its files there. Afterwards --model NAME finds it there."
        ),
    )
    parser.set_defaults(run=push_to)
    parser.add_argument(
        "host",
        metavar="HOST[:DIR]",
        help="such as pi@raspberrypi.local; DIR if its models are not in the usual folder",
    )
    parser.add_argument("model", metavar="NAME", help="name of a model, or folder of a bundle")
    add_quiet(parser)
    add_json(parser)


def push_to(arguments: argparse.Namespace) -> None:
    """`edge-audio push-to`"""
    from edge_audio.hub import push

    to, bundle = push.destination(arguments.host), Bundle.open(arguments.model)
    name, say = bundle.folder.resolve().name, _speaker(arguments)
    is_compared = push.push(bundle, to, None if arguments.quiet or arguments.json else print)
    if arguments.json:
        folder = f"{to.folder}/{name}"
        print_result({"host": to.host, "folder": folder, "verified": is_compared})
    say(
        f"{name} is on {to.host}, every file as here"
        if is_compared
        else f"{name} is on {to.host}; there is no sha256sum to compare its files with"
    )
    say(f'there: edge-audio generate "rain on a roof" --model {_there(to.folder, name)} --play')


def _there(folder: str, name: str) -> str:
    from edge_audio.hub.push import USUAL_FOLDER

    return name if folder == USUAL_FOLDER else f"{folder}/{name}"


def add_upload(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "upload",
        help="publish a model in a repository of your own on the Hugging Face Hub",
        description=(
            "Put a bundle into a repository, with a card that states its licence, its source and"
            " the figures of its manifest. The repository is private, unless --public is given."
            " Read first what the source's licence says of copies."
        ),
    )
    parser.set_defaults(run=upload)
    parser.add_argument("model", metavar="NAME", help="name of a model, or folder of a bundle")
    parser.add_argument("repository", metavar="USER/REPO")
    parser.add_argument("--public", action="store_true", help="let everybody have it")
    parser.add_argument(
        "--license", metavar="TEXT", help="default: what the model states, see edge-audio info"
    )
    parser.add_argument(
        "--source", metavar="OWNER/NAME", help="what it was made of (default: where it was pulled)"
    )
    add_json(parser)


def upload(arguments: argparse.Namespace) -> None:
    """`edge-audio upload`"""
    needs.packages("edge-audio upload", "hub", PACKAGES)
    from huggingface_hub.utils import disable_progress_bars

    from edge_audio.hub import publish
    from edge_audio.hub.source import Source

    bundle = Bundle.open(arguments.model)
    kept = Source.of(bundle.folder) or Source()
    license, source = publish.stated(
        bundle, arguments.license or kept.license, arguments.source or kept.repository
    )
    if arguments.json or not sys.stderr.isatty():
        disable_progress_bars()
    url = publish.upload(bundle, arguments.repository, license, source, arguments.public)
    if arguments.json:
        print_result({"url": url, "license": license, "source": source})
    else:
        print(f"{url}\nfetched with: edge-audio pull {arguments.repository}")


def pull(arguments: argparse.Namespace) -> None:
    """`edge-audio pull`"""
    needs.packages("edge-audio pull", "hub", PACKAGES)
    from edge_audio.hub import exporting, plan, pull, repository

    exporting.parse_precisions(arguments.precision)
    id, revision = repository.parse(arguments.repository)
    name = arguments.name or id.partition("/")[2]
    pull.refuse_taken(name, id)
    found = plan.plan(id, revision)
    is_checkpoint = found.kind == plan.CHECKPOINT
    if is_checkpoint and not arguments.no_export:
        _refuse_unsupported(found)
    report, say = _report(found, name), _speaker(arguments)
    if pull.is_here(found, name):
        report["missing_bytes"] = 0
        say(f"{report['folder']} is what {id} has now")
    else:
        _tell(found, report, arguments, say)
        _refuse_full_disk(report)
        if not arguments.dry_run:
            with _progress(arguments) as on_bytes:
                pull.pull(found, name, on_bytes)
            say(f"{report['folder']}: every file is here and whole")
    if not arguments.dry_run:
        if not is_checkpoint:
            report["bundle"] = report["folder"]
        elif not arguments.no_export:
            _export(found, name, arguments, report, say)
        if report["bundle"]:
            say(f'next: edge-audio generate "rain on a roof" --model {name}')
    if arguments.json:
        print_result(report)


def _refuse_unsupported(found: Plan) -> None:
    """EdgeAudioError for a checkpoint that cannot be exported, before its weights are fetched."""
    from edge_audio.exporter.supported import refuse_unsupported

    with tempfile.TemporaryDirectory() as folder:
        for wanted in found.wanted:
            if wanted.content is not None:
                (Path(folder) / wanted.place).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / wanted.place).write_bytes(wanted.content)
        try:
            refuse_unsupported(Path(folder))
        except EdgeAudioError as error:
            said = str(error).replace(f"{folder}/", "")
            raise EdgeAudioError(
                f"{found.repository.id} cannot be exported: {said}; --no-export fetches it anyway"
            ) from None


def _report(found: Plan, name: str) -> dict[str, Any]:
    from edge_audio.hub import pull

    return {
        "name": name,
        "kind": found.kind,
        "repository": found.repository.id,
        "commit": found.repository.commit,
        "license": found.repository.license,
        "folder": str(pull.place_of(found, name)),
        "bytes": found.bytes,
        "missing_bytes": pull.missing_bytes(found, name),
        "free_bytes": pull.free_bytes(),
        "files": [
            {
                "file": wanted.place,
                "bytes": wanted.file.bytes,
                "repository": wanted.repository.id,
                "commit": wanted.repository.commit,
            }
            for wanted in found.wanted
        ],
        "bundle": None,
        "why_not_exported": None,
    }


def _tell(found: Plan, report: dict[str, Any], arguments: argparse.Namespace, say: Say) -> None:
    license = found.repository.license or "none stated"
    say(f"{found.repository.id} at {found.repository.commit[:12]}, licence: {license}")
    width = max(len(wanted.place) for wanted in found.wanted)
    for wanted in found.wanted:
        origin = "" if wanted.repository is found.repository else f"  of {wanted.repository.id}"
        say(f"  {wanted.place:{width}}  {size(wanted.file.bytes):>9}{origin}")
    say(
        f"{size(report['missing_bytes'])} to download into {keeping.home()}, where"
        f" {size(report['free_bytes'])} are free"
    )
    if report["kind"] == "checkpoint" and not arguments.no_export:
        from edge_audio.hub import exporting

        # weights may be float16, which only their files tell
        weights = 2 * found.weights
        precisions = exporting.parse_precisions(arguments.precision)
        say(
            f"the export then takes up to {size(exporting.disk_needed(weights, precisions))} more,"
            f" and {size(exporting.memory_needed(weights))} of memory"
        )
        if reason := exporting.why_not(found.weights, precisions, keeping.existing_home()):
            say(f"it will not run on this computer: {reason}")


def _refuse_full_disk(report: dict[str, Any]) -> None:
    if report["missing_bytes"] > report["free_bytes"]:
        raise EdgeAudioError(
            f"{report['repository']} needs {size(report['missing_bytes'])} more in"
            f" {keeping.home()}, where {size(report['free_bytes'])} are free; free some space, or"
            " name a folder on another disk in $EDGE_AUDIO_MODELS"
        )


def _export(
    found: Plan, name: str, arguments: argparse.Namespace, report: dict[str, Any], say: Say
) -> None:
    """Export the checkpoint into the bundle of its name, or say where that can be done."""
    from edge_audio.exporter import command
    from edge_audio.hub import exporting
    from edge_audio.hub.source import Source

    checkpoint, out = Path(report["folder"]), keeping.place(name)
    choices = ["--precision", arguments.precision]
    if arguments.latent_lengths:
        choices += ["--latent-lengths", arguments.latent_lengths]
    if arguments.without_encoder:
        choices.append("--without-encoder")
    words = [str(checkpoint), str(out), *choices, "--name", name]
    if license := found.repository.license:
        words.append(f"--license={license}")  # one word: a stranger's may begin with a hyphen
    weights = exporting.float_bytes(checkpoint)
    precisions = exporting.parse_precisions(arguments.precision)
    if reason := exporting.why_not(weights, precisions, checkpoint):
        report["why_not_exported"] = reason
        named = ["--name", name] if arguments.name else []
        again = shlex.join(["edge-audio", "pull", arguments.repository, *named, *choices])
        here = shlex.join(["edge-audio", "export", *words])
        memory = size(exporting.memory_needed(weights))
        say(f"not exported: {reason}. On a computer with {memory} of free memory:")
        say(f"  pip install 'edge-audio[hub,export]'\n  {again}")
        say(f"  edge-audio push-to HOST {name}\nor here, when that has changed:\n  {here}")
        return
    quiet = arguments.quiet or arguments.json
    with contextlib.redirect_stdout(None) if quiet else contextlib.nullcontext():
        command.run(words, "edge-audio export")
    source = found.repository
    Source(source.id, source.commit, source.license).write(out)
    report["bundle"] = str(out)
    say(
        f"{out} is the bundle; the checkpoint is kept for other precisions, or: edge-audio models"
        f" remove {checkpoint.name}"
    )


def _speaker(arguments: argparse.Namespace) -> Say:
    return (lambda text: None) if arguments.quiet or arguments.json else print


@contextlib.contextmanager
def _progress(arguments: argparse.Namespace) -> Iterator[OnBytes]:
    """What is called while bytes come, for a person who waits."""
    shown = sys.stderr.isatty() and not arguments.quiet
    start, told = time.monotonic(), 0.0
    with Line(shown) as line:

        def on_bytes(file: str, done: int, of: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told > 0.2 or done == of:
                told = now
                line(f"{file}  {size(done)} of {size(of)}, {now - start:.0f} s")

        yield on_bytes
