"""Two graphs of one component side by side: what every layer gives on the same inputs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from edge_audio.bundle.manifest import GENERATING
from edge_audio.evaluate import metrics
from edge_audio.evaluate.comparison import Layer
from edge_audio.evaluate.layers import exposed
from edge_audio.evaluate.trace import Trace
from edge_audio.pipeline import Pipeline
from edge_audio.system.graph import Graph

#: calls of the transformer whose inside is looked at
LAYER_CALLS = 3

Arrays = dict[str, np.ndarray]
#: (signature, its outputs) of every call of a graph
Calls = list[tuple[str, Arrays]]


def compare_layers(pipeline: Pipeline, reference: Pipeline, trace: Trace) -> list[Layer]:
    """Every layer's output in the graphs of two precisions, in the order of execution; a graph that
    is the same in both is left out. trace: a clip of the reference's, whose inputs both get.
    """
    found: list[Layer] = []
    for component in GENERATING:
        if (
            pipeline.precision[component] == reference.precision[component]
            and pipeline.bundle == reference.bundle
        ):
            continue
        found += _layers_of(component, pipeline, reference, trace)
    return found


def _layers_of(
    component: str, pipeline: Pipeline, reference: Pipeline, trace: Trace
) -> Iterator[Layer]:
    asker = _Asker(reference, trace)
    names, expected = _asked(component, reference, asker, None)
    _, actual = _asked(component, pipeline, asker, expected[0][1])
    values: dict[str, list[tuple[float, float]]] = {}
    for (signature, theirs), (_, ours) in zip(expected, actual):
        for layer in names[signature]:
            if layer in ours:
                snr = metrics.snr(ours[layer], theirs[layer])
                gain = metrics.gain(_varying(ours[layer]), _varying(theirs[layer]))
                values.setdefault(layer, []).append((snr, gain))
    for layer, pairs in values.items():
        yield Layer(
            component=component,
            name=layer,
            snr=min(snr for snr, _ in pairs),
            gain=statistics.median(gain for _, gain in pairs),
        )


def _asked(
    component: str, pipeline: Pipeline, asker: _Asker, earlier: Arrays | None
) -> tuple[dict[str, list[str]], Calls]:
    """signature -> the layers in it; and what a pipeline's graph answers."""
    path = pipeline.bundle.graph_path(component, pipeline.precision[component])
    with exposed(path, asker.signatures(component), pipeline.threads) as (graph, names):
        return names, asker.ask(component, graph, earlier)


class _Asker:
    """Asks graphs what the reference was asked when it made a clip."""

    def __init__(self, reference: Pipeline, trace: Trace):
        self._trace, self._manifest = trace, reference.bundle.manifest
        self._tokens = reference.tokens(trace.settings)
        length = trace.settings.latents(self._manifest)
        self._denoise, self._head = (
            self._manifest.latent.signature(name, length) for name in ("denoise", "head")
        )

    def signatures(self, component: str) -> tuple[str, ...]:
        """Those that `ask` calls."""
        return {
            "conditioners": ("condition",),
            "dit": ("project", self._denoise),
            "decoder": (self._head, "tail"),
        }[component]

    def ask(self, component: str, graph: Graph, earlier: Arrays | None) -> Calls:
        """earlier: what the first signature of the reference's graph gave, which the others read in
        place of their own graph's; None for the reference itself.
        """
        if component == "conditioners":
            return self._conditioners(graph)
        return (self._transformer if component == "dit" else self._decoder)(graph, earlier)

    def _conditioners(self, graph: Graph) -> Calls:
        outputs = graph(
            "condition",
            input_ids=self._tokens.ids,
            attention_mask=self._tokens.mask,
            seconds_total=np.array([self._trace.settings.seconds], np.float32),
        )
        return [("condition", outputs)]

    def _transformer(self, graph: Graph, earlier: Arrays | None) -> Calls:
        conditioning, calls = self._trace.conditioning, self._trace.calls
        projected = graph(
            "project",
            cross_attn_cond=conditioning.cross_attn_cond,
            global_cond=conditioning.global_cond,
        )
        given = {
            name: value
            for name, value in (earlier or projected).items()
            if name == "global_embed" or name.startswith("cross_")
        }
        answers: Calls = [("project", projected)]
        for i in sorted({round(i) for i in np.linspace(0, len(calls) - 1, LAYER_CALLS)}):
            x, t, _ = calls[i]
            outputs = graph(self._denoise, x=x, t=np.array([t], np.float32), **given)
            answers.append((self._denoise, outputs))
        return answers

    def _decoder(self, graph: Graph, earlier: Arrays | None) -> Calls:
        features = graph(self._head, latents=self._trace.latents)
        tile = (earlier or features)["features"][:, : self._manifest.tiling.tile]
        return [(self._head, features), ("tail", graph("tail", features=tile))]


def _varying(values: np.ndarray) -> np.ndarray:
    """What a layer's output has beside its bias, which would hide a wrong scale: less the mean over
    time, if there is time.
    """
    rows = values.reshape(-1, values.shape[-1])
    return rows - rows.mean(axis=0) if len(rows) > 1 else rows
