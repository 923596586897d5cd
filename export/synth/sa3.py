"""Stable Audio 3 small: its configurations, and the names and shapes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .tensors import (
    Config,
    Tensor,
    attentions,
    conv,
    embeds,
    inverse_frequencies,
    linear,
    matrix,
    normal,
)

TEXT_FOLDER = "t5gemma-b-b-ul2"

_GEMMA = {
    "attention_bias": False,
    "attn_logit_softcapping": 50.0,
    "head_dim": 64,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 768,
    "intermediate_size": 2048,
    "model_type": "t5_gemma_module",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "num_key_value_heads": 12,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 64,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "vocab_size": 256000,
}
T5GEMMA: Config = {
    "architectures": ["T5GemmaForConditionalGeneration"],
    "encoder": _GEMMA,
    "is_encoder_decoder": True,
    "model_type": "t5gemma",
    "vocab_size": 256000,
}


def _same(**side: Any) -> Config:
    return {
        "type": "taae_v2",
        "config": {
            "channels": 128,
            "c_mults": [6],
            "strides": [16],
            "transformer_depths": [6],
            "dim_heads": 64,
            "latent_dim": 256,
            "differential": True,
            "dyt": True,
            "variable_stride": True,
            "chunk_size": 32,
            "chunk_midpoint_shift": True,
            **side,
        },
    }


CONFIG: Config = {
    "model_type": "diffusion_cond_inpaint",
    "sample_size": 5292032,
    "sample_rate": 44100,
    "audio_channels": 2,
    "model": {
        "pretransform": {
            "type": "autoencoder",
            "iterate_batch": False,
            "chunked": True,
            "config": {
                "encoder": _same(in_channels=512, conv_mapping=False, mask_noise=0.0),
                "decoder": _same(
                    out_channels=512, conv_mapping=True, mask_noise=0.01, sinusoidal_blocks=[0]
                ),
                "bottleneck": {
                    "type": "softnorm",
                    "config": {
                        "dim": 256,
                        "noise_augment_dim": 0,
                        "noise_regularize": True,
                        "auto_scale": True,
                        "freeze": True,
                    },
                },
                "pretransform": {"type": "patched", "config": {"channels": 2, "patch_size": 256}},
                "latent_dim": 256,
                "downsampling_ratio": 4096,
                "io_channels": 2,
            },
        },
        "conditioning": {
            "cond_dim": 768,
            "configs": [
                {
                    "id": "prompt",
                    "type": "t5gemma",
                    "config": {
                        "max_length": 256,
                        "padding_mode": "learned",
                        "repo_id": "google/t5gemma-b-b-ul2",
                        "subfolder": TEXT_FOLDER,
                    },
                },
                {
                    "id": "seconds_total",
                    "type": "number",
                    "config": {"min_val": 0, "max_val": 384, "fourier_features_type": "expo"},
                },
            ],
        },
        "diffusion": {
            "type": "dit",
            "diffusion_objective": "rf_denoiser",
            "cross_attention_cond_ids": ["prompt", "seconds_total"],
            "global_cond_ids": ["seconds_total"],
            "local_add_cond_ids": ["inpaint_mask", "inpaint_masked_input"],
            "mask_padding_attention": True,
            "use_effective_length_for_schedule": True,
            "distribution_shift_options": {"type": "full", "min_length": 256, "max_length": 4096},
            "sampling_distribution_shift_options": None,
            "config": {
                "io_channels": 256,
                "embed_dim": 1024,
                "depth": 20,
                "num_heads": 16,
                "cond_token_dim": 768,
                "global_cond_dim": 768,
                "local_add_cond_dim": 257,
                "num_memory_tokens": 64,
                "global_cond_type": "adaLN",
                "timestep_features_type": "expo",
                "timestep_features_logsnr": False,
                "norm_type": "rms_norm",
                "norm_kwargs": {"force_fp32": True},
                "attn_kwargs": {"qk_norm": "rms", "differential": False},
                "ff_kwargs": {"mult": 4.0},
            },
        },
        "io_channels": 256,
    },
}


def model_tensors(config: Config) -> Iterator[Tensor]:
    """Everything of model.safetensors: transformer, autoencoder, number conditioner."""
    model = config["model"]
    yield from dit_tensors(model["diffusion"]["config"])
    autoencoder, width = model["pretransform"]["config"], model["conditioning"]["cond_dim"]
    yield from encoder_tensors(autoencoder["encoder"]["config"])
    yield from decoder_tensors(autoencoder["decoder"]["config"])
    yield from bottleneck_tensors(autoencoder["latent_dim"])
    yield Tensor("conditioner.conditioners.prompt.padding_embedding", (width,), normal(0.5))
    yield from linear(
        "conditioner.conditioners.seconds_total.embedder.embedding.1", 256, width, gain=0.7
    )


def dit_tensors(config: Config) -> Iterator[Tensor]:
    dim, channels, name = config["embed_dim"], config["io_channels"], "model.model"
    head = dim // config["num_heads"]
    yield from embeds(config)
    name += ".transformer"
    yield Tensor(f"{name}.memory_tokens", (config["num_memory_tokens"], dim), normal(1.0))
    yield Tensor(f"{name}.project_in.weight", (dim, channels), matrix())
    yield Tensor(f"{name}.project_out.weight", (channels, dim), matrix(0.5))
    dims = max(head // 2, 32)
    yield Tensor(f"{name}.rotary_pos_emb.inv_freq", (dims // 2,), inverse_frequencies(dims))
    yield from linear(f"{name}.global_cond_embedder.0", dim, dim)
    yield from linear(f"{name}.global_cond_embedder.2", dim, 6 * dim, gain=0.2)

    def head_norm(which: str) -> Iterator[Tensor]:
        yield Tensor(f"{which}.gamma", (head,), normal(0.1, 1.0))

    residual = 0.5  # so that the blocks add up to about the size of what enters them
    for block in range(config["depth"]):
        layer = f"{name}.layers.{block}"
        yield Tensor(f"{layer}.to_scale_shift_gate", (6 * dim,), normal(0.1))
        for norm in ("pre_norm", "cross_attend_norm", "ff_norm"):
            yield Tensor(f"{layer}.{norm}.gamma", (dim,), normal(0.1, 1.0))
        yield from attentions(layer, dim, residual, head_norm)
        yield from linear(f"{layer}.to_local_embed.0", config["local_add_cond_dim"], dim)
        yield from linear(f"{layer}.to_local_embed.2", dim, dim, gain=0.2)
        yield from linear(f"{layer}.ff.ff.0.proj", dim, 8 * dim)
        yield from linear(f"{layer}.ff.ff.2", 4 * dim, dim, gain=residual)


def encoder_tensors(config: Config) -> Iterator[Tensor]:
    name, width = "pretransform.model.encoder.layers", _width(config)
    yield from conv(f"{name}.0.mapping", width, config["in_channels"], 1)
    yield from _same_blocks(f"{name}.0", config)
    yield from linear(f"{name}.2", width, config["latent_dim"])


def decoder_tensors(config: Config) -> Iterator[Tensor]:
    name, width = "pretransform.model.decoder.layers", _width(config)
    yield from linear(f"{name}.1", config["latent_dim"], width)
    yield from conv(f"{name}.3.mapping", config["out_channels"], width, 3, gain=0.1)
    yield from _same_blocks(f"{name}.3", config)


def bottleneck_tensors(latent_dim: int) -> Iterator[Tensor]:
    name = "pretransform.model.bottleneck"
    yield Tensor(f"{name}.scaling_factor", (1, latent_dim, 1), normal(0.1, 1.0))
    yield Tensor(f"{name}.bias", (1, latent_dim, 1), normal(0.1))
    yield Tensor(f"{name}.running_std", (1,), normal(0.0, 0.8))
    yield Tensor(f"{name}.noise_scaling_factor", (1, 0, 1), normal(1.0))  # empty, as published


def _same_blocks(name: str, config: Config) -> Iterator[Tensor]:
    """The transformer of a side of SAME, under the stage `name`."""
    width, head = _width(config), config["dim_heads"]
    residual = 0.5
    yield Tensor(f"{name}.new_tokens", (1, 1, width), normal(1.0))
    for index in range(config["transformer_depths"][0]):
        block = f"{name}.transformers.{index}"
        for norm in ("pre_norm", "ff_norm"):
            yield from _dynamic_tanh(f"{block}.{norm}", width)
        for norm in ("q_norm", "k_norm"):
            yield from _dynamic_tanh(f"{block}.self_attn.{norm}", head)
        # the difference of two softmaxes is small where both look everywhere alike
        yield Tensor(f"{block}.self_attn.to_qkv.weight", (5 * width, width), matrix(1.5))
        yield Tensor(f"{block}.self_attn.to_out.weight", (width, width), matrix(2.0))
        yield Tensor(f"{block}.rope.inv_freq", (head // 4,), inverse_frequencies(head // 2))
        yield from linear(f"{block}.ff.ff.0.proj", width, 6 * width)
        yield from linear(f"{block}.ff.ff.2", 3 * width, width, gain=residual)


def _dynamic_tanh(name: str, width: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.alpha", (1,), normal(0.05, 0.7))
    yield Tensor(f"{name}.gamma", (width,), normal(0.1, 1.3))
    yield Tensor(f"{name}.beta", (width,), normal(0.1))


def _width(config: Config) -> int:
    return int(config["channels"] * config["c_mults"][0])


def t5gemma_tensors(config: Config) -> Iterator[Tensor]:
    """The encoder, which is all that is read of the published encoder and decoder."""
    encoder, name = config["encoder"], "model.encoder"
    width, dense = encoder["hidden_size"], encoder["intermediate_size"]
    inner = encoder["num_attention_heads"] * encoder["head_dim"]
    rows = normal(1 / math.sqrt(width))  # the encoder multiplies them by the root of the width
    yield Tensor(f"{name}.embed_tokens.weight", (encoder["vocab_size"], width), rows)
    for index in range(encoder["num_hidden_layers"]):
        layer = f"{name}.layers.{index}"
        for matrix_name, shape in (
            ("self_attn.q_proj", (inner, width)),
            ("self_attn.k_proj", (inner, width)),
            ("self_attn.v_proj", (inner, width)),
            ("self_attn.o_proj", (width, inner)),
            ("mlp.gate_proj", (dense, width)),
            ("mlp.up_proj", (dense, width)),
            ("mlp.down_proj", (width, dense)),
        ):
            yield Tensor(f"{layer}.{matrix_name}.weight", shape, matrix())
        # norms multiply by 1 + weight; those behind a branch also set how much of it is added
        for norm, mean in (
            ("pre_self_attn_layernorm", 0.0),
            ("post_self_attn_layernorm", -0.5),
            ("pre_feedforward_layernorm", 0.0),
            ("post_feedforward_layernorm", -0.5),
        ):
            yield Tensor(f"{layer}.{norm}.weight", (width,), normal(0.1, mean))
    yield Tensor(f"{name}.norm.weight", (width,), normal(0.05, -0.5))
