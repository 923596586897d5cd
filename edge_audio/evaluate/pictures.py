"""What the page of a comparison shows and plays: charts as SVG, spectrograms, waveforms, sounds."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.evaluate import metrics
from edge_audio.evaluate.comparison import Candidate, Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#7f8a93", "#2f7fc1", "#d1495b", "#2a9d60", "#b5802a", "#8256a8")
#: stands for the text colour while matplotlib draws; the page's own takes its place
INK = "#010203"
#: of a waveform
COLUMNS = 240


Candidates = dict[str, Candidate]
#: of each precision
Colours = dict[str, str]


def charts(comparison: Comparison) -> list[tuple[str, str, str]]:
    """(title, what it shows, SVG)"""
    judged = {name: one for name, one in comparison.candidates.items() if one.v_snr}
    colours = dict(zip(comparison.candidates, COLOURS * 2))
    drawn = [
        (
            "Error over steps",
            "Both are given the reference's x and t. Median and range over clips.",
            _draw_steps,
        ),
        ("Error over latent channels", "Where the error of v lies.", _draw_channels),
    ]
    if any(candidate.layers for candidate in judged.values()):
        drawn.append(
            (
                "Error over layers",
                (
                    "Every layer's output against the reference's, first clip; the error gathers"
                    " along the way."
                ),
                _draw_layers,
            )
        )
    return [
        (title, text, _svg(functools.partial(draw, judged=judged, colours=colours), title))
        for title, text, draw in drawn
    ]


def _draw_steps(axes: Axes, judged: Candidates, colours: Colours) -> None:
    for name, candidate in judged.items():
        values = np.array(candidate.v_snr)
        calls = np.arange(1, values.shape[1] + 1)
        axes.fill_between(
            calls, values.min(0), values.max(0), color=colours[name], alpha=0.2, linewidth=0
        )
        axes.plot(calls, np.median(values, axis=0), color=colours[name], label=name)
    axes.set(xlabel="call of the transformer, noise to sound", ylabel="SNR of v (dB)")


def _draw_channels(axes: Axes, judged: Candidates, colours: Colours) -> None:
    for name, candidate in judged.items():
        axes.plot(
            10 * np.log10(np.maximum(candidate.channel_errors, 1e-20)),
            color=colours[name],
            label=name,
        )
    axes.set(xlabel="latent channel", ylabel="error power (dB of mean signal)")


def _draw_layers(axes: Axes, judged: Candidates, colours: Colours) -> None:
    for name, candidate in judged.items():
        axes.plot(
            [layer.snr for layer in candidate.layers],
            ".",
            markersize=4,
            color=colours[name],
            label=name,
        )
    most = max((candidate.layers for candidate in judged.values()), key=len)
    starts = [
        i for i, layer in enumerate(most) if i == 0 or layer.component != most[i - 1].component
    ]
    for start in starts:
        axes.axvline(start - 0.5, color=INK, alpha=0.3, linewidth=0.6)
        axes.annotate(
            most[start].component,
            (start, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -9),
            textcoords="offset points",
            fontsize=7,
            color=INK,
        )
    axes.set(xlabel="layer, in the order of execution", ylabel="SNR of its output (dB)")


def _svg(draw: Callable[[Axes], None], salt: str) -> str:
    """A small chart as SVG that takes the page's text colour and is the same each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "font.size": 8,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.facecolor": "none",
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.4,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(4.2, 2.7), facecolor="none", layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.legend(fontsize=8)
        stream = io.StringIO()
        canvas: Any = FigureCanvasSVG(figure)  # its methods have no types
        canvas.print_svg(stream, metadata={"Date": None})
    text = stream.getvalue()
    return (
        text[text.index("<svg") :]
        .replace(INK, "currentColor")
        .replace("'DejaVu Sans'", "system-ui")
        .replace("DejaVu Sans", "system-ui")
    )


def picture(clip: Clip) -> str:
    """The log-mel spectrogram as a PNG, base64."""
    import matplotlib.image

    mel = metrics.log_mel(clip.samples, clip.sample_rate).T[::-1]
    metadata: dict[str, Any] = {"Software": None}
    stream = io.BytesIO()
    matplotlib.image.imsave(
        stream,
        mel,
        cmap="magma",
        vmin=mel.max() - 70,
        vmax=mel.max(),
        format="png",
        metadata=metadata,
    )
    return base64.b64encode(stream.getvalue()).decode()


def waveform(clip: Clip) -> str:
    """Highest and lowest samples of COLUMNS columns, as the points of an SVG polygon of
    height 40.
    """
    mono = clip.samples.mean(axis=1)
    columns = np.array_split(mono, min(COLUMNS, len(mono)))
    upper = [f"{i},{20 - 19 * min(1.0, float(part.max())):.1f}" for i, part in enumerate(columns)]
    lower = [
        f"{i},{20 - 19 * max(-1.0, float(part.min())) + 0.3:.1f}" for i, part in enumerate(columns)
    ]
    return " ".join(upper + lower[::-1])


def flac(clip: Clip) -> str:
    """The clip as 16-bit FLAC, base64; scaled down like `Clip.save` does if it would clip."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(
        stream, clip.samples * clip.gain, clip.sample_rate, format="FLAC", subtype="PCM_16"
    )
    return base64.b64encode(stream.getvalue()).decode()
