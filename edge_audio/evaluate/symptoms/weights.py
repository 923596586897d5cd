"""What the graphs carry: weights, and the epsilons of norms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edge_audio.bundle.manifest import GENERATING
from edge_audio.evaluate.diagnosis import Row
from edge_audio.evaluate.layers import epsilons, weights
from edge_audio.evaluate.probe import Probe
from edge_audio.evaluate.symptoms.registry import row, symptom
from edge_audio.evaluate.verdict import FAIL, OK, WARN


@symptom
def stored_weights(probe: Probe) -> Iterator[Row]:
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


@symptom
def epsilon_of_norms(probe: Probe) -> Iterator[Row]:
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
