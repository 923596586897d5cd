"""Stable Audio 3 small side by side in one run: ours, PyTorch eager, and the straight litert-torch
conversion run the publisher's way.

    make bench-sa3            # prepares everything under build/sa3, then runs this

The peers are what `sa3_peers.py` makes and `sa3_straight.py` runs. All generate from the same ids,
noise and noise levels; every contender has processes of its own, in turn, --rounds times, each with
one clip to warm up and one that counts. Clips are made at two lengths: "official" has the 6 seconds
that the official code gives the transformer beside those asked for, "lean" has none, as ports do
it. Ours opens and frees its graphs within the clip, and that time counts; the peers keep everything
loaded, and their loading does not count. Before that, parity with PyTorch on the same inputs.
Prints markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import side_by_side
from sa3_straight import Straight
from side_by_side import THREADS, Job, Result, cell, middle, ratio

from edge_audio import Pipeline, Request
from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.store import Bundle
from edge_audio.evaluate.metrics import snr
from edge_audio.model.codec import tiles_for
from edge_audio.session import Session
from edge_audio.settings import Settings

SEED, T = 1, 0.7
IDS = (3, 171, 13, 8, 432, 9, 77, 1)
LEAN, OFFICIAL = 0.0, 6.0
KINDS = {LEAN: "lean", OFFICIAL: "official"}
OURS = {"f32": "ours, f32", "int8": "ours, int8"}


def request(job: Job) -> Request:
    """What is asked of every contender."""
    return Request(ids=IDS, seed=SEED, seconds=job["seconds"], pad_seconds=job["pad"])


def resolved(job: Job) -> tuple[Settings, Manifest]:
    """The request as our bundle understands it; the peers make the same latents."""
    manifest = Bundle.open(Path(job["folder"]) / "bundle").manifest
    return request(job).resolved(manifest), manifest


# --- what runs in processes of their own ---


def ours(job: Job) -> Result:
    """Through the library as users call it."""
    bundle = Path(job["folder"]) / "bundle"
    return side_by_side.ours(bundle, job["precision"], request(job), "cold" in job)


def eager(job: Job) -> Result:
    """PyTorch on the official way of computing, in float32."""
    import sa3_peers

    checkpoint = Path(job["folder"]) / "checkpoint"
    return _peer(job, lambda latents, *more: sa3_peers.Eager(checkpoint, *more))


def straight(job: Job) -> Result:
    """The straight conversion, at a fixed length that holds the clip's."""
    folder = Path(job["folder"]) / "straight"
    return _peer(job, lambda *given: Straight(folder, *given))


def _peer(job: Job, opened: Callable[..., Any]) -> Result:
    """A contender that `opened` loads for a number of latents, frequencies and threads."""
    settings, manifest = resolved(job)
    length, valid = settings.latents(manifest), settings.valid(manifest)
    start = time.perf_counter()
    contender = opened(length, manifest.frequencies, THREADS)
    loaded = time.perf_counter() - start
    if "cold" in job:
        return {"load": loaded}
    clip = side_by_side.peer(
        lambda: contender.condition(IDS, settings.seconds),
        lambda x, t, told: contender.v(x, t, told, valid),
        contender.decode,
        (1, length, manifest.latent.channels),
        settings.sigmas(manifest),
        SEED,
    )
    return {"load": loaded, **clip}


def parity(job: Job) -> dict[str, Result]:
    """SNR in dB of every part against PyTorch in float32, on the same inputs."""
    import sa3_peers

    folder = Path(job["folder"])
    settings, manifest = resolved(job)
    length, frames = settings.latents(manifest), settings.frames(manifest)
    shape = (1, length, manifest.latent.channels)
    x, latents = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    reference = sa3_peers.Eager(folder / "checkpoint", manifest.frequencies, THREADS)
    told = reference.condition(IDS, settings.seconds)
    cross, pooled = (value.numpy() for value in told)
    v = reference.v(x, T, told, settings.valid(manifest))
    audio = np.concatenate(list(reference.decode(latents)))[:frames]
    del reference

    def compared(own_cross, own_pooled, own_v, own_audio) -> Result:
        return {
            "prompt": snr(own_cross[0, : len(IDS)], cross[0, : len(IDS)]),
            "seconds": snr(own_pooled, pooled),
            "v": snr(own_v, v),
            "audio": snr(own_audio, audio),
            "largest audio difference": float(np.abs(own_audio - audio).max()),
        }

    found = {}
    for precision, name in OURS.items():
        pipeline = Pipeline.load(folder / "bundle", precision, THREADS)
        session = Session(pipeline.model, settings)
        (branch,) = session.condition()
        conditioned = branch["cross_attn_cond"], branch["global_cond"]
        # all padding is one key, after the prompt's and before the seconds
        rows = np.zeros_like(conditioned[0])
        rows[0, : len(IDS)] = cross[0, : len(IDS)]
        rows[0, -2:] = cross[0, [len(IDS), -1]]
        given = branch.fork("given", cross_attn_cond=rows, global_cond=pooled)
        with pipeline.model.lease() as lease:
            own_v = session.velocity([given], lease)(x, T)
        blocks = pipeline.decode(settings, latents)
        found[name] = compared(*conditioned, own_v, np.concatenate(list(blocks)))
    peer = Straight(folder / "straight", length, manifest.frequencies, THREADS)
    conditioned = peer.condition(IDS, settings.seconds)
    own_v = peer.v(x, T, (cross, pooled), settings.valid(manifest))
    own_audio = np.concatenate(list(peer.decode(latents)))[:frames]
    found["straight, int8"] = compared(*conditioned, own_v, own_audio)
    return found


