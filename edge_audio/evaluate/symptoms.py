"""The checks of `diagnose` that need no reference, in the order of the stages.

To add one: write a function that takes a probe and yields rows, and put `@check` above it. Its name
is the row's; its docstring is what `docs/diagnose.md` says of it. It must not fail on a sound
model, whatever the seed; what may have a reason is a warning.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from edge_audio import listening
from edge_audio.bundle.manifest import GENERATING
from edge_audio.evaluate import metrics
from edge_audio.evaluate.diagnose import Check, Probe, Result
from edge_audio.evaluate.layers import epsilons, exposed, weights
from edge_audio.evaluate.prompts import of_bundle
from edge_audio.evaluate.verdict import FAIL, OK, WARN
from edge_audio.listening import measures
from edge_audio.model.codec import tiles_for
from edge_audio.pipeline import Conditioning
from edge_audio.request import POST_TRAINED
from edge_audio.sampling.noise import NoiseStream
from edge_audio.system.graph import Graph

Arrays = dict[str, np.ndarray]

CHECKS: list[Check] = []

SECONDS_LAYER = "conditioner.conditioners.seconds_total.embedder.embedding.1"
#: (channels, length, downsampling) of the latents -> tokens of the prompt, of public models
KNOWN_MAX_LENGTH = {(64, 256, 2048): 64}
#: dB of change: none at all but for rounding, and less than a model of any use has
NOTHING, LITTLE = -100.0, -60.0


def check(function: Callable[[Probe], Iterator[Result]]) -> Check:
    """Put a check on the list."""
    name = function.__name__.replace("_", " ")

    @functools.wraps(function)
    def named(probe: Probe) -> Iterator[Result]:
        for result in function(probe):
            yield dataclasses.replace(
                result, check=f"{name}: {result.check}" if result.check else name
            )

    CHECKS.append(named)
    return named


def row(
    level: str,
    measured: str,
    expected: str = "",
    meaning: str = "",
    value: float | None = None,
    part: str = "",
) -> Result:
    """A row of the check that yields it. meaning: left out where all is well."""
    return Result(part, level, measured, expected, "" if level == OK else meaning, value)


def change(after: np.ndarray, before: np.ndarray) -> float:
    """How much an output changed, in dB of its own power: 0 is everything, −200 nothing."""
    return -metrics.snr(after, before)


# --- text and conditioning ---


@check
def text_tokens(probe: Probe) -> Iterator[Result]:
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
    known = KNOWN_MAX_LENGTH.get((latent.channels, latent.length, latent.downsampling), limit)
    yield row(
        OK if limit == known else FAIL,
        f"padded to {limit}",
        f"{known}",
        f"Models of this shape read {known} tokens. Padding takes its share of cross-attention, so"
        " that another length is another model: export again with the model_config.json that came"
        " with the weights.",
        limit,
        "padding",
    )


@check
def text_padding(probe: Probe) -> Iterator[Result]:
    """Padded tokens become zero vectors, and what stands in their place has no effect."""
    tokens, seconds = probe.tokens(), _seconds(probe.request().seconds)
    with probe.pipeline.graph("conditioners") as graph:
        plain = graph(
            "condition", input_ids=tokens.ids, attention_mask=tokens.mask, seconds_total=seconds
        )["cross_attn_cond"]
        other = np.where(tokens.mask == 1, tokens.ids, 3).astype(np.int32)
        after = graph(
            "condition", input_ids=other, attention_mask=tokens.mask, seconds_total=seconds
        )["cross_attn_cond"]
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
        f"padded ids change the prompt by {_db(moved)}",
        "nothing",
        "The text encoder does not use its mask.",
        moved,
        "mask",
    )


@check
def text_prompts(probe: Probe) -> Iterator[Result]:
    """Two prompts give different embeddings."""
    first, other = (
        probe.pipeline.condition(probe.request(i)).cross_attn_cond[:, :-1] for i in (0, 1)
    )
    differ = change(other, first)
    level = FAIL if differ < NOTHING else WARN if differ < -30 else OK
    yield row(
        level,
        f"differ by {_db(differ)}",
        "more than -30 dB",
        "The text encoder gives nearly the same for different prompts: wrong weights, or ids that"
        " do not reach it.",
        differ,
    )


@check
def conditioning_tokens(probe: Probe) -> Iterator[Result]:
    """One token for each of the prompt's, and one for the seconds, which is the global condition as
    well.
    """
    conditioning, limit = (
        probe.pipeline.condition(probe.request()),
        probe.manifest.prompt.max_length,
    )
    count = conditioning.cross_attn_cond.shape[1]
    yield row(
        OK if count == limit + 1 else FAIL,
        f"{count} tokens",
        f"{limit + 1}",
        f"The prompt's {limit} and one for seconds_total. More of them, such as a seconds_start"
        " that the model does not have, turn sound into noise.",
        count,
    )
    same = change(conditioning.cross_attn_cond[:, -1], conditioning.global_cond)
    yield row(
        OK if same < -20 else WARN,
        f"last token and global condition differ by {_db(same)}",
        "nothing",
        "Both are the one vector of the number conditioner.",
        same,
        "global",
    )


@check
def number_conditioner(probe: Probe) -> Iterator[Result]:
    """Its features are [x, sin f, cos f] of x = (clamp(s) − min) / (max − min), at several
    seconds.
    """
    tokens, span = probe.tokens(), probe.manifest.seconds
    asked = [span.min - 1, span.min, (3 * span.min + span.max) / 4, span.max, span.max + 5]
    path = probe.bundle.graph_path("conditioners", probe.pipeline.precision["conditioners"])
    with exposed(path, ("condition",), probe.pipeline.threads, (SECONDS_LAYER,)) as (graph, _):
        found = [
            graph(
                "condition",
                input_ids=tokens.ids,
                attention_mask=tokens.mask,
                seconds_total=_seconds(s),
            )
            for s in asked
        ]
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


# --- inputs of the graphs ---


@check
def inputs_change_outputs(probe: Probe) -> Iterator[Result]:
    """Every input of every graph changes its output; an export that drops one looks fine and is
    wrong.
    """
    for component, effects in _effects(probe).items():
        inert = sorted(name for name, effect in effects.items() if effect < NOTHING)
        weak = sorted(name for name, effect in effects.items() if NOTHING <= effect < LITTLE)
        least = min(effects, key=effects.__getitem__)
        said = f"{len(effects)} inputs, least {least} {_db(effects[least])}"
        yield row(
            FAIL if inert else WARN if weak else OK,
            said,
            "every one changes the output",
            f"Without {'effect' if inert else 'much effect'}: {', '.join(inert or weak)}. "
            + _INERT.get(_kind((inert or weak or [""])[0]), "The export lost it on the way."),
            effects[least],
            component,
        )


_INERT = {
    "global": (
        "The model cannot hear the seconds: the global condition was dropped, or passed in place of"
        " a mask."
    ),
    "cross": (
        "The model cannot hear the prompt in that block: cross-attention has zero weights, or was"
        " skipped."
    ),
    "attention_mask": "The text encoder reads its padding.",
}


def _kind(name: str) -> str:
    return name.split(".")[-1].partition("_")[0] if "mask" not in name else "attention_mask"


def _effects(probe: Probe) -> dict[str, dict[str, float]]:
    """component -> SIGNATURE.INPUT -> dB by which the output changes with another value there."""
    trace, manifest, pipeline = probe.traces[0], probe.manifest, probe.pipeline
    first, other = probe.tokens(0), probe.tokens(1)
    shorter, seconds = first.mask.copy(), trace.settings.seconds
    shorter[0, max(1, int(first.mask.sum()) - 1) :] = 0
    found: dict[str, dict[str, float]] = {}

    def effects(
        component: str, graph: Graph, signature: str, inputs: Arrays, others: Arrays
    ) -> Arrays:
        before = graph(signature, **inputs)
        for name, value in others.items():
            after = graph(signature, **(inputs | {name: value}))
            found.setdefault(component, {})[f"{signature}.{name}"] = max(
                change(after[key], before[key]) for key in before
            )
        return before

    with pipeline.graph("conditioners") as graph:
        given = {
            "input_ids": first.ids,
            "attention_mask": first.mask,
            "seconds_total": _seconds(seconds),
        }
        before = effects(
            "conditioners",
            graph,
            "condition",
            given,
            {
                "input_ids": np.where(first.mask == 1, other.ids, first.ids).astype(np.int32),
                "attention_mask": shorter,
                "seconds_total": _seconds(seconds / 2),
            },
        )
        halved = graph("condition", **(given | {"seconds_total": _seconds(seconds / 2)}))
        changed = graph(
            "condition",
            input_ids=other.ids,
            attention_mask=other.mask,
            seconds_total=_seconds(seconds),
        )
    with pipeline.graph("dit") as graph:
        given = {name: before[name] for name in ("cross_attn_cond", "global_cond")}
        others = {
            "cross_attn_cond": changed["cross_attn_cond"],
            "global_cond": halved["global_cond"],
        }
        projected = effects("dit", graph, "project", given, others)
        swapped = graph("project", **others)
        x, t, _ = trace.calls[len(trace.calls) // 2]
        noise = NoiseStream(99).normal(x.shape)
        effects(
            "dit",
            graph,
            manifest.latent.signature("denoise", x.shape[1]),
            projected | {"x": x, "t": _seconds(t)},
            swapped | {"x": noise, "t": _seconds(0.9 * t + 0.01)},
        )
    with pipeline.graph("decoder") as graph:
        features = effects(
            "decoder",
            graph,
            manifest.latent.signature("head", x.shape[1]),
            {"latents": trace.latents},
            {"latents": noise},
        )["features"]
        tile = manifest.tiling.tile
        effects(
            "decoder",
            graph,
            "tail",
            {"features": features[:, :tile]},
            {"features": features[:, -tile:] + 1},
        )
    return found


# --- the transformer on its way ---


@check
def cross_attention(probe: Probe) -> Iterator[Result]:
    """How much of v is the prompt's doing, step by step: against another prompt on the same x and
    t.
    """
    trace, other = probe.traces[0], probe.pipeline.condition(probe.request(1))
    swapped = dataclasses.replace(trace.conditioning, cross_attn_cond=other.cross_attn_cond)
    pairs = zip(probe.plain(trace, swapped), probe.plain(trace, trace.conditioning))
    effects = [change(*pair) for pair in pairs]
    yield row(
        _by(max(effects), NOTHING, -40),
        f"another prompt changes v by {_db(min(effects))} to {_db(max(effects))}",
        "more than -40 dB on some step",
        "The transformer does not listen to the prompt: look at to_cond_embed, to_kv and to_out.",
        max(effects),
    )


@check
def global_condition(probe: Probe) -> Iterator[Result]:
    """How much of v is the seconds' doing, and whether the sound ends when it should."""
    trace = probe.traces[0]
    half = dataclasses.replace(trace.settings, seconds=trace.settings.seconds / 2)
    shorter = probe.pipeline.condition(half)
    swapped = dataclasses.replace(trace.conditioning, global_cond=shorter.global_cond)
    effect = max(
        change(*pair)
        for pair in zip(probe.plain(trace, swapped), probe.plain(trace, trace.conditioning))
    )
    yield row(
        _by(effect, NOTHING, -60),
        f"half the seconds change v by {_db(effect)}",
        "more than -60 dB",
        "The transformer ignores the global condition: an export that passes it in place of a mask"
        " does that.",
        effect,
    )
    whole = probe.decoded(
        dataclasses.replace(half, seconds=probe.manifest.max_seconds), probe.trace(half).latents
    )
    end = half.frames(probe.manifest)
    level = _rms(whole.samples[end + len(whole.samples) // 16 :]) - _rms(whole.samples[:end])
    yield row(
        OK if level < -20 else WARN,
        f"after the asked end {_db(level)}",
        "below -20 dB",
        "Models that were trained on padded clips fall silent there; this one did not for this"
        " prompt.",
        level,
        "silence",
    )


@check
def guidance(probe: Probe) -> Iterator[Result]:
    """The size of c − u, and what a larger scale does to the latents' spread and to clipping."""
    trace = probe.traces[0]
    zeros = Conditioning(
        np.zeros_like(trace.conditioning.cross_attn_cond), None, trace.conditioning.global_cond
    )
    effects = [
        change(*pair)
        for pair in zip(probe.plain(trace, zeros), probe.plain(trace, trace.conditioning))
    ]
    yield row(
        _by(max(effects), NOTHING, -40),
        f"c - u is {_db(min(effects))} to {_db(max(effects))} of v",
        "more than -40 dB on some step",
        "Guidance has nothing to work with: both branches are given the same.",
        max(effects),
    )
    own = probe.request().cfg_scale
    made = {scale: probe.trace(probe.request(cfg_scale=scale)) for scale in sorted({1.0, own, 7.0})}
    spread = {scale: float(one.latents.std()) for scale, one in made.items()}
    clipped = {scale: one.clip.levels().clipped for scale, one in made.items()}
    said = ", ".join(
        f"cfg {scale:g}: std {spread[scale]:.2f}, {100 * clipped[scale]:.1f} % clipped"
        for scale in made
    )
    grown = spread[own] / max(spread[1.0], 0.8)
    yield row(
        WARN if grown > 1.6 or clipped[own] > 0.02 else OK,
        said,
        f"std at cfg {own:g} at most 1.6 times that at 1, or 1.3",
        f"cfg {own:g} overdrives this model. {_recommended(probe)}",
        grown,
        "scale",
    )


@check
def settings(probe: Probe) -> Iterator[Result]:
    """Sampler, steps and scale against the model's objective."""
    request, objective = probe.request(), probe.manifest.objective
    notes = [note.text for note in request.advice(probe.manifest)]
    if objective == POST_TRAINED and probe.manifest.defaults.cfg_scale > 2:
        notes.append(
            "the manifest's own default scale is for models that are not post-trained; use"
            " ping-pong, 8 steps, cfg 1"
        )
    if objective != POST_TRAINED and request.sampler == "pingpong":
        notes.append("ping-pong is for post-trained models; use euler or dpmpp")
    yield row(
        WARN if notes else OK,
        f"{request.sampler}, {request.steps} steps, cfg {request.cfg_scale:g} for {objective}",
        "settings of that objective",
        "; ".join(notes) + ".",
    )


@check
def latents(probe: Probe) -> Iterator[Result]:
    """The spread of what the sampler ends with, over all clips."""
    spreads = [float(trace.latents.std()) for trace in probe.traces]
    low, high = min(spreads), max(spreads)
    yield row(
        OK if low > 0.2 and high < 2 else WARN,
        f"std {low:.2f} to {high:.2f}",
        "0.2 to 2",
        "Latents of a sound model have a spread near 1. Less: v is too small or t is not what the"
        " model thinks; more: guidance or too many steps.",
        high,
    )


# --- decoder ---


@check
def decoder_probes(probe: Probe) -> Iterator[Result]:
    """What latents of zeros and of noise sound like: quiet, and without the decoder's own
    rhythm.
    """
    request = probe.request()
    shape = probe.traces[0].latents.shape
    silent = _rms(probe.decoded(request, np.zeros(shape, np.float32)).samples)
    yield row(
        OK if silent < -20 else WARN,
        f"zeros give {_db(silent, 'dBFS')}",
        "below -20 dBFS",
        "The decoder makes sound of nothing: a bias or an activation is wrong.",
        silent,
    )
    noisy = probe.decoded(request, NoiseStream(7).normal(shape)).samples
    comb = _comb(noisy, probe.manifest.latent.downsampling)
    yield row(
        OK if comb < 15 else WARN,
        f"lines at multiples of the latents' rate {_db(comb)} above their neighbours",
        "below 15 dB",
        "The phases of a transposed convolution do not fit together: its weights may be transposed,"
        " or folded wrongly.",
        comb,
        "noise",
    )


@check
def decoder_seams(probe: Probe) -> Iterator[Result]:
    """Tiles that begin elsewhere give the same audio: the overlap is as wide as what the
    tail sees.
    """
    manifest, latents_ = probe.manifest, probe.traces[0].latents
    tiling, per_frame = manifest.tiling, manifest.latent.downsampling // manifest.tiling.per_latent
    with probe.pipeline.graph("decoder") as graph:
        features = graph(manifest.latent.signature("head", latents_.shape[1]), latents=latents_)[
            "features"
        ]
        shift = max(1, (tiling.tile - 2 * tiling.overlap) // 3)
        if (
            features.shape[1] < tiling.tile + shift
            or len(tiles_for(manifest, latents_.shape[1], 1 << 62)) < 2
        ):
            yield row(OK, "one tile holds the clip: there are none")
            return
        one, two = (
            graph("tail", features=features[:, at : at + tiling.tile])["audio"][0]
            for at in (0, shift)
        )
    begin, end = (shift + tiling.overlap) * per_frame, (tiling.tile - tiling.overlap) * per_frame
    near = metrics.snr(two[begin - shift * per_frame : end - shift * per_frame], one[begin:end])
    limit = {"f32": 60.0, "f16": 40.0}.get(probe.pipeline.precision["decoder"], 8.0)
    yield row(
        OK if near > limit else FAIL,
        f"tiles agree at {_db(near)}",
        f"more than {limit:g} dB",
        "The overlap in the manifest is smaller than what the tail sees, or the graph pads where it"
        " must not.",
        near,
    )


@check
def round_trip(probe: Probe) -> Iterator[Result]:
    """Latents through decoder and encoder, where the bundle has one."""
    if "encoder" not in probe.manifest.graphs:
        yield row(OK, "no encoder in this bundle")
        return
    precision = probe.bundle.precisions("encoder")[0]
    request = probe.request(seconds=probe.manifest.max_seconds, fit_length=False)
    trace = probe.trace(request)
    with Graph(probe.bundle.graph_path("encoder", precision), probe.pipeline.threads) as graph:
        audio = probe.decoded(request, trace.latents).samples
        back = graph("encode", audio=audio[None])["mean"]
    likeness = metrics.cosine(back, trace.latents)
    yield row(
        OK if likeness > 0.5 else WARN,
        f"latents come back with cosine {likeness:.2f}",
        "more than 0.5",
        "Decoder and encoder do not belong together, or one of them is wrong; random weights have"
        " near 0.",
        likeness,
    )


# --- the sound ---


@check
def level(probe: Probe) -> Iterator[Result]:
    """Peak, clipping, offset, and values that are no numbers, over all clips."""
    found = [trace.clip.levels() for trace in probe.traces]
    said = (
        f"peak {max(one.peak_dbfs for one in found):.1f} dBFS,"
        f" {100 * max(one.clipped for one in found):.2f} % clipped, offset"
        f" {max(abs(one.dc) for one in found):.3f}"
    )
    notes = [note for one in found for note in one.symptoms()]
    notes += (
        ["the sound has a constant offset: a bias is wrong"]
        if max(abs(one.dc) for one in found) > 0.1
        else []
    )
    silent = all(one.rms_dbfs < one.SILENT for one in found)
    yield row(
        FAIL if silent else WARN if notes else OK,
        said,
        "audible, not clipping, no offset",
        "; ".join(dict.fromkeys(notes)) + ".",
    )


@check
def character(probe: Probe) -> Iterator[Result]:
    """Whether all that comes out is noise that never changes: a radio between stations."""
    flat = [metrics.flatness(trace.clip.samples) for trace in probe.traces]
    moved = [metrics.movement(mel) for mel in probe.mels]
    lines = [measures.line_share(trace.clip.samples.mean(axis=1)) for trace in probe.traces]
    kinds = [
        "noise" if f > 0.2 else "tonal" if share > 0.5 else "mixed" for f, share in zip(flat, lines)
    ]
    radio = all(kind == "noise" and m < 8 for kind, m in zip(kinds, moved))
    yield row(
        WARN if radio else OK,
        f"{', '.join(kinds)}; flatness {min(flat):.2f} to {max(flat):.2f}, movement"
        f" {min(moved):.0f} to {max(moved):.0f} dB",
        "not steady noise for every prompt",
        "Every prompt gives steady noise. Run --listen to rule out the settings, and --checkpoint"
        " to find the stage.",
        min(flat),
    )


@check
def prompts_and_seeds(probe: Probe) -> Iterator[Result]:
    """Two prompts, and two seeds, differ in sound and not only in samples."""
    count = len(probe.seeds)
    by_prompt = float(np.mean([_apart(probe.mels[i], probe.mels[count + i]) for i in range(count)]))
    by_seed = float(
        np.mean(
            [
                _apart(probe.mels[p * count], probe.mels[p * count + i])
                for p in range(len(probe.prompts))
                for i in range(1, count)
            ]
        )
    )
    samples = [trace.clip.samples for trace in probe.traces]
    twins = any(
        np.array_equal(samples[p * count], samples[p * count + 1])
        for p in range(len(probe.prompts))
    )
    yield row(
        WARN if by_prompt < max(2.0, by_seed) else OK,
        f"prompts differ by {by_prompt:.1f} dB, seeds by {by_seed:.1f} dB",
        "prompts by more than seeds",
        "What is asked for makes less of a difference than chance. With prompts that should sound "
        "different, the model does not follow them.",
        by_prompt,
    )
    yield row(
        FAIL if twins else OK,
        "the same samples" if twins else "other samples",
        "other samples",
        "Another seed must make another clip: the noise does not reach the sampler.",
        part="seeds",
    )


@check
def sounds_as_asked(probe: Probe) -> Iterator[Result]:
    """Where the bundle says how its prompts should sound: whether they do."""
    known = (
        [prompt for prompt in of_bundle(probe.bundle) if prompt.family in listening.CHECKS]
        if probe.manifest.checks
        else []
    )
    if not known:
        yield row(OK, "the bundle brings no prompts to judge by")
        return
    some = [known[i] for i in sorted({round(i) for i in np.linspace(0, len(known) - 1, 12)})]
    passed = 0
    for number, prompt in enumerate(some):
        clip = probe.trace(
            prompt.request(probe.bundle, probe.seeds[0] + number, **probe.settings)
        ).clip
        passed += listening.check(
            clip.samples, clip.sample_rate, prompt.family, prompt.attributes
        ).passed
    share = passed / len(some)
    yield row(
        FAIL if share < 0.8 else OK,
        f"{passed} of {len(some)} clips",
        "80 % or more",
        "The model does not do what it was made for. Export it again, and compare with"
        " --checkpoint.",
        share,
    )


# --- weights ---


@check
def stored_weights(probe: Probe) -> Iterator[Result]:
    """Weights that are all zero, that are no numbers, or that crowd at the ends of their
    integers.
    """
    for component in GENERATING:
        found: dict[str, list[str]] = {"all zero": [], "not finite": [], "saturated": []}
        count = 0
        for operation, values, end in weights(
            probe.bundle.graph_path(component, probe.pipeline.precision[component])
        ):
            count += 1
            if not np.isfinite(values).all():
                found["not finite"].append(operation.layer)
            elif not values.any():
                found["all zero"].append(operation.layer)
            # a row's largest weight is at the end of the range; of 4 bits, so are some more
            elif (
                end > (0.5 if operation.stored == "INT4" else 0.2)
                and math.prod(operation.shape[1:]) > 16
            ):
                found["saturated"].append(operation.layer)
        wrong = {what: layers for what, layers in found.items() if layers}
        said = "; ".join(
            f"{what}: {', '.join(layers[:3])}{' …' if len(layers) > 3 else ''}"
            for what, layers in wrong.items()
        )
        yield row(
            FAIL if wrong else OK,
            said or f"{count} layers",
            "none zero, none saturated",
            "Such weights come of a failed conversion: a scale that is too small, or a name that"
            " was not found. Export again.",
            float(sum(map(len, wrong.values()))),
            component,
        )


@check
def epsilon_of_norms(probe: Probe) -> Iterator[Result]:
    """What the norms add to a variance: 1e-5 in the transformer's blocks, 1e-6 for its queries and
    keys and in T5.
    """
    for component in ("conditioners", "dit"):
        found = set(
            epsilons(probe.bundle.graph_path(component, probe.pipeline.precision[component]))
        )
        odd = sorted(eps for eps in found if not 0.99e-6 < eps < 1.01e-5)
        yield row(
            WARN if odd else OK,
            ", ".join(f"{eps:.0e}" for eps in sorted(found)) or "none seen",
            "1e-06 to 1e-05",
            f"An eps of {', '.join(f'{eps:.0e}' for eps in odd)} changes every block a little,"
            " which nobody hears in one step and everybody after eight.",
            max(found, default=0.0),
            component,
        )


# --- small measures ---


def _seconds(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def _by(value: float, fail: float, warn: float) -> str:
    return FAIL if value < fail else WARN if value < warn else OK


def _db(value: float, unit: str = "dB") -> str:
    return "nothing" if value <= -199 else f"{value:.0f} {unit}"


def _rms(samples: np.ndarray) -> float:
    """In dBFS."""
    return 10 * math.log10(
        max(float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0, 1e-20)
    )


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Difference of two log-mel spectrograms in what is there on average, and how it moves: dB."""
    return float(
        np.sqrt(np.mean((a.mean(axis=0) - b.mean(axis=0)) ** 2))
        + np.abs(a.std(axis=0) - b.std(axis=0)).mean()
    )


def _comb(samples: np.ndarray, period: int) -> float:
    """dB by which the spectrum at multiples of 1 / `period` stands out, at most of 16 parts of the
    band.
    """
    from scipy.signal import welch

    window = 16 * period
    if len(samples) < 2 * window:
        return 0.0
    power = welch(samples.mean(axis=1).astype(np.float64), nperseg=window)[1] + 1e-20
    lines = np.arange(16, len(power) - 8, 16)
    ratio = [
        10 * math.log10(power[line - 1 : line + 2].max() / np.median(power[line - 7 : line + 8]))
        for line in lines
    ]
    return float(max(np.median(part) for part in np.array_split(ratio, min(16, len(ratio)))))


def _recommended(probe: Probe) -> str:
    best = probe.manifest.defaults
    return f"The model was made for {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}."
