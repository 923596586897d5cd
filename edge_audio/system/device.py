"""What this computer can do, and which precision and how many threads that suggests."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_audio.errors import EdgeAudioWarning, UsageError
from edge_audio.system import cpu
from edge_audio.system.memory import Memory
from edge_audio.system.memory import free as free_memory
from edge_audio.system.memory import total as total_memory

#: machine -> the oldest glibc that ai-edge-litert's wheel loads with
GLIBC = {"aarch64": (2, 34), "x86_64": (2, 27)}
#: More threads gain little: the graphs are small, and on big.LITTLE chips the slow cores hold up
#: the fast ones.
MAX_THREADS = 4

_INT8_FEATURES = ("i8mm", "dotprod", "vnni")


@dataclass(frozen=True)
class Device:
    """A computer. `cores` are physical and of the fast kind; `features` holds names of cpu.FLAGS;
    `memory` is in bytes, within the container's limit if there is one, 0 where the system does not
    tell.
    """

    architecture: str
    model: str
    cores: int
    memory: int
    features: tuple[str, ...]


def describe() -> Device:
    """This computer; what a system does not tell is left empty."""
    system = platform.system()
    if system == "Linux":
        text = _read("/proc/cpuinfo")
        return Device(
            platform.machine(),
            cpu.model(text),
            cpu.big_cores(text, os.sched_getaffinity(0), _read),
            total_memory(),
            cpu.features(text),
        )
    logical = os.cpu_count() or 1
    if system == "Darwin":
        text = _output("sysctl", "hw", "machdep.cpu.brand_string")
        values = cpu.sysctl_values(text)
        return Device(
            platform.machine(),
            values.get("machdep.cpu.brand_string", ""),
            int(values.get("hw.physicalcpu", logical)),
            int(values.get("hw.memsize", 0)),
            cpu.sysctl_features(values),
        )
    return Device(platform.machine(), platform.processor(), logical, 0, ())


def memory() -> Memory:
    """What programs can have of this computer's memory now."""
    return free_memory()


def dot_product(device: Device) -> str | None:
    """The CPU's feature that multiplies 8-bit numbers and adds them up at once, None without."""
    return next((name for name in _INT8_FEATURES if name in device.features), None)


def runs_compiled_model(device: Device) -> bool:
    """Whether LiteRT's CompiledModel is safe: on ARM, ai-edge-litert 2.3 dies of SIGILL without LSE
    atomics (a Raspberry Pi 4); on Windows, a mapped file cannot be moved into place.
    """
    return os.name == "posix" and (
        device.architecture in ("x86_64", "AMD64") or "lse" in device.features
    )


def recommended_half(device: Device) -> bool:
    """Whether a decoder in floating point should compute in float16: twice as many numbers an
    instruction, and above int8 in fidelity (docs/arm.md). Needs the CPU's fp16 arithmetic, and
    CompiledModel, which alone has the switch.
    """
    return "fp16" in device.features and runs_compiled_model(device)


def unsupported() -> str | None:
    """Why LiteRT has no wheel for this system, and what to do; None if it should have one."""
    return why_unsupported(
        platform.system(), platform.machine(), struct.calcsize("P") * 8, platform.libc_ver()
    )


def why_unsupported(system: str, machine: str, bits: int, libc: tuple[str, str]) -> str | None:
    """The same of any system. libc: (name, version), as `platform.libc_ver` has it."""
    if bits < 64:
        return (
            "this Python is a 32-bit program, and LiteRT is 64-bit only: install a 64-bit system,"
            " such as Raspberry Pi OS (64-bit) Bookworm"
        )
    if system == "Linux" and libc[0] != "glibc":
        return (
            "LiteRT's wheels need glibc, which this system (Alpine?) does not have: use Debian,"
            " Raspberry Pi OS or Ubuntu"
        )
    if system == "Darwin" and machine != "arm64":
        return "LiteRT has no wheel for Macs with an Intel CPU: use one with Apple silicon"
    if system == "Windows" and machine.upper() not in ("AMD64", "X86_64"):
        return f"LiteRT has no wheel for Windows on {machine}: install Python for x64 instead"
    needed = GLIBC.get(machine)
    if system == "Linux" and needed and _version(libc[1]) < needed:
        return (
            f"LiteRT needs glibc {'.'.join(map(str, needed))} and this system has {libc[1]}: use"
            " Raspberry Pi OS Bookworm, Debian 12, Ubuntu 22.04 or newer"
        )
    if system == "Linux" and needed is None:
        return f"LiteRT has no wheel for {machine}: use an aarch64 or x86_64 computer"
    return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def recommended_threads(device: Device) -> int:
    """One a physical core of the fast kind, at most MAX_THREADS."""
    return max(1, min(MAX_THREADS, device.cores))


def cpus() -> int:
    """How many CPUs this process may use, hardware threads of one core counted each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int) -> None:
    """UsageError unless `threads` is a whole number from 1."""
    whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
    if not whole or threads < 1:
        raise UsageError(f"threads {threads} cannot run anything; use a whole number from 1")


def usable_threads(threads: int) -> int:
    """The asked number of threads, at most one a CPU, with a warning where that is less; UsageError
    unless it is a whole number from 1.
    """
    check_threads(threads)
    most = cpus()
    if threads <= most:
        return int(threads)
    warnings.warn(
        f"{threads} threads are more than the {most} CPUs here, which only makes it slower;"
        f" using {most}",
        EdgeAudioWarning,
        stacklevel=2,
    )
    return most


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
