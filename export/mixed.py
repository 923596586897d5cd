"""Mixed precision by measurement: how much each layer hurts in each form, then the smallest graph
that reaches a target.

The float32 graphs make a few clips, and what their graphs were given on the way is recorded. Then
one layer at a time is quantized, and the recording replayed: error power relative to the signal,
for every recorded output. Errors of layers that know nothing of each other add up, so the choice is
a knapsack: every layer starts in its cheapest form, and the one that removes most error for its
bytes is improved until the sum fits. What is chosen is then built and measured as a whole; as long
as it misses the target, the budget shrinks by what is missing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from edge_audio.bundle.manifest import GENERATING, GraphEntry, Manifest
from edge_audio.bundle.store import Bundle, file_entry
from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.layers import Operation, operations
from edge_audio.evaluate.prompts import ANY, ANY_IDS, Prompt, read
from edge_audio.evaluate.trace import sampled
from edge_audio.model.codec import decode
from edge_audio.model.model import ALL, Model
from edge_audio.pipeline import Pipeline
from edge_audio.system.graph import Graph

from .quantize import KEEP, METHODS, Statistics, quantize, statistics, suitable

NAME = "mixed"
#: a graph in float32, but for the tables that are stored otherwise in small precisions
BASE = "base"
TARGET = 30.0
#: dB above the target, since the errors of these two come on top of the transformer's
MARGIN = {"conditioners": 5.0, "dit": 0.0, "decoder": 5.0}
#: dB more than asked for on the recording, for prompts that are not on it
RESERVE = 1.0
#: forms a layer may have, from small to exact
MENU = ("int4-gptq", "int8", "int8-hadamard", "int8-weights", "f16")
CLIPS = 12
#: recorded calls of the transformer a clip
STEPS = 5
SEED = 20_240
#: bytes of a graph in float32 above which layers of one kind in four neighbouring blocks are
#: measured together
SINGLE = 100e6
ROUNDS = 8


@dataclass(frozen=True)
class Recipe:
    """How each layer of one component is stored, and what was measured on the way there."""

    component: str
    #: official name -> method, a name in quantize.METHODS or KEEP
    layers: dict[str, str]
    target_snr: float
    #: worst output of the recording, dB
    measured_snr: float | None = None
    bytes: int = 0
    bytes_f32: int = 0
    #: a row a group of layers: its bytes in float32 and, by method, the SNR that it alone leaves,
    #: and what was chosen
    table: list[dict] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """EdgeAudioError if the file is no recipe."""
        try:
            recipe = cls(**json.loads(path.read_bytes()))
            unknown = sorted(set(recipe.layers.values()) - set(METHODS) - {KEEP})
            if unknown:
                raise ValueError(f"method {unknown[0]} is unknown")
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise EdgeAudioError(
                f"{path} is no recipe ({error}); give a NAME.mixed.json that an export wrote"
            ) from None
        return recipe


def file_name(component: str) -> str:
    """Of the recipe in the bundle."""
    return f"{component}.{NAME}.json"


def check_options(target: float, prompts: Path | None, recipe: Path | None) -> None:
    """EdgeAudioError for a target that no graph could have, or a file that cannot be used."""
    if not 1 <= target <= 60:
        raise EdgeAudioError(
            f"target SNR {target:g} dB is out of reach; give 1 to 60, such as {TARGET:g}"
        )
    if prompts is not None:
        read(prompts)
    if recipe is not None:
        _recipes(recipe)


def make(
    folder: Path,
    target: float,
    prompts: Sequence[Prompt],
    recipe: Path | None,
    say: Callable[[str], None],
) -> dict[str, GraphEntry]:
    """Component -> its mixed graph, written to `folder`, where a bundle in float32 lies beside the
    graphs to start from.

    prompts: CLIPS of them are recorded, evenly taken; empty for some that any model understands.
    recipe: apply this one (a file, for its component, or a folder with one for each) rather than
    measure.
    """
    bundle = Bundle.open(folder)
    prompts = prompts or (ANY if bundle.manifest.prompt.tokenizer else ANY_IDS)
    some = sorted({round(i) for i in np.linspace(0, len(prompts) - 1, CLIPS)})
    say(f"mixed: recording what float32 does for {len(some)} prompts")
    recording = record(bundle, [prompts[i] for i in some])
    given, made = _recipes(recipe) if recipe else {}, {}
    for component in GENERATING:
        base = folder / f"{component}.{BASE}.tflite"
        base = base if base.exists() else folder / f"{component}.f32.tflite"
        search = Search(
            component, base, folder, bundle.manifest, recording, target + MARGIN[component], say
        )
        found = search.applied(given[component]) if component in given else search.run()
        path = folder / f"{component}.{NAME}.tflite"
        path.write_bytes(search.quantized(found.layers))
        (folder / file_name(component)).write_text(found.to_json())
        made[component] = GraphEntry(
            **vars(file_entry(path)),
            fidelity={search.output: round(found.measured_snr, 2)},
            recipe=file_entry(folder / file_name(component)),
        )
    return made


@dataclass(frozen=True)
class Clip:
    """What the graphs were given for one prompt."""

    condition: dict[str, np.ndarray]
    project: dict[str, np.ndarray]
    #: x, t of some calls of the transformer, with the prompt (not those that guidance makes without
    #: it)
    steps: list[tuple[np.ndarray, float]]
    latents: np.ndarray


def record(bundle: Bundle, prompts: Iterable[Prompt]) -> list[Clip]:
    """Make a clip of each prompt with the float32 graphs; keep what they were given."""
    clips = []
    model = Model(bundle, dict.fromkeys(GENERATING, "f32"), threads=2, memory=ALL)
    with Pipeline(model) as pipeline:
        for number, prompt in enumerate(prompts):
            request = prompt.request(bundle, SEED + number)
            tokens = pipeline.tokens(request)
            condition = {
                "input_ids": tokens.ids,
                "attention_mask": tokens.mask,
                "seconds_total": np.array([request.seconds], np.float32),
            }
            trace = sampled(pipeline, request)
            some = sorted({round(i) for i in np.linspace(0, len(trace.calls) - 1, STEPS)})
            project = {
                "cross_attn_cond": trace.conditioning.cross_attn_cond,
                "global_cond": trace.conditioning.global_cond,
            }
            steps = [trace.calls[i][:2] for i in some]
            clips.append(Clip(condition, project, steps, trace.latents))
    return clips


def replay(
    component: str, graph: Callable[..., dict[str, np.ndarray]], manifest: Manifest, clip: Clip
) -> Iterator[np.ndarray]:
    """What a component makes of a recorded clip: cross_attn_cond; v of every recorded
    step; audio.
    """
    if component == "conditioners":
        yield graph("condition", **clip.condition)["cross_attn_cond"]
    elif component == "dit":
        projected = graph("project", **clip.project)
        for x, t in clip.steps:
            yield graph("denoise", x=x, t=np.array([t], np.float32), **projected)["v"]
    else:
        frames = manifest.latent.length * manifest.latent.downsampling
        yield np.concatenate(list(decode(graph, manifest, clip.latents, frames)))


class Search:
    """The forms of one component's layers."""

    def __init__(
        self,
        component: str,
        base: Path,
        folder: Path,
        manifest: Manifest,
        recording: list[Clip],
        target: float,
        say: Callable[[str], None],
    ):
        self.component, self.base, self.target, self._say = component, base, target, say
        self.output = {
            "conditioners": "condition.cross_attn_cond",
            "dit": "denoise.v",
            "decoder": "decode.audio",
        }[component]
        self._folder, self._manifest, self._recording = folder, manifest, recording
        self.groups = grouped(operations(base), base.stat().st_size > SINGLE)
        with Graph(folder / f"{component}.f32.tflite", threads=2) as graph:
            self._expected = [list(replay(component, graph, manifest, clip)) for clip in recording]
        self._table_path = folder / f"{component}.sensitivity.json"

    def quantized(self, layers: Mapping[str, str]) -> bytes:
        return quantize(
            self.base,
            layers,
            self._statistics if any("gptq" in method for method in layers.values()) else None,
        )

    def errors(self, layers: Mapping[str, str]) -> np.ndarray:
        """Error power over signal power of every recorded output, with the layers stored
        like that.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "candidate.tflite"
            path.write_bytes(self.quantized(layers))
            with Graph(path, threads=2) as graph:
                return np.array(
                    [
                        np.sum(np.square(actual - expected, dtype=np.float64))
                        / np.sum(np.square(expected, dtype=np.float64))
                        for clip, outputs in zip(self._recording, self._expected)
                        for actual, expected in zip(
                            replay(self.component, graph, self._manifest, clip), outputs
                        )
                    ]
                )

    def run(self) -> Recipe:
        """Measure all groups, choose, build, measure again."""
        floor, table = self.errors({}), self._sensitivities()
        wanted = budget = 10 ** (-(self.target + RESERVE) / 10)
        fits, fails = 0.0, math.inf  # budgets whose graph reaches the target, and whose does not
        tried: dict[tuple, tuple[int, dict[str, str], float]] = {}
        for _ in range(ROUNDS):
            chosen = choose(self.groups, table, floor, budget)
            layers = {
                layer: method
                for group, method in chosen.items()
                for layer in self.groups[group].layers
            }
            if (key := tuple(layers.items())) not in tried:
                size, worst = len(self.quantized(layers)), float(self.errors(layers).max())
                tried[key] = size, layers, worst
                self._say(
                    f"{self.component}.{NAME}: {size / 1e6:.2f} MB, {-_decibels(worst):.1f} dB on"
                    " the recording"
                )
            elif fits and fails < math.inf:
                break
            _, _, worst = tried[key]
            if worst <= wanted:
                fits = max(fits, budget)
            else:
                fails = min(fails, budget)
            # Without a graph on each side of the target, go as far as the last one missed it, and
            # at least far enough for another choice.
            step = wanted / worst
            budget = (
                math.sqrt(fits * fails)
                if fits and fails < math.inf
                else budget * (max(step, 1.2) if fits else min(step, 0.8))
            )
        closest = min(worst for _, _, worst in tried.values())
        if closest > 10 ** (-self.target / 10):
            raise EdgeAudioError(
                f"{self.component} cannot reach {self.target:g} dB (best {-_decibels(closest):.1f}"
                " dB); give a lower --target-snr, or export f16"
            )
        best = min(
            (found for found in tried.values() if found[2] <= max(wanted, closest)),
            key=lambda found: found[0],
        )
        size, layers, worst = best
        rows = [
            {
                "layers": list(group.layers),
                "bytes_f32": group.bytes,
                "chosen": layers[group.layers[0]],
                "snr": {
                    method: round(-_decibels(float(error.max())), 1)
                    for method, error in table[name].items()
                },
            }
            for name, group in self.groups.items()
        ]
        return Recipe(
            self.component,
            layers,
            self.target,
            -_decibels(worst),
            size,
            self.base.stat().st_size,
            rows,
        )

    def applied(self, recipe: Recipe) -> Recipe:
        """The same choice on these weights, measured; EdgeAudioError if the layers are others."""
        here = {layer for group in self.groups.values() for layer in group.layers}
        if set(recipe.layers) != here:
            other = sorted(set(recipe.layers) ^ here)[0]
            raise EdgeAudioError(
                f"the recipe for {self.component} is made for another model (layer {other}); "
                "leave out --recipe to measure this one"
            )
        worst = float(self.errors(recipe.layers).max())
        if -_decibels(worst) < self.target:
            self._say(
                f"warning: with this recipe {self.component} has {-_decibels(worst):.1f} dB, not"
                f" {self.target:g}; leave out --recipe to measure anew"
            )
        return Recipe(
            self.component,
            recipe.layers,
            self.target,
            -_decibels(worst),
            len(self.quantized(recipe.layers)),
            self.base.stat().st_size,
            recipe.table,
        )

    def _sensitivities(self) -> dict[str, dict[str, np.ndarray]]:
        """group -> method -> errors.

        Kept in a file row by row, so that an interrupted export goes on.
        """
        key = hashlib.sha256(
            b"".join(
                [
                    self.base.read_bytes(),
                    repr(MENU).encode(),
                    *(clip.latents.tobytes() for clip in self._recording),
                ]
            )
        ).hexdigest()
        known = {}
        if self._table_path.exists():
            found = json.loads(self._table_path.read_text())
            known = found["rows"] if found.get("key") == key else {}
        for number, (name, group) in enumerate(self.groups.items()):
            forms = [form for form in MENU if group.suits(form)]
            if name not in known:
                row = {
                    form: self.errors(dict.fromkeys(group.layers, form)).tolist() for form in forms
                }
                known[name] = row
                self._table_path.write_text(json.dumps({"key": key, "rows": known}))
                worst = "  ".join(
                    f"{form} {-_decibels(max(error)):.0f}" for form, error in row.items()
                )
                self._say(
                    f"{self.component} {number + 1}/{len(self.groups)} {name}:"
                    f" {worst or 'stays float32'} dB"
                )
        return {
            name: {form: np.array(error) for form, error in known[name].items()}
            for name in self.groups
        }

    @functools.cached_property
    def _statistics(self) -> Statistics:
        """What GPTQ must know, of the recorded calls."""
        calls: dict[str, list[dict[str, np.ndarray]]] = {}
        with Graph(self.base, threads=2) as graph:

            def noted(signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
                calls.setdefault(signature, []).append(inputs)
                return graph(signature, **inputs)

            for clip in self._recording:
                for _ in replay(self.component, noted, self._manifest, clip):
                    pass
        return statistics(self.base, calls)


@dataclass(frozen=True)
class Group:
    """Layers that are stored alike."""

    layers: tuple[str, ...]
    operations: tuple[Operation, ...]

    @property
    def count(self) -> int:
        """Weights. Several signatures may run a layer; they share them."""
        first = {op.layer: op.subgraph for op in reversed(self.operations)}
        return sum(math.prod(op.shape) for op in self.operations if op.subgraph == first[op.layer])

    @property
    def bytes(self) -> int:
        return 4 * self.count

    def suits(self, form: str) -> bool:
        """Whether every operation can be stored like that, without falling back to something
        simpler.
        """
        return all(suitable(form, operation) == form for operation in self.operations)

    def cost(self, form: str) -> float:
        """Bytes in the file plus bytes in memory: what a form that computes in float32 saves on
        disk, it spends again.
        """
        return 0 if form == KEEP else self.count * (METHODS[form].bits + METHODS[form].loaded) / 8


def grouped(found: Iterable[Operation], together: bool) -> dict[str, Group]:
    """Name -> group: each layer alone, or those of one kind in four neighbouring blocks."""
    members: dict[str, list[Operation]] = {}
    for operation in found:
        members.setdefault(
            _group_name(operation.layer) if together else operation.layer, []
        ).append(operation)
    return {
        name: Group(tuple(dict.fromkeys(op.layer for op in ops)), tuple(ops))
        for name, ops in members.items()
    }


def _group_name(layer: str) -> str:
    parts = layer.split(".")
    for index, part in enumerate(parts[:-2]):
        if (
            parts[index - 1] in ("layers", "block")
            and part.isdigit()
            and not layer.startswith("decoder")
        ):
            first = int(part) // 4 * 4
            return ".".join([*parts[:index], f"{first}-{first + 3}", *parts[index + 1 :]])
    return layer


def choose(
    groups: Mapping[str, Group],
    errors: Mapping[str, Mapping[str, np.ndarray]],
    floor: np.ndarray,
    budget: float,
) -> dict[str, str]:
    """Group -> form, cheap, such that no output's summed error passes `budget`.

    errors: group -> form -> error of every output with that group alone stored so; floor: error
    with none.
    """
    forms = {name: sorted(errors[name], key=groups[name].cost) or [KEEP] for name in groups}
    chosen = {name: forms[name][0] for name in groups}
    extra = {
        name: (
            {KEEP: np.zeros_like(floor)}
            | {form: np.maximum(error - floor, 0) for form, error in errors[name].items()}
        )
        for name in groups
    }

    def total() -> np.ndarray:
        return floor + sum(extra[name][form] for name, form in chosen.items())

    while (now := total()).max() > budget:
        weight = (now / now.max()) ** 4  # mostly the outputs that are worst
        # only towards the exact end of a list, so that this comes to an end
        steps = [
            (
                (extra[name][chosen[name]] - extra[name][form])
                @ weight
                / max(groups[name].cost(form) - groups[name].cost(chosen[name]), 1),
                name,
                form,
            )
            for name in groups
            for form in forms[name][forms[name].index(chosen[name]) + 1 :]
        ]
        gain, name, form = max(steps, default=(0, "", ""))
        if gain <= 0:
            break  # nothing is left to improve: what is built will be measured, and found wanting
        chosen[name] = form
    for name in sorted(
        groups, key=lambda name: -groups[name].count
    ):  # the greedy way may have overshot
        for form in forms[name][: forms[name].index(chosen[name])]:
            if (total() - extra[name][chosen[name]] + extra[name][form]).max() <= budget:
                chosen[name] = form
                break
    return chosen


def _recipes(path: Path) -> dict[str, Recipe]:
    """Component -> recipe, of one file or of a folder (a bundle)."""
    files = [path / file_name(component) for component in GENERATING] if path.is_dir() else [path]
    recipes = [Recipe.read(file) for file in files]
    return {recipe.component: recipe for recipe in recipes}


def _decibels(power: float) -> float:
    return 10 * math.log10(max(power, 1e-20))
