"""How much of what a transformer is asked for comes as asked, before it is exported: `python -m
models.training.asked CHECKPOINT` asks for two clips of every family, one by a bare name, and
says what was wrong with each that does not pass its check. Names are asked for as they stand: those
of the first model say too little without the values that its bundle's vocabulary adds. With
`--strength`, clips begin from sounds of what is asked for, noised to that level: what passes then
was lost above it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_audio.errors import EdgeAudioError
from edge_audio.listening import Verdict, check
from edge_audio.sampling.editing import started
from edge_audio.sampling.guidance import guided
from edge_audio.sampling.samplers import SAMPLERS

from .data import tokenize
from .design import Design, of_model
from .fast import fast
from .latents import encode
from .modules import Model
from .official import TOKENIZER, read_checkpoint
from .prompts import Prompt, ask, ask_by_name

SEED = 31
#: at most, whatever the design's sampling has: a verdict hardly changes with more
STEPS = 8
#: the prompts and the noise of `main` are those of a training after so many steps
ROUND = 2000


@torch.no_grad()
def verdicts(
    model: Model,
    design: Design,
    tokenizer: Path,
    sampling: Mapping[str, Any],
    rng: np.random.Generator,
    by_name: bool,
    device: str,
) -> list[tuple[Prompt, Verdict]]:
    """A clip of every family, in words of the training set or by a bare name, and what its check
    says of it. With a `strength` below 1 in `sampling`, from a sound of what is asked for.
    """
    world, prompts = design.world, []
    for name, family in world.families.items():
        if by_name:
            known = family.names[rng.integers(len(family.names))]
            prompts.append(ask_by_name(name, known, world))
            continue
        choices = family.trained_combinations()
        prompts.append(
            ask(
                rng,
                name,
                family.phrasings[rng.integers(len(family.phrasings))],
                choices[rng.integers(len(choices))],
                world,
            )
        )
    ids, mask = (
        torch.from_numpy(array[:, 0]).to(device)
        for array in tokenize(tokenizer, [(prompt.text,) for prompt in prompts], design.max_tokens)
    )
    cond, global_cond = model.condition(
        ids, mask, torch.full((len(prompts),), world.full_seconds, device=device)
    )

    def denoise(x: np.ndarray, t: float, cond: Tensor) -> np.ndarray:
        # as written: another batch size would have the compiled model compiled again
        with fast(device), torch.compiler.set_stance("force_eager"):
            v = model.dit(
                torch.from_numpy(x).to(device),
                torch.full((len(x),), t, device=device),
                cond,
                global_cond,
            )
        return v.float().cpu().numpy()

    strength = sampling.get("strength", 1.0)
    sampler = SAMPLERS[sampling["sampler"]]
    length = design.length_for(world.full_seconds)
    x = rng.standard_normal((len(prompts), design.latents, length), np.float32)
    if strength < 1:
        sounds = (
            world.make_sound(rng, prompt.family, prompt.attributes, world.full_seconds).audio
            for prompt in prompts
        )
        clips = (
            audio[: length * design.downsampling].reshape(-1, world.channels).T for audio in sounds
        )
        latents = [encode(model.autoencoder, clip, device) for clip in clips]
        x = started(x, np.stack(latents), strength)
    *_, last = sampler.sample(
        guided(denoise, cond, torch.zeros_like(cond), sampling["cfg_scale"]),
        x,
        sampler.schedule(min(STEPS, sampling["steps"]), strength),
        lambda shape: rng.standard_normal(shape, np.float32),
    )
    samples = round(world.full_seconds * world.sample_rate)
    heard = []
    for latents, prompt in zip(torch.from_numpy(last.x).to(device), prompts):
        clip = model.autoencoder.decode(latents[None])[0, :, :samples].T.cpu().numpy()
        verdict = check(clip, world.sample_rate, prompt.family, prompt.attributes, world.name)
        heard.append((prompt, verdict))
    return heard


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.asked", description=__doc__.split(":")[0]
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--sampler", choices=SAMPLERS, help="default: the design's")
    parser.add_argument("--steps", type=int, help=f"default: the design's, at most {STEPS}")
    parser.add_argument("--cfg", type=float, dest="cfg_scale", help="default: the design's")
    parser.add_argument("--strength", type=float, default=1.0, help="default: 1, from noise alone")
    options = parser.parse_args(arguments)
    if not 0 < options.strength <= 1:
        parser.error("--strength: above 0, at most 1")
    if options.steps is not None and not 1 <= options.steps <= STEPS:
        parser.error(f"--steps: from 1 to {STEPS}")
    torch.set_num_threads(os.cpu_count())
    try:
        model = read_checkpoint(options.checkpoint).eval()
        design = of_model(model.config)
    except EdgeAudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    given = {key: getattr(options, key) for key in ("sampler", "steps", "cfg_scale", "strength")}
    sampling = {**design.sampling, **{key: to for key, to in given.items() if to is not None}}
    passed: dict[str, int] = dict.fromkeys(design.world.families, 0)
    for index in range(2):
        rng = np.random.default_rng([SEED, ROUND, index])
        tokenizer = options.checkpoint / TOKENIZER
        for prompt, verdict in verdicts(model, design, tokenizer, sampling, rng, index == 1, "cpu"):
            passed[prompt.family] += verdict.passed
            if not verdict.passed:
                what = f"{prompt.family}, {prompt.text!r}"
                print(f"{what}: {verdict.measured} (expected: {verdict.expected})")
    counts = np.bincount(list(passed.values()), minlength=3)
    never = [name for name, count in passed.items() if not count]
    print(f"never as asked: {', '.join(never) or 'none'}")
    print(
        f"{sum(passed.values()) / (2 * len(passed)):.1%} of {2 * len(passed)} clips as asked; of"
        f" {len(passed)} families, {counts[2]} twice, {counts[1]} once"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
