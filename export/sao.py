"""The family of stable-audio-open-small: T5, a transformer with a prepended token, Oobleck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from edge_audio.bundle.manifest import Defaults, Guidance, Latent, Tiling
from edge_audio.errors import EdgeAudioError

from .architecture import COMMON, Architecture
from .autoencoder import Decoder, Encoder
from .checkpoint import Checkpoint, read_checkpoint
from .conditioners import Conditioners
from .config import MODEL_TYPE, ModelConfig, read_config
from .dit import DiT

PAD, EOS = 0, 1
#: Stages that a graph has again for shorter latents, as NAME_LENGTH (`denoise_64`), on the same
#: weights: their ports follow the length.
BY_LENGTH = ("denoise", "head")


class StableAudioOpen(Architecture):
    """See `Architecture`."""

    model_type = MODEL_TYPE
    builders = {  # noqa: RUF012
        "conditioners": lambda checkpoint, config, tile: Conditioners(checkpoint, config),
        "dit": lambda checkpoint, config, tile: DiT(checkpoint, config),
        "decoder": Decoder,
        "encoder": lambda checkpoint, config, tile: Encoder(checkpoint, config),
    }
    # `project` also gives the cross-attention keys and values of every block (cross_k_00,
    # cross_v_00, ...), which `denoise` reads.
    stages = {  # noqa: RUF012
        "conditioners": {
            "condition": (
                ("input_ids", "attention_mask", "seconds_total"),
                ("cross_attn_cond", "global_cond"),
            ),
        },
        "dit": {
            "project": (("cross_attn_cond", "global_cond"), ("global_embed",)),
            "denoise": (("x", "t", "global_embed"), ("v",)),
        },
        "decoder": {"head": (("latents",), ("features",)), "tail": (("features",), ("audio",))},
        "encoder": {"encode": (("audio",), ("mean", "stdev"))},
    }
    # Without a prompt the transformer is given zeros, the seconds token included; a negative
    # prompt does not change the global condition (stable-audio-tools,
    # `DiffusionTransformer.forward`).
    guidance = Guidance(zeroed=("cross_attn_cond",), kept=("global_cond",))
    # post-trained models want few steps and no guidance
    defaults = {  # noqa: RUF012
        "rf_denoiser": Defaults("pingpong", 8, 1.0),
        "rectified_flow": Defaults("dpmpp", 50, 5.0),
    }
    sources = (*COMMON, "autoencoder.py", "conditioners.py", "config.py", "dit.py", "t5.py")
    tokenizers = (
        "spiece.model",
        "tokenizer.model",
        "t5/spiece.model",
        "tokenizer/spiece.model",
    )

    def read_config(self, folder: Path, lengths: tuple[int, ...]) -> ModelConfig:
        return read_config(folder).with_lengths(lengths)

    def read_checkpoint(self, folder: Path, config: Any) -> Checkpoint:
        return read_checkpoint(folder)

    def vocabulary_size(self, config: Any) -> int:
        return int(config.t5.vocab_size)

    def refuse_tokenizer(self, processor: Any, path: Path) -> None:
        if (processor.pad_id(), processor.eos_id()) != (PAD, EOS):
            raise EdgeAudioError(
                f"{path} has pad id {processor.pad_id()} and eos id {processor.eos_id()}, T5 has 0"
                " and 1; give T5's spiece.model"
            )

    def shape(
        self, stage: str, port: str, shape: tuple[int, ...], latent: Latent, tiling: Tiling
    ) -> tuple[int | str, ...]:
        named: list[int | str] = list(shape)
        lengths = {1: "latents", tiling.per_latent: f"{tiling.per_latent}*latents"}
        if stage in BY_LENGTH and port in ("x", "v", "latents", "features"):
            named[1] = lengths[shape[1] // latent.length]
        return tuple(named)


def build(checkpoint: Checkpoint, config: ModelConfig) -> dict[str, tf.Module]:
    """All components of a checkpoint of this family by name."""
    return StableAudioOpen().build(checkpoint, config)
