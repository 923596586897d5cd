"""The stages of this family of models, as a bundle's manifest declares them."""

from __future__ import annotations

from edge_audio.bundle.manifest import Guidance, Latent, Port, Stage, Tiling
from edge_audio.errors import EdgeAudioError
from edge_audio.system.graph import Graph

#: component -> signature -> (inputs, outputs) that a graph must at least have. `project` also gives
#: the cross-attention keys and values of every block (cross_k_00, cross_v_00, ...), which `denoise`
#: reads.
SIGNATURES: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "conditioners": {
        "condition": (
            ("input_ids", "attention_mask", "seconds_total"),
            ("cross_attn_cond", "global_cond"),
        ),
    },
    "dit": {
        "project": (("cross_attn_cond", "global_cond"), ("global_embed",)),
        "denoise": (("x", "t", "global_embed"), ("v",)),
    },
    "decoder": {"head": (("latents",), ("features",)), "tail": (("features",), ("audio",))},
    "encoder": {"encode": (("audio",), ("mean", "stdev"))},
}
#: Stages that a graph has again for shorter latents, as NAME_LENGTH (`denoise_64`), on the same
#: weights: their ports follow the length.
BY_LENGTH = ("denoise", "head")
#: Without a prompt the transformer is given zeros, the seconds token included; a negative prompt
#: does not change the global condition (stable-audio-tools, `DiffusionTransformer.forward`).
GUIDANCE = Guidance(zeroed=("cross_attn_cond",), kept=("global_cond",))


def stages_of(component: str, graph: Graph, latent: Latent, tiling: Tiling) -> dict[str, Stage]:
    """The stages that a component's graph has; EdgeAudioError if one or a port of it is missing."""
    return {name: _stage(component, name, graph, latent, tiling) for name in SIGNATURES[component]}


def _stage(component: str, name: str, graph: Graph, latent: Latent, tiling: Tiling) -> Stage:
    inputs, outputs = SIGNATURES[component][name]
    here = name in graph.signatures
    found = (graph.inputs(name), graph.outputs(name)) if here else ([], [])
    if not (set(inputs) <= set(found[0]) and set(outputs) <= set(found[1])):
        raise EdgeAudioError(
            f"{graph.path} has no signature {name} that reads {', '.join(inputs)} and gives"
            f" {', '.join(outputs)}; the export went wrong, please report it"
        )
    lengths = {1: "latents", tiling.per_latent: f"{tiling.per_latent}*latents"}

    def port(tensor: str) -> Port:
        shape = list(graph.shape(name, tensor))
        if name in BY_LENGTH and len(shape) == 3 and tensor in ("x", "v", "latents", "features"):
            shape[1] = lengths[shape[1] // latent.length]
        return Port(graph.dtype(name, tensor).name, tuple(shape))

    return Stage(
        component,
        {tensor: port(tensor) for tensor in found[0]},
        {tensor: port(tensor) for tensor in found[1]},
    )
