"""The sizes of the pocket model, as an official `model_config.json` and a T5 `config.json`."""

from __future__ import annotations

import math
from pathlib import Path

from .sounds import CLIP_SAMPLES, SAMPLE_RATE

#: what ships, in official format
CHECKPOINT = Path(__file__).parent / "checkpoint"
LATENTS = 96
STRIDES = [64, 4, 2]
DOWNSAMPLING = math.prod(STRIDES)
LATENT_LENGTH = CLIP_SAMPLES // DOWNSAMPLING
MAX_TOKENS = 24
TEXT_DIM = 128
#: what the model is made for
SAMPLING = {"sampler": "dpmpp", "steps": 12, "cfg_scale": 2.5}

_OOBLECK = {"channels": 8, "c_mults": [8, 12, 24], "strides": STRIDES, "use_snake": True}

MODEL_CONFIG = {
    "model_type": "diffusion_cond",
    "sample_size": CLIP_SAMPLES,
    "sample_rate": SAMPLE_RATE,
    "audio_channels": 1,
    "model": {
        "pretransform": {
            "type": "autoencoder",
            "iterate_batch": True,
            "config": {
                "encoder": {
                    "type": "oobleck",
                    "config": {"in_channels": 1, "latent_dim": 2 * LATENTS, **_OOBLECK},
                },
                "decoder": {
                    "type": "oobleck",
                    "config": {
                        "out_channels": 1,
                        "latent_dim": LATENTS,
                        **_OOBLECK,
                        "final_tanh": False,
                    },
                },
                "bottleneck": {"type": "vae"},
                "latent_dim": LATENTS,
                "downsampling_ratio": DOWNSAMPLING,
                "io_channels": 1,
            },
        },
        "conditioning": {
            "configs": [
                {
                    "id": "prompt",
                    "type": "t5",
                    "config": {"t5_model_name": "pocket", "max_length": MAX_TOKENS},
                },
                {
                    "id": "seconds_total",
                    "type": "number",
                    "config": {"min_val": 0, "max_val": 4.096},
                },
            ],
            "cond_dim": TEXT_DIM,
        },
        "diffusion": {
            "cross_attention_cond_ids": ["prompt", "seconds_total"],
            "global_cond_ids": ["seconds_total"],
            "diffusion_objective": "rectified_flow",
            "type": "dit",
            "config": {
                "io_channels": LATENTS,
                "embed_dim": 160,
                "depth": 5,
                "num_heads": 5,
                "cond_token_dim": TEXT_DIM,
                "global_cond_dim": TEXT_DIM,
                "transformer_type": "continuous_transformer",
                "attn_kwargs": {"qk_norm": "ln"},
            },
        },
        "io_channels": LATENTS,
    },
}


def t5_config(vocab_size: int) -> dict:
    """The text encoder: two layers, trained along with the diffusion transformer."""
    return {
        "architectures": ["T5EncoderModel"],
        "model_type": "t5",
        "vocab_size": vocab_size,
        "d_model": TEXT_DIM,
        "d_kv": 32,
        "num_heads": 4,
        "d_ff": 256,
        "num_layers": 2,
        "feed_forward_proj": "relu",
        "is_gated_act": False,
        "dense_act_fn": "relu",
        "layer_norm_epsilon": 1e-6,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
    }
