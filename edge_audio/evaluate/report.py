"""A comparison as a page that needs nothing but a browser, and as JSON."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np

from edge_audio.evaluate.comparison import Comparison
from edge_audio.evaluate.pictures import COLOURS, charts, flac, picture, waveform
from edge_audio.evaluate.summary import rows

PAGE, NUMBERS = "report.html", "report.json"
#: prompts whose clips are put into the page; the numbers are those of all
PLAYERS = 8


def write(comparison: Comparison, out: Path, command: str) -> None:
    """Write PAGE and NUMBERS into the new folder `out`.

    command: what the page says it was made with.
    """
    page = html(comparison, command)
    out.mkdir(parents=True)
    (out / NUMBERS).write_text(json.dumps(comparison.as_json(), indent=1) + "\n")
    (out / PAGE).write_text(page, encoding="utf-8")


def html(comparison: Comparison, command: str) -> str:
    """The page: one file, nothing fetched from anywhere."""
    import jinja2

    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    shown = sorted({round(i) for i in np.linspace(0, len(comparison.prompts) - 1, PLAYERS)})
    each = len(comparison.seeds)  # clips a prompt; the first seed's is shown
    names = list(comparison.candidates)
    return environment.from_string(template).render(
        comparison=comparison,
        names=names,
        colours=dict(zip(names, COLOURS * 2)),
        command=command,
        table=rows(comparison),
        charts=charts(comparison),
        shown=[
            (
                comparison.prompts[i],
                i,
                [
                    (
                        name,
                        comparison.candidates[name].sounds[i * each],
                        picture(comparison.clips[name][i * each]),
                        waveform(comparison.clips[name][i * each]),
                        flac(comparison.clips[name][i * each]),
                    )
                    for name in names
                ],
            )
            for i in shown
        ],
    )
