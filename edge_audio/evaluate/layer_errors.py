"""Two graphs of one component side by side: what every layer gives on the same inputs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

import numpy as np

from edge_audio.bundle.manifest import GENERATING
from edge_audio.evaluate import metrics
from edge_audio.evaluate.comparison import Layer
from edge_audio.evaluate.layers import exposed
from edge_audio.model.contract import Fitting
from edge_audio.pipeline import Pipeline
from edge_audio.session import Called

#: calls of a stage whose inside is looked at
LAYER_CALLS = 3

Arrays = dict[str, np.ndarray]


def compare_layers(
    pipeline: Pipeline, reference: Pipeline, calls: Mapping[str, list[Called]]
) -> list[Layer]:
    """Every layer's output in the graphs of two precisions, in the order of execution; a graph that
    is the same in both is left out. calls: of each stage, for a clip of the reference's; both get
    their inputs.
    """
    found: list[Layer] = []
    contract = reference.model.contract
    for component in GENERATING:
        if (
            pipeline.precision[component] == reference.precision[component]
            and pipeline.bundle == reference.bundle
        ):
            continue
        some = [call for stage in contract.of(component) for call in _some(calls.get(stage, []))]
        found += _layers_of(component, pipeline, reference, some)
    return found


def _layers_of(
    component: str, pipeline: Pipeline, reference: Pipeline, calls: list[Called]
) -> Iterator[Layer]:
    asked = [reference.model.contract.fitting(call.stage, call.inputs) for call in calls]
    names, expected = _answers(component, reference, asked)
    _, actual = _answers(component, pipeline, asked)
    values: dict[str, list[tuple[float, float]]] = {}
    for fitting, theirs, ours in zip(asked, expected, actual):
        for layer in names[fitting.signature]:
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


def _answers(
    component: str, pipeline: Pipeline, asked: list[Fitting]
) -> tuple[dict[str, list[str]], list[Arrays]]:
    """signature -> the layers in it; and what a pipeline's graph answers, layers included."""
    path = pipeline.bundle.graph_path(component, pipeline.precision[component])
    signatures = tuple(fitting.signature for fitting in asked)
    with exposed(path, signatures, pipeline.threads) as (graph, names):
        return names, [fitting.run(graph) for fitting in asked]


def _some(calls: list[Called]) -> list[Called]:
    """LAYER_CALLS of a stage's, from the first to the last."""
    places = np.linspace(0, len(calls) - 1, min(LAYER_CALLS, len(calls)))
    return [calls[i] for i in sorted({round(place) for place in places})]


def _varying(values: np.ndarray) -> np.ndarray:
    """What a layer's output has beside its bias, which would hide a wrong scale: less the mean over
    time, if there is time.
    """
    rows = values.reshape(-1, values.shape[-1])
    return rows - rows.mean(axis=0) if len(rows) > 1 else rows
