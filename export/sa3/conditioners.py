"""Prompt and length become what the diffusion transformer listens to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import TOKENS

from ..checkpoint import Checkpoint
from ..layers import Linear, Signatures, Taps, constant, no_taps
from ..t5 import MASKED
from .config import CONVERTED, PROVEN, Sa3Config
from .t5gemma import T5GemmaEncoder

#: The 128 frequencies of the expo features, exp(linspace(ln 0.5, ln 10000)), bit for bit as the
#: official code has them in float32: angles reach 63 000 rad, and one digit off is heard there.
FREQUENCIES = np.load(Path(__file__).with_name("expo_frequencies.npy"))
FEATURES = 2 * len(FREQUENCIES)


class Conditioners(tf.Module):
    """The graph `conditioners`."""

    def __init__(self, checkpoint: Checkpoint, config: Sa3Config):
        super().__init__()
        self.max_length = config.max_length
        width = config.gemma.width
        self.example_ranges = {
            "input_ids": (0, config.gemma.vocab_size),
            "seconds_features": (-1.0, 1.0),
            "learned_padding": (0.5, 1.0),
        }
        self.t5 = T5GemmaEncoder(checkpoint, config.gemma, config.max_length)
        name = "conditioner.conditioners"
        self.padding = constant(checkpoint.take(f"{name}.prompt.padding_embedding", (width,)))
        self.seconds = Linear.take(
            checkpoint, f"{name}.seconds_total.embedder.embedding.1", FEATURES, width, bias=True
        )

    def store(self, precision: str) -> str:
        """Bring the table of words into the form of a precision, before the component is saved;
        return the form's name.
        """
        return self.t5.embedding.store(precision)

    def condition(
        self,
        input_ids: tf.Tensor,
        attention_mask: tf.Tensor,
        learned_padding: tf.Tensor,
        seconds_features: tf.Tensor,
        taps: Taps = no_taps,
    ) -> dict[str, tf.Tensor]:
        """ids, mask int32 [1, N], learned_padding [1], features [1, 256] -> cross_attn_cond
        [1, N+2, C], cross_attn_bias [1, N+2], global_cond [1, C].

        The official code attends to max_length tokens, of which all but the prompt's are the same
        padding: here they are one key, and what they weigh together is in the bias, as the
        logarithm of their number. The rows are the prompt's, the padding, the seconds.
        """
        hidden = self.t5(input_ids, attention_mask, taps)
        taps("t5", hidden)
        mask = tf.cast(attention_mask, tf.float32)
        prompt = hidden * tf.reshape(mask, [1, -1, 1])
        padding = tf.reshape(self.padding, [1, 1, -1]) * tf.reshape(learned_padding, [1, 1, 1])
        seconds = self.seconds(seconds_features)
        taps("seconds", seconds)
        count = self.max_length - tf.reduce_sum(mask, axis=1, keepdims=True)
        # a full prompt has no padding: exp(-85) of a key is none in float32
        weight = tf.math.log(tf.maximum(count, 1e-37))
        return {
            "cross_attn_cond": tf.concat([prompt, padding, tf.expand_dims(seconds, 1)], axis=1),
            "cross_attn_bias": tf.concat([(1.0 - mask) * MASKED, weight, tf.zeros([1, 1])], axis=1),
            "global_cond": seconds,
        }

    def signatures(self, tokens: int = CONVERTED[TOKENS]) -> Signatures:
        """Signature -> (function, its inputs), for a prompt of that length."""
        inputs = {
            "input_ids": tf.TensorSpec([1, tokens], tf.int32),
            "attention_mask": tf.TensorSpec([1, tokens], tf.int32),
            "learned_padding": tf.TensorSpec([1], tf.float32),
            "seconds_features": tf.TensorSpec([1, FEATURES], tf.float32),
        }
        return {"condition": (self.condition, inputs)}

    def resized(self) -> Signatures:
        """The same for another length: how a graph is proven that will be resized."""
        return self.signatures(PROVEN[TOKENS])
