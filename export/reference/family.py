"""What the reference must know of a family of models: how its checkpoints become functions, and
what its stages and layers are.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import tensorflow as tf

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle

from ..checkpoint import Checkpoint

Sentences = Mapping[str, str]


class Family(abc.ABC):
    """An official checkpoint of a family of models, opened."""

    #: stage -> what people call it, where that is not its name
    titles: ClassVar[Sentences] = {}
    #: start of a layer's name (regular expression) -> the part of its stage, which gets a row of
    #: its own; groups of the expression may be named in it
    parts: ClassVar[Sentences] = {}
    #: value between stages -> how it should come about
    ends: ClassVar[Sentences] = {}
    #: part of a layer's name -> what lies between it and the layer before, where a fault must be if
    #: both have the right weights
    before: ClassVar[Sentences] = {}
    #: what the names of a checkpoint's layers begin with and those of a graph's do not
    roots: ClassVar[tuple[str, ...]] = ()
    #: how the name of a norm's gain ends
    gains: ClassVar[tuple[str, ...]] = ()
    #: tensors of components that make no sound, which are not compared
    apart: ClassVar[re.Pattern[str]] = re.compile("(?!)")

    checkpoint: Checkpoint

    def __init__(self, folder: Path):
        """EdgeAudioError for a folder that holds no checkpoint of this family."""
        self.folder = folder

    @classmethod
    @abc.abstractmethod
    def recognizes(cls, folder: Path) -> bool:
        """Whether a folder seems to hold a checkpoint of this family; no error is raised."""

    @abc.abstractmethod
    def manifest(self, bundle: Bundle) -> Manifest:
        """The bundle's manifest with what the checkpoint says of prompts; EdgeAudioError if the
        bundle is of another model.
        """

    @abc.abstractmethod
    def build(self, component: str, manifest: Manifest) -> tf.Module:
        """A component's float functions (`signatures`), for the lengths and tiles of a manifest."""

    @abc.abstractmethod
    def tokenizer(self, bundle: Bundle) -> Path | None:
        """The checkpoint's SentencePiece model, or the bundle's where it brings none."""

    def short(self, name: str) -> str:
        """A layer's name as graphs have it."""
        for root in self.roots:
            name = name.removeprefix(root)
        return name

    def part(self, layer: str) -> str:
        """Of a stage, as `parts` names it; empty for the rest."""
        for pattern, part in self.parts.items():
            if found := re.match(pattern, layer):
                return found.expand(part)
        return ""
