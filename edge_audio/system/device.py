"""What this computer can do, and which precision and how many threads that suggests.

The parsers take text, so that they can be tested with the /proc/cpuinfo of machines that are not at
hand.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: machine -> the oldest glibc that ai-edge-litert's wheel loads with
GLIBC = {"aarch64": (2, 34), "x86_64": (2, 27)}
#: A core is of the fast kind if it has this share of the fastest one's capacity, or of its clock.
BIG = 0.7
#: More threads gain little: the graphs are small, and on big.LITTLE chips the slow cores hold up
#: the fast ones.
MAX_THREADS = 4

#: flag in /proc/cpuinfo (ARM `Features`, x86 `flags`) -> our name of what it gives
_FLAGS = {
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "asimdhp": "fp16",
    "atomics": "lse",
    "sve": "sve",
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx_vnni": "vnni",
    "avx512_vnni": "vnni",
}
_SYSCTL = {
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_FP16": "fp16",
    "hw.optional.arm.FEAT_LSE": "lse",
    "hw.optional.avx2_0": "avx2",
}
#: what version 1 of control groups says for no limit is some bytes below 2⁶³
UNLIMITED = 1 << 60
_INT8_FEATURES = ("i8mm", "dotprod", "vnni")


@dataclass(frozen=True)
class Device:
    """A computer. `cores` are physical and of the fast kind; `features` holds names of _FLAGS;
    `memory` is in bytes, within the container's limit if there is one, 0 where the system does not
    tell.
    """

    architecture: str
    model: str
    cores: int
    memory: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """Bytes that programs can have: without swapping, and with. 0 where the system does not say."""

    available: int
    swap: int


@dataclass(frozen=True)
class Advice:
    """Precisions, best first, and why; the decoder has an order of its own."""

    precisions: tuple[str, ...]
    decoder: tuple[str, ...]
    reason: str

    def preferred(self, component: str) -> tuple[str, ...]:
        """The order for a component."""
        return self.decoder if component == "decoder" else self.precisions


def describe() -> Device:
    """This computer; what a system does not tell is left empty."""
    system = platform.system()
    if system == "Linux":
        text = _read("/proc/cpuinfo")
        return Device(
            platform.machine(),
            cpu_model(text),
            big_cores(text, os.sched_getaffinity(0), _read),
            smallest(total_memory(_read("/proc/meminfo")), container_memory(_read)[0]),
            cpu_features(text),
        )
    logical = os.cpu_count() or 1
    if system == "Darwin":
        text = _output("sysctl", "hw", "machdep.cpu.brand_string")
        values = sysctl_values(text)
        return Device(
            platform.machine(),
            values.get("machdep.cpu.brand_string", ""),
            int(values.get("hw.physicalcpu", logical)),
            int(values.get("hw.memsize", 0)),
            tuple(name for key, name in _SYSCTL.items() if values.get(key) == "1"),
        )
    return Device(platform.machine(), platform.processor(), logical, 0, ())


def recommended_precision(device: Device) -> Advice:
    """int8 pays only with 8-bit dot products: on a Cortex-A76 it takes a third of f32's
    instructions, on a Cortex-A72 nine tenths. f16 weights halve the file and are widened when it is
    loaded: the speed of f32, at best.
    """
    found = next((name for name in _INT8_FEATURES if name in device.features), None)
    if found:
        # XNNPACK's int8 convolution has one scale for the activations of a whole clip, its matrix
        # product one for every row: what is quiet drowns in the decoder's noise, and its time
        # hardly counts (docs/quantization.md).
        return Advice(
            ("int8", "mixed", "f32", "f16", "int4"),
            ("mixed", "int8", "f32", "f16", "int4"),
            f"the CPU has {found}, which makes int8 fastest; a mixed decoder keeps quiet sounds"
            " clean",
        )
    plain = ("f32", "f16", "int8", "mixed", "int4")
    return Advice(
        plain,
        plain,
        "no 8-bit dot product (dotprod, i8mm, vnni) found, so int8 would be smaller but hardly"
        " faster",
    )


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


def cpu_features(cpuinfo: str) -> tuple[str, ...]:
    """Features that every core has, from the text of /proc/cpuinfo."""
    cores = [
        set(line.split()) for line in re.findall(r"^(?:Features|flags)\s*:(.*)$", cpuinfo, re.M)
    ]
    shared = set.intersection(*cores) if cores else set()
    return tuple(dict.fromkeys(name for flag, name in _FLAGS.items() if flag in shared))


def cpu_model(cpuinfo: str) -> str:
    """What the CPU or the board calls itself in /proc/cpuinfo, "" if it does not."""
    for key in ("model name", "Model", "Hardware"):
        if found := re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.M):
            return found.group(1).strip()
    return ""


def physical_cores(cpuinfo: str, allowed: set[int]) -> int:
    """Cores among the processors that this process may use; hardware threads of one core count
    once.
    """
    cores = set()
    for block in re.split(r"\n\s*\n", cpuinfo):
        values = dict(re.findall(r"^([^:\n]+?)\s*:[ \t]*(.*)$", block, re.M))
        if values.get("processor", "").isdigit() and int(values["processor"]) in allowed:
            cores.add((values.get("physical id"), values.get("core id", values["processor"])))
    return len(cores) or len(allowed)


def big_cores(cpuinfo: str, allowed: set[int], read: Callable[[str], str]) -> int:
    """Physical cores of the fast kind among the processors that this process may use. read: path ->
    text, "" for none.

    Linux gives a capacity to every core of a big.LITTLE chip, and a clock to most. A slow core
    would hold up the fast ones at every layer; the scheduler puts busy threads on the fast ones by
    itself.
    """
    sizes = {}
    for core in allowed:
        folder = f"/sys/devices/system/cpu/cpu{core}"
        text = (
            read(f"{folder}/cpu_capacity").strip()
            or read(f"{folder}/cpufreq/cpuinfo_max_freq").strip()
        )
        sizes[core] = int(text) if text.isdigit() else 0
    fastest = max(sizes.values(), default=0)
    return physical_cores(cpuinfo, {core for core, size in sizes.items() if size >= BIG * fastest})


def container_memory(read: Callable[[str], str]) -> tuple[int, int]:
    """(limit, bytes used) of the control group, version 2 or 1, that a container runs in; zeros
    where there is none.
    """
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        values = [read(f"{folder}/{name}").strip() for name in (limit, used)]
        if values[0].isdigit() and int(values[0]) < UNLIMITED:
            return int(values[0]), int(values[1]) if values[1].isdigit() else 0
    return 0, 0


def smallest(*sizes: int) -> int:
    """The smallest one that is known."""
    return min((size for size in sizes if size), default=0)


def total_memory(meminfo: str) -> int:
    """Bytes, from the text of /proc/meminfo; 0 if it does not say."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.M)
    return int(found.group(1)) * 1024 if found else 0


def memory(read: Callable[[str], str] | None = None) -> Memory:
    """What is free: of the machine, and within the container's limit if there is one."""
    read = read or _read
    text = read("/proc/meminfo")
    free, swap = (
        int(found[1]) * 1024 if (found := re.search(rf"^{key}:\s+(\d+) kB", text, re.M)) else 0
        for key in ("MemAvailable", "SwapFree")
    )
    limit, used = container_memory(read)
    return Memory(smallest(free, max(limit - used, 1) if limit else 0), 0 if limit else swap)


def sysctl_values(text: str) -> dict[str, str]:
    """Key -> value of macOS's `sysctl` output."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
