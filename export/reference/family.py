"""What a family of models calls its stages and what its layers mean, for the reference to say what
is wrong in words. A family without such a table is compared all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Sentences = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """Words for the stages and layers of a family of models."""

    #: stage -> what people call it, where that is not its name
    titles: Sentences = field(default_factory=dict)
    #: start of a layer's name (regular expression) -> the part of its stage, which gets a row of
    #: its own; groups of the expression may be named in it
    parts: Sentences = field(default_factory=dict)
    #: value between stages -> how it should come about
    ends: Sentences = field(default_factory=dict)
    #: part of a layer's name -> what lies between it and the layer before, where a fault must be if
    #: both have the right weights
    before: Sentences = field(default_factory=dict)
    #: what the names of a checkpoint's layers begin with and those of a graph's do not
    roots: tuple[str, ...] = ("model.model.", "pretransform.model.")
    #: how the name of a norm's gain ends
    gains: tuple[str, ...] = (".gamma", ".layer_norm.weight")

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


STABLE_AUDIO_OPEN = Family(
    titles={
        "condition": "conditioning",
        "project": "projection",
        "denoise": "transformer",
        "head": "decoder head",
        "tail": "decoder tail",
    },
    parts={
        r"t5\.": "text encoder",
        r"to_timestep_embed|transformer\.project_in": "embeddings",
        r"transformer\.layers\.(\d+)\.": r"block \1",
    },
    ends={
        "input_ids": (
            "The prompt is padded to another length than max_length says, or cut into other tokens."
        ),
        "cross_attn_cond": (
            "It is put together of the prompt's tokens and one for the seconds, and nothing else."
        ),
        "global_embed": "It must be to_global_embed of the global condition.",
    },
    before={
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
    },
)

#: `model_type` of a checkpoint's configuration -> its family's words
FAMILIES: Mapping[str, Family] = {"diffusion_cond": STABLE_AUDIO_OPEN}
