"""What the text encoder and the number conditioner make of a request."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.layers import exposed
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.measure import LITTLE, NOTHING, change, db, scalar
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.session import Called

#: what every family's text encoder gives the transformer
CROSS_ATTN_COND = "cross_attn_cond"
SECONDS_LAYER = "conditioner.conditioners.seconds_total.embedder.embedding.1"
#: (channels, downsampling) of the latents -> tokens of the prompt, of public models
KNOWN_MAX_LENGTH = {(64, 2048): 64, (256, 4096): 256}


@symptom
def text_tokens(probe: Probe) -> Iterator[Row]:
    """The prompts' token counts, and the length that the text encoder reads."""
    limit = probe.manifest.prompt.max_length
    counts = [int(tokens.mask.sum()) for tokens in map(probe.tokens, range(len(probe.prompts)))]
    cut = any(probe.tokens(i).truncated for i in range(len(probe.prompts)))
    yield row(
        WARN if cut else OK,
        f"{' and '.join(map(str, counts))} tokens",
        f"at most {limit}",
        "A prompt was cut. Use shorter ones.",
        max(counts),
    )
    latent = probe.manifest.latent
    known = KNOWN_MAX_LENGTH.get((latent.channels, latent.downsampling), limit)
    yield row(
        OK if limit == known else FAIL,
        f"{'padded' if probe.manifest.prompt.padded else 'up'} to {limit}",
        f"{known}",
        f"Models of this shape read {known} tokens. Padding takes its share of cross-attention, so"
        " that another length is another model: export again with the model_config.json that came"
        " with the weights.",
        limit,
        "padding",
    )


@symptom
def text_padding(probe: Probe) -> Iterator[Row]:
    """Padded tokens become zero vectors, and what stands in their place has no effect."""
    if not probe.manifest.prompt.padded:
        yield row(OK, "prompts are not padded: there is none")
        return
    (call,) = _encoding(probe)
    plain, tokens = call.outputs[CROSS_ATTN_COND], probe.tokens()
    other = np.where(tokens.mask == 1, tokens.ids, 3).astype(np.int32)
    with probe.pipeline.model.lease() as lease:
        after = lease.call(call.stage, {**call.inputs, "input_ids": other})[CROSS_ATTN_COND]
    count, length = int(tokens.mask.sum()), tokens.ids.shape[1]
    left = float(np.abs(plain[0, count:length]).max(initial=0.0))
    moved = change(after[0, :count], plain[0, :count])
    yield row(
        OK if left == 0 else FAIL,
        f"largest value behind the prompt {left:.3g}",
        "0",
        "Hidden states of padded tokens must be multiplied by the mask.",
        left,
    )
    yield row(
        OK if moved < LITTLE else FAIL,
        f"padded ids change the prompt by {db(moved)}",
        "nothing",
        "The text encoder does not use its mask.",
        moved,
        "mask",
    )


@symptom
def text_prompts(probe: Probe) -> Iterator[Row]:
    """Two prompts give different embeddings."""
    # as many rows as both have, which the prompts' tokens come first of
    rows = min(probe.tokens(i).ids.shape[1] for i in (0, 1))
    first, other = (
        probe.pipeline.condition(probe.request(i)).prompt[CROSS_ATTN_COND][:, :rows] for i in (0, 1)
    )
    differ = change(other, first)
    level = FAIL if differ < NOTHING else WARN if differ < -30 else OK
    yield row(
        level,
        f"differ by {db(differ)}",
        "more than -30 dB",
        "The text encoder gives nearly the same for different prompts: wrong weights, or ids that"
        " do not reach it.",
        differ,
    )


