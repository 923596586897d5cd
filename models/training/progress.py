"""What both training scripts share: a log that can be plotted, and states that survive a kill."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import torch
from torch import nn

from edge_audio.errors import EdgeAudioError

EVERY = 25


class Log:
    """Averages figures over `EVERY` steps, prints them, and appends them to a CSV file."""

    def __init__(self, path: Path, first_step: int):
        self.path, self.sums, self.count = path, {}, 0
        if first_step == 0:
            path.unlink(missing_ok=True)

    def add(self, step: int, steps: int, **figures: float) -> None:
        """Record the figures of one step; `seconds` is taken as it is, the others are averaged."""
        seconds = figures.pop("seconds")
        self.count += 1
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if self.count < EVERY and step + 1 < steps:
            return
        row = {"step": step + 1, "seconds": round(seconds, 1)}
        row |= {name: round(total / self.count, 5) for name, total in self.sums.items()}
        is_new = not self.path.exists()
        with open(self.path, "a", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, row)
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(
            f"{self.path.stem} {step + 1}/{steps} "
            + " ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step"),
            flush=True,
        )
        self.sums, self.count = {}, 0


def save_state(path: Path, step: int, **parts) -> None:
    """Write step and state dicts so that a kill leaves either the old file or the new one."""
    temporary = path.with_suffix(".tmp")
    torch.save(
        {"step": step, **{name: part.state_dict() for name, part in parts.items()}}, temporary
    )
    os.replace(temporary, path)


def load_state(path: Path, device: str, **parts) -> int:
    """Load what `save_state` wrote into the parts; returns the step to go on from, 0 if there is no
    file. EdgeAudioError if it is of other parts.
    """
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError):
        raise EdgeAudioError(
            f"{path} is of a training with other parts; use another folder, or remove it to begin"
            " that part anew"
        ) from None
    return state["step"]


@torch.no_grad()
def move_average(average: nn.Module, now: nn.Module, step: int, decay: float) -> None:
    """Move an average of weights towards what they are now; in the first steps faster, so that it
    forgets the start.
    """
    decay = min(decay, (step + 1) / (step + 10))
    for slow, fresh in zip(average.parameters(), now.parameters()):
        slow.lerp_(fresh, 1 - decay)


class Best:
    """Keeps the state with the lowest validation loss, and every such loss in a CSV file."""

    def __init__(self, path: Path, table: Path, state: Path):
        """`state`: what training goes on from; without it, what an earlier training left is
        dropped.
        """
        self.path, self.table = path, table
        if not state.exists():
            path.unlink(missing_ok=True)
            table.unlink(missing_ok=True)
        losses = (
            [float(row["loss"]) for row in csv.DictReader(table.open(encoding="utf-8"))]
            if table.exists()
            else []
        )
        self.lowest = min(losses, default=float("inf"))

    def offer(self, step: int, loss: float, **parts) -> None:
        """Record the loss after `step` steps; save the parts if it is the lowest so far."""
        if loss < self.lowest or not self.path.exists():
            self.lowest = loss
            save_state(self.path, step, **parts)
        is_new = not self.table.exists()
        with self.table.open("a") as stream:
            stream.write(("step,loss\n" if is_new else "") + f"{step},{loss:.5f}\n")
        print(f"{self.table.stem} {step}: loss {loss:.4f}, lowest {self.lowest:.4f}", flush=True)
        draw(self.table.parent)


def draw(folder: Path) -> None:
    """Draw the CSV files of `folder` into curves.png: a plot for each part, its losses, and the
    share of clips that came out as asked.
    """
    from matplotlib.figure import Figure

    logs = sorted(
        path
        for path in folder.glob("*.csv")
        if not path.stem.endswith(("-validation", "-adherence"))
    )
    if not logs:
        return
    figure = Figure(figsize=(5 * len(logs), 3.6), layout="constrained")
    for axes, log in zip(figure.subplots(1, len(logs), squeeze=False)[0], logs):
        for path, label in (
            (log, "training"),
            (log.with_name(f"{log.stem}-validation.csv"), "validation"),
        ):
            if path.exists():
                rows = list(csv.DictReader(path.open()))
                axes.plot(
                    [int(row["step"]) for row in rows],
                    [float(row["loss"]) for row in rows],
                    label=label,
                )
        axes.set(title=log.stem, xlabel="step", ylabel="loss")
        if (path := log.with_name(f"{log.stem}-adherence.csv")).exists():
            rows = list(csv.DictReader(path.open()))
            right = axes.twinx()
            right.plot(
                [int(row["step"]) for row in rows],
                [float(row["all"]) for row in rows],
                "C2",
                label="as asked",
            )
            right.set(ylim=(0, 1))
            right.legend(loc="lower left")
        axes.legend(loc="upper right")
    figure.savefig(folder / "curves.png", dpi=90)
