"""What `bench` measured, and as a table for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: packages whose versions stand below a table
PACKAGES = ("edge-audio", "ai-edge-litert", "numpy")
#: settings that every line of a CSV repeats
SHARED = ("sampler", "steps", "cfg_scale", "fit_length")
FORMATS = ("markdown", "csv", "json")


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of some seconds."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        values = list(values)
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


@dataclass(frozen=True)
class Cost:
    """What a clip costs with one precision and number of threads, in seconds and bytes."""

    precision: str
    threads: int
    #: of audio
    seconds: float
    condition: Spread
    #: one evaluation of the transformer, guidance included
    step: Spread
    sample: Spread
    decode: Spread
    #: from the end of sampling to the first block of audio, loading the decoder included
    first_block: Spread
    #: a whole clip, loading included
    total: Spread
    load_cold: float
    load_warm: Spread
    #: 0 where the system does not say
    peak_cold: int
    peak: int
    #: matrix operations of a step a second, over those of numpy's own product; None where the
    #: bundle does not tell them
    gemm_share: float | None

    @property
    def times_real_time(self) -> float:
        return self.seconds / self.total.mean


@dataclass(frozen=True)
class Benchmark:
    """A row of costs for every precision and number of threads, and where they were measured."""

    model: str
    bundle_sha256: str
    request: dict[str, Any]
    repeats: int
    machine: dict[str, Any]
    rows: list[Cost] = field(default_factory=list)


def formatted(benchmark: Benchmark, style: str) -> str:
    """A benchmark as text in one of FORMATS."""
    return {"markdown": _markdown, "csv": _csv, "json": _json}[style](benchmark)


def _json(benchmark: Benchmark) -> str:
    return json.dumps(dataclasses.asdict(benchmark), indent=2) + "\n"


def _csv(benchmark: Benchmark) -> str:
    """A line a row; the machine, the model and the settings are repeated in each, so that files can
    be joined.
    """
    out = io.StringIO()
    shared = {
        "model": benchmark.model,
        "repeats": benchmark.repeats,
        **benchmark.machine,
        **{name: benchmark.request[name] for name in SHARED},
    }
    shared["features"] = " ".join(shared["features"])
    lines = []
    for row in benchmark.rows:
        line = {"times_real_time": row.times_real_time}
        for name, value in dataclasses.asdict(row).items():
            line |= (
                {f"{name}_{part}": number for part, number in value.items()}
                if isinstance(value, dict)
                else {name: value}
            )
        lines.append(line | shared)
    writer = csv.DictWriter(out, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _markdown(benchmark: Benchmark) -> str:
    machine, request = benchmark.machine, benchmark.request
    head = (
        "precision",
        "threads",
        "condition",
        "step",
        "sample",
        "decode",
        "first block",
        "whole clip",
        "× real time",
        "load cold",
        "load warm",
        "peak memory",
        "of GEMM peak",
    )
    lines = [
        (
            f"{benchmark.model}, {request['seconds']:g} s of audio, {request['sampler']},"
            f" {request['steps']} steps, cfg"
            f" {request['cfg_scale']:g}{', fitted length' if request['fit_length'] else ''};"
            f" seconds, mean ± deviation of {benchmark.repeats} clips after one to warm up"
        ),
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for row in benchmark.rows:
        share = "–" if row.gemm_share is None else f"{100 * row.gemm_share:.0f} %"
        cells = (
            row.precision,
            row.threads,
            row.condition,
            row.step,
            row.sample,
            row.decode,
            row.first_block,
            row.total,
            f"{row.times_real_time:.1f}",
            f"{row.load_cold:.3f}",
            row.load_warm,
            f"{row.peak / 1e6:.0f} MB ({row.peak_cold / 1e6:.0f} cold)" if row.peak else "–",
            share,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", _machine_line(machine)]
    return "\n".join(lines) + "\n"


def _machine_line(machine: dict[str, Any]) -> str:
    memory = f", {machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else ""
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    return (
        f"{machine['cpu']}, {machine['cores']} cores"
        f" ({' '.join(machine['features']) or 'no known features'}){memory};"
        f" {machine['system']}; Python {machine['python']}, {versions}; {machine['date']}"
    )
