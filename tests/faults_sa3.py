"""Ways in which an export of Stable Audio 3 goes wrong."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf
from faults import (
    PADDED,
    SATURATED,
    built,
    cross_attention_zeroed,
    global_condition_dropped,
    patched,
    qk_norm_eps,
    weight_norm_over_the_wrong_axis,
)

from export.sa3.conditioners import Conditioners
from export.sa3.same import Blocks


def features_swapped():
    """[sin, cos] in place of [cos, sin]."""

    def change(conditioners):
        kernel = conditioners.seconds.kernel
        kernel.assign(np.roll(kernel.numpy(), kernel.shape[0] // 2, axis=0))

    return built(change)


def padding_of_zeros():
    def change(conditioners):
        conditioners.padding.assign(tf.zeros_like(conditioners.padding))

    return built(change)


def gate_without_its_sigmoid():
    """y · gate in place of y · sigmoid(1 - gate)."""
    right = tf.sigmoid

    def sigmoid(x):
        is_gate = x.shape.rank == 3 and x.shape[1] == 1
        return 1.0 - x if is_gate else right(x)

    @contextlib.contextmanager
    def patch():
        with patched(tf, "sigmoid", sigmoid):
            yield

    return patch()


def positions_from_the_latents_on():
    """The memory tokens are not counted."""

    def change(dit):
        memory = dit.config.memory_tokens
        for table in (dit.rotary.cos, dit.rotary.sin):
            rows = table.numpy()
            table.assign(np.concatenate([rows[:memory], rows[:-memory]]))

    return built(change)


def midpoint_shift_left_out():
    def plain(self, x, taps):
        config, length = self.config, x.shape[0]
        x = tf.reshape(x, [length // 2, 2 * config.tokens, config.width])
        for block in self.blocks:
            x = block(x, taps)
        return tf.reshape(x, [length, config.tokens, config.width])

    return patched(Blocks, "__call__", plain)


def text_norms_without_the_one():
    def change(conditioners):
        t5 = conditioners.t5
        for layer in t5.layers:
            for norm in (layer.before, layer.after, layer.before_mlp, layer.after_mlp):
                norm.gain.assign(norm.gain - 1.0)
        t5.norm.gain.assign(t5.norm.gain - 1.0)

    return built(change)


def an_extra_token():
    right = Conditioners.condition

    def condition(self, *given, **named):
        found = right(self, *given, **named)
        cond = found["cross_attn_cond"]
        # in the place of the padding, which then has none
        return found | {"cross_attn_cond": tf.concat([cond[:, :-2], cond[:, -1:], cond[:, -1:]], 1)}

    return patched(Conditioners, "condition", condition)


def beta_of_a_tanh_dropped():
    def change(decoder):
        beta = decoder.blocks.blocks[1].ff_norm.beta
        beta.assign(tf.zeros_like(beta))

    return built(change)


#: fault -> (what puts it in, the components it is in)
FAULTS = {
    "features as sin, cos": (features_swapped, ("conditioners",)),
    "a padding of zeros": (padding_of_zeros, ("conditioners",)),
    "gate without its sigmoid": (gate_without_its_sigmoid, ("dit",)),
    "positions from the latents on": (positions_from_the_latents_on, ("dit",)),
    "midpoint shift left out": (midpoint_shift_left_out, ("decoder",)),
    "text norms without the one": (text_norms_without_the_one, ("conditioners",)),
    PADDED: (lambda: built(lambda component: None), ("conditioners", "dit")),
    "an extra conditioning token": (an_extra_token, ("conditioners",)),
    "global condition dropped": (global_condition_dropped, ("dit",)),
    "beta of a tanh dropped": (beta_of_a_tanh_dropped, ("decoder",)),
    "weight norm over the wrong axis": (weight_norm_over_the_wrong_axis, ("decoder",)),
    "qk-norm eps of 1e-2": (qk_norm_eps, ("dit",)),
    SATURATED: (None, ("dit",)),
    "cross-attention zeroed": (cross_attention_zeroed, ("dit",)),
}