@symptom
def conditioning_tokens(probe: Probe) -> Iterator[Row]:
    """One token for each of the prompt's, and one for the seconds, which is the global condition as
    well.
    """
    told, length = probe.pipeline.condition(probe.request()).prompt, probe.tokens().ids.shape[1]
    count = told[CROSS_ATTN_COND].shape[1]
    # a model that has learned its padding hears it as one more
    extra = 2 if any("learned_padding" in s.inputs for s in probe.manifest.stages.values()) else 1
    yield row(
        OK if count == length + extra else FAIL,
        f"{count} tokens",
        f"{length + extra}",
        f"The prompt's {length}{', one for the padding' if extra == 2 else ''} and one for"
        " seconds_total. More of them, such as a seconds_start that the model does not have, turn"
        " sound into noise.",
        count,
    )
    same = change(told[CROSS_ATTN_COND][:, -1], told["global_cond"])
    yield row(
        OK if same < -20 else WARN,
        f"last token and global condition differ by {db(same)}",
        "nothing",
        "Both are the one vector of the number conditioner.",
        same,
        "global",
    )


@symptom
def number_conditioner(probe: Probe) -> Iterator[Row]:
    """Its features are [x, sin f, cos f] of x = (clamp(s) − min) / (max − min), at several
    seconds.
    """
    if frequencies := probe.manifest.frequencies:
        yield _features_of_the_runtime(np.array(frequencies))
        return
    (call,) = _encoding(probe)
    span = probe.manifest.seconds
    asked = [span.min - 1, span.min, (3 * span.min + span.max) / 4, span.max, span.max + 5]
    path = probe.bundle.graph_path("conditioners", probe.pipeline.precision["conditioners"])
    with exposed(path, (call.stage,), probe.pipeline.threads, (SECONDS_LAYER,)) as (graph, _):
        found = [graph(call.stage, **{**call.inputs, "seconds_total": scalar(s)}) for s in asked]
    if f"{SECONDS_LAYER}.input" not in found[0]:
        yield row(OK, "the graph does not name its layers; not looked at")
        return
    features = np.concatenate(
        [outputs[f"{SECONDS_LAYER}.input"].reshape(1, -1) for outputs in found]
    ).astype(np.float64)
    half = (features.shape[1] - 1) // 2
    x = np.clip((np.array(asked) - span.min) / (span.max - span.min), 0, 1)
    value, sines, cosines = features[:, 0], features[:, 1 : 1 + half], features[:, 1 + half :]
    wrong = float(np.abs(value - x).max())
    yield row(
        OK if wrong < 1e-3 else FAIL,
        f"first feature off by {wrong:.2g}",
        "0",
        "The first feature is the seconds, clamped and scaled to 0..1, not their raw value.",
        wrong,
    )
    # at the shortest seconds every f is 0, so that sines and cosines cannot be confused
    swapped = float(np.abs(sines[1]).max() + np.abs(cosines[1] - 1).max())
    circle = float(np.abs(sines**2 + cosines**2 - 1).max())
    yield row(
        OK if swapped < 1e-3 and circle < 1e-3 else FAIL,
        f"sin 0 and cos 0 off by {swapped:.2g}, sin² + cos² by {circle:.2g}",
        "0",
        "Sines come first, then cosines; the timestep features have the opposite order.",
        swapped,
        "sin and cos",
    )


def _features_of_the_runtime(frequencies: np.ndarray) -> Row:
    """Of models that leave the features of numbers to the runtime."""
    expected = np.geomspace(0.5, 10_000, len(frequencies))
    off = float(np.abs(frequencies / expected - 1).max())
    return row(
        OK if off < 1e-5 else FAIL,
        f"{len(frequencies)} frequencies, off by {off:.1g}",
        "0.5 to 10000, each the same times the one before",
        "The manifest's frequencies are not those of the model: it hears other seconds and other"
        " noise levels. Export it again.",
        off,
    )


def _encoding(probe: Probe) -> list[Called]:
    """The call of the stage that reads the first prompt."""
    stages = probe.stages(probe.request())
    return [call for calls in stages.values() for call in calls[:1] if "input_ids" in call.inputs]
