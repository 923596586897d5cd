"""Pictures of the documents that no other benchmark draws.

    python benchmarks/pictures.py strip      # docs/images/gallery.png: sounds of the bundled model
    python benchmarks/pictures.py compare    # docs/images/compare-1400.png: build/compare's report
    python benchmarks/pictures.py listen     # docs/images/diagnose-listen.png: build/listen's sheet
    python benchmarks/pictures.py serve      # docs/images/serve-*.png: the page of edge-audio serve

They need matplotlib (and its pillow), playwright and chromium; each takes less than a minute.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SEED = 1
#: two rows of the strip; they should look as unlike as they sound
PROMPTS = (
    "a bell at C5", "a rising C major arpeggio", "drum beat at 120 bpm", "a fast high siren",
    "repeated laser shots", "a slow heartbeat", "ocean waves", "fast dripping water",
)  # fmt: skip


def strip() -> None:
    """Log-mel spectrograms on one scale of time, on a ground that suits light and dark pages."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from edge_audio import Pipeline
    from edge_audio.evaluate.metrics import log_mel

    ground, columns = matplotlib.colormaps["magma"](0.0), len(PROMPTS) // 2
    figure, axes = pyplot.subplots(2, columns, figsize=(10, 3.1), layout="constrained")
    figure.set_facecolor(ground)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
    with Pipeline.load(memory="all") as pipe:
        for axis, prompt in zip(np.ravel(axes), PROMPTS):
            clip = pipe.generate(prompt, seconds=4, seed=SEED)
            levels = log_mel(clip.samples, clip.sample_rate).T
            top = levels.max()
            axis.imshow(
                levels, origin="lower", aspect="auto", cmap="magma", vmin=top - 55, vmax=top
            )
            axis.set_title(prompt, loc="left", fontsize=9, color="white")
            axis.set_axis_off()
    figure.savefig(IMAGES / "gallery.png", dpi=100, metadata={"Software": None})
    _small(IMAGES / "gallery.png")


def _small(path: Path) -> None:
    """The picture in 192 colours, rare ones among them: a fraction of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        palette = picture.convert("RGB").quantize(
            192, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    palette.save(path, optimize=True)


def compare() -> None:
    """The top of the report, as wide as a laptop's screen."""
    report = ROOT / "build" / "compare" / "report.html"
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1400, "height": 1500})
        page.goto(report.as_uri())
        page.screenshot(path=IMAGES / "compare-1400.png")
        _small(IMAGES / "compare-1400.png")


def listen() -> None:
    """The sheet of build/listen, as wide as a page."""
    from PIL import Image

    with Image.open(ROOT / "build" / "listen" / "spectrograms.png") as sheet:
        width = 800
        height = round(width * sheet.height / sheet.width)
        sheet.convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(
            IMAGES / "diagnose-listen.png"
        )
    _small(IMAGES / "diagnose-listen.png")


HISTORY = (
    "a church bell", "a police siren", "thunder", "a music box playing G major", "footsteps on wood"
)  # fmt: skip
#: width of the window -> its height and theme
WINDOWS = {1600: (1180, "dark"), 800: (900, "light"), 360: (740, "light")}


def serve() -> None:
    """A part of the second of eight takes is chosen; the history holds what was made before."""
    with serving() as address, browser() as chromium:
        for number, prompt in enumerate((*HISTORY, "a slow siren")):
            takes = 8 if prompt == "a slow siren" else 1
            order(address, prompt=prompt, seed=number + 1, variations=takes)
        for width, (height, theme) in WINDOWS.items():
            size = {"width": width, "height": height}
            page = chromium.new_context(viewport=size, color_scheme=theme).new_page()
            page.goto(address)
            page.locator("body.ready").wait_for()
            page.locator(".row .entry").first.click()
            page.locator(".take:enabled").nth(7).wait_for()
            page.locator("#play[aria-label=Play]").wait_for(timeout=60_000)  # it has played
            page.locator("#scope").scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            box = page.locator("#scope").bounding_box()
            across = [box["x"] + share * box["width"] for share in (0.3, 0.55)]
            page.mouse.move(across[0], box["y"] + 40)
            page.mouse.down()
            page.mouse.move(across[1], box["y"] + 40, steps=8)
            page.mouse.up()
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(500)  # buttons fade
            page.screenshot(path=IMAGES / f"serve-{width}.png")
            _small(IMAGES / f"serve-{width}.png")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of an edge-audio serve with an empty history."""
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--quiet"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, "--data", folder], stdout=subprocess.PIPE, text=True
        ) as running,
    ):
        assert running.stdout
        try:
            yield re.search(r"http://[\d.]+:\d+/", running.stdout.readline())[0]
        finally:
            running.terminate()
            running.wait()


def order(address: str, **job: Any) -> None:
    """Have sounds made, and wait for them."""
    data, kind = json.dumps(job).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}v1/jobs", data, kind)) as answer:
        identity = json.load(answer)["id"]
    with urllib.request.urlopen(f"{address}v1/jobs/{identity}/events") as events:
        events.read()  # until its last event


def main() -> int:
    pictures = {"strip": strip, "compare": compare, "listen": listen, "serve": serve}
    for name in sys.argv[1:]:
        pictures[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
