"""A comparison as something to read: a page that needs nothing but a browser, JSON, and a table for
the terminal.
"""

from __future__ import annotations

import base64
import io
import json
import statistics
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_audio.audio.clip import Clip
from edge_audio.evaluate import metrics
from edge_audio.evaluate.compare import Candidate, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE, NUMBERS = "report.html", "report.json"
#: prompts whose clips are put into the page; the numbers are those of all
PLAYERS = 8
COLOURS = ("#7f8a93", "#2f7fc1", "#d1495b", "#2a9d60", "#b5802a", "#8256a8")
#: stands for the text colour while matplotlib draws; the page's own takes its place
INK = "#010203"
COLUMNS = 240


def write(report: Report, out: Path, command: str) -> None:
    """Write PAGE and NUMBERS into the new folder `out`.

    command: what the page says it was made with.
    """
    page = html(report, command)
    out.mkdir(parents=True)
    (out / NUMBERS).write_text(json.dumps(report.as_json(), indent=1) + "\n")
    (out / PAGE).write_text(page, encoding="utf-8")


def html(report: Report, command: str) -> str:
    """The page: one file, nothing fetched from anywhere."""
    import jinja2

    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    shown = sorted({round(i) for i in np.linspace(0, len(report.prompts) - 1, PLAYERS)})
    each = len(report.seeds)  # clips a prompt; the first seed's is shown
    names = list(report.candidates)
    return environment.from_string(template).render(
        report=report,
        names=names,
        colours=dict(zip(names, COLOURS * 2)),
        command=command,
        table=rows(report),
        charts=_charts(report),
        shown=[
            (
                report.prompts[i],
                i,
                [
                    (
                        name,
                        report.candidates[name].sounds[i * each],
                        picture(report.clips[name][i * each]),
                        _waveform(report.clips[name][i * each]),
                        _flac(report.clips[name][i * each]),
                    )
                    for name in names
                ],
            )
            for i in shown
        ],
    )


def rows(report: Report) -> list[tuple[str, str, list[str]]]:
    """(what, explanation, a cell a precision): the summary table of page and terminal."""
    candidates = report.candidates
    base = candidates[report.reference]

    def line(
        what: str, why: str, cell: Callable[[Candidate], str | None]
    ) -> tuple[str, str, list[str]]:
        return what, why, [cell(candidate) or "–" for candidate in candidates.values()]

    def least_and_mean(values: list[float]) -> str | None:
        return f"{min(values):.1f} / {statistics.fmean(values):.1f}" if values else None

    def mean(candidate: Candidate, name: str, form: str) -> str | None:
        values = [
            getattr(sound, name) for sound in candidate.sounds if getattr(sound, name) is not None
        ]
        return form.format(statistics.fmean(values)) if values else None

    found = [
        line(
            "size",
            "of the graphs",
            lambda c: f"{c.bytes / 1e6:.2f} MB, {100 * c.bytes / base.bytes:.0f} %",
        ),
        line(
            "v on the reference's trajectory",
            "dB, worst step / mean",
            lambda c: least_and_mean([x for row in c.v_snr for x in row]),
        ),
        line(
            "v with guidance",
            "dB, worst step / mean",
            lambda c: least_and_mean([x for row in c.guided_snr for x in row]),
        ),
        line(
            "v, direction",
            "cosine, worst step",
            lambda c: f"{min(map(min, c.v_cosine)):.4f}" if c.v_cosine else None,
        ),
        line(
            "conditioners",
            "dB of cross_attn_cond, worst / mean",
            lambda c: least_and_mean(c.cross_attn_cond_snr),
        ),
        line("global condition", "dB, worst / mean", lambda c: least_and_mean(c.global_cond_snr)),
        line(
            "decoder, same latents",
            "dB of audio, worst / mean",
            lambda c: least_and_mean(c.decoder_snr),
        ),
        line(
            "latents at the end",
            "dB, each on its own trajectory, mean",
            lambda c: mean(c, "latents_snr", "{:.1f}"),
        ),
        line(
            "the same sound",
            "clips near the reference's",
            lambda c: (
                f"{sum(s.kind == 'same' for s in c.sounds)} of {len(c.sounds)}"
                if c.sounds[0].kind
                else None
            ),
        ),
        line(
            "multi-resolution STFT distance",
            f"mean; two seeds: {report.seeds_differ['spectral_distance']:.2f}",
            lambda c: mean(c, "spectral_distance", "{:.2f}"),
        ),
        line(
            "log-mel distance",
            f"dB, mean; two seeds: {report.seeds_differ['log_mel_distance']:.1f}",
            lambda c: mean(c, "log_mel_distance", "{:.1f}"),
        ),
        line(
            "Fréchet distance of log-mel",
            f"dB², all clips; two seeds: {report.seeds_differ['frechet']:.0f}",
            lambda c: None if c.frechet is None else f"{c.frechet:.1f}",
        ),
        line(
            "sounds as asked",
            "measured, clips that pass",
            lambda c: None if c.adherence is None else f"{100 * c.adherence:.1f} %",
        ),
        line("loudness", "LUFS (BS.1770), mean", lambda c: mean(c, "loudness", "{:.1f}")),
        line("peak", "dBFS, highest", lambda c: f"{max(s.peak_dbfs for s in c.sounds):.1f}"),
        line(
            "clipped samples",
            "share, worst clip",
            lambda c: f"{100 * max(s.clipped for s in c.sounds):.2f} %",
        ),
        line("stereo correlation", "mean", lambda c: mean(c, "stereo_correlation", "{:.2f}")),
        line("DC", "worst clip", lambda c: f"{max(s.dc for s in c.sounds):.4f}"),
    ]
    if report.measured:
        measured = report.measured["precisions"]
        for name, why, key, form in (
            ("load, first time / again", "s", "", ""),
            ("one step", "ms, guidance included", "step", "{:.1f}"),
            ("decoding", "s", "decode", "{:.2f}"),
            ("whole clip", "s, loading included", "total", "{:.2f}"),
            ("peak memory", "MB", "peak_memory", "{:.0f}"),
        ):
            scale = {"step": 1e3, "peak_memory": 1e-6}.get(key, 1)
            cells = [
                (
                    f"{m['load_cold']:.2f} / {m['load_warm']:.2f}"
                    if not key
                    else form.format(m[key] * scale)
                )
                for m in measured.values()
            ]
            found.append((name, why, cells))
    return [row for row in found if set(row[2]) != {"–"}]


