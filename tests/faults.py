"""Ways in which an export goes wrong, each built into a bundle that is otherwise sound: eleven of
stable-audio-open's family, and `faults_sa3`'s of Stable Audio 3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf

from edge_audio.bundle.manifest import MANIFEST_NAME
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.evaluate.layers import operations
from edge_audio.evaluate.verdict import FAIL, OK
from export.architecture import Architecture
from export.architectures import architecture_of
from export.autoencoder import TransposedConv
from export.checkpoint import Checkpoint
from export.conditioners import Conditioners
from export.convert import convert, save_module


@contextlib.contextmanager
def patched(owner, name, value):
    with mock.patch.object(owner, name, value):
        yield


@contextlib.contextmanager
def built(change):
    """A fault that is put into the component when it is built: `change(component)`."""
    yield change


def transposed_convolution():
    right = TransposedConv._as_phases
    return patched(
        TransposedConv,
        "_as_phases",
        staticmethod(lambda w: right(np.ascontiguousarray(w.swapaxes(0, 1)).reshape(w.shape))),
    )


def weight_norm_over_the_wrong_axis():
    def take(self, name, shape):
        g, v = self.take(f"{name}.weight_g", (shape[0], 1, 1)), self.take(f"{name}.weight_v", shape)
        return (g * v / np.sqrt((v * v).sum(axis=(0, 2), keepdims=True))).astype(np.float32)

    return patched(Checkpoint, "take_weight_normed", take)


@contextlib.contextmanager
def sines_and_cosines_swapped():
    with patched(tf, "sin", tf.cos), patched(tf, "cos", tf.sin):
        yield


def an_extra_token():
    right = Conditioners.condition

    def condition(self, input_ids, attention_mask, seconds_total):
        found = right(self, input_ids, attention_mask, seconds_total)
        start = tf.expand_dims(self.seconds(0.0 * seconds_total), 1)
        return found | {
            "cross_attn_cond": tf.concat(
                [found["cross_attn_cond"][:, :-1], start, found["cross_attn_cond"][:, -1:]], axis=1
            )
        }

    @contextlib.contextmanager
    def both():
        with patched(Conditioners, "condition", condition):
            yield (
                lambda component: (
                    setattr(component, "tokens", component.tokens + 1)
                    if hasattr(component, "tokens")
                    else None
                )
            )

    return both()


def global_condition_dropped():
    def change(dit):
        dit.to_global_embed = lambda g: tf.zeros([1, dit.config.embed_dim]) + 0.0 * g[:, :1]

    return built(change)


def rotary_off_by_one():
    """The prepended token is not counted, so that it shares a position with the first latent."""

    def change(dit):
        for table in (dit.rotary.cos, dit.rotary.sin):
            table.assign(np.concatenate([table.numpy()[:1], table.numpy()[:-1]]))

    return built(change)


def beta_dropped():
    def change(dit):
        dit.blocks[1].ff_norm.bias.assign(np.zeros_like(dit.blocks[1].ff_norm.bias))

    return built(change)


def qk_norm_eps():
    def change(dit):
        for block in dit.blocks:
            for attention in (block.self_attn, block.cross_attn):
                attention.q_norm.eps = attention.k_norm.eps = 1e-2

    return built(change)


def cross_attention_zeroed():
    def change(dit):
        kernel = dit.blocks[0].cross_attn.to_out.kernel
        kernel.assign(np.zeros(kernel.shape))

    return built(change)


PADDED, SATURATED = "padded to twice the length", "saturated int8 scale"
#: fault -> (what puts it in, the components it is in)
FAULTS = {
    "transposed ConvTranspose weights": (transposed_convolution, ("decoder",)),
    PADDED: (lambda: built(lambda component: None), ("conditioners", "dit")),
    "an extra conditioning token": (an_extra_token, ("conditioners", "dit")),
    "cos and sin swapped": (sines_and_cosines_swapped, ("conditioners",)),
    "global condition dropped": (global_condition_dropped, ("dit",)),
    "rotary off by one": (rotary_off_by_one, ("dit",)),
    "beta of a norm dropped": (beta_dropped, ("dit",)),
    "weight norm over the wrong axis": (weight_norm_over_the_wrong_axis, ("decoder",)),
    "qk-norm eps of 1e-2": (qk_norm_eps, ("dit",)),
    SATURATED: (None, ("dit",)),
    "cross-attention zeroed": (cross_attention_zeroed, ("dit",)),
}


def inject(
    fault: str, source: Path, sound: Path, out: Path, faults: dict = FAULTS
) -> tuple[Path, str]:
    """A copy of the bundle `sound`, exported from `source`, with one fault: (its folder, the
    precision that has it).
    """
    shutil.copytree(sound, out)
    manifest = Bundle.open(sound).manifest
    make, components = faults[fault]
    family = architecture_of(source)
    precision = "int8" if fault == SATURATED else Bundle.open(sound).precisions("dit")[0]
    graphs = {name: dict(entries) for name, entries in manifest.graphs.items()}
    prompt = dataclasses.replace(
        manifest.prompt, max_length=(2 if fault == PADDED else 1) * manifest.prompt.max_length
    )
    config = dataclasses.replace(
        family.read_config(source, manifest.latent.lengths),
        max_length=prompt.max_length,
    )
    for name in components:
        path = out / f"{name}.{precision}.tflite"
        path.write_bytes(
            _saturated(path)
            if fault == SATURATED
            else _converted(name, make, family, source, config, out)
        )
        graphs[name][precision] = dataclasses.replace(
            graphs[name][precision], **vars(file_entry(path))
        )
    (out / MANIFEST_NAME).write_text(
        dataclasses.replace(manifest, graphs=graphs, prompt=prompt).to_json()
    )
    return out, precision


def _converted(name: str, make, family: Architecture, source: Path, config, folder: Path) -> bytes:
    with make() as change:
        component = family.builders[name](
            family.read_checkpoint(source, config), config, family.tile
        )
        if change is not None:
            change(component)
        saved = folder / f"saved.{name}"
        save_module(component, saved)
    data = convert(saved)
    shutil.rmtree(saved)
    return data


def _saturated(path: Path) -> bytes:
    """One layer's integers made four times as large and its scales four times as small: what is
    above the range is cut.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    operation = next(
        op for op in operations(path) if op.layer == "transformer.layers.1.self_attn.to_qkv"
    )
    graph = model.subgraphs[operation.subgraph]
    tensor = graph.tensors[graph.operators[operation.index].inputs[1]]
    values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8).astype(np.int32)
    model.buffers[tensor.buffer].data = (
        np.clip(4 * values, -127, 127).astype(np.int8).view(np.uint8)
    )
    tensor.quantization.scale = [scale / 4 for scale in tensor.quantization.scale]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def seen(diagnosis) -> set[str]:
    """The symptoms that are not well."""
    return {row.symptom for row in diagnosis.rows if row.level != OK}


def assert_pinned(diagnosis, stage: str, reason: str) -> None:
    """A diagnosis with a checkpoint names the first stage that departs, and why."""
    assert diagnosis.departs == stage and diagnosis.failed
    assert reason in next(
        row.meaning
        for row in diagnosis.rows
        if row.level == FAIL and row.symptom.startswith("stage")
    )
