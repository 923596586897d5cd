"""A checkpoint as the float reference of a bundle: every stage on the same inputs, and the audit of
the weights.

`edge-audio diagnose --checkpoint` calls this. The reference is the same TensorFlow functions that
the exporter converts, which the golden arrays of the official code hold to 1e-4; so what differs
came after them: a conversion, a quantization, or another exporter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from edge_audio.bundle.manifest import GENERATING
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnose import Say
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.layers import Operation, exposed, operations, weights
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.trace import Trace, walk
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.model.codec import decode
from edge_audio.model.tokens import Tokenizer, Tokens, padded
from edge_audio.request import Settings
from edge_audio.sampling.guidance import guided

from .quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf

from . import layers
from .autoencoder import TransposedConv
from .bundle import BUILDERS, _find_tokenizer
from .checkpoint import LEFT_OUT, Checkpoint, read_checkpoint
from .config import ModelConfig, read_config

#: dB of a layer's output on the same input of its graph, below which it departs; other precisions
#: have NOISY
FOLLOWS = {"f32": 60.0, "f16": 40.0, "int4": 4.0}
NOISY = 10.0
GAIN_OFF = 0.25
AS_IT_SHOULD_BE = "as it should be"
#: part of a layer's name -> what lies between it and the layer before, where a fault must be if
#: both have the right weights
BEFORE = {
    "to_qkv": "the norm before self-attention (gamma, beta, eps 1e-5)",
    "self_attn.to_out": (
        "self-attention itself: norms of q and k (eps 1e-6), rotary positions, softmax"
    ),
    "to_q": "the norm before cross-attention (gamma, beta, eps 1e-5)",
    "cross_attn.to_out": "cross-attention itself: norm of q (eps 1e-6), scale, softmax",
    "ff.0.proj": "the norm before the feed-forward (gamma, beta, eps 1e-5)",
    "ff.2": "the gate, x · SiLU(gate)",
    "cross_k": "the norm of the cross-attention keys (eps 1e-6)",
    "embedding.1": "the features of the number conditioner: [x, sin f, cos f]",
    "to_timestep_embed.0": "the timestep features: [cos f, sin f]",
    "to_timestep_embed.2": "SiLU",
    "SelfAttention": "T5's norm, or the table of words",
    "DenseReluDense": "T5's attention, relative positions, mask",
}

#: value between graphs -> how it should come about
ENDS = {
    "input_ids": (
        "The prompt is padded to another length than max_length says, or cut into other tokens."
    ),
    "cross_attn_cond": (
        "It is put together of the prompt's tokens and one for the seconds, and nothing else."
    ),
    "global_embed": "It must be to_global_embed of the global condition.",
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """One value on the way, in the bundle and in the reference."""

    name: str
    actual: np.ndarray
    expected: np.ndarray
    limit: float

    @property
    def snr(self) -> float:
        return (
            metrics.snr(self.actual, self.expected)
            if self.actual.size == self.expected.size
            else float("-inf")
        )

    @property
    def said(self) -> str:
        """By how much."""
        if self.actual.size != self.expected.size:
            return f"{list(self.actual.shape)} in place of {list(self.expected.shape)}"
        return (
            f"{self.snr:.0f} dB, {metrics.gain(self.actual, self.expected):.2f} times the reference"
        )

    @property
    def departs(self) -> bool:
        if self.actual.size != self.expected.size or not np.isfinite(self.actual).all():
            return True
        if self.limit == -math.inf:
            return False
        return self.snr < self.limit or (
            np.any(self.expected) and abs(metrics.gain(self.actual, self.expected) - 1) > GAIN_OFF
        )


def open(folder: Path) -> Callable[[Probe, Say], tuple[list[Row], str | None]]:
    """EdgeAudioError for a folder that is no checkpoint; else what compares a probe's bundle with
    it.
    """
    config, checkpoint = read_config(folder), read_checkpoint(folder)
    return lambda probe, say: _compare(probe, folder, config, checkpoint, say)


def _compare(
    probe: Probe, folder: Path, config: ModelConfig, checkpoint: Checkpoint, say: Say
) -> tuple[list[Row], str | None]:
    config = config.with_lengths(probe.manifest.latent.shorter)
    results, departs = [], None
    if (probe.manifest.latent, probe.manifest.channels) != (config.latent, config.channels):
        raise EdgeAudioError(
            f"{folder} has latents of {config.latent}, the bundle {probe.manifest.latent}; give the"
            " checkpoint that the bundle was exported from"
        )
    if probe.manifest.source_sha256 != checkpoint.sha256:
        results.append(
            Row(
                "checkpoint",
                WARN,
                "other files than the manifest names",
                "those that the bundle was exported from",
                "Another version of the weights, or converted ones. What follows compares with the"
                " files given here.",
            )
        )
    run = _Run(probe, folder, config, checkpoint, say)
    groups = []
    for group, stages in run.stages():
        groups.append((group, stages))
        if any(stage.actual.size != stage.expected.size for stage in stages):
            break  # what comes after cannot be fed with the same values
    say("weights")
    audit, suspicious = _audit(probe, checkpoint, run.components)
    for group, stages in groups:
        wrong = next((stage for stage in stages if stage.departs), None)
        least = wrong or min(stages, key=lambda stage: stage.snr - stage.limit)
        expected = (
            f"{least.limit:.0f} dB or more"
            if math.isfinite(least.limit)
            else "another clip is no fault in this precision"
        )
        if wrong is None:
            results.append(
                Row(
                    f"stage {group}",
                    OK,
                    f"{len(stages)} values, least {least.name} {least.snr:.0f} dB",
                    expected,
                    "",
                    least.snr,
                )
            )
            continue
        # what departs later may do so only because of the first
        results.append(
            Row(
                f"stage {group}",
                WARN if departs else FAIL,
                f"{wrong.name} departs: {wrong.said}",
                expected,
                "" if departs else _reason(wrong.name, suspicious),
                wrong.snr,
            )
        )
        departs = departs or wrong.name
    return results + audit, departs


def _reason(name: str, suspicious: dict[str, str]) -> str:
    """Why a stage departs that is the first to do so."""
    first = "The first stage that departs; all before it is right."
    if name in ENDS:
        return f"{first} {ENDS[name]}"
    if name in suspicious:
        return f"{first} Its weights: {suspicious[name]}."
    between = next((what for part, what in BEFORE.items() if part in name), None)
    return (
        first
        if between is None
        else f"{first} Its weights are the checkpoint's, so the fault lies in {between}."
    )


class _Run:
    """The reference and the bundle side by side, one graph at a time, each fed with what the
    reference gave.
    """

    def __init__(
        self, probe: Probe, folder: Path, config: ModelConfig, checkpoint: Checkpoint, say: Say
    ):
        self.probe, self.config, self.checkpoint, self._say = probe, config, checkpoint, say
        self.request: Settings = probe.request()
        self.components: dict[str, list[tf.Module]] = {}
        self._folder = folder

    def stages(self) -> Iterator[tuple[str, list[Stage]]]:
        probe, request, pipeline, latent = (
            self.probe,
            self.request,
            self.probe.pipeline,
            self.probe.manifest.latent,
        )
        tokens, ours = self._tokens(), probe.tokens()
        yield (
            "tokens",
            [
                Stage("input_ids", ours.ids, tokens.ids, 199),
                Stage("attention_mask", ours.mask, tokens.mask, 199),
            ],
        )

        seconds = np.array([request.seconds], np.float32)
        with self._component("conditioners") as (reference, graph):
            call = functools.partial(self._both, reference, graph, "conditioners")
            given, found = call(
                "condition",
                reference.condition,
                input_ids=tokens.ids,
                attention_mask=tokens.mask,
                seconds_total=seconds,
            )
            text = [stage for stage in found if stage.name.startswith("t5.")]
            yield "text encoder", text
            yield "conditioning", [stage for stage in found if stage not in text]

        length = request.latents(probe.manifest)
        with self._component("dit") as (reference, graph):
            call = functools.partial(self._both, reference, graph, "dit")
            projected, found = call("project", reference.project, **given)
            yield "projection", found
            unconditional = (
                {
                    name: value.numpy()
                    for name, value in reference.project(
                        tf.zeros_like(given["cross_attn_cond"]), given["global_cond"]
                    ).items()
                }
                if request.is_guided
                else None
            )
            denoise = latent.signature("denoise", length)

            def v(x: np.ndarray, t: float, projected: dict) -> np.ndarray:
                return reference.denoise(x, np.array([t], np.float32), **projected)["v"].numpy()

            scale = request.cfg_scale if request.is_guided else 1.0
            function = guided(v, projected, unconditional, scale)
            trace = Trace(request, probe.trace(request).conditioning)
            walk(
                trace,
                function,
                pipeline,
                lambda number: self._say(f"reference: call {number} of the transformer"),
            )
            calls, latents = trace.calls, trace.latents
            for x, t, _ in (calls[0], calls[len(calls) // 2]):
                _, found = call(
                    denoise, reference.denoise, x=x, t=np.array([t], np.float32), **projected
                )
                for block, stages in itertools.groupby(found, key=lambda stage: _block(stage.name)):
                    yield f"transformer at t {t:.2f}, {block}", list(stages)

        with self._component("decoder") as (reference, graph):
            call = functools.partial(self._both, reference, graph, "decoder")
            head, found = call(latent.signature("head", length), reference.head, latents=latents)
            yield "decoder head", found
            features = head["features"][:, : probe.manifest.tiling.tile]
            _, found = call("tail", reference.tail, features=features)
            yield "decoder tail", found

            def float_graph(signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
                whole = reference.tail if signature == "tail" else reference.head
                return {name: value.numpy() for name, value in whole(**inputs).items()}

            audio = np.concatenate(
                list(decode(float_graph, probe.manifest, latents, request.frames(probe.manifest)))
            )
            free = probe.trace(request)
        # free runs of small precisions end elsewhere: another clip, and no fault
        loose = all(precision == "f32" for precision in pipeline.precision.values())
        yield (
            "free run",
            [
                Stage("latents", free.latents, latents, 20.0 if loose else float("-inf")),
                Stage("audio", free.clip.samples, audio, 15.0 if loose else float("-inf")),
            ],
        )

    def _tokens(self) -> Tokens:
        """As the checkpoint's own configuration has them."""
        request, limit = self.request, self.config.max_length
        if request.ids is not None:
            return padded(request.ids or (1,), limit)
        model = (
            _find_tokenizer(self._folder, None, self.config.t5.vocab_size)
            or self.probe.bundle.tokenizer_path()
        )
        return Tokenizer(model, limit).encode(request.prompt)

    @contextlib.contextmanager
    def _component(self, name: str):
        """(the reference's functions, the bundle's graph with its layers to be seen)"""
        self._say(f"reference: {name}")
        latent, pipeline = self.probe.manifest.latent, self.probe.pipeline
        length = self.request.latents(self.probe.manifest)
        signatures = {
            "conditioners": ("condition",),
            "dit": ("project", latent.signature("denoise", length)),
            "decoder": (latent.signature("head", length), "tail"),
        }[name]
        path = pipeline.bundle.graph_path(name, pipeline.precision[name])
        rectified = {operation.layer for operation in operations(path) if operation.rectified}
        reference = BUILDERS[name](self.checkpoint, self.config, _tile(self.probe))
        # a transposed convolution counts in place of the one inside it, which has its name
        self.components[name] = sorted(
            (module for module in reference.submodules if hasattr(module, "stored")),
            key=lambda module: isinstance(module, TransposedConv),
        )
        with exposed(path, signatures, pipeline.threads) as (graph, names):
            yield reference, (graph, names, rectified)

    def _both(
        self,
        reference: tf.Module,
        opened: tuple,
        component: str,
        signature: str,
        function: Callable,
        **inputs: np.ndarray,
    ) -> tuple[dict[str, np.ndarray], list[Stage]]:
        """What the reference's signature returns, and every value inside and at the end of it in
        both.
        """
        graph, names, rectified = opened
        limit = FOLLOWS.get(self.probe.pipeline.precision[component], NOISY)
        inside: dict[str, np.ndarray] = {}
        with layers.observed(lambda name, value: inside.__setitem__(name, value.numpy())):
            outputs = {
                name: value.numpy()
                for name, value in function(
                    **{k: tf.constant(v) for k, v in inputs.items()}
                ).items()
            }
        try:
            actual = graph(signature, **inputs)
        except EdgeAudioError as error:
            return outputs, [Stage(f"{signature} ({error})", np.zeros(0), np.zeros(1), limit)]
        shown = [
            Stage(
                name,
                actual[name].reshape(-1, actual[name].shape[-1]),
                (np.maximum(value, 0) if name in rectified else value).reshape(-1, value.shape[-1]),
                limit,
            )
            for long, value in inside.items()
            if (name := short(long)) in names[signature]
        ]
        return outputs, shown + [
            Stage(name, actual[name], value, limit) for name, value in outputs.items()
        ]


