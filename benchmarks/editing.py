"""What edits of the bundled model are worth: seams, loops, what is new, and what they cost.

    python benchmarks/editing.py            # of sounds; draws docs/images/edit-*.png, too
    python benchmarks/editing.py --times    # of time, as ratios

Prints the tables of docs/editing.md. The first takes some minutes on two cores.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_audio import Clip, Pipeline, __version__
from edge_audio.evaluate.metrics import log_mel, snr
from edge_audio.evaluate.prompts import Prompt, of_bundle
from edge_audio.listening import check
from edge_audio.listening.measures import seam_jumps
from edge_audio.session import Session
from edge_audio.windows import windows_of

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
#: sounds that have a middle, which is what can be cut, continued or repeated
FAMILIES = (
    "tone organ flute synth chord pad siren alarm beeps beat house metronome footsteps engine clock"
    " rain waves wind fire stream"
).split()
SEEDS = (1, 2, 3)
REGION, LONGER = (1.5, 2.5), 8.0
RATE = 16_000


def main() -> int:
    with Pipeline.load(memory="all") as pipe:
        if sys.argv[1:] == ["--times"]:
            rows, made = list(cost(pipe)), "editing.py --times"
        else:
            rows, made = [*seams(pipe), *adherence(pipe), *exactness(pipe)], "editing.py"
            draw(pipe)
    print("| | measured | goal |\n| --- | --- | --- |")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    print(
        f"\npocket in {pipe.precision['dit']}, edge-audio {__version__}; made by"
        f" `benchmarks/{made}`."
    )
    return 0


Row = tuple[str, str, str]


def seams(pipe: Pipeline) -> Iterator[Row]:
    """How often the spectrum changes at a seam no more than elsewhere in the sound."""
    longest = pipe.bundle.manifest.max_seconds
    for seconds in (longest, 3.0, 2.0):
        jumps = []
        for prompt, seed in cases(pipe):
            loop = pipe.generate(prompt.text, seconds=seconds, seed=seed, loop=True)
            jumps += seam_jumps(mono(loop), [0], is_circle=True)
        yield f"loops of {seconds:g} s: no jump at the seam", share(jumps), "≥ 90 %"
    replaced, extended, continued = [], [], []
    for prompt, seed in cases(pipe):
        clip = pipe.generate(prompt.text, seconds=4.0, seed=seed)
        new = pipe.generate(prompt.text, init=clip, replace=[REGION], seed=seed + 100)
        assert np.array_equal(outside(new), outside(clip)), "what is kept is the original"
        replaced += seam_jumps(mono(new), [int(second * RATE) for second in REGION])
        # its own beginning and end are left out: a sound that ends in silence goes on in silence
        middle = dataclasses.replace(clip, samples=clip.samples[RATE // 2 : -RATE // 2])
        longer = pipe.settings(prompt.text, init=middle, extend=LONGER, seed=seed + 200)
        first, *others = (window.begin for window in windows_of(longer, pipe.bundle.manifest))
        sound = mono(pipe.generate(longer))
        extended += seam_jumps(sound, [first])
        continued += seam_jumps(sound, others)
    region = f"{REGION[0]:g}–{REGION[1]:g} s replaced: no jump at either seam"
    yield region, share(replaced), "≥ 90 %"
    yield f"{LONGER:g} s longer: no jump where the original ends", share(extended), "—"
    yield f"{LONGER:g} s longer: no jump from window to window", share(continued), "—"


def adherence(pipe: Pipeline) -> Iterator[Row]:
    """Whether what is new sounds as asked, by the checks of every family."""
    new, whole, edited, alone = [], [], [], []
    for prompt in of_bundle(pipe.bundle):
        for seed in SEEDS[:2]:
            clip = pipe.generate(prompt.text, seconds=4.0, seed=seed + 50)
            edit = pipe.generate(prompt.text, init=clip, replace=[(1.0, 3.0)], seed=seed)
            new.append(sounds(prompt, edit.samples[RATE : 3 * RATE]))
            whole.append(sounds(prompt, clip.samples[RATE : 3 * RATE]))
            edited.append(sounds(prompt, edit.samples))
            alone.append(sounds(prompt, clip.samples))
    what = "sound as asked, of 1–3 s"
    yield f"{what} replaced / of the clip itself", f"{percent(new)} / {percent(whole)}", "≤ 10 less"
    what = "sound as asked, of whole clips, edited"
    yield f"{what} / not", f"{percent(edited)} / {percent(alone)}", "≤ 10 less"


def exactness(pipe: Pipeline) -> Iterator[Row]:
    """What little strength leaves of a sound, and what the bars of a loop come to."""
    found = []
    for prompt, _ in list(cases(pipe))[::6]:
        clip = pipe.generate(prompt.text, seconds=4.0, seed=1)
        settings = pipe.settings(prompt.text, init=clip, strength=1e-3, seed=2)
        latents = Session(pipe.model, settings).init_latents()
        trip = np.concatenate(list(pipe.decode(settings, latents)))
        near = np.concatenate(list(pipe.decode(settings, pipe.generate(settings).latents)))
        found.append(snr(near, trip))
    yield "strength 0.001, against the codec's round trip", f"{min(found):.0f} dB", "≥ 40 dB"
    worst = 0.0
    for bpm in (90, 100, 120, 140):
        frames = len(pipe.generate(f"drum groove, {bpm} bpm", loop=True, bars=1, bpm=bpm).samples)
        worst = max(worst, abs(frames / RATE / (240 / bpm) - 1))
    yield "a bar at 90 to 140 bpm, ten times: tempo off by", f"{100 * worst:.3f} %", "≤ 1 %"


def cost(pipe: Pipeline) -> Iterator[Row]:
    """Seconds of an edit against those of a clip as long, in turn."""
    clip = pipe.generate("steady rain", seconds=4.0, seed=1)
    tasks: dict[str, Callable[[], Clip]] = {
        "clip": lambda: pipe.generate("steady rain", seconds=4.0, seed=2),
        "strength 0.6": lambda: pipe.generate("steady rain", init=clip, strength=0.6, seed=2),
        "replace": lambda: pipe.generate("steady rain", init=clip, replace=[REGION], seed=2),
        "loop": lambda: pipe.generate("steady rain", loop=True, seed=2),
    }
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(11):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            taken[name].append(time.perf_counter() - start)
    base = statistics.median(taken.pop("clip")[1:])
    for name, seconds in taken.items():
        ratio = statistics.median(seconds[1:]) / base
        yield f"{name}: time of a clip as long", f"{ratio:.2f}×", "1× and an encode"


def draw(pipe: Pipeline) -> None:
    """The spectrograms of the page, before and after."""
    siren = pipe.generate("a slow two-tone alarm", seconds=4.0, seed=1)
    rain = pipe.generate("steady rain", seconds=4.0, seed=3)
    knock = pipe.generate("a triple knock on wood", seconds=1.0, seed=1).samples
    knocked = rain.samples.copy()
    knocked[int(REGION[0] * RATE) :][: len(knock)] += knock
    disturbed = dataclasses.replace(rain, samples=knocked)
    wind = pipe.generate("a cold wind blowing", seconds=3.0, seed=1)
    circle = pipe.generate("a cold wind blowing", seconds=3.0, loop=True, seed=1)
    steps = pipe.generate("steps on a floor, rapid", seconds=4.0, seed=2)
    sheet("strength", {
        "the original": siren,
        **{f"--strength {s:g}, an organ": pipe.generate(
            "an organ note at D4", init=siren, strength=s, seed=5) for s in (0.4, 0.7)},
    })  # fmt: skip
    sheet("replace", {
        "rain, and somebody knocks": disturbed,
        "1.5–2.5 s replaced": pipe.generate(
            "steady rain", init=disturbed, replace=[REGION], seed=4),
    })  # fmt: skip
    sheet("extend", {
        "the original": steps,
        "8 s longer": pipe.generate("steps on a floor, rapid", init=steps, extend=8, seed=6),
    })  # fmt: skip
    sheet("loop", {
        "wind of 3 s, three times": repeated(wind),
        "the same as a loop": repeated(circle),
    })  # fmt: skip


def sheet(name: str, clips: dict[str, Clip]) -> None:
    """docs/images/edit-NAME.png: log-mel spectrograms on one scale of time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    longest = max(clip.seconds for clip in clips.values())
    figure, axes = pyplot.subplots(
        len(clips), 1, figsize=(8, 1.5 * len(clips)), sharex=True, layout="constrained"
    )
    for axis, (title, clip) in zip(np.atleast_1d(axes), clips.items()):
        levels = log_mel(clip.samples, clip.sample_rate).T
        top = levels.max()
        axis.imshow(
            levels, origin="lower", aspect="auto", cmap="magma", vmin=top - 70, vmax=top,
            extent=(0, clip.seconds, 0, 1),
        )  # fmt: skip
        axis.set_title(title, loc="left", fontsize=9)
        axis.set(yticks=[], xlim=(0, longest))
    np.atleast_1d(axes)[-1].set_xlabel("seconds", fontsize=9)
    figure.savefig(IMAGES / f"edit-{name}.png", dpi=72, metadata={"Software": None})
    pyplot.close(figure)


def cases(pipe: Pipeline) -> Iterator[tuple[Prompt, int]]:
    by_family = {prompt.family: prompt for prompt in of_bundle(pipe.bundle)}
    for family in FAMILIES:
        for seed in SEEDS:
            yield by_family[family], seed


def mono(clip: Clip) -> np.ndarray:
    assert clip.sample_rate == RATE, "measures hear 16 kHz"
    return clip.samples.mean(axis=1).astype(np.float64)


def outside(clip: Clip) -> np.ndarray:
    begin, end = (int(second * RATE) for second in REGION)
    return np.concatenate([clip.samples[:begin], clip.samples[end:]])


def repeated(clip: Clip) -> Clip:
    return dataclasses.replace(clip, samples=np.tile(clip.samples, (3, 1)))


def sounds(prompt: Prompt, samples: np.ndarray) -> bool:
    return check(samples, RATE, prompt.family, prompt.attributes).passed


def share(jumps: Sequence[float]) -> str:
    return f"{percent([jump <= 1 for jump in jumps])} of {len(jumps)}"


def percent(passed: Sequence[bool]) -> str:
    return f"{100 * statistics.mean(passed):.0f} %"


if __name__ == "__main__":
    sys.exit(main())
