"""The model family in PyTorch, with the parameter names of the official code.

Three users: the training scripts, which save a checkpoint of official format straight from
`state_dict()`; the parity oracle of tests and benchmarks; and a reader who wants the architecture
on one page. Layout is the official one, channels before time: [batch, channels, time]. Every module
takes its sizes from the official `model_config.json`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --- autoencoder (Oobleck) ------------------------------------------------------------------------


class WeightNormConv1d(nn.Module):
    """Conv1d as legacy weight norm stores it: weight = g · v / ‖v‖, one norm per index of dimension
    0.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
        bias: bool = True,
        transposed: bool = False,
    ):
        super().__init__()
        shape = (inputs, outputs, kernel) if transposed else (outputs, inputs, kernel)
        self.weight_v = nn.Parameter(torch.randn(shape) / math.sqrt(inputs * kernel))
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(1, 2), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.stride, self.dilation, self.padding, self.transposed = (
            stride,
            dilation,
            padding,
            transposed,
        )

    @property
    def weight(self) -> Tensor:
        """The weight itself, in the shape of weight_v."""
        return self.weight_g * self.weight_v / self.weight_v.norm(dim=(1, 2), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.transposed:
            return F.conv_transpose1d(x, weight, self.bias, self.stride, self.padding)
        return F.conv1d(x, weight, self.bias, self.stride, self.padding, self.dilation)


class SnakeBeta(nn.Module):
    """x + sin²(e^alpha · x) / (e^beta + 1e-9), one alpha and one beta per channel, both stored as
    logarithms.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + torch.sin(x * alpha) ** 2 / (beta + 1e-9)


class ResidualUnit(nn.Module):
    """x + conv1(snake(conv7(snake(x)))), the first convolution dilated."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            SnakeBeta(channels),
            WeightNormConv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation),
            SnakeBeta(channels),
            WeightNormConv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _residual_units(channels: int) -> list[nn.Module]:
    return [ResidualUnit(channels, dilation) for dilation in (1, 3, 9)]