def _block(name: str) -> str:
    parts = name.split(".")
    return (
        f"block {parts[2]}"
        if name.startswith("transformer.layers.")
        else ("v" if name in ("v", "transformer.project_out") else "embeddings")
    )


def short(name: str) -> str:
    """A layer's name as graphs have it."""
    return name.removeprefix("model.model.").removeprefix("pretransform.model.")


def _tile(probe: Probe) -> int:
    """The exporter's option that gave the bundle its tiles."""
    tiling = probe.manifest.tiling
    return max(1, (tiling.tile - 2 * tiling.overlap) // tiling.per_latent)


# --- the audit ---


def _audit(
    probe: Probe, checkpoint: Checkpoint, components: dict[str, list]
) -> tuple[list[Row], dict[str, str]]:
    """Tensors used and left out; then the weights of every layer against the checkpoint's, and
    against what they could have become.

    Returns rows, and what is wrong with which layer's weights.
    """
    left_out = [name for name in checkpoint.tensors if LEFT_OUT.fullmatch(name)]
    # the encoder is not looked at; nor is what would have come after a stage that ended the
    # comparison
    ignored = [
        name
        for name in checkpoint.tensors
        if len(components) == len(GENERATING)
        and name not in (*checkpoint.used, *left_out)
        and not name.startswith("pretransform.model.encoder.")
    ]
    odd = [
        f"{name} ({what})"
        for name in sorted(checkpoint.used)
        if (what := _odd(checkpoint.tensors[name]))
    ]
    results = [
        Row(
            "weights used",
            WARN if ignored else OK,
            f"{len(checkpoint.used)} used, {len(left_out)} left out on purpose, {len(ignored)}"
            " ignored",
            "none ignored",
            (
                f"Not explained: {', '.join(sorted(ignored)[:5])}. Is this the model_config.json of"
                " these weights?"
                if ignored
                else ""
            ),
            float(len(ignored)),
        ),
        Row(
            "weights of the checkpoint",
            WARN if odd else OK,
            "; ".join(odd[:3]) or f"{len(checkpoint.used)} tensors",
            "none all zero, none out of the range of their type",
            (
                "Unless the network was trained so, a conversion of the checkpoint has lost it."
                if odd
                else ""
            ),
        ),
    ]
    suspicious: dict[str, str] = {}
    for component, found in components.items():
        expected = {short(module.scope): module for module in found}
        path = probe.bundle.graph_path(component, probe.pipeline.precision[component])
        stored: dict[str, list[tuple[Operation, np.ndarray]]] = {}
        for operation, values, _ in weights(path):
            stored.setdefault(operation.layer, []).append((operation, values))
        named = any(
            "." in layer for layer in stored
        )  # a graph of another exporter may not name its layers
        wrong = {layer: "not in the graph" for layer in expected if named and layer not in stored}
        for layer in expected:
            if layer in stored:
                values = np.concatenate(
                    [
                        values.reshape(len(values), -1, values.shape[-1])
                        for _, values in stored[layer]
                    ],
                    axis=-1,
                )
                if reason := _suspicion(values, expected[layer], checkpoint, stored[layer][0][0]):
                    wrong[layer] = reason
        suspicious |= wrong
        said = "; ".join(f"{layer}: {reason}" for layer, reason in list(wrong.items())[:3])
        results.append(
            Row(
                f"weights in {component}",
                FAIL if wrong else OK,
                said or f"{len(expected)} layers are the checkpoint's",
                "the checkpoint's, but for rounding",
                "The export changed them. Layers are named as in the checkpoint." if wrong else "",
                float(len(wrong)),
            )
        )
    return results, suspicious


def _odd(tensor: np.ndarray) -> str:
    if not tensor.any() and tensor.ndim > 1:
        return "all zero"
    if tensor.dtype == np.float16:
        if np.abs(tensor).max() >= 65504:
            return "at the end of float16"
        if tensor.ndim > 1 and 0 < np.abs(tensor).max() < 6e-5:
            return "below float16's normal range"
    return ""


def _suspicion(values: np.ndarray, module, checkpoint: Checkpoint, operation: Operation) -> str:
    """What a layer's weights look like, if not like the checkpoint's; values [outputs, taps,
    inputs].
    """
    right = module.stored
    if values.size != right.size:
        return f"{list(values.shape)} in place of {list(right.shape)}"
    values = values.reshape(right.shape)
    limit = {"FLOAT32": 90.0, "FLOAT16": 50.0, "INT8": 20.0, "INT4": 8.0}[operation.stored]
    if metrics.snr(values, right) >= limit:
        return ""
    if not values.any():
        return "all zero"
    fits: dict[str, float] = {}
    for what, twin in _twins(module, right, checkpoint):
        fits[what] = max(metrics.snr(values, twin), fits.get(what, -math.inf))
    best = max(fits, key=fits.get)
    if fits[best] >= limit:
        return "" if best is AS_IT_SHOULD_BE else f"{best}"
    gain = metrics.gain(values, right)
    if metrics.cosine(values, right) > 0.9 and abs(gain - 1) > 0.05:
        return f"{gain:.2f} times the checkpoint's"
    return (
        f"{metrics.snr(values, right):.0f} dB of the checkpoint's (cosine"
        f" {metrics.cosine(values, right):.2f})"
    )


def _twins(module, right: np.ndarray, checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    """What becomes of a layer's weights: as it should be, a norm's gain multiplied in, the inputs
    turned by a Hadamard matrix where the quantizer did that on purpose; and what faulty conversions
    make of them.
    """
    for scaled in (
        right,
        *(right * gain for gain in _norms_before(module.scope, right.shape[-1], checkpoint)),
    ):
        yield AS_IT_SHOULD_BE, scaled
        width = right.shape[-1] & -right.shape[-1]
        if right.shape[1] == 1 and width > 1:
            from scipy.linalg import hadamard

            yield (
                AS_IT_SHOULD_BE,
                (scaled.reshape(-1, width) @ (hadamard(width) / np.sqrt(width))).reshape(
                    right.shape
                ),
            )
    for what, weight in _misread(module.scope, checkpoint):
        if weight.shape == _shape(module.scope, checkpoint):
            yield what, module.arranged(weight)


def _norms_before(name: str, inputs: int, checkpoint: Checkpoint) -> list[np.ndarray]:
    """Gains of the norms of the same block, which a converter multiplies into the weights behind
    them.
    """
    block = re.match(r".*?\b(layers|block)\.\d+\.", name)
    return (
        []
        if block is None
        else [
            checkpoint.tensors[gain].astype(np.float32)
            for gain in checkpoint.used
            if gain.startswith(block[0])
            and gain.endswith((".gamma", ".layer_norm.weight"))
            and checkpoint.tensors[gain].shape == (inputs,)
        ]
    )


def _shape(name: str, checkpoint: Checkpoint) -> tuple[int, ...]:
    return next(
        checkpoint.tensors[f"{name}.{kind}"].shape
        for kind in ("weight", "weight_v")
        if f"{name}.{kind}" in checkpoint.tensors
    )


def _misread(name: str, checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    """A weight as ports get it wrong, in the shape of the checkpoint's."""
    if f"{name}.weight" in checkpoint.tensors:
        weight = checkpoint.tensors[f"{name}.weight"].astype(np.float32)
        yield "transposed", weight.swapaxes(0, 1).reshape(weight.shape)
        return
    g, v = (checkpoint.tensors[f"{name}.weight_{part}"].astype(np.float64) for part in "gv")

    def folded(*axes: int) -> np.ndarray:
        return g * v / np.maximum(np.sqrt((v * v).sum(axis=axes, keepdims=True)), 1e-12)

    right = folded(1, 2)
    yield (
        "transposed, as if it were another kind of convolution",
        right.swapaxes(0, 1).reshape(right.shape),
    )
    yield "reversed in time", right[:, :, ::-1]
    for axes in ((0, 2), (0, 1), (0,), (1,), (2,), (0, 1, 2)):
        yield (
            (
                f"weight norm folded over the wrong axes ({', '.join(map(str, axes))} in place of"
                " 1, 2)"
            ),
            folded(*axes),
        )
    yield "weight_v without its norm", v
    yield "weight_g times weight_v, not normalized", g * v
