"""What one CPU makes of the pocket model, for `test_arm64` to compare with another: `python
probe.py OUT.npz`.

Tokens of some prompts, noise, and every graph in float32 and int8 on the same inputs: those that
the pipeline gives it, from the first graph of this CPU's own on; so an error would add up, and be
seen.
"""

from __future__ import annotations

import sys

import numpy as np

from edge_audio import Pipeline, Request
from edge_audio.sampling.noise import NoiseStream

PROMPTS = (
    "steady rain",
    "a plucked string at A3",
    "DRUM beat, 120 bpm!",
    "naïve café — 日本 🎹",
    "",
)


def main(out: str) -> None:
    found: dict[str, np.ndarray] = {
        "noise": NoiseStream(7).normal((64, 64)),
        "noise_large_seed": NoiseStream(2**40 + 1).normal((100,)),
    }
    for precision in ("f16", "int8"):
        with Pipeline.load(None, precision, threads=1, memory="all", half=False) as pipeline:
            manifest = pipeline.bundle.manifest
            for number, prompt in enumerate(PROMPTS):
                tokens = pipeline.tokens(Request(prompt, seed=1).resolved(manifest))
                found[f"ids_{number}"], found[f"mask_{number}"] = tokens.ids, tokens.mask
            request = Request(PROMPTS[1], seconds=0.5, seed=7, steps=1, cfg_scale=1.0).resolved(
                manifest
            )
            conditioning = pipeline.condition(request)
            found |= {f"{precision}_{name}": value for name, value in conditioning.prompt.items()}
            x = NoiseStream(7).normal((1, request.latents(manifest), manifest.latent.channels))
            with pipeline.velocity(request, conditioning) as v:
                for t in (1.0, 0.4):
                    found[f"{precision}_v_{t}"] = v(x, t)
            found[f"{precision}_audio"] = np.concatenate(list(pipeline.decode(request, x)))
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1])
