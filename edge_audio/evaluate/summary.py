"""A comparison as a table, and in words for a terminal."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from edge_audio.evaluate.comparison import Candidate, Comparison

Line = tuple[str, str, list[str]]
Cell = Callable[[Candidate], "str | None"]


def rows(comparison: Comparison) -> list[Line]:
    """(what, explanation, a cell a precision): the summary table of page and terminal. A line that
    has nothing to say for any precision is left out.
    """
    lines = [
        *_stages(comparison),
        *_likeness(comparison),
        *_levels(comparison),
        *_cost(comparison.measured),
    ]
    return [line for line in lines if set(line[2]) != {"–"}]


def _line(comparison: Comparison, what: str, why: str, cell: Cell) -> Line:
    return what, why, [cell(candidate) or "–" for candidate in comparison.candidates.values()]


def _stages(comparison: Comparison) -> Iterator[Line]:
    """What each stage does on the reference's inputs."""
    line = functools.partial(_line, comparison)
    base = comparison.candidates[comparison.reference]
    yield line(
        "size",
        "of the graphs",
        lambda c: f"{c.bytes / 1e6:.2f} MB, {100 * c.bytes / base.bytes:.0f} %",
    )
    yield line(
        "v on the reference's trajectory",
        "dB, worst step / mean",
        lambda c: _least_and_mean([x for row in c.v_snr for x in row]),
    )
    yield line(
        "v with guidance",
        "dB, worst step / mean",
        lambda c: _least_and_mean([x for row in c.guided_snr for x in row]),
    )
    yield line(
        "v, direction",
        "cosine, worst step",
        lambda c: f"{min(map(min, c.v_cosine)):.4f}" if c.v_cosine else None,
    )
    yield line(
        "conditioners",
        "dB of cross_attn_cond, worst / mean",
        lambda c: _least_and_mean(c.cross_attn_cond_snr),
    )
    yield line("global condition", "dB, worst / mean", lambda c: _least_and_mean(c.global_cond_snr))
    yield line(
        "decoder, same latents",
        "dB of audio, worst / mean",
        lambda c: _least_and_mean(c.decoder_snr),
    )
    yield line(
        "latents at the end",
        "dB, each on its own trajectory, mean",
        lambda c: _mean(c, "latents_snr", "{:.1f}"),
    )


def _likeness(comparison: Comparison) -> Iterator[Line]:
    """How near the clips are to the reference's, and to what was asked for."""
    line, differ = functools.partial(_line, comparison), comparison.seeds_differ
    yield line(
        "the same sound",
        "clips near the reference's",
        lambda c: (
            f"{sum(s.kind == 'same' for s in c.sounds)} of {len(c.sounds)}"
            if c.sounds[0].kind
            else None
        ),
    )
    yield line(
        "multi-resolution STFT distance",
        f"mean; two seeds: {differ['spectral_distance']:.2f}",
        lambda c: _mean(c, "spectral_distance", "{:.2f}"),
    )
    yield line(
        "log-mel distance",
        f"dB, mean; two seeds: {differ['log_mel_distance']:.1f}",
        lambda c: _mean(c, "log_mel_distance", "{:.1f}"),
    )
    yield line(
        "Fréchet distance of log-mel",
        f"dB², all clips; two seeds: {differ['frechet']:.0f}",
        lambda c: None if c.frechet is None else f"{c.frechet:.1f}",
    )
    yield line(
        "sounds as asked",
        "measured, clips that pass",
        lambda c: None if c.adherence is None else f"{100 * c.adherence:.1f} %",
    )


def _levels(comparison: Comparison) -> Iterator[Line]:
    line = functools.partial(_line, comparison)
    yield line("loudness", "LUFS (BS.1770), mean", lambda c: _mean(c, "loudness", "{:.1f}"))
    yield line("peak", "dBFS, highest", lambda c: f"{max(s.peak_dbfs for s in c.sounds):.1f}")
    yield line(
        "clipped samples",
        "share, worst clip",
        lambda c: f"{100 * max(s.clipped for s in c.sounds):.2f} %",
    )
    yield line("stereo correlation", "mean", lambda c: _mean(c, "stereo_correlation", "{:.2f}"))
    yield line("DC", "worst clip", lambda c: f"{max(s.dc for s in c.sounds):.4f}")


def _cost(measured: dict[str, Any]) -> Iterator[Line]:
    """Time and memory, where they were measured."""
    costs = measured.get("precisions", {}).values()
    if not costs:
        return
    yield (
        "load, first time / again",
        "s",
        [f"{cost['load_cold']:.2f} / {cost['load_warm']:.2f}" for cost in costs],
    )
    for what, why, key, scale, form in (
        ("one step", "ms, guidance included", "step", 1e3, "{:.1f}"),
        ("decoding", "s", "decode", 1, "{:.2f}"),
        ("whole clip", "s, loading included", "total", 1, "{:.2f}"),
        ("peak memory", "MB", "peak_memory", 1e-6, "{:.0f}"),
    ):
        yield what, why, [form.format(cost[key] * scale) for cost in costs]


def _least_and_mean(values: list[float]) -> str | None:
    return f"{min(values):.1f} / {statistics.fmean(values):.1f}" if values else None


def _mean(candidate: Candidate, name: str, form: str) -> str | None:
    values = [getattr(sound, name) for sound in candidate.sounds]
    known = [value for value in values if value is not None]
    return form.format(statistics.fmean(known)) if known else None


def terminal(comparison: Comparison) -> str:
    """Table, findings and verdicts as plain text."""
    names = list(comparison.candidates)
    table = [("", "", names), *rows(comparison)]
    widths = [max(len(row[2][i]) for row in table) for i in range(len(names))]
    left = max(len(f"{what} ({why})") if why else len(what) for what, why, _ in table)
    lines = [
        f"{(f'{what} ({why})' if why else what):{left}}  "
        + "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths))
        for what, why, cells in table
    ]
    for name, candidate in comparison.candidates.items():
        if candidate.verdict:
            lines += [
                "",
                f"{name}: {candidate.verdict}",
                *(f"  {finding.level:4}  {finding.text}" for finding in candidate.findings),
            ]
    return "\n".join(lines)
