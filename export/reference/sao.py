"""The family of stable-audio-open-small, as the reference must know it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import ClassVar

import tensorflow as tf

from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError

from ..bundle import BUILDERS, _find_tokenizer
from ..checkpoint import read_checkpoint
from ..config import read_config
from .family import Family, Sentences


class StableAudioOpen(Family):
    """T5 and seconds, a transformer with a prepended global token, Oobleck."""

    titles: ClassVar[Sentences] = {
        "condition": "conditioning",
        "project": "projection",
        "denoise": "transformer",
        "head": "decoder head",
        "tail": "decoder tail",
    }
    parts: ClassVar[Sentences] = {
        r"t5\.": "text encoder",
        r"to_timestep_embed|transformer\.project_in": "embeddings",
        r"transformer\.layers\.(\d+)\.": r"block \1",
    }
    ends: ClassVar[Sentences] = {
        "input_ids": (
            "The prompt is padded to another length than max_length says, or cut into other tokens."
        ),
        "cross_attn_cond": (
            "It is put together of the prompt's tokens and one for the seconds, and nothing else."
        ),
        "global_embed": "It must be to_global_embed of the global condition.",
    }
    before: ClassVar[Sentences] = {
        "to_qkv": "the norm before self-attention (gamma, beta, eps 1e-5)",
        "self_attn.to_out": (
            "self-attention itself: norms of q and k (eps 1e-6), rotary positions, softmax"
        ),
        "to_q": "the norm before cross-attention (gamma, beta, eps 1e-5)",
        "cross_attn.to_out": "cross-attention itself: norm of q (eps 1e-6), scale, softmax",
        "ff.0.proj": "the norm before the feed-forward (gamma, beta, eps 1e-5)",
        "ff.2": "the gate, x · SiLU(gate)",
        "cross_k": "the norm of the cross-attention keys (eps 1e-6)",
        "embedding.1": "the features of the number conditioner: [x, sin f, cos f]",
        "to_timestep_embed.0": "the timestep features: [cos f, sin f]",
        "to_timestep_embed.2": "SiLU",
        "SelfAttention": "T5's norm, or the table of words",
        "DenseReluDense": "T5's attention, relative positions, mask",
    }
    roots = ("model.model.", "pretransform.model.")
    gains = (".gamma", ".layer_norm.weight")
    apart = re.compile(r"pretransform\.model\.encoder\..*")

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.config, self.checkpoint = read_config(folder), read_checkpoint(folder)

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        return (folder / "t5").is_dir()

    def manifest(self, bundle: Bundle) -> Manifest:
        manifest = bundle.manifest
        config = self.config.with_lengths(manifest.latent.shorter)
        if (manifest.latent, manifest.channels) != (config.latent, config.channels):
            raise EdgeAudioError(
                f"{self.folder} has latents of {config.latent}, the bundle {manifest.latent}; give"
                " the checkpoint that the bundle was exported from"
            )
        prompt = dataclasses.replace(manifest.prompt, max_length=config.max_length)
        return dataclasses.replace(manifest, prompt=prompt)

    def build(self, component: str, manifest: Manifest) -> tf.Module:
        tiling = manifest.tiling
        tile = max(1, (tiling.tile - 2 * tiling.overlap) // tiling.per_latent)
        config = self.config.with_lengths(manifest.latent.shorter)
        return BUILDERS[component](self.checkpoint, config, tile)

    def tokenizer(self, bundle: Bundle) -> Path | None:
        own = _find_tokenizer(self.folder, None, self.config.t5.vocab_size)
        return own or bundle.tokenizer_path()