TASKS = {"ours": ours, "eager": eager, "straight": straight, "parity": parity}


# --- the run ---


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/sa3"), help="what was prepared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds",
        type=float,
        nargs=3,
        default=(10.0, 30.0, 120.0),
        metavar=("SHORT", "LONG", "LONGEST"),
        help="of the clips; the longest is made once",
    )
    arguments = parser.parse_args()
    benchmark = Benchmark(arguments.folder, *arguments.seconds)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as cached:
        benchmark.run(arguments.rounds, cached)
    print(benchmark.times(), end="\n\n")
    print(side_by_side.goals_table(benchmark.goals()))
    print(f"\n{side_by_side.made_on(__file__, arguments.rounds)}")


class Benchmark:
    """The contenders and what they took."""

    def __init__(self, folder: Path, short: float, long: float, longest: float):
        self.folder, self.short, self.long, self.longest = folder, short, long, longest
        self.manifest = Bundle.open(folder / "bundle").manifest
        self.jobs: dict[str, Job] = {}
        for seconds in (short, long):
            for pad in (OFFICIAL, LEAN):
                for precision in OURS:
                    self._add(OURS[precision], "ours", seconds, pad, precision=precision)
                if (seconds, pad) != (long, OFFICIAL):
                    self._add("PyTorch", "eager", seconds, pad)
                self._add("straight, int8", "straight", seconds, pad)
        self.once = self._add(OURS["int8"], "ours", longest, OFFICIAL, precision="int8")
        self.results: dict[str, list[Result]] = {name: [] for name in self.jobs}
        self.cold: dict[str, Result] = {}
        self.peaks: list[float] = []

    def _add(self, who: str, task: str, seconds: float, pad: float, **more: str) -> str:
        name = self.name(who, seconds, pad)
        job = {"task": task, "folder": str(self.folder), "seconds": seconds, "pad": pad}
        self.jobs[name] = job | more
        return name

    @staticmethod
    def name(who: str, seconds: float, pad: float) -> str:
        """Of a contender."""
        return f"{who}, {seconds:g} s {KINDS[pad]}"

    def runs(self, who: str, seconds: float, pad: float) -> list[Result]:
        """What a contender took, a round each."""
        return self.results[self.name(who, seconds, pad)]

    def run(self, rounds: int, cached: str) -> None:
        """All of it; parity is printed at once."""

        def child(job: Job) -> Result:
            return side_by_side.child(__file__, job, cached)

        lean = {"folder": str(self.folder), "seconds": self.short, "pad": LEAN}
        found = child({"task": "parity", **lean})
        found.pop("peak")
        print(side_by_side.parity_table(found), end="\n\n", flush=True)
        for who in (*OURS.values(), "straight, int8"):
            name = self.name(who, self.short, LEAN)
            with tempfile.TemporaryDirectory(dir=cached) as nothing:
                self.cold[name] = side_by_side.child(
                    __file__, {**self.jobs[name], "cold": True}, nothing
                )
        for index in range(rounds):
            self.peaks.append(child({"task": "gemm"})["flops"])
            for name, job in self.jobs.items():
                if index and name == self.once:
                    continue
                self.results[name].append(child(job))
                print(name, self.results[name][-1], file=sys.stderr, flush=True)

    def latents(self, job: Job) -> int:
        """That the contenders make for it."""
        return request(job).resolved(self.manifest).latents(self.manifest)

    # --- tables ---

    def times(self) -> str:
        """A line for each contender."""
        keys = ("condition", "step", "decode", "first block", "clip")
        rows = [
            (
                name,
                str(self.latents(self.jobs[name])),
                *(cell(runs, key) for key in keys),
                side_by_side.loading(runs, self.cold.get(name)),
                cell(runs, "peak", 1e-6, "MB", 0),
            )
            for name, runs in self.results.items()
        ]
        return side_by_side.table(("", "latents", *keys, "loading", "peak memory"), rows)

    def goals(self) -> list[tuple[str, str, str]]:
        """What was measured beside what was wanted."""
        share = ("step, f32, share of numpy's GEMM in the same round", self._share(), "≥ 85 %")
        return [*self._faster(), share, *self._smaller()]

    def _faster(self) -> list[tuple[str, str, str]]:
        """Whole clips against the peers'."""

        def row(who: str, pad: float, other: str, other_pad: float, seconds: float, goal: str):
            others, runs = self.runs(other, seconds, other_pad), self.runs(who, seconds, pad)
            what = f"{seconds:g} s, {who} {KINDS[pad]}, against {other} {KINDS[other_pad]}"
            return what, ratio(others, runs, "clip"), goal

        f32, int8 = OURS["f32"], OURS["int8"]
        pytorch, conversion, short, long = "PyTorch", "straight, int8", self.short, self.long
        return [
            row(f32, LEAN, pytorch, OFFICIAL, short, "≥ 2.2×"),
            row(f32, OFFICIAL, pytorch, OFFICIAL, short, ""),
            row(f32, LEAN, pytorch, LEAN, short, "≥ 1.5×"),
            row(f32, LEAN, pytorch, LEAN, long, ""),
            row(int8, LEAN, pytorch, OFFICIAL, short, "≥ 4.5×"),
            row(int8, OFFICIAL, pytorch, OFFICIAL, short, ""),
            row(int8, LEAN, pytorch, LEAN, short, "≥ 3×"),
            row(int8, LEAN, pytorch, LEAN, long, ""),
            *(
                row(int8, pad, conversion, pad, seconds, "≥ 1.7×" if pad == LEAN else "")
                for seconds in (short, long)
                for pad in (LEAN, OFFICIAL)
            ),
        ]

    def _share(self) -> str:
        """Of numpy's speed in the same round, at the short lean clip, by the work that its own
        latents need: a signature for more of them does more, which does not count.
        """
        name = self.name(OURS["f32"], self.short, LEAN)
        flops = step_flops(self.folder, self.latents(self.jobs[name]))
        pairs = zip(self.results[name], self.peaks)
        share = statistics.median(flops / run["step"] / peak for run, peak in pairs)
        return f"{100 * share:.0f} %"

    def _smaller(self) -> list[tuple[str, str, str]]:
        """Memory, disk, and how soon something is heard."""
        f32, int8 = (self.runs(OURS[one], self.short, OFFICIAL) for one in ("f32", "int8"))
        longest = self.results[self.once]
        first = [middle(runs, "first block") for runs in (int8, f32)]
        job = self.jobs[self.name(OURS["int8"], self.short, OFFICIAL)]
        settings = request(job).resolved(self.manifest)
        frames = settings.frames(self.manifest)
        count = len(tiles_for(self.manifest, settings.latents(self.manifest), frames))
        tile = [middle(runs, "decode") / count for runs in (int8, f32)]
        size = sum(entries["int8"].bytes for entries in self.manifest.graphs.values())
        return [
            (
                f"peak memory, int8, {self.short:g} / {self.longest:g} s",
                f"{middle(int8, 'peak') / 1e6:.0f} / {middle(longest, 'peak') / 1e6:.0f} MB",
                "≤ 600 / 800 MB",
            ),
            (
                f"peak memory, f32, {self.short:g} s",
                f"{middle(f32, 'peak') / 1e6:.0f} MB",
                "≤ 2 100 MB",
            ),
            (
                "first audio after sampling, int8 / f32",
                f"{first[0]:.2f} / {first[1]:.2f} s (a tile: {tile[0]:.2f} / {tile[1]:.2f} s)",
                "≤ 0.3 s, or one tile",
            ),
            ("graphs on disk, int8", f"{size / 1e6:.0f} MB", "≤ 850 MB"),
        ]


def step_flops(folder: Path, latents: int) -> float:
    """Floating-point operations of our step's matrix products for a number of latents: what does
    not change from step to step is not in it.
    """
    config = json.loads((folder / "checkpoint" / "model_config.json").read_text())
    dit = config["model"]["diffusion"]["config"]
    width, tokens = dit["embed_dim"], dit["num_memory_tokens"] + latents
    keys = len(IDS) + 2  # the padding and the seconds are one each
    # q, k, v and out; q and out of cross-attention; a gated feed-forward of 4 widths
    layers = 2 * tokens * width**2 * (4 + 2 + 12)
    attention = 4 * tokens * width * (tokens + keys)
    ends = 4 * latents * width * dit["io_channels"]
    return dit["depth"] * (layers + attention) + ends


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("{"):
        side_by_side.serve(TASKS, sys.argv[1])
    else:
        main()
