"""Precisions: what is known of each, in one place. To add one, add a record here, and to the
exporter what makes it of a float32 graph (`export.quantize`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_audio.system.device import Device, dot_product


@dataclass(frozen=True)
class Precision:
    """How the weights of a graph are stored, and what it computes with.

    storage: of a weight. floating: whether all or most of the arithmetic is floating point, which
    a CPU with fp16 can do at half width. The ranks say how soon a CPU should choose it, 0 first:
    for one with 8-bit dot products, for the decoder on such a CPU, and for any other.
    """

    name: str
    storage: str
    floating: bool
    rank_with_dot: int
    rank_with_dot_decoder: int
    rank_without_dot: int


#: In the order in which they are listed.
RECORDS = (
    Precision("f32", "float32", True, 2, 2, 0),
    Precision("f16", "float16, widened when loaded: the speed of f32, at best", True, 3, 3, 1),
    Precision("int8", "int8 per channel, activations quantized at run time", False, 0, 1, 2),
    Precision("int4", "int4, activations quantized at run time", False, 4, 4, 4),
    # XNNPACK's int8 convolution has one scale for the activations of a whole clip, its matrix
    # product one for every row: what is quiet drowns in the decoder's noise, and its time hardly
    # counts (docs/quantization.md).
    Precision("mixed", "the form that a measurement chose, layer by layer", True, 1, 0, 3),
)
PRECISIONS = tuple(record.name for record in RECORDS)
#: those whose arithmetic is floating point, all or mostly
FLOATING = tuple(record.name for record in RECORDS if record.floating)


@dataclass(frozen=True)
class Advice:
    """Precisions, best first, and why; the decoder has an order of its own."""

    precisions: tuple[str, ...]
    decoder: tuple[str, ...]
    reason: str

    def preferred(self, component: str) -> tuple[str, ...]:
        """The order for a component."""
        return self.decoder if component == "decoder" else self.precisions


def recommended(device: Device) -> Advice:
    """int8 pays only with 8-bit dot products: on a Cortex-A76 it takes a third of f32's
    instructions, on a Cortex-A72 nine tenths (docs/arm.md).
    """
    if found := dot_product(device):
        return Advice(
            _ranked(lambda record: record.rank_with_dot),
            _ranked(lambda record: record.rank_with_dot_decoder),
            f"the CPU has {found}, which makes int8 fastest; a mixed decoder keeps quiet sounds"
            " clean",
        )
    plain = _ranked(lambda record: record.rank_without_dot)
    return Advice(
        plain,
        plain,
        "no 8-bit dot product (dotprod, i8mm, vnni) found, so int8 would be smaller but hardly"
        " faster",
    )


def _ranked(rank: Callable[[Precision], int]) -> tuple[str, ...]:
    return tuple(record.name for record in sorted(RECORDS, key=rank))
