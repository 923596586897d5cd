"""The number conditioner: seconds -> one vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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
