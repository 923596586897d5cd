"""stable-audio-open-small: its configurations, and the names and shapes of its tensors."""

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

T5_BASE = {
    "architectures": ["T5EncoderModel"],
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
}


def _oobleck(**side: Any) -> Config:
    return {
        "type": "oobleck",
        "config": {
            "channels": 128,
            "c_mults": [1, 2, 4, 8, 16],
            "strides": [2, 4, 4, 8, 8],
            "use_snake": True,
            **side,
        },
    }


CONFIG = {
    "model_type": "diffusion_cond",
    "sample_size": 524288,
    "sample_rate": 44100,
    "audio_channels": 2,
    "model": {
        "pretransform": {
            "type": "autoencoder",
            "iterate_batch": True,
            "config": {
                "encoder": _oobleck(in_channels=2, latent_dim=128),
                "decoder": _oobleck(out_channels=2, latent_dim=64, final_tanh=False),
                "bottleneck": {"type": "vae"},
                "latent_dim": 64,
                "downsampling_ratio": 2048,
                "io_channels": 2,
            },
        },
        "conditioning": {
            "cond_dim": 768,
            "configs": [
                {
                    "id": "prompt",
                    "type": "t5",
                    "config": {"t5_model_name": "t5-base", "max_length": 64},
                },
                {"id": "seconds_total", "type": "number", "config": {"min_val": 0, "max_val": 256}},
            ],
        },
        "diffusion": {
            "type": "dit",
            "diffusion_objective": "rf_denoiser",
            "cross_attention_cond_ids": ["prompt", "seconds_total"],
            "global_cond_ids": ["seconds_total"],
            "config": {
                "io_channels": 64,
                "embed_dim": 1024,
                "depth": 16,
                "num_heads": 8,
                "cond_token_dim": 768,
                "global_cond_dim": 768,
                "transformer_type": "continuous_transformer",
                "attn_kwargs": {"qk_norm": "ln"},
            },
        },
        "io_channels": 64,
    },
}


def model_tensors(config: Config) -> Iterator[Tensor]:
    """Everything of model.safetensors: transformer, autoencoder, number conditioner."""
    model = config["model"]
    yield from dit_tensors(model["diffusion"]["config"])
    autoencoder = model["pretransform"]["config"]
    yield from encoder_tensors(autoencoder["encoder"]["config"])
    yield from decoder_tensors(autoencoder["decoder"]["config"])
    name = "conditioner.conditioners.seconds_total.embedder.embedding"
    yield Tensor(f"{name}.0.weights", (128,), normal(1.0))
    yield from linear(f"{name}.1", 257, model["conditioning"]["cond_dim"])


