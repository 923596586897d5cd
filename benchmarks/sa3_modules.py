"""Stable Audio 3 small in PyTorch, the straightforward way: the peer that `sa3.py` measures.

Names, sizes and order of computation are the official code's: T5Gemma reads all its places, padded
or not; the transformer attends to all of the prompt's places and makes keys, values, local
condition and modulations anew at every step; SAME-S decodes everything at once. Left out are the
decoder's random terms, so that there is one right answer. What is proven of it stands in
`tests/models/training/test_sa3_peer.py`: the golden arrays of the official code.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from models.training.modules.dit import GLU, FeedForward, RotaryEmbedding, rotate

#: exp(linspace(ln 0.5, ln 10000)) as the official code has it in float32: another CPU's exp may
#: differ in a last digit, which angles of 63 000 rad do not forgive
FREQUENCIES = torch.from_numpy(
    np.load(Path(__file__).parents[1] / "export" / "sa3" / "expo_frequencies.npy")
)
FEATURES = 2 * len(FREQUENCIES)
#: latents of one attention chunk of the decoder
CHUNK = 2


def expo_features(x: Tensor) -> Tensor:
    """A number from 0 to 1 [B] -> [B, 256]: cosines, then sines."""
    angles = x[:, None] * FREQUENCIES * 2 * math.pi
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, heads·d] -> [B, heads, N, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """The inverse of `split_heads`."""
    return x.transpose(1, 2).flatten(-2)


# --- T5Gemma ---


class GemmaNorm(nn.Module):
    """RMS norm whose stored weight is the gain less one."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.zeros(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight)


class GemmaAttention(nn.Module):
    """Attention whose scores are capped by a tanh, which no fused attention does."""

    def __init__(self, config: dict):
        super().__init__()
        self.heads = config["num_attention_heads"]
        self.scale = config["query_pre_attn_scalar"] ** -0.5
        self.cap = config["attn_logit_softcapping"]
        width, inner = config["hidden_size"], self.heads * config["head_dim"]
        self.q_proj, self.k_proj, self.v_proj = (
            nn.Linear(width, inner, bias=False) for _ in range(3)
        )
        self.o_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, angles: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            split_heads(layer(x), self.heads) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = rotate(q, angles) @ rotate(k, angles).transpose(-1, -2) * self.scale
        scores = torch.tanh(scores / self.cap) * self.cap + bias
        return self.o_proj(merge_heads(scores.softmax(dim=-1) @ v))


class GemmaMLP(nn.Module):
    """The gated feed-forward."""

    def __init__(self, config: dict):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj, self.up_proj = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class GemmaLayer(nn.Module):
    """Attention and feed-forward, each normed before and after."""

    def __init__(self, config: dict):
        super().__init__()
        self.self_attn, self.mlp = GemmaAttention(config), GemmaMLP(config)
        for name in ("pre_self_attn", "post_self_attn", "pre_feedforward", "post_feedforward"):
            norm = GemmaNorm(config["hidden_size"], config["rms_norm_eps"])
            setattr(self, f"{name}_layernorm", norm)

    def forward(self, x: Tensor, angles: Tensor, bias: Tensor) -> Tensor:
        y = self.self_attn(self.pre_self_attn_layernorm(x), angles, bias)
        x = x + self.post_self_attn_layernorm(y)
        y = self.mlp(self.pre_feedforward_layernorm(x))
        return x + self.post_feedforward_layernorm(y)


