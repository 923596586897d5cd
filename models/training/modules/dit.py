"""The diffusion transformer: noisy latents and what the conditioners say -> v."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """t [B] -> [B, 2·len(weight)]: cosines first, then sines, of 2π·t·weight."""

    def __init__(self, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features // 2, 1))

    def forward(self, t: Tensor) -> Tensor:
        f = 2 * math.pi * t[:, None] @ self.weight.T
        return torch.cat([f.cos(), f.sin()], dim=-1)


class LayerNorm(nn.Module):
    """Layer norm with a learned gamma and a `beta` that is stored as a buffer."""

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.register_buffer("beta", torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.gamma, self.beta, eps=1e-5)


class RotaryEmbedding(nn.Module):
    """Frequencies of the half-rotation, base 10 000: angles [length, dims], each frequency
    twice.
    """

    def __init__(self, dims: int):
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / 10000 ** (torch.arange(0, dims, 2).float() / dims))

    def forward(self, length: int) -> Tensor:
        f = torch.arange(length, device=self.inv_freq.device).float()[:, None] * self.inv_freq
        return torch.cat([f, f], dim=-1)


class AbsolutePositionalEmbedding(nn.Module):
    """A learned vector for each of `length` positions, small at the start of training: [n, dim]."""

    def __init__(self, dim: int, length: int):
        super().__init__()
        self.emb = nn.Embedding(length, dim)
        self.scale = dim**-0.5

    def forward(self, n: int) -> Tensor:
        return self.emb.weight[:n] * self.scale


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the first dims of x [..., length, dim_head] by angles [length, dims]; the rest passes
    through.
    """
    turned, rest = x[..., : angles.shape[-1]], x[..., angles.shape[-1] :]
    a, b = turned.chunk(2, dim=-1)
    turned = turned * angles.cos() + torch.cat([-b, a], dim=-1) * angles.sin()
    return torch.cat([turned, rest], dim=-1).to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention with a layer norm per head on q and k; cross-attention when context_dim
    is given.
    """

    def __init__(self, dim: int, dim_head: int, context_dim: int | None = None):
        super().__init__()
        self.heads, self.dim_head = dim // dim_head, dim_head
        if context_dim is None:
            self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        else:
            self.to_q = nn.Linear(dim, dim, bias=False)
            self.to_kv = nn.Linear(context_dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)
        self.q_norm = nn.LayerNorm(dim_head, eps=1e-6)
        self.k_norm = nn.LayerNorm(dim_head, eps=1e-6)

    def forward(
        self, x: Tensor, context: Tensor | None = None, angles: Tensor | None = None
    ) -> Tensor:
        if context is None:
            q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        else:
            q, (k, v) = self.to_q(x), self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (y.unflatten(-1, (self.heads, self.dim_head)).transpose(1, 2) for y in (q, k, v))
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        # written out: PyTorch's fused attention is slow in bfloat16 on CPUs, backwards above all
        weights = (q * self.dim_head**-0.5 @ k.transpose(-1, -2)).softmax(dim=-1)
        return self.to_out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(-2))


class GLU(nn.Module):
    """x · SiLU(gate), both from one projection."""

    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.silu(gate)


class FeedForward(nn.Module):
    """GLU of four times the width, then back (index 1 of the official sequence is an empty
    place).
    """

    def __init__(self, dim: int):
        super().__init__()
        self.ff = nn.Sequential(GLU(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.ff(x)


class TransformerBlock(nn.Module):
    """Pre-norm residual block: self-attention, cross-attention, feed-forward."""

    def __init__(self, dim: int, dim_head: int):
        super().__init__()
        self.pre_norm, self.self_attn = LayerNorm(dim), Attention(dim, dim_head)
        self.cross_attend_norm, self.cross_attn = (
            LayerNorm(dim),
            Attention(dim, dim_head, context_dim=dim),
        )
        self.ff_norm, self.ff = LayerNorm(dim), FeedForward(dim)

    def forward(self, x: Tensor, context: Tensor, angles: Tensor) -> Tensor:
        x = x + self.self_attn(self.pre_norm(x), angles=angles)
        x = x + self.cross_attn(self.cross_attend_norm(x), context=context)
        return x + self.ff(self.ff_norm(x))


class ContinuousTransformer(nn.Module):
    """Prepend the global token to what was projected in, the blocks, drop the token, project out;
    and what has come of every position after `tell` blocks.
    """

    def __init__(self, dim: int, depth: int, heads: int, io_channels: int, positions: int | None):
        super().__init__()
        self.project_in = nn.Linear(io_channels, dim, bias=False)
        self.project_out = nn.Linear(dim, io_channels, bias=False)
        self.rotary_pos_emb = RotaryEmbedding(max(dim // heads // 2, 32))
        self.pos_emb = AbsolutePositionalEmbedding(dim, positions) if positions else None
        self.layers = nn.ModuleList(TransformerBlock(dim, dim // heads) for _ in range(depth))

    def forward(
        self, x: Tensor, prepend: Tensor, context: Tensor, tell: int
    ) -> tuple[Tensor, Tensor]:
        x = torch.cat([prepend[:, None], x], dim=1)
        x = told = x if self.pos_emb is None else x + self.pos_emb(x.shape[1])
        angles = self.rotary_pos_emb(x.shape[1])
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, context, angles)
            told = x if number == tell else told
        return self.project_out(x[:, 1:]), told[:, 1:]


class DiffusionTransformer(nn.Module):
    """`model.model` of a checkpoint: x [B, C, T], t [B], cross_attn_cond [B, L, D], global_cond [B,
    D] -> v [B, C, T]; with `tell`, also what has come of every latent after so many blocks [B, T,
    embed_dim].
    """

    def __init__(
        self,
        io_channels: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        cond_token_dim: int,
        global_cond_dim: int,
        use_abs_pos_emb: bool = False,
        abs_pos_emb_max_length: int = 10_000,
        **_,
    ):
        super().__init__()
        self.timestep_features = FourierFeatures(256)
        self.to_timestep_embed = nn.Sequential(
            nn.Linear(256, embed_dim), nn.SiLU(), nn.Linear(embed_dim, embed_dim)
        )
        self.to_cond_embed = self._embed(cond_token_dim, embed_dim)
        self.to_global_embed = self._embed(global_cond_dim, embed_dim)
        self.preprocess_conv = nn.Conv1d(io_channels, io_channels, 1, bias=False)
        self.postprocess_conv = nn.Conv1d(io_channels, io_channels, 1, bias=False)
        nn.init.zeros_(self.preprocess_conv.weight)
        nn.init.zeros_(self.postprocess_conv.weight)
        positions = abs_pos_emb_max_length if use_abs_pos_emb else None
        self.transformer = ContinuousTransformer(
            embed_dim, depth, num_heads, io_channels, positions
        )

    @staticmethod
    def _embed(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(inputs, outputs, bias=False),
            nn.SiLU(),
            nn.Linear(outputs, outputs, bias=False),
        )

    def arrive(self, x: Tensor) -> Tensor:
        """Latents as the transformer takes them in: [B, C, T] -> [B, T, embed_dim]."""
        return self.transformer.project_in((self.preprocess_conv(x) + x).transpose(1, 2))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        cross_attn_cond: Tensor,
        global_cond: Tensor,
        tell: int | None = None,
    ) -> Any:
        prepend = self.to_global_embed(global_cond) + self.to_timestep_embed(
            self.timestep_features(t)
        )
        y, told = self.transformer(
            self.arrive(x), prepend, self.to_cond_embed(cross_attn_cond), tell or 0
        )
        x = y.transpose(1, 2)
        v = self.postprocess_conv(x) + x
        return v if tell is None else (v, told)
