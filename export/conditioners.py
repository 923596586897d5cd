"""Prompt and length become what the diffusion transformer listens to."""

from __future__ import annotations

import math

import tensorflow as tf

from .checkpoint import Checkpoint
from .config import ModelConfig, NumberConfig
from .layers import Linear, Signatures, Taps, constant, no_taps
from .t5 import T5Encoder

FREQUENCIES = 128


class NumberConditioner(tf.Module):
    """Seconds [1] -> [1, outputs]: clamp, scale to 0..1, Fourier features, Linear."""

    def __init__(self, checkpoint: Checkpoint, config: NumberConfig, outputs: int):
        super().__init__()
        name = "conditioner.conditioners.seconds_total.embedder.embedding"
        self.min, self.max = config.min, config.max
        self.weights = constant(checkpoint.take(f"{name}.0.weights", (FREQUENCIES,))[None])
        self.linear = Linear.take(checkpoint, f"{name}.1", 2 * FREQUENCIES + 1, outputs, bias=True)

    def __call__(self, seconds: tf.Tensor, taps: Taps = no_taps) -> tf.Tensor:
        x = (tf.clip_by_value(seconds, self.min, self.max) - self.min) / (self.max - self.min)
        x = tf.reshape(x, [1, 1])
        angles = x * (2 * math.pi * self.weights)
        # the value itself first, then sines, then cosines: the timestep features have the opposite
        # order
        features = tf.concat([x, tf.sin(angles), tf.cos(angles)], axis=-1)
        taps("seconds_features", features)
        return self.linear(features)


class Conditioners(tf.Module):
    """The graph `conditioners`."""

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig):
        super().__init__()
        self.length = config.max_length
        self.example_ranges = {
            "input_ids": (0, config.t5.vocab_size),
            "seconds_total": (config.seconds.min, config.seconds.max),
        }
        self.t5 = T5Encoder(checkpoint, config.t5, config.max_length)
        self.seconds = NumberConditioner(checkpoint, config.seconds, config.dit.global_cond_dim)

    def store(self, precision: str) -> str:
        """Bring the table of words into the form of a precision, before the component is saved;
        return the form's name.
        """
        return self.t5.embedding.store(precision)

    def condition(
        self,
        input_ids: tf.Tensor,
        attention_mask: tf.Tensor,
        seconds_total: tf.Tensor,
        taps: Taps = no_taps,
    ) -> dict[str, tf.Tensor]:
        """ids, mask int32 [1, L], seconds [1] -> cross_attn_cond [1, L+1, C], global_cond [1, C].

        Padded tokens become zero vectors; cross-attention itself has no mask, so they keep their
        share of attention.
        """
        hidden = self.t5(input_ids, attention_mask, taps)
        taps("t5", hidden)
        prompt = hidden * tf.expand_dims(tf.cast(attention_mask, tf.float32), -1)
        seconds = self.seconds(seconds_total, taps)
        return {
            "cross_attn_cond": tf.concat([prompt, tf.expand_dims(seconds, 1)], axis=1),
            "global_cond": seconds,
        }

    def signatures(self) -> Signatures:
        ids = tf.TensorSpec([1, self.length], tf.int32)
        return {
            "condition": (
                self.condition,
                {
                    "input_ids": ids,
                    "attention_mask": ids,
                    "seconds_total": tf.TensorSpec([1], tf.float32),
                },
            )
        }