class T5GemmaEncoder(nn.Module):
    """`model.encoder` of a T5Gemma checkpoint: ids, mask [B, N] -> hidden states [B, N, width]."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(GemmaLayer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = GemmaNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        dims, base = self.config["head_dim"], self.config["rope_theta"]
        inverse = base ** -(torch.arange(0, dims, 2).float() / dims)
        angles = torch.arange(input_ids.shape[1]).float()[:, None] * inverse
        angles = torch.cat([angles, angles], dim=-1)
        bias = (1.0 - attention_mask[:, None, None].float()) * -1e9
        x = self.embed_tokens(input_ids) * self.config["hidden_size"] ** 0.5
        for layer in self.layers:
            x = layer(x, angles, bias)
        return self.norm(x)


# --- what the transformer is told ---


class NumberEmbedder(nn.Module):
    """Holds the layer under the name of the official code; its place 0 has no tensors."""

    def __init__(self, width: int):
        super().__init__()
        self.embedding = nn.ModuleList([nn.Identity(), nn.Linear(FEATURES, width)])

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding[1](expo_features(x))


class Conditioner(nn.Module):
    """`conditioner.conditioners`, with the text encoder: ids, mask [B, N] and seconds [B] ->
    cross_attn_cond [B, N+1, C], global_cond [B, C].
    """

    def __init__(self, config: dict, gemma: dict):
        super().__init__()
        options = {one["id"]: one["config"] for one in config["configs"]}
        width, number = config["cond_dim"], options["seconds_total"]
        self.low, self.high = number["min_val"], number["max_val"]
        self.encoder = T5GemmaEncoder(gemma)
        self.prompt, self.seconds_total = nn.Module(), nn.Module()
        self.prompt.padding_embedding = nn.Parameter(torch.zeros(width))
        self.seconds_total.embedder = NumberEmbedder(width)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, seconds: Tensor
    ) -> tuple[Tensor, Tensor]:
        there = attention_mask[..., None] > 0
        hidden = self.encoder(input_ids, attention_mask)
        hidden = torch.where(there, hidden, self.prompt.padding_embedding)
        scaled = (seconds.clamp(self.low, self.high) - self.low) / (self.high - self.low)
        seconds = self.seconds_total.embedder(scaled)
        return torch.cat([hidden, seconds[:, None]], dim=1), seconds


# --- the diffusion transformer ---


class RMSNorm(nn.Module):
    """RMS norm with a gain."""

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.gamma, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.gamma, self.eps)


class SelfAttention(nn.Module):
    """Rotary attention over memory tokens and latents."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = (RMSNorm(width // heads, 1e-6) for _ in range(2))

    def forward(
        self, x: Tensor, angles: Tensor, counts: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """counts [B, N]: 0 where a value is zero. bias [B, N]: added to the scores of a key."""
        q, k, v = (split_heads(part, self.heads) for part in self.to_qkv(x).chunk(3, dim=-1))
        q, k = rotate(self.q_norm(q), angles), rotate(self.k_norm(k), angles)
        if counts is not None:
            v = v * counts[:, None, :, None]
        if bias is not None:
            bias = bias[:, None, None]
        return self.to_out(merge_heads(F.scaled_dot_product_attention(q, k, v, bias)))


class CrossAttention(nn.Module):
    """Attention to what the transformer is told; keys and values are made anew at every call."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = (RMSNorm(width // heads, 1e-6) for _ in range(2))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, (k, v) = self.to_q(x), self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (split_heads(part, self.heads) for part in (q, k, v))
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.to_out(merge_heads(y))


def embed(inputs: int, width: int, bias: bool) -> nn.Sequential:
    """Two layers with a SiLU between them."""
    return nn.Sequential(nn.Linear(inputs, width, bias), nn.SiLU(), nn.Linear(width, width, bias))


class Block(nn.Module):
    """Self-attention and feed-forward under adaLN, cross-attention and local condition between."""

    def __init__(self, width: int, heads: int, local: int):
        super().__init__()
        self.pre_norm, self.cross_attend_norm, self.ff_norm = (RMSNorm(width) for _ in range(3))
        self.self_attn = SelfAttention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.to_local_embed = embed(local, width, bias=True)
        self.to_scale_shift_gate = nn.Parameter(torch.zeros(6 * width))
        self.ff = FeedForward(width)

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        modulations: Tensor,
        local: Tensor,
        angles: Tensor,
        counts: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        parts = (self.to_scale_shift_gate + modulations)[:, None].chunk(6, dim=-1)
        scale, shift, gate, ff_scale, ff_shift, ff_gate = parts
        y = self.self_attn(self.pre_norm(x) * (1 + scale) + shift, angles, counts, bias)
        x = x + y * torch.sigmoid(1 - gate)
        x = x + self.cross_attn(self.cross_attend_norm(x), context)
        memory = x.shape[1] - local.shape[1]
        x = x + F.pad(self.to_local_embed(local), (0, 0, memory, 0))
        y = self.ff(self.ff_norm(x) * (1 + ff_scale) + ff_shift)
        return x + y * torch.sigmoid(1 - ff_gate)


class ContinuousTransformer(nn.Module):
    """Memory tokens before the latents, the blocks, the latents again."""

    def __init__(self, config: dict):
        super().__init__()
        width, heads, channels = (config[key] for key in ("embed_dim", "num_heads", "io_channels"))
        self.memory_tokens = nn.Parameter(torch.zeros(config["num_memory_tokens"], width))
        self.project_in = nn.Linear(channels, width, bias=False)
        self.project_out = nn.Linear(width, channels, bias=False)
        self.rotary_pos_emb = RotaryEmbedding(max(width // heads // 2, 32))
        self.global_cond_embedder = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 6 * width)
        )
        self.layers = nn.ModuleList(
            Block(width, heads, config["local_add_cond_dim"]) for _ in range(config["depth"])
        )

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        condition: Tensor,
        local: Tensor,
        padding_mask: Tensor | None,
        key_bias: Tensor | None,
    ) -> Tensor:
        memory = len(self.memory_tokens)
        tokens = self.memory_tokens.expand(len(x), -1, -1)
        x = torch.cat([tokens, self.project_in(x)], dim=1)
        counts = None if padding_mask is None else F.pad(padding_mask, (memory, 0), value=1.0)
        bias = None if key_bias is None else F.pad(key_bias, (memory, 0))
        angles = self.rotary_pos_emb(x.shape[1])
        modulations = self.global_cond_embedder(condition)
        for layer in self.layers:
            x = layer(x, context, modulations, local, angles, counts, bias)
        return self.project_out(x[:, memory:])


class DiffusionTransformer(nn.Module):
    """`model.model` of a checkpoint."""

    def __init__(self, config: dict):
        super().__init__()
        width, channels = config["embed_dim"], config["io_channels"]
        self.local_channels = config["local_add_cond_dim"]
        self.to_timestep_embed = embed(FEATURES, width, bias=True)
        self.to_cond_embed = embed(config["cond_token_dim"], width, bias=False)
        self.to_global_embed = embed(config["global_cond_dim"], width, bias=False)
        self.preprocess_conv, self.postprocess_conv = (
            nn.Conv1d(channels, channels, 1, bias=False) for _ in range(2)
        )
        self.transformer = ContinuousTransformer(config)

    def forward(
        self,
        x: Tensor,
        t_features: Tensor,
        cross_attn_cond: Tensor,
        global_cond: Tensor,
        padding_mask: Tensor | None = None,
        key_bias: Tensor | None = None,
        local: Tensor | None = None,
    ) -> Tensor:
        """x [B, C, T], `expo_features` of t, what the conditioner gave -> v [B, C, T].

        padding_mask [B, T]: 0 at latents whose values are zero, as the official code does it on a
        CPU. key_bias [B, T]: added to the scores of a latent's key, which is how the straight
        conversion leaves latents out that only make up a length. local [B, T, 1+C]: mask and kept
        latents; None: nothing is kept, all zeros.
        """
        if local is None:
            local = x.new_zeros(x.shape[0], x.shape[2], self.local_channels)
        condition = self.to_global_embed(global_cond) + self.to_timestep_embed(t_features)
        context = self.to_cond_embed(cross_attn_cond)
        x = (self.preprocess_conv(x) + x).transpose(1, 2)
        x = self.transformer(x, context, condition, local, padding_mask, key_bias)
        x = x.transpose(1, 2)
        return self.postprocess_conv(x) + x


# --- the decoder ---


class DynamicTanh(nn.Module):
    """γ · tanh(α·x) + β in a norm's place."""

    def __init__(self, width: int):
        super().__init__()
        self.alpha, self.gamma, self.beta = (
            nn.Parameter(torch.ones(size)) for size in (1, width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * torch.tanh(self.alpha * x) + self.beta


class DifferentialAttention(nn.Module):
    """The difference of two attentions to the same values."""

    def __init__(self, width: int, dim_head: int):
        super().__init__()
        self.heads = width // dim_head
        self.to_qkv = nn.Linear(width, 5 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = (DynamicTanh(dim_head) for _ in range(2))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        q, k, v, q2, k2 = (split_heads(part, self.heads) for part in self.to_qkv(x).chunk(5, -1))
        q, q2 = (rotate(self.q_norm(part), angles) for part in (q, q2))
        k, k2 = (rotate(self.k_norm(part), angles) for part in (k, k2))
        y = F.scaled_dot_product_attention(q, k, v) - F.scaled_dot_product_attention(q2, k2, v)
        return self.to_out(merge_heads(y))


class SameFeedForward(nn.Module):
    """A gated feed-forward of three times the width (place 1 of the official sequence is empty)."""

    def __init__(self, width: int):
        super().__init__()
        inner = 3 * width
        self.ff = nn.Sequential(GLU(width, inner), nn.Identity(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.ff(x)


class SameBlock(nn.Module):
    """Attention within a chunk and a feed-forward, positions counted within the chunk."""

    def __init__(self, width: int, dim_head: int):
        super().__init__()
        self.pre_norm, self.ff_norm = DynamicTanh(width), DynamicTanh(width)
        self.self_attn = DifferentialAttention(width, dim_head)
        self.ff = SameFeedForward(width)
        self.rope = RotaryEmbedding(dim_head // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.pre_norm(x), self.rope(x.shape[1]))
        return x + self.ff(self.ff_norm(x))


class SameStage(nn.Module):
    """A latent's token becomes the tokens of its patches: latents [B, T, width], T even ->
    patches [B, T·stride, channels of a patch].
    """

    def __init__(self, config: dict):
        super().__init__()
        width = config["channels"] * config["c_mults"][0]
        self.stride = config["strides"][0]
        self.new_tokens = nn.Parameter(torch.zeros(1, 1, width))
        self.transformers = nn.ModuleList(
            SameBlock(width, config["dim_heads"]) for _ in range(config["transformer_depths"][0])
        )
        self.mapping = nn.Conv1d(width, config["out_channels"], 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        tokens, half = self.stride + 1, len(self.transformers) // 2
        new = self.new_tokens.expand(batch * length, self.stride, width)
        x = torch.cat([x.reshape(batch * length, 1, width), new], dim=1)
        x = x.reshape(-1, CHUNK * tokens, width)
        for block in self.transformers[:half]:
            x = block(x)
        # the second half of the blocks sees chunks one latent later, the ends doubled
        x = x.reshape(batch, length * tokens, width)
        x = torch.cat([x[:, :tokens], x, x[:, -tokens:]], dim=1)
        x = x.reshape(-1, CHUNK * tokens, width)
        for block in self.transformers[half:]:
            x = block(x)
        x = x.reshape(batch, length + CHUNK, tokens, width)[:, 1:-1, 1:]
        x = x.reshape(batch, length * self.stride, width)
        return self.mapping(x.transpose(1, 2)).transpose(1, 2)


class Decoder(nn.Module):
    """`pretransform.model` without its encoder: latents [B, C, T] -> audio [B, channels, N]."""

    def __init__(self, config: dict):
        super().__init__()
        side = config["decoder"]["config"]
        self.channels = config["io_channels"]
        width = side["channels"] * side["c_mults"][0]
        self.bottleneck, self.decoder = nn.Module(), nn.Module()
        self.bottleneck.running_std = nn.Parameter(torch.ones(1))
        # places 0 and 2 of the official sequence have no tensors
        self.decoder.layers = nn.ModuleList(
            [nn.Identity(), nn.Linear(side["latent_dim"], width), nn.Identity(), SameStage(side)]
        )

    def forward(self, latents: Tensor) -> Tensor:
        x = (latents * self.bottleneck.running_std).transpose(1, 2)
        x = self.decoder.layers[1](x)
        x = F.pad(x, (0, 0, 0, x.shape[1] % CHUNK))  # an odd length gets one latent more
        x = self.decoder.layers[3](x)
        # a patch holds some samples of one channel, then as many of the next
        x = x.unflatten(-1, (self.channels, -1)).permute(0, 2, 1, 3)
        return x.flatten(-2)

    def chunked(self, latents: Tensor, size: int = 128, overlap: int = 32) -> Tensor:
        """The official way to decode what is longer than `size`: chunks that share `overlap`
        latents, the last one aligned to the end.
        """
        length = latents.shape[-1]
        if length <= size:
            return self(latents)
        starts = [*range(0, length - size, size - overlap), length - size]
        pieces, done = [], 0
        for start in starts:
            audio = self(latents[..., start : start + size])
            per_latent = audio.shape[-1] // size
            end = length if start == starts[-1] else start + size - overlap // 2
            pieces.append(audio[..., (done - start) * per_latent : (end - start) * per_latent])
            done = end
        return torch.cat(pieces, dim=-1)


# --- a checkpoint ---


class Model:
    """The parts of a checkpoint directory of official layout, each read when it is asked for, in
    float32 and for inference. What is no part of text to audio stays in the file.
    """

    def __init__(self, checkpoint: Path):
        self.file = checkpoint / "model.safetensors"
        self.config = json.loads((checkpoint / "model_config.json").read_text())
        conditioning = self.config["model"]["conditioning"]
        options = {one["id"]: one["config"] for one in conditioning["configs"]}
        self.text = checkpoint / options["prompt"]["subfolder"]
        self.max_length = options["prompt"]["max_length"]

    @functools.cached_property
    def conditioner(self) -> Conditioner:
        """Text encoder and number conditioner."""
        gemma = json.loads((self.text / "config.json").read_text())["encoder"]
        with torch.device("meta"):  # the checkpoint's tensors take the places of these
            module = Conditioner(self.config["model"]["conditioning"], gemma)
        encoder = _tensors(self.text / "model.safetensors", "model.encoder.", "encoder.")
        return _filled(module, _tensors(self.file, "conditioner.conditioners.") | encoder)

    @functools.cached_property
    def dit(self) -> DiffusionTransformer:
        """The diffusion transformer."""
        with torch.device("meta"):
            module = DiffusionTransformer(self.config["model"]["diffusion"]["config"])
        return _filled(module, _tensors(self.file, "model.model."))

    @functools.cached_property
    def decoder(self) -> Decoder:
        """SAME-S, its weight norm folded: nobody would deploy it unfolded."""
        with torch.device("meta"):
            module = Decoder(self.config["model"]["pretransform"]["config"])
        prefix = "pretransform.model."
        tensors = _tensors(self.file, f"{prefix}decoder.", "decoder.")
        tensors |= _tensors(self.file, f"{prefix}bottleneck.running_std", "bottleneck.running_std")
        stage = "decoder.layers.3.mapping"
        weight, gain = (tensors.pop(f"{stage}.weight_{kind}") for kind in "vg")
        tensors[f"{stage}.weight"] = weight * (gain / weight.norm(dim=(1, 2), keepdim=True))
        return _filled(module, tensors)


def _tensors(path: Path, prefix: str, instead: str = "") -> dict[str, Tensor]:
    """The file's tensors under a prefix, in float32, under another one."""
    with safe_open(path, framework="pt") as file:
        return {
            instead + name.removeprefix(prefix): file.get_tensor(name).float()
            for name in file.keys()  # noqa: SIM118 (it is no mapping)
            if name.startswith(prefix)
        }


def _filled(module: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """A module with every tensor that it has, and no other."""
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)
