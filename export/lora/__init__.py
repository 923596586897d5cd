"""Styles: adapters (LoRA and its relatives), merged into the weights of a checkpoint as they are
read.

An adapter is a .safetensors file as the official code writes it, or a folder of PEFT.
"""

from .adapter import KINDS, Adapter, bases, identity, merge
from .reading import read_adapter

__all__ = ["KINDS", "Adapter", "bases", "identity", "merge", "read_adapter"]