def dit_tensors(config: Config) -> Iterator[Tensor]:
    dim, channels, name = config["embed_dim"], config["io_channels"], "model.model"
    head = dim // config["num_heads"]
    yield Tensor(f"{name}.timestep_features.weight", (128, 1), normal(1.0))
    yield from embeds(config)
    name += ".transformer"
    yield Tensor(f"{name}.project_in.weight", (dim, channels), matrix())
    yield Tensor(f"{name}.project_out.weight", (channels, dim), matrix(0.5))
    dims = max(head // 2, 32)
    yield Tensor(
        f"{name}.rotary_pos_emb.inv_freq",
        (dims // 2,),
        inverse_frequencies(dims),
    )

    def head_norm(which: str) -> Iterator[Tensor]:
        yield Tensor(f"{which}.weight", (head,), normal(0.1, 1.0))
        yield Tensor(f"{which}.bias", (head,), normal(0.1))

    residual = 0.5  # so that sixteen blocks add up to about the size of what enters them
    for block in range(config["depth"]):
        layer = f"{name}.layers.{block}"
        for norm in ("pre_norm", "cross_attend_norm", "ff_norm"):
            yield Tensor(f"{layer}.{norm}.gamma", (dim,), normal(0.1, 1.0))
            yield Tensor(f"{layer}.{norm}.beta", (dim,), normal(0.1))
        yield from attentions(layer, dim, residual, head_norm)
        yield from linear(f"{layer}.ff.ff.0.proj", dim, 8 * dim)
        yield from linear(f"{layer}.ff.ff.2", 4 * dim, dim, gain=residual)


def decoder_tensors(config: Config) -> Iterator[Tensor]:
    name, (widths, strides) = "pretransform.model.decoder", _sizes(config)
    yield from conv(f"{name}.layers.0", widths[-1], config["latent_dim"], 7)
    blocks = list(zip(widths[::-1], widths[-2::-1], strides[::-1]))
    for index, (inputs, outputs, stride) in enumerate(blocks, 1):
        block = f"{name}.layers.{index}"
        yield from _snake(f"{block}.layers.0", inputs)
        # of a transposed convolution each output sample hears two taps of every input
        yield from conv(
            f"{block}.layers.1",
            inputs,
            outputs,
            2 * stride,
            bias=outputs,
            gain=math.sqrt(outputs * stride / inputs),
        )
        for unit in range(3):
            yield from _residual_unit(f"{block}.layers.{2 + unit}", outputs)
    yield from _snake(f"{name}.layers.{len(blocks) + 1}", widths[0])
    yield from conv(
        f"{name}.layers.{len(blocks) + 2}",
        config["out_channels"],
        widths[0],
        7,
        bias=None,
        gain=0.1,
    )


def encoder_tensors(config: Config) -> Iterator[Tensor]:
    name, (widths, strides) = "pretransform.model.encoder", _sizes(config)
    yield from conv(f"{name}.layers.0", widths[0], config["in_channels"], 7)
    for index, (inputs, outputs, stride) in enumerate(zip(widths, widths[1:], strides), 1):
        block = f"{name}.layers.{index}"
        for unit in range(3):
            yield from _residual_unit(f"{block}.layers.{unit}", inputs)
        yield from _snake(f"{block}.layers.3", inputs)
        yield from conv(f"{block}.layers.4", outputs, inputs, 2 * stride)
    yield from _snake(f"{name}.layers.{len(strides) + 1}", widths[-1])
    yield from conv(f"{name}.layers.{len(strides) + 2}", config["latent_dim"], widths[-1], 3)


def t5_tensors(config: Config) -> Iterator[Tensor]:
    width, inner, dense = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    yield Tensor("shared.weight", (config["vocab_size"], width), normal(1.0))
    for index in range(config["num_layers"]):
        block = f"encoder.block.{index}.layer"
        attention = f"{block}.0.SelfAttention"
        # T5 does not scale its scores: its trained q does
        yield Tensor(f"{attention}.q.weight", (inner, width), matrix(config["d_kv"] ** -0.5))
        for name in ("k", "v"):
            yield Tensor(f"{attention}.{name}.weight", (inner, width), matrix())
        yield Tensor(f"{attention}.o.weight", (width, inner), matrix(0.5))
        if index == 0:
            shape = (config["relative_attention_num_buckets"], config["num_heads"])
            yield Tensor(f"{attention}.relative_attention_bias.weight", shape, normal(1.0))
        yield Tensor(f"{block}.0.layer_norm.weight", (width,), normal(0.1, 1.0))
        yield Tensor(f"{block}.1.DenseReluDense.wi.weight", (dense, width), matrix())
        yield Tensor(f"{block}.1.DenseReluDense.wo.weight", (width, dense), matrix(0.5))
        yield Tensor(f"{block}.1.layer_norm.weight", (width,), normal(0.1, 1.0))
    yield Tensor("encoder.final_layer_norm.weight", (width,), normal(0.03, 0.3))


def _sizes(config: Config) -> tuple[list[int], list[int]]:
    """Channel widths from audio to latents, one more than there are strides, and the strides."""
    channels = config["channels"]
    return [channels, *(channels * multiplier for multiplier in config["c_mults"])], config[
        "strides"
    ]


def _residual_unit(name: str, channels: int) -> Iterator[Tensor]:
    yield from _snake(f"{name}.layers.0", channels)
    yield from conv(f"{name}.layers.1", channels, channels, 7)
    yield from _snake(f"{name}.layers.2", channels)
    yield from conv(f"{name}.layers.3", channels, channels, 1, gain=0.3)


def _snake(name: str, channels: int) -> Iterator[Tensor]:
    """beta above alpha: the slope 1 + α/β·sin(2αx) stays near 1, so that small errors do not grow
    from stage to stage.
    """
    yield Tensor(f"{name}.alpha", (channels,), normal(0.2))
    yield Tensor(f"{name}.beta", (channels,), normal(0.2, 0.7))
