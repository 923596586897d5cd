"""Recipes: precision name -> how TFLiteConverter writes the weights. `f32` and `f16` compute in float32."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

Recipe = Callable[[tf.lite.TFLiteConverter], None]


def f32(converter: tf.lite.TFLiteConverter) -> None:
    """Weights as they are."""


def f16(converter: tf.lite.TFLiteConverter) -> None:
    """Weights stored as float16, widened when the graph is loaded: half the bytes on disk, float32 speed."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def int8(converter: tf.lite.TFLiteConverter) -> None:
    """Weights int8, one scale per output channel; activations quantized at run time (dynamic range).

    Biases, norms and tables stay float32, and so do weights of fewer than 1 024 elements.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


RECIPES: dict[str, Recipe] = {"f32": f32, "f16": f16, "int8": int8}
