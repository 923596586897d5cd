"""What the Python runtime gives, for the Kotlin tests to compare with: `python golden.py BUNDLE
OLD_BUNDLE OUT_DIR`. The old bundle is one of schema 1, with the clip that its own day's runtime
made.

Text files with a case a line, and raw little-endian float32: no format that needs a library to
read.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import unicodedata
from pathlib import Path

import numpy as np

from edge_audio import Bundle, Pipeline
from edge_audio.bundle.manifest import MANIFEST_NAME
from edge_audio.bundle.migration import from_schema_1
from edge_audio.model.tokens import Tokenizer, padded
from edge_audio.sampling.noise import NoiseStream
from edge_audio.sampling.samplers import SAMPLERS

STRINGS, SEEDS = 500, (0, 1, 7, 42, 1234, 2**31 - 1, 2**32, 2**40 + 1, 2**62, 2**63 - 1)
WORDS = (
    "steady",
    "rain",
    "Drum",
    "BEAT",
    "120 bpm",
    "C#4",
    "naïve",
    "Straße",
    "İstanbul",
    "ﬁre",
    "①②",
    "½",
    "ｆｕｌｌ",
    "日本語",
    "한국어",
    "العربية",
    "हिन्दी",
    "ไทย",
    "🎹",
    "👩‍🚀",
    "🇫🇷",
    "é",
    "é",
    "\t",
    "  ",
    "\u3000",
    "\u200b",
    "▁",
    "-",
    "...",
    "\u00a0",
    "ǅ",
    "Ω",
    "K",
)


def strings() -> list[str]:
    """Words of many scripts in many combinations, random code points, and the odd cases.

    Never a line break, which ends a case.
    """
    rng = random.Random(0)
    cases = ["", " ", "   ", "▁", " a ", "a  b", "\t\t", "🎹🎹", "x" * 300]
    assigned = [
        chr(code)
        for code in range(32, 0x1FFFF)
        if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Zl", "Zp") and code != 0x85
    ]
    while len(cases) < STRINGS:
        if rng.random() < 0.7:
            cases.append(
                rng.choice(("", " ", "  ")).join(
                    rng.choice(WORDS) for _ in range(rng.randrange(1, 9))
                )
            )
        else:
            cases.append("".join(rng.choice(assigned) for _ in range(rng.randrange(1, 24))))
    return [case for case in cases if not set(case) & set("\n\r\x0b\x0c\x1c\x1d\x1e\x85")][:STRINGS]


NAMES = (
    "bell",
    "House Music",
    "sound of a siren please",
    "a cat and a dog",
    "footsteps on gravel",
    "A minor chord",
    "a bell at C5",
    "rain",
)


def toy(x: np.ndarray, t: float) -> np.ndarray:
    """A model that a sampler can be driven with: smooth, and not linear in t."""
    return np.float32(0.5) * x * np.float32(t) + np.float32(0.25) * np.abs(x) - np.float32(t * t)


PROMPTS = (
    "a dog barking",
    "flut",
    "hi-hat",
    "orgna at C#5",
    "bell at C#7, 117 bpm",
    "metronom",
    "violin & piano",
    "日本語",
    "a bell",
    "drum-beat",
    "someone whistling",
    "x" * 40,
    "the kitchen's clock",
    "",
)


IDS = ((), (1,), (0,), (0, 0), (5, 0, 6, 1, 0, 0), tuple(range(9, 0, -1)), (7, 1, *[0] * 9))


def schema_1(bundle: Path, out: Path) -> None:
    """The stored clip of a bundle of schema 1, a shorter one, and its manifest as it is read."""
    entries = json.loads((bundle / MANIFEST_NAME).read_text())
    (out / "migrated.json").write_text(json.dumps(from_schema_1(entries)))
    (out / "schema2.json").write_text(Bundle.open(bundle).manifest.to_json())
    np.load(bundle / "clip.npy").astype(np.float32).tofile(out / "clip-old.f32")
    pipeline = Pipeline.load(bundle, "f32", threads=1, half=False)
    short = pipeline.generate("slow siren", seed=7, seconds=0.5, fit_length=True)
    short.samples.tofile(out / "clip-old-short.f32")


def main(bundle: Path, old: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    schema_1(old, out)
    tokens = [padded(ids, 8) for ids in IDS]
    lines = [
        (ids, one.ids[0], one.mask[0], [one.count]) for ids, one in zip(IDS, tokens, strict=True)
    ]
    (out / "padded.txt").write_text(
        "\n".join("|".join(" ".join(map(str, part)) for part in line) for line in lines)
    )
    tokenizer = Tokenizer(Bundle.open(bundle).tokenizer_path(), 100_000)
    cases = strings()
    # The last part of a note names a command that an app does not have.
    vocabulary = Bundle.open(bundle).vocabulary
    notes = [
        (vocabulary.note(prompt, "pocket") or "").removesuffix(", see edge-audio info --prompts")
        for prompt in PROMPTS
    ]
    (out / "notes.txt").write_text(
        "\n".join(f"{prompt}\t{note}" for prompt, note in zip(PROMPTS, notes))
    )
    # as bundles have it that list names without their article
    bare = {name.removeprefix("a "): reading for name, reading in vocabulary.readings.items()}
    lean = dataclasses.replace(vocabulary, readings=bare, articles=frozenset({"a"}))
    readings = [
        f"{prompt}\t{seed}\t{vocabulary.reading(prompt, seed)}\t{lean.reading(prompt, seed)}"
        for prompt in NAMES
        for seed in SEEDS
    ]
    (out / "readings.txt").write_text("\n".join(readings))
    (out / "vocabulary.json").write_text(lean.to_json())
    (out / "strings.txt").write_bytes("\n".join(cases).encode())
    (out / "tokens.txt").write_text(
        "\n".join(
            " ".join(map(str, tokenizer.encode(case).ids[0, : tokenizer.encode(case).count]))
            for case in cases
        )
    )
    for seed in SEEDS:
        NoiseStream(seed).normal(100_000).tofile(out / f"noise-{seed}.f32")
    for name, sampler in SAMPLERS.items():
        for steps in (1, 2, 8, 50):
            np.asarray(sampler.schedule(steps), np.float64).tofile(
                out / f"sigmas-{name}-{steps}.f64"
            )
        noise = NoiseStream(3)
        x = noise.normal((1, 16, 4))
        steps = list(sampler.sample(toy, x, sampler.schedule(8), noise.normal))
        np.concatenate([step.x.ravel() for step in steps]).tofile(out / f"steps-{name}.f32")
    for precision in ("f16", "int8", "mixed"):
        pipeline = Pipeline.load(bundle, precision, threads=2, half=False)
        for number, settings in enumerate(
            (
                {"prompt": "a plucked string at A3", "seed": 7},
                {"prompt": "steady rain", "seed": 3, "seconds": 2.5, "steps": 4},
                {"prompt": "", "seed": 5, "steps": 3},
                {
                    "prompt": "drum beat at 120 bpm",
                    "negative": "rain",
                    "seed": 1,
                    "cfg_scale": 3.0,
                    "sampler": "dpmpp",
                    "steps": 6,
                },
            )
        ):
            pipeline.generate(**settings).samples.tofile(out / f"clip-{precision}-{number}.f32")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