def terminal(report: Report) -> str:
    """Table, findings and verdicts as plain text."""
    names = list(report.candidates)
    table = [("", "", names), *rows(report)]
    widths = [max(len(row[2][i]) for row in table) for i in range(len(names))]
    left = max(len(f"{what} ({why})") if why else len(what) for what, why, _ in table)
    lines = [
        f"{(f'{what} ({why})' if why else what):{left}}  "
        + "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths))
        for what, why, cells in table
    ]
    for name, candidate in report.candidates.items():
        if candidate.verdict:
            lines += [
                "",
                f"{name}: {candidate.verdict}",
                *(f"  {finding.level:4}  {finding.text}" for finding in candidate.findings),
            ]
    return "\n".join(lines)


def _charts(report: Report) -> list[tuple[str, str, str]]:
    """(title, what it shows, SVG)"""
    judged = {name: candidate for name, candidate in report.candidates.items() if candidate.v_snr}
    colours = dict(zip(report.candidates, COLOURS * 2))

    def steps(axes: Axes) -> None:
        for name, candidate in judged.items():
            values = np.array(candidate.v_snr)
            calls = np.arange(1, values.shape[1] + 1)
            axes.fill_between(
                calls, values.min(0), values.max(0), color=colours[name], alpha=0.2, linewidth=0
            )
            axes.plot(calls, np.median(values, axis=0), color=colours[name], label=name)
        axes.set(xlabel="call of the transformer, noise to sound", ylabel="SNR of v (dB)")

    def channels(axes: Axes) -> None:
        for name, candidate in judged.items():
            axes.plot(
                10 * np.log10(np.maximum(candidate.channel_errors, 1e-20)),
                color=colours[name],
                label=name,
            )
        axes.set(xlabel="latent channel", ylabel="error power (dB of mean signal)")

    def layers(axes: Axes) -> None:
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

    charts = [
        (
            "Error over steps",
            "Both are given the reference's x and t. Median and range over clips.",
            steps,
        ),
        ("Error over latent channels", "Where the error of v lies.", channels),
    ]
    if any(candidate.layers for candidate in judged.values()):
        charts.append(
            (
                "Error over layers",
                (
                    "Every layer's output against the reference's, first clip; the error gathers"
                    " along the way."
                ),
                layers,
            )
        )
    return [(title, text, _svg(draw, title)) for title, text, draw in charts]


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


def _waveform(clip: Clip) -> str:
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


def _flac(clip: Clip) -> str:
    """The clip as 16-bit FLAC, base64; scaled down like `Clip.save` does if it would clip."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(
        stream, clip.samples * clip.gain, clip.sample_rate, format="FLAC", subtype="PCM_16"
    )
    return base64.b64encode(stream.getvalue()).decode()
