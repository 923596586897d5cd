"""What to ask a model for when it is measured: a file of prompts, those a bundle brings along, or a
few for any model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError
from edge_audio.request import Request
from edge_audio.settings import Settings

#: characters of a prompt; whatever is longer is no prompt, and probably no text file
LONGEST = 1000


@dataclass(frozen=True)
class Prompt:
    """One thing to ask for; with a family and its attributes, what `listening.check` should
    then hear.
    """

    text: str
    seconds: float | None = None
    family: str | None = None
    attributes: dict[str, str | int] = field(default_factory=dict)

    def request(self, bundle: Bundle, seed: int, **settings: Any) -> Settings:
        """The settings of a clip; a bundle without a tokenizer reads the text as token ids."""
        ids = None if bundle.manifest.prompt.tokenizer else _ids(self.text)
        given: dict[str, Any] = {
            "prompt": self.text if ids is None else None,
            "seconds": self.seconds,
            "ids": ids,
        } | settings
        return Request(seed=seed, **given).resolved(bundle.manifest)


ANY = tuple(
    map(
        Prompt,
        ("steady rain", "a plucked string at A3", "drum beat at 120 bpm", "a slow rising siren"),
    )
)
ANY_IDS = tuple(map(Prompt, ("37,112,13,1", "5,29,101,7,44,1", "81,3,1", "9,60,22,75,18,30,2,1")))


def of_bundle(bundle: Bundle) -> tuple[Prompt, ...]:
    """The prompts with checks that the bundle carries, else ANY; token ids where there is no
    tokenizer.
    """
    if (path := bundle.checks_path()) is not None:
        return from_json(path)
    return ANY if bundle.manifest.prompt.tokenizer else ANY_IDS


def read(path: Path) -> tuple[Prompt, ...]:
    """A text file with a prompt a line, or a .json file as `to_json` writes it.

    EdgeAudioError for anything else.
    """
    if path.suffix == ".json":
        return from_json(path)
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise EdgeAudioError(
            f"prompts file {path} cannot be read ({error.strerror}); name a text file"
        ) from None
    except UnicodeDecodeError:
        raise EdgeAudioError(
            f"prompts file {path} is not UTF-8 text; save it as UTF-8, a prompt a line"
        ) from None
    prompts = []
    for number, line in enumerate(lines, 1):
        if (
            any(ord(character) < 32 and character != "\t" for character in line)
            or len(line) > LONGEST
        ):
            raise EdgeAudioError(
                f"line {number} of prompts file {path} is no prompt (control characters, or more"
                f" than {LONGEST} characters); write a prompt a line"
            )
        if line.strip():
            prompts.append(Prompt(" ".join(line.split())))
    if not prompts:
        raise EdgeAudioError(f"prompts file {path} is empty; write a prompt a line")
    return tuple(prompts)


def to_json(prompts: tuple[Prompt, ...]) -> str:
    """The text of a prompts file that keeps seconds, families and attributes."""
    return json.dumps([asdict(prompt) for prompt in prompts], indent=1) + "\n"


def from_json(path: Path) -> tuple[Prompt, ...]:
    """Inverse of `to_json`; EdgeAudioError names what is wrong with the file."""
    try:
        prompts = tuple(Prompt(**entry) for entry in json.loads(path.read_bytes()))
        for prompt in prompts:
            seconds = prompt.seconds
            if (
                not isinstance(prompt.text, str)
                or not isinstance(seconds, (int, float, type(None)))
                or not isinstance(prompt.family, (str, type(None)))
                or not isinstance(prompt.attributes, dict)
            ):
                raise ValueError(f"entry {prompt} has a value of another type")
        if not prompts:
            raise ValueError("it is empty")
    except OSError as error:
        raise EdgeAudioError(
            f"prompts file {path} cannot be read ({error.strerror}); name a file of prompts"
        ) from None
    except (ValueError, TypeError) as error:
        raise EdgeAudioError(
            f"prompts file {path} is malformed ({' '.join(str(error).split())[:120]}); write a list"
            ' of objects like {"text": "steady rain", "seconds": 4}'
        ) from None
    return prompts


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise EdgeAudioError(
            f"this model has no tokenizer and cannot read {text[:40]!r}; give prompts as token ids,"
            " like 37,112,13,1, or export it again with --tokenizer FILE"
        ) from None
