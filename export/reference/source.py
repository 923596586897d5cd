"""The checkpoint that a bundle is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError

from ..architectures import architecture_of
from .family import FAMILIES, Family


class Source:
    """An official checkpoint, opened."""

    def __init__(self, folder: Path):
        """EdgeAudioError for a folder that holds no checkpoint that can be exported."""
        self.folder, self.architecture = folder, architecture_of(folder)
        self._config = self.architecture.read_config(folder, ())
        self.checkpoint = self.architecture.read_checkpoint(folder, self._config)
        self.family = FAMILIES.get(self.architecture.model_type, Family())

    def manifest(self, bundle: Bundle) -> Manifest:
        """The bundle's manifest with what the checkpoint says of prompts and of values that the
        runtime makes; EdgeAudioError if the bundle is of another model.
        """
        manifest = bundle.manifest
        if manifest.adapters:
            raise EdgeAudioError(
                f"{bundle.folder} has {manifest.adapters[0].name} merged into its weights, which"
                f" {self.folder} has not; compare a bundle that was exported without --lora"
            )
        self._config = self.architecture.read_config(self.folder, manifest.latent.lengths)
        config = self._config
        if (manifest.latent, manifest.channels) != (config.latent, config.channels):
            raise EdgeAudioError(
                f"{self.folder} has latents of {config.latent}, the bundle {manifest.latent}; give"
                " the checkpoint that the bundle was exported from"
            )
        prompt = self.architecture.prompt(config, manifest.prompt.tokenizer)
        return dataclasses.replace(manifest, prompt=prompt, **self.architecture.more(config))

    def build(self, component: str, manifest: Manifest) -> tf.Module:
        """A component's float functions (`signatures`), for the tiles of a manifest."""
        tiling = manifest.tiling
        tile = max(1, (tiling.tile - 2 * tiling.overlap) // tiling.per_latent)
        return self.architecture.builders[component](self.checkpoint, self._config, tile)

    def use_rest(self, components: Iterable[str], manifest: Manifest) -> None:
        """Build what is not among `components`, so that its tensors count as used."""
        for component in self.architecture.builders:
            if component not in components:
                self.build(component, manifest)

    def tokenizer(self, bundle: Bundle) -> Path | None:
        """The checkpoint's SentencePiece model, or the bundle's where it brings none."""
        own = self.architecture.find_tokenizer(self.folder, None, self._config)
        return own or bundle.tokenizer_path()
