"""What the export must know of a family of models; everything else is the same for all."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from edge_audio.bundle.manifest import (
    Defaults,
    FileEntry,
    Guidance,
    Latent,
    Port,
    Prompt,
    SecondsRange,
    Stage,
    Tiling,
)
from edge_audio.errors import EdgeAudioError, first_line
from edge_audio.system.graph import Graph

from .autoencoder import TILE
from .checkpoint import Checkpoint

#: component -> stage -> (inputs, outputs) that its graph must at least have
StageTable = Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]]
Builder = Callable[[Checkpoint, Any, int], tf.Module]
#: of sources that decide how every family's graphs come out
COMMON = ("checkpoint.py", "convert.py", "layers.py", "quantize.py", "styles.py")


class Architecture(abc.ABC):
    """A family of models: how its checkpoints are read, and what their bundles are made of.

    config: what `read_config` gave; it has sample_rate, channels, latent, prompt, objective and
    seconds, as a manifest has them.
    """

    #: what `model_config.json` says of it
    model_type: ClassVar[str]
    #: component -> what makes it of a checkpoint, a configuration and the decoder's tile in latents
    builders: ClassVar[Mapping[str, Builder]]
    #: components with a method `store`: their float32 graph is another one for smaller precisions
    tables: ClassVar[tuple[str, ...]] = ("conditioners",)
    stages: ClassVar[StageTable]
    guidance: ClassVar[Guidance]
    #: objective -> what suits it when the user names nothing else
    defaults: ClassVar[Mapping[str, Defaults]]
    #: files beside this one that decide how a graph comes out, besides checkpoint and options
    sources: ClassVar[tuple[str, ...]]
    #: latents that the decoder makes audio of at a time
    tile: ClassVar[int] = TILE
    #: whether stages that follow a length are resized to it, rather than exported for several
    resizes: ClassVar[bool] = False
    #: where in a checkpoint's folder the SentencePiece model may be
    tokenizers: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def read_config(self, folder: Path, lengths: tuple[int, ...]) -> Any:
        """The configuration, for a bundle that serves latents of these lengths; EdgeAudioError
        names the first thing that is not supported.
        """

    @abc.abstractmethod
    def read_checkpoint(self, folder: Path, config: Any) -> Checkpoint:
        """The tensors; EdgeAudioError for files that are missing or damaged."""

    @abc.abstractmethod
    def vocabulary_size(self, config: Any) -> int:
        """Ids are below it."""

    @abc.abstractmethod
    def refuse_tokenizer(self, processor: Any, path: Path) -> None:
        """EdgeAudioError for a SentencePiece model that cannot be this family's."""

    @abc.abstractmethod
    def shape(
        self, stage: str, port: str, shape: tuple[int, ...], latent: Latent, tiling: Tiling
    ) -> tuple[int | str, ...]:
        """A port's shape in the stage's own signature, with what follows a length said so."""

    def more(self, config: Any) -> dict[str, Any]:
        """Entries of the manifest that only this family has."""
        return {}

    def prompt(self, config: Any, tokenizer: FileEntry | None) -> Prompt:
        """The manifest's entry on the prompt."""
        return Prompt(config.max_length, tokenizer, self.vocabulary_size(config))

    def seconds(self, config: Any) -> SecondsRange:
        """The manifest's entry on the number conditioner."""
        return SecondsRange(config.seconds.min, config.seconds.max)

    def build(self, checkpoint: Checkpoint, config: Any, tile: int = TILE) -> dict[str, tf.Module]:
        """All components by name; afterwards `checkpoint.audit()` knows what was used."""
        return {name: make(checkpoint, config, tile) for name, make in self.builders.items()}

    def stages_of(
        self, component: str, graph: Graph, latent: Latent, tiling: Tiling
    ) -> dict[str, Stage]:
        """The stages that a component's graph has; EdgeAudioError if one or a port of it is
        missing.
        """
        return {
            name: self._stage(component, name, graph, latent, tiling)
            for name in self.stages[component]
        }

    def _stage(
        self, component: str, name: str, graph: Graph, latent: Latent, tiling: Tiling
    ) -> Stage:
        inputs, outputs = self.stages[component][name]
        here = name in graph.signatures
        found = (graph.inputs(name), graph.outputs(name)) if here else ([], [])
        if not (set(inputs) <= set(found[0]) and set(outputs) <= set(found[1])):
            raise EdgeAudioError(
                f"{graph.path} has no signature {name} that reads {', '.join(inputs)} and gives"
                f" {', '.join(outputs)}; the export went wrong, please report it"
            )

        def port(tensor: str) -> Port:
            shape = self.shape(name, tensor, graph.shape(name, tensor), latent, tiling)
            return Port(graph.dtype(name, tensor).name, shape)

        reads, gives = ({tensor: port(tensor) for tensor in names} for names in found)
        follows = any(one.follows for one in (*reads.values(), *gives.values()))
        return Stage(component, reads, gives, resizes=self.resizes and follows)

    def find_tokenizer(self, folder: Path, given: Path | None, config: Any) -> Path | None:
        """The given SentencePiece model, or the one in the checkpoint's folder, checked; None if
        there is none.
        """
        import sentencepiece

        places = (folder / name for name in self.tokenizer_places(config))
        path = given or next((place for place in places if place.is_file()), None)
        if path is None:
            return None
        try:
            processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError, ValueError) as error:
            raise EdgeAudioError(
                f"{path} is no SentencePiece model ({first_line(error)}); give {self.tokenizers[0]}"
            ) from None
        self.refuse_tokenizer(processor, path)
        if processor.vocab_size() > self.vocabulary_size(config):
            raise EdgeAudioError(
                f"{path} has {processor.vocab_size()} pieces, the text encoder knows"
                f" {self.vocabulary_size(config)}; give the tokenizer that belongs to it"
            )
        return path

    def tokenizer_places(self, config: Any) -> Iterator[str]:
        """Where in a checkpoint's folder its tokenizer may be."""
        yield from self.tokenizers
