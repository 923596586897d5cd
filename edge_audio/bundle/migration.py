"""Manifests of earlier schemas, as the present one has them."""

from __future__ import annotations

from typing import Any

from edge_audio.bundle.manifest import HOST_VALUES, MINOR, SCHEMA

# What bundles of schema 1 consist of, which their manifests did not say.
_SCHEMA_1 = {
    "condition": (
        "conditioners",
        ("input_ids", "attention_mask", "seconds_total"),
        ("cross_attn_cond", "global_cond"),
    ),
    "project": ("dit", ("cross_attn_cond", "global_cond"), ("global_embed",)),
    "denoise": ("dit", ("x", "t", "global_embed"), ("v",)),
    "head": ("decoder", ("latents",), ("features",)),
    "tail": ("decoder", ("features",), ("audio",)),
    "encode": ("encoder", ("audio",), ("mean", "stdev")),
}


def from_schema_1(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries of a manifest of schema 1 as this schema has them; its ports have no shapes but
    for those that follow the latents.
    """
    graphs = entries.get("graphs")
    here = graphs if isinstance(graphs, dict) else {}

    def ports(stage: str, names: tuple[str, ...]) -> dict[str, Any]:
        by_length = stage in ("denoise", "head")
        return {
            name: {
                "type": "int32" if name in HOST_VALUES["prompt"] else "float32",
                "shape": [1, "latents"] if by_length and name in ("x", "v", "latents") else [],
            }
            for name in names
        }

    stages = {
        stage: {
            "component": component,
            "inputs": ports(stage, inputs),
            "outputs": ports(stage, outputs),
            "more": True,
        }
        for stage, (component, inputs, outputs) in _SCHEMA_1.items()
        if component in here
    }
    guidance = {"zeroed": ["cross_attn_cond"], "kept": ["global_cond"]}
    added = {"schema": SCHEMA, "minor": MINOR, "stages": stages, "guidance": guidance}
    return {**entries, **added}
