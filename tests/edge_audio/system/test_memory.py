"""Free memory on machines that are not at hand: their /proc and /sys/fs/cgroup as files."""

import sys

import pytest

from edge_audio.system import device, memory
from edge_audio.system.memory import Memory

HOST = {
    "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    2048 kB\nSwapFree:  512 kB\n",
    "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
}
FREE, SWAP = 2048 * 1024, 512 * 1024


def group(folder, limit, used, stat="", **more):
    """The files of a control group of version 2; more: memory.swap.max as swap_max."""
    files = {"max": limit, "current": used, "stat": stat}
    files |= {name.replace("_", "."): value for name, value in more.items()}
    return {f"{folder}/memory.{name}": f"{value}\n" for name, value in files.items()}


def group_v1(folder, limit, used, both=None, stat=""):
    files = {"limit_in_bytes": limit, "usage_in_bytes": used, "stat": stat}
    if both:
        files |= {"memsw.limit_in_bytes": both[0], "memsw.usage_in_bytes": both[1]}
    return {f"{folder}/memory.{name}": f"{value}\n" for name, value in files.items()}


TOP, TOP_V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
STAT = "anon 100000\nfile 300000\ninactive_file 200000\nactive_file 80000\nslab_reclaimable 20000"
STAT_V1 = "inactive_file 1\ntotal_inactive_file 200000\ntotal_active_file 80000"
DOCKER = HOST | {"proc/self/cgroup": "0::/\n"}
DOCKER_V1 = HOST | {"proc/self/cgroup": "12:cpu,cpuacct:/docker/ab\n9:memory:/docker/ab\n0::/x\n"}
UNIT = HOST | {"proc/self/cgroup": "0::/system.slice/sound.service/worker\n"}
SLICE = f"{TOP}/system.slice"

MACHINES = {
    "host": (HOST, 9000 * 1024, FREE, SWAP),
    "nothing": ({}, 0, 0, 0),
    "garbage": ({"proc/meminfo": "garbage: \0", "proc/self/cgroup": "::\n0:\n"}, 0, 0, 0),
    "no limit": (DOCKER | group(TOP, "max", 5), 9000 * 1024, FREE, SWAP),
    "docker": (DOCKER | group(TOP, 10**6, 400000), 10**6, 600000, SWAP),
    "docker, page cache": (DOCKER | group(TOP, 10**6, 400000, STAT), 10**6, 900000, SWAP),
    "docker, no swap": (
        DOCKER | group(TOP, 10**6, 400000, swap_max=0, swap_current=0),
        10**6,
        600000,
        0,
    ),
    "docker, some swap": (
        DOCKER | group(TOP, 10**6, 400000, swap_max=300000, swap_current=100000),
        10**6,
        600000,
        200000,
    ),
    "docker, swap max": (
        DOCKER | group(TOP, 10**6, 400000, swap_max="max", swap_current=0),
        10**6,
        600000,
        SWAP,
    ),
    "docker, used up": (DOCKER | group(TOP, 10**6, 1000001), 10**6, 1, SWAP),
    "docker, more than the machine": (
        DOCKER | group(TOP, 10**9, 400000),
        9000 * 1024,
        FREE,
        SWAP,
    ),
    "docker without /proc/self/cgroup": (
        DOCKER | group(TOP, 10**6, 400000) | {"proc/self/cgroup": ""},
        10**6,
        600000,
        SWAP,
    ),
    "docker, version 1": (DOCKER_V1 | group_v1(TOP_V1, 10**6, 400000), 10**6, 600000, SWAP),
    "docker, version 1, page cache": (
        DOCKER_V1 | group_v1(TOP_V1, 10**6, 400000, stat=STAT_V1),
        10**6,
        880000,
        SWAP,
    ),
    "docker, version 1, memory and swap": (
        DOCKER_V1 | group_v1(TOP_V1, 10**6, 400000, (1200000, 450000), STAT_V1),
        10**6,
        880000,
        150000,
    ),
    "docker, version 1, no swap": (
        DOCKER_V1 | group_v1(TOP_V1, 10**6, 400000, (10**6, 400000)),
        10**6,
        600000,
        0,
    ),
    "version 1, no limit": (
        DOCKER_V1 | group_v1(TOP_V1, 9223372036854771712, 5, (9223372036854771712, 5)),
        9000 * 1024,
        FREE,
        SWAP,
    ),
    "version 1, a limit on the host": (
        DOCKER_V1 | group_v1(f"{TOP_V1}/docker/ab", 10**6, 400000) | group_v1(TOP_V1, 1 << 62, 5),
        10**6,
        600000,
        SWAP,
    ),
    "unit": (UNIT | group(f"{SLICE}/sound.service", 10**6, 400000), 10**6, 600000, SWAP),
    "unit in a smaller slice": (
        UNIT
        | group(f"{SLICE}/sound.service/worker", "max", 1000)
        | group(f"{SLICE}/sound.service", 10**6, 400000)
        | group(SLICE, 1500000, 1400000, "inactive_file 50000", swap_max=1000, swap_current=0),
        10**6,
        150000,
        1000,
    ),
    "outside the namespace": (
        DOCKER | group(TOP, 10**6, 400000) | {"proc/self/cgroup": "0::/../../other\n"},
        10**6,
        600000,
        SWAP,
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_free_and_total(tmp_path, name):
    files, total, available, swap = MACHINES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert memory.free(tmp_path) == Memory(available, swap)
    assert memory.total(tmp_path) == total


def test_this_computer_says_what_is_free():
    if sys.platform == "linux":
        assert 0 < device.memory().available <= memory.total()
