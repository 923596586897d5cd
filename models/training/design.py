"""The sizes of the pocket models, as an official `model_config.json` and a T5 `config.json`: what
the bundled one has, and what the one after it, of the second sound world, shall have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.errors import EdgeAudioError

from .sounds import FIRST, WORLDS, World, by_name

#: what ships, in official format
CHECKPOINT = Path(__file__).parent / "checkpoint"


@dataclass(frozen=True)
class Design:
    """A pocket model: the sounds that it learns, the sizes of its parts, and how long they train.

    The autoencoder has `strides` and `multiples` of `channels`, as Oobleck does; the first multiple
    has to hold an MDCT of `strides[0]` coefficients for every channel of the sound (`lapped.py`).
    """

    world: World
    latents: int
    strides: tuple[int, ...]
    channels: int
    multiples: tuple[int, ...]
    width: int
    depth: int
    heads: int
    # of the tokenizer
    pieces: int
    # clips of full length in a batch of the transformer's; of shorter ones there are more
    batch: int
    # of the error sample by sample, beside that of the spectrum, while the autoencoder trains
    waveform_weight: float
    # steps of the autoencoder, of its decoder alone, of the text encoder alone, of the transformer,
    # of its distillation
    steps: tuple[int, int, int, int, int]
    # whether a block knows where in the clip a latent is, before any other does
    positions: bool = False
    # shorter clips, in latents, that are made in less time; the longest is a whole clip
    shorter: tuple[int, ...] = ()
    max_tokens: int = 24
    text_dim: int = 128
    #: how clips are made when the transformer has been trained
    sampling: Mapping[str, Any] = field(
        default_factory=lambda: {"sampler": "dpmpp", "steps": 12, "cfg_scale": 2.5}
    )
    #: how they are made when it has been distilled, too
    distilled: Mapping[str, Any] | None = None

    @property
    def made_for(self) -> Mapping[str, Any]:
        """Sampler, steps and guidance of the finished model."""
        return self.distilled or self.sampling

    @property
    def downsampling(self) -> int:
        """Samples per latent."""
        return math.prod(self.strides)

    @property
    def latent_length(self) -> int:
        """Latents of a clip."""
        return self.world.clip_samples // self.downsampling

    @property
    def lengths(self) -> tuple[int, ...]:
        """Latents that a clip may have, ascending: the shortest that holds what was asked for."""
        return (*self.shorter, self.latent_length)

    def length_for(self, seconds: float) -> int:
        """Latents of a clip of so many seconds."""
        needed = math.ceil(seconds * self.world.sample_rate / self.downsampling)
        return next((length for length in self.lengths if length >= needed), self.latent_length)

    @property
    def model_config(self) -> dict[str, Any]:
        """The official `model_config.json`."""
        oobleck = {
            "channels": self.channels,
            "c_mults": list(self.multiples),
            "strides": list(self.strides),
            "use_snake": True,
        }
        sound = self.world.channels
        pretransform = {
            "encoder": {
                "type": "oobleck",
                "config": {"in_channels": sound, "latent_dim": 2 * self.latents, **oobleck},
            },
            "decoder": {
                "type": "oobleck",
                "config": {
                    "out_channels": sound,
                    "latent_dim": self.latents,
                    **oobleck,
                    "final_tanh": False,
                },
            },
            "bottleneck": {"type": "vae"},
            "latent_dim": self.latents,
            "downsampling_ratio": self.downsampling,
            "io_channels": sound,
        }
        conditioning = {
            "configs": [
                {
                    "id": "prompt",
                    "type": "t5",
                    "config": {"t5_model_name": "pocket", "max_length": self.max_tokens},
                },
                {
                    "id": "seconds_total",
                    "type": "number",
                    "config": {
                        "min_val": 0,
                        "max_val": self.world.clip_samples / self.world.sample_rate,
                    },
                },
            ],
            "cond_dim": self.text_dim,
        }
        diffusion: dict[str, Any] = {
            "cross_attention_cond_ids": ["prompt", "seconds_total"],
            "global_cond_ids": ["seconds_total"],
            "diffusion_objective": "rectified_flow",
            "type": "dit",
            "config": {
                "io_channels": self.latents,
                "embed_dim": self.width,
                "depth": self.depth,
                "num_heads": self.heads,
                "cond_token_dim": self.text_dim,
                "global_cond_dim": self.text_dim,
                "transformer_type": "continuous_transformer",
                "attn_kwargs": {"qk_norm": "ln"},
            },
        }
        if self.positions:  # one more for the token before the latents
            diffusion["config"] |= {
                "use_abs_pos_emb": True,
                "abs_pos_emb_max_length": self.latent_length + 1,
            }
        return {
            "model_type": "diffusion_cond",
            "sample_size": self.world.clip_samples,
            "sample_rate": self.world.sample_rate,
            "audio_channels": sound,
            "model": {
                "pretransform": {
                    "type": "autoencoder",
                    "iterate_batch": True,
                    "config": pretransform,
                },
                "conditioning": conditioning,
                "diffusion": diffusion,
                "io_channels": self.latents,
            },
        }

    def t5_config(self, vocab_size: int) -> dict[str, Any]:
        """The text encoder: two layers, trained along with the diffusion transformer."""
        return {
            "architectures": ["T5EncoderModel"],
            "model_type": "t5",
            "vocab_size": vocab_size,
            "d_model": self.text_dim,
            "d_kv": 32,
            "num_heads": 4,
            "d_ff": 2 * self.text_dim,
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


#: what is bundled
POCKET = Design(
    world=FIRST,
    latents=96,
    strides=(64, 4, 2),
    channels=8,
    multiples=(8, 12, 24),
    width=160,
    depth=5,
    heads=5,
    pieces=640,
    batch=32,
    waveform_weight=0.5,
    steps=(4000, 3500, 0, 20_500, 0),
)


def second() -> Design:
    """The model of the second world, 32 kHz in stereo: a latent every 16 ms.

    The transformer is wider than a latent by a third: noise has to pass through it to come out as
    a velocity, and there has to be room for more than noise.
    """
    return Design(
        world=by_name("second"),
        latents=192,
        strides=(64, 4, 2),
        channels=16,
        multiples=(8, 12, 24),
        width=256,
        depth=5,
        heads=4,
        positions=True,
        pieces=1200,
        batch=12,
        shorter=(128, 256),
        waveform_weight=1.0,
        steps=(3000, 2000, 1500, 30_000, 3000),
        distilled={"sampler": "euler", "steps": 6, "cfg_scale": 1.0},
    )


def of_model(config: Mapping[str, Any]) -> Design:
    """The design that made a model of this `model_config.json`; EdgeAudioError if none did."""
    for design in map(of_world, WORLDS):
        if design.model_config == config:
            return design
    raise EdgeAudioError("the checkpoint has the sizes of no pocket model")


def of_world(name: str) -> Design:
    """The design that learns the sound world `name`, one of `sounds.WORLDS`."""
    return POCKET if name == FIRST.name else second()
