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
    #: how the name of a norm's gain ends -> what is added to it
    gains: Mapping[str, float] = field(
        default_factory=lambda: {".gamma": 0.0, ".layer_norm.weight": 0.0}
    )
    #: layer -> the tensor that its inputs are multiplied by
    scales: Mapping[str, str] = field(default_factory=dict)

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

STABLE_AUDIO_3 = Family(
    titles={
        "condition": "conditioning",
        "project": "projection",
        "adaln": "adaLN",
        "denoise": "transformer",
        "decode": "decoder",
    },
    parts={
        r"t5gemma\.": "text encoder",
        r"transformer\.project_in": "embeddings",
        r"transformer\.layers\.(\d+)\.": r"block \1",
        r"decoder\.layers\.3\.transformers\.(\d+)\.": r"block \1",
    },
    ends={
        "input_ids": (
            "The prompt is padded to another length than max_length says, or cut into other tokens."
        ),
        "cross_attn_cond": (
            "It is put together of the prompt's tokens, the padding that the model has learned"
            " (zeros for a negative prompt), and one token for the seconds."
        ),
        "cross_attn_bias": (
            "Padding weighs as the logarithm of how many tokens of it there are: max_length less"
            " the prompt's."
        ),
        "rotary_cos": "Positions count the memory tokens, which come before the latents.",
        "modulations": "They are the global_cond_embedder of seconds and noise level together.",
    },
    before={
        "self_attn.to_qkv": (
            "the norm before self-attention (gamma, eps 1e-5; scale and shift of adaLN), or, in the"
            " decoder, a tanh, and from half way on chunks that lie one latent later"
        ),
        "self_attn.to_out": (
            "self-attention itself: norms of q and k (eps 1e-6), rotation, softmax; in the decoder"
            " the difference of two"
        ),
        "to_q": (
            "what self-attention adds, y · sigmoid(1 - gate), or the norm before cross-attention"
        ),
        "cross_attn.to_out": "cross-attention itself: norm of q (eps 1e-6), scale, bias, softmax",
        "global_cond_embedder.0": "the sum of the timestep's embedding and of to_global_embed",
        "ff.0.proj": "what the layers before add, or the norm before the feed-forward",
        "ff.2": "the gate, x · SiLU(gate)",
        "cross_k": "the norm of the cross-attention keys (eps 1e-6)",
        "embedding.1": "the features of the number conditioner, [cos f, sin f]",
        "to_timestep_embed.0": "the timestep features, [cos f, sin f]",
        "self_attn.q_proj": "Gemma's norm, x / rms(x) · (1 + w), or the table of words",
        "self_attn.o_proj": "Gemma's attention: rotary positions, the soft cap, the mask",
        "mlp.gate_proj": "Gemma's norms, x / rms(x) · (1 + w)",
        "mlp.down_proj": "Gemma's gate, gelu(gate) · up",
    },
    gains={".gamma": 0.0, "layernorm.weight": 1.0},
    scales={"decoder.layers.1": "pretransform.model.bottleneck.running_std"},
)

#: `model_type` of a checkpoint's configuration -> its family's words
FAMILIES: Mapping[str, Family] = {
    "diffusion_cond": STABLE_AUDIO_OPEN,
    "diffusion_cond_inpaint": STABLE_AUDIO_3,
}
