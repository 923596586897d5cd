"""A bundle goes to a repository of the user's own on the Hub, with its card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token

from edge_audio import __version__
from edge_audio.bundle.manifest import MANIFEST_NAME, Manifest, files
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.hub import faults
from edge_audio.hub.repository import ID, TERMS

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

CARD = "README.md"
#: what an export writes into a manifest where nobody states a licence
_UNSTATED = "see the source checkpoint"
#: licences that the Hub knows by these names; any other is `other`, with its own name
_KNOWN = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "openrail")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"\\]{1,200}")


def stated(bundle: Bundle, license: str | None, source: str | None) -> tuple[str, str]:
    """Licence and source of a bundle, as given or as it states them; UsageError if neither does."""
    license = license or ("" if bundle.manifest.license == _UNSTATED else bundle.manifest.license)
    if not license:
        raise UsageError(
            f"{bundle.manifest.name} states no licence; read what its source allows, and state it"
            " with --license"
        )
    if not source:
        raise UsageError(
            f"it is not known what {bundle.manifest.name} was made of; state it with --source, an"
            " OWNER/NAME of the Hub or an address"
        )
    for flag, text in (("--license", license), ("--source", source)):
        if not _PLAIN.fullmatch(text):
            raise UsageError(f"{flag} {text[:40]!r} is not a line of plain text")
    return license, source


def upload(bundle: Bundle, repository: str, license: str, source: str, public: bool = False) -> str:
    """Put a bundle and its card into a repository, which is made if it is not there, private unless
    `public`; the commit's address. EdgeAudioError if that cannot be.
    """
    if not ID.fullmatch(repository):
        raise UsageError(f"{repository[:60]!r} is no repository; write USER/NAME")
    if get_token() is None:
        raise EdgeAudioError(
            "an upload needs a token that writes: make one at"
            f" {constants.ENDPOINT}/settings/tokens and give it to {faults.LOGIN}"
        )
    bundle.verify()
    api = HfApi()
    faults.patiently(
        repository, lambda: api.create_repo(repository, private=not public, exist_ok=True)
    )
    info = faults.patiently(repository, lambda: api.model_info(repository))
    if not public and not info.private:
        raise EdgeAudioError(
            f"{repository} is there and public; give --public if all may have this model, or"
            " another repository"
        )
    if public and info.private:
        raise EdgeAudioError(
            f"{repository} is there and private; make it public on its page, or leave --public out"
        )
    paths = [bundle.folder / entry.file for entry in files(bundle.manifest)]
    paths += [path for path in bundle.folder.iterdir() if TERMS.fullmatch(path.name)]
    text = card(bundle.manifest, repository, license, source)
    operations = [
        *(CommitOperationAdd(path.name, path) for path in paths),
        CommitOperationAdd(MANIFEST_NAME, bundle.folder / MANIFEST_NAME),
        CommitOperationAdd(CARD, text.encode()),
    ]

    def commit() -> CommitInfo:
        message = f"Upload {bundle.manifest.name} with edge-audio {__version__}"
        return api.create_commit(repository, operations, commit_message=message)

    try:
        return str(faults.patiently(repository, commit).commit_url)
    except (ValueError, RuntimeError) as error:  # of its check of the card, or of hf_xet
        said = " ".join(str(error).split())[:200]
        raise EdgeAudioError(f"{repository}: the upload failed ({said}); run it again") from None


def card(manifest: Manifest, repository: str, license: str, source: str) -> str:
    """The card of a bundle: what it is, where it came from, and the figures of its manifest."""
    return "\n".join(
        (*_front_matter(license, source), "", *_body(manifest, repository, source), "")
    )


def _front_matter(license: str, source: str) -> Iterator[str]:
    named, _, link = license.partition(" (")
    yield "---"
    if license.lower() in _KNOWN:
        yield f"license: {license.lower()}"
    else:
        yield "license: other"
        yield f'license_name: "{named}"'
        if link.startswith("https://"):
            yield f'license_link: "{link.rstrip(")")}"'
    if ID.fullmatch(source):
        yield f'base_model: "{source}"'
    yield "library_name: edge-audio"
    yield "pipeline_tag: text-to-audio"
    yield "tags: [edge-audio, litert, tflite, text-to-audio]"
    yield "---"


def _body(manifest: Manifest, repository: str, source: str) -> Iterator[str]:
    best, name = manifest.defaults, repository.partition("/")[2]
    link = f"[{source}](https://huggingface.co/{source})" if ID.fullmatch(source) else source
    yield f"# {manifest.name}"
    yield ""
    yield f"A bundle for edge-audio: text to sound on small computers, offline. Made of {link}."
    yield ""
    yield "```sh"
    yield "pip install 'edge-audio[hub]'"
    yield f"edge-audio pull {repository}"
    yield f'edge-audio generate "rain on a tin roof" --model {name} -o rain.wav'
    yield "```"
    yield ""
    yield "| | |"
    yield "| --- | --- |"
    yield (
        f"| audio | up to {manifest.max_seconds:.1f} s, {manifest.sample_rate} Hz,"
        f" {manifest.channels} channels |"
    )
    yield f"| made for | {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g} |"
    for adapter in manifest.adapters:
        yield f"| style merged in | {adapter.name}, strength {adapter.strength:g} |"
    yield f"| sha256 of the source's weights | `{manifest.source_sha256}` |"
    yield ""
    yield "| graph | precision | MB | against the float function, dB |"
    yield "| --- | --- | --- | --- |"
    for component, entries in manifest.graphs.items():
        for precision, entry in entries.items():
            worst = min(entry.fidelity.values(), default=None)
            shown = "-" if worst is None else f"{worst:.1f}"
            yield f"| {component} | {precision} | {entry.bytes / 1e6:.1f} | {shown} |"
