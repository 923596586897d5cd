"""Learned positions, an option of the official transformer that the models of the reference do
without: what is added to every latent as it arrives.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from references import DATA

from export.checkpoint import read_checkpoint
from export.config import read_config
from export.dit import DiT

TABLE = "model.model.transformer.pos_emb.emb.weight"


def test_positions_are_added_to_latents_as_they_arrive():
    """As other latents would be: those of which the same arrives."""
    folder, rng = DATA / "tiny0", np.random.default_rng(5)
    config, checkpoint = read_config(folder), read_checkpoint(folder)
    plain, width, length = DiT(checkpoint, config), config.dit.embed_dim, config.latent.length
    other = rng.standard_normal((1, length, config.dit.io_channels)).astype("float32")
    table = np.zeros((length + 9, width), "float32")
    # the first position is the token's; the official code scales all by the root of the width
    table[1 : length + 1] = plain.project_in(tf.constant(other)).numpy()[0] * width**0.5
    tensors = {name: checkpoint.tensors[name] for name in checkpoint.tensors} | {TABLE: table}
    learned = dataclasses.replace(config.dit, positions=len(table))
    with_positions = DiT(
        dataclasses.replace(checkpoint, tensors=tensors), dataclasses.replace(config, dit=learned)
    )
    conditioning = rng.standard_normal((1, plain.tokens, config.dit.cond_token_dim))
    projected = plain.project(
        tf.constant(conditioning, tf.float32),
        tf.constant(rng.standard_normal((1, config.dit.global_cond_dim)), tf.float32),
    )
    x, t = rng.standard_normal(other.shape).astype("float32"), tf.constant([0.4])
    for steps in (length, length // 2):  # shorter clips have the first of them
        some = {
            "moved": plain.denoise(tf.constant(x + other)[:, :steps], t, **projected)["v"],
            "placed": with_positions.denoise(tf.constant(x)[:, :steps], t, **projected)["v"],
            "neither": plain.denoise(tf.constant(x)[:, :steps], t, **projected)["v"],
        }
        assert np.allclose(some["placed"], some["moved"], atol=1e-4)
        assert not np.allclose(some["placed"], some["neither"], atol=1e-2)
