"""Cheaper training steps, where the computer has what they take: matrix products in bfloat16, and
compiled modules.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn

#: steps; compiling takes a minute and saves a fifth of every step
COMPILE_FROM = 500


def fast(device: str):
    """Matrix products in bfloat16, a third of the time where the CPU or GPU has them."""
    return torch.autocast(device, torch.bfloat16) if has_bfloat16(device) else nullcontext()


def has_bfloat16(device: str) -> bool:
    """Whether the device computes with it, rather than emulating it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16", False)


def compile_for(steps: int, *modules: nn.Module) -> None:
    """Compile what is called, where that many steps pay for it; without a C++ compiler, it runs as
    written.
    """
    if steps >= COMPILE_FROM:
        torch._dynamo.config.suppress_errors = True
        # every module and length counts towards one limit, beyond which all run as written
        torch._dynamo.config.recompile_limit = 64
        for module in modules:
            module.compile(dynamic=False)  # a few lengths, each known