class EncoderBlock(nn.Module):
    """Residual units at the input's rate, then a strided convolution of twice the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            *_residual_units(inputs),
            SnakeBeta(inputs),
            WeightNormConv1d(inputs, outputs, 2 * stride, stride, padding=math.ceil(stride / 2)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class DecoderBlock(nn.Module):
    """A transposed convolution of twice the stride, then residual units at the output's rate."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            SnakeBeta(inputs),
            WeightNormConv1d(
                inputs, outputs, 2 * stride, stride, padding=math.ceil(stride / 2), transposed=True
            ),
            *_residual_units(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OobleckEncoder(nn.Module):
    """Audio [B, in_channels, N] -> [B, latent_dim, N / ratio]; for a VAE latent_dim counts mean and
    scale.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        latent_dim: int,
        c_mults: list[int],
        strides: list[int],
        **_,
    ):
        super().__init__()
        widths = [channels, *(channels * m for m in c_mults)]
        self.layers = nn.Sequential(
            WeightNormConv1d(in_channels, widths[0], 7, padding=3),
            *(EncoderBlock(a, b, s) for a, b, s in zip(widths, widths[1:], strides)),
            SnakeBeta(widths[-1]),
            WeightNormConv1d(widths[-1], latent_dim, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class OobleckDecoder(nn.Module):
    """Latents [B, latent_dim, T] -> audio [B, out_channels, T · ratio]."""

    def __init__(
        self,
        out_channels: int,
        channels: int,
        latent_dim: int,
        c_mults: list[int],
        strides: list[int],
        **_,
    ):
        super().__init__()
        widths = [channels, *(channels * m for m in c_mults)]
        blocks = [DecoderBlock(b, a, s) for a, b, s in zip(widths, widths[1:], strides)]
        self.layers = nn.Sequential(
            WeightNormConv1d(latent_dim, widths[-1], 7, padding=3),
            *reversed(blocks),
            SnakeBeta(widths[0]),
            WeightNormConv1d(widths[0], out_channels, 7, padding=3, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Autoencoder(nn.Module):
    """`pretransform.model` of a checkpoint: Oobleck encoder, VAE bottleneck, Oobleck decoder."""

    def __init__(self, config: dict):
        super().__init__()
        self.encoder = OobleckEncoder(**config["encoder"]["config"])
        self.decoder = OobleckDecoder(**config["decoder"]["config"])

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Audio [B, channels, N] -> mean and standard deviation of the latents, each [B, latent,
        T].
        """
        mean, scale = self.encoder(audio).chunk(2, dim=1)
        return mean, F.softplus(scale) + 1e-4

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, latent, T] -> audio [B, channels, N]."""
        return self.decoder(latents)


# --- diffusion transformer ------------------------------------------------------------------------


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
    """Project in, prepend the global token, the blocks, drop the token, project out."""

    def __init__(self, dim: int, depth: int, heads: int, io_channels: int):
        super().__init__()
        self.project_in = nn.Linear(io_channels, dim, bias=False)
        self.project_out = nn.Linear(dim, io_channels, bias=False)
        self.rotary_pos_emb = RotaryEmbedding(max(dim // heads // 2, 32))
        self.layers = nn.ModuleList(TransformerBlock(dim, dim // heads) for _ in range(depth))

    def forward(self, x: Tensor, prepend: Tensor, context: Tensor) -> Tensor:
        x = torch.cat([prepend[:, None], self.project_in(x)], dim=1)
        angles = self.rotary_pos_emb(x.shape[1])
        for layer in self.layers:
            x = layer(x, context, angles)
        return self.project_out(x[:, 1:])


class DiffusionTransformer(nn.Module):
    """`model.model` of a checkpoint: x [B, C, T], t [B], cross_attn_cond [B, L, D], global_cond [B,
    D] -> v [B, C, T].
    """

    def __init__(
        self,
        io_channels: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        cond_token_dim: int,
        global_cond_dim: int,
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
        self.transformer = ContinuousTransformer(embed_dim, depth, num_heads, io_channels)

    @staticmethod
    def _embed(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(inputs, outputs, bias=False),
            nn.SiLU(),
            nn.Linear(outputs, outputs, bias=False),
        )

    def forward(self, x: Tensor, t: Tensor, cross_attn_cond: Tensor, global_cond: Tensor) -> Tensor:
        prepend = self.to_global_embed(global_cond) + self.to_timestep_embed(
            self.timestep_features(t)
        )
        x = self.preprocess_conv(x) + x
        x = self.transformer(
            x.transpose(1, 2), prepend, self.to_cond_embed(cross_attn_cond)
        ).transpose(1, 2)
        return self.postprocess_conv(x) + x


# --- conditioners ---------------------------------------------------------------------------------


class LearnedPositionalEmbedding(nn.Module):
    """x [B] -> [B, 2·len(weights) + 1]: x itself, then sines, then cosines, of 2π·x·weights."""

    def __init__(self, features: int):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(features // 2))

    def forward(self, x: Tensor) -> Tensor:
        f = 2 * math.pi * x[:, None] * self.weights
        return torch.cat([x[:, None], f.sin(), f.cos()], dim=-1)


class NumberEmbedder(nn.Module):
    """Holds the two layers under the names of the official code."""

    def __init__(self, outputs: int):
        super().__init__()
        self.embedding = nn.Sequential(LearnedPositionalEmbedding(256), nn.Linear(257, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(x)


class NumberConditioner(nn.Module):
    """A number, clamped and scaled to 0..1, as one vector [B, outputs]."""

    def __init__(self, outputs: int, min_val: float, max_val: float):
        super().__init__()
        self.embedder = NumberEmbedder(outputs)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        return self.embedder(
            (x.clamp(self.min_val, self.max_val) - self.min_val) / (self.max_val - self.min_val)
        )


class T5Norm(nn.Module):
    """RMS norm without mean and bias."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class T5SelfAttention(nn.Module):
    """T5's attention: no √d scale, an additive bias from relative positions."""

    def __init__(self, config: dict, with_bias: bool):
        super().__init__()
        self.heads, self.dim_head = config["num_heads"], config["d_kv"]
        inner = self.heads * self.dim_head
        self.q, self.k, self.v = (nn.Linear(config["d_model"], inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config["d_model"], bias=False)
        if with_bias:
            self.relative_attention_bias = nn.Embedding(
                config["relative_attention_num_buckets"], self.heads
            )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            f(x).unflatten(-1, (self.heads, self.dim_head)).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(y.transpose(1, 2).flatten(-2))


def relative_position_buckets(length: int, buckets: int, max_distance: int) -> Tensor:
    """T5's bidirectional buckets [query, key]: half exact, half logarithmic, each sign its own
    half.
    """
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    half, exact = buckets // 2, buckets // 4
    far = (
        exact
        + (
            torch.log(distance.abs().clamp(min=1).float() / exact)
            / math.log(max_distance / exact)
            * (half - exact)
        ).long()
    )
    near = torch.where(distance.abs() < exact, distance.abs(), far.clamp(max=half - 1))
    return near + (distance > 0) * half


class T5Encoder(nn.Module):
    """T5 v1.0's encoder under the key names of its public checkpoints: ids, mask [B, L] -> hidden
    [B, L, d_model].
    """

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        dim, eps = config["d_model"], config["layer_norm_epsilon"]
        self.shared = nn.Embedding(config["vocab_size"], dim)
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList()
        for index in range(config["num_layers"]):
            attention, feed_forward, block = nn.Module(), nn.Module(), nn.Module()
            attention.SelfAttention, attention.layer_norm = (
                T5SelfAttention(config, index == 0),
                T5Norm(dim, eps),
            )
            feed_forward.DenseReluDense, feed_forward.layer_norm = nn.Module(), T5Norm(dim, eps)
            feed_forward.DenseReluDense.wi = nn.Linear(dim, config["d_ff"], bias=False)
            feed_forward.DenseReluDense.wo = nn.Linear(config["d_ff"], dim, bias=False)
            block.layer = nn.ModuleList([attention, feed_forward])
            self.encoder.block.append(block)
        self.encoder.final_layer_norm = T5Norm(dim, eps)
        # T5 was made for these scales: without the 1/√d in attention, q has to start small.
        for name, parameter in self.named_parameters():
            if name.endswith("SelfAttention.q.weight"):
                nn.init.normal_(parameter, std=(dim * config["d_kv"]) ** -0.5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        config, length = self.config, input_ids.shape[1]
        buckets = relative_position_buckets(
            length,
            config["relative_attention_num_buckets"],
            config["relative_attention_max_distance"],
        ).to(input_ids.device)
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        bias = table(buckets).permute(2, 0, 1)[None]
        bias = bias.masked_fill(attention_mask[:, None, None] == 0, torch.finfo(bias.dtype).min)
        x = self.shared(input_ids)
        for block in self.encoder.block:
            attention, feed_forward = block.layer
            x = x + attention.SelfAttention(attention.layer_norm(x), bias)
            dense = feed_forward.DenseReluDense
            x = x + dense.wo(F.relu(dense.wi(feed_forward.layer_norm(x))))
        return self.encoder.final_layer_norm(x)


# --- the whole model ------------------------------------------------------------------------------


class Model(nn.Module):
    """All parts of one checkpoint.

    `state_dict()` holds `model.safetensors` under the official names, T5 under `t5.`.
    """

    def __init__(self, config: dict, t5_config: dict):
        super().__init__()
        self.config, self.t5_config = config, t5_config
        self.model, self.conditioner, self.pretransform = nn.Module(), nn.Module(), nn.Module()
        self.model.model = DiffusionTransformer(**config["model"]["diffusion"]["config"])
        number = next(
            c for c in config["model"]["conditioning"]["configs"] if c["type"] == "number"
        )
        self.conditioner.conditioners = nn.ModuleDict(
            {
                number["id"]: NumberConditioner(
                    config["model"]["conditioning"]["cond_dim"], **number["config"]
                )
            }
        )
        self.pretransform.model = Autoencoder(config["model"]["pretransform"]["config"])
        self.t5 = T5Encoder(t5_config)

    @property
    def dit(self) -> DiffusionTransformer:
        return self.model.model

    @property
    def autoencoder(self) -> Autoencoder:
        return self.pretransform.model

    def condition(
        self, input_ids: Tensor, attention_mask: Tensor, seconds_total: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ids, mask [B, L] and seconds [B] -> cross_attn_cond [B, L+1, D], global_cond [B, D]."""
        hidden = self.t5(input_ids, attention_mask) * attention_mask[..., None]
        seconds = self.conditioner.conditioners["seconds_total"](seconds_total)
        return torch.cat([hidden, seconds[:, None]], dim=1), seconds
