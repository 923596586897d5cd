"""What a system's texts say about the CPU: its name, features and cores.

The parsers take text, so that they can be tested with the /proc/cpuinfo of machines that are not at
hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: A core is of the fast kind if it has this share of the fastest one's capacity, or of its clock.
BIG = 0.7
#: flag in /proc/cpuinfo (ARM `Features`, x86 `flags`) -> our name of what it gives
FLAGS = {
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


def features(cpuinfo: str) -> tuple[str, ...]:
    """Features that every core has, from the text of /proc/cpuinfo."""
    cores = [
        set(line.split()) for line in re.findall(r"^(?:Features|flags)\s*:(.*)$", cpuinfo, re.M)
    ]
    shared = set.intersection(*cores) if cores else set()
    return tuple(dict.fromkeys(name for flag, name in FLAGS.items() if flag in shared))


def model(cpuinfo: str) -> str:
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


def sysctl_values(text: str) -> dict[str, str]:
    """Key -> value of macOS's `sysctl` output."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def sysctl_features(values: dict[str, str]) -> tuple[str, ...]:
    """Features of the CPU, from macOS's `sysctl` values."""
    return tuple(name for key, name in _SYSCTL.items() if values.get(key) == "1")
