"""T5, the text encoder: token ids and their mask -> one vector for each token."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
