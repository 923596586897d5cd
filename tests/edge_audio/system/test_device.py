import os

import pytest

from edge_audio.bundle.precision import recommended
from edge_audio.system import cpu, device
from edge_audio.system.device import Device

PI4 = (
    "".join(
        f"""processor\t: {n}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd08

"""
        for n in range(4)
    )
    + "Revision\t: c03114\nSerial\t\t: 10000000abcdef\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
)

PI5 = (
    PI4.replace(
        "evtstrm crc32 cpuid",
        "evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    )
    .replace("0xd08", "0xd0b")
    .replace("Pi 4 Model B Rev 1.4", "Pi 5 Model B Rev 1.0")
)

PHONE = PI5.replace("asimddp\n", "asimddp i8mm bf16\n", 2)

X86 = "".join(
    f"""processor\t: {n}
vendor_id\t: GenuineIntel
model name\t: Some CPU @ 2.00GHz
physical id\t: 0
siblings\t: 4
core id\t\t: {n // 2}
cpu cores\t: 2
flags\t\t: fpu sse4_2 avx avx2 fma avx512f avx512_vnni
bugs\t\t: spectre_v1

"""
    for n in range(4)
)

SYSCTL = """hw.physicalcpu: 8
hw.memsize: 17179869184
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 0
machdep.cpu.brand_string: Apple M1
"""


@pytest.mark.parametrize(
    "text, features",
    [
        (PI4, ()),
        (PI5, ("dotprod", "fp16", "lse")),
        (X86, ("avx2", "avx512", "vnni")),
        ("", ()),
        (PHONE, ("dotprod", "fp16", "lse")),  # two cores of four have i8mm: it cannot be counted on
    ],
)
def test_features(text, features):
    assert cpu.features(text) == features


@pytest.mark.parametrize(
    "text, model",
    [
        (PI4, "Raspberry Pi 4 Model B Rev 1.4"),
        (X86, "Some CPU @ 2.00GHz"),
        ("", ""),
    ],
)
def test_model(text, model):
    assert cpu.model(text) == model


@pytest.mark.parametrize(
    "text, allowed, cores",
    [
        (PI5, {0, 1, 2, 3}, 4),
        (PI5, {2}, 1),
        (X86, {0, 1, 2, 3}, 2),
        (X86, {0, 1}, 1),
        (X86, {1, 2}, 2),
        ("", {0, 1, 2}, 3),
    ],
)
def test_physical_cores(text, allowed, cores):
    assert cpu.physical_cores(text, allowed) == cores


@pytest.mark.parametrize(
    "text, first, reason",
    [
        (PI4, "f32", "no 8-bit dot product"),
        (PI5, "int8", "dotprod"),
        (X86, "int8", "vnni"),
        (X86.replace("avx512_vnni", ""), "f32", "no 8-bit dot product"),
    ],
)
def test_precision(text, first, reason):
    advice = recommended(Device("", "", 4, 0, cpu.features(text)))
    assert advice.precisions[0] == first and reason in advice.reason


@pytest.mark.parametrize("cores, threads", [(0, 1), (1, 1), (2, 2), (4, 4), (16, 4)])
def test_threads(cores, threads):
    assert device.recommended_threads(Device("", "", cores, 0, ())) == threads


def test_this_computer():
    here = device.describe()
    assert here.architecture and here.cores >= 1
    if hasattr(os, "sched_getaffinity"):
        assert here.cores <= len(os.sched_getaffinity(0)) and here.memory > 2**28


def test_macos(monkeypatch):
    monkeypatch.setattr(device.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(device, "_output", lambda *command: SYSCTL)
    here = device.describe()
    assert (here.model, here.cores, here.memory, here.features) == (
        "Apple M1",
        8,
        16 * 2**30,
        ("dotprod",),
    )


@pytest.mark.parametrize("system", ["Darwin", "Windows", "Linux"])
def test_a_system_that_tells_nothing(monkeypatch, system):
    monkeypatch.setattr(device.platform, "system", lambda: system)
    monkeypatch.setattr(device, "_output", lambda *command: "")
    monkeypatch.setattr(device, "_read", lambda path: "")
    here = device.describe()
    assert here.cores >= 1 and here.features == () and recommended(here).precisions[0] == "f32"


def test_compiled_model_only_where_it_is_safe():
    pi4, pi5, laptop = (
        device.Device(architecture, "", 4, 0, features)
        for architecture, features in (
            ("aarch64", ()),
            ("aarch64", ("lse", "dotprod")),
            ("x86_64", ()),
        )
    )
    assert [device.runs_compiled_model(here) for here in (pi4, pi5, laptop)] == [False, True, True]


def reading(**files):
    """A `read` of a machine that has these files only: the last parts of their paths, with / for
    __.
    """

    def read(path):
        return next(
            (text for name, text in files.items() if path.endswith("/" + name.replace("__", "/"))),
            "",
        )

    return read


@pytest.mark.parametrize(
    "sizes, cores",
    [
        ({}, 8),
        (dict.fromkeys(range(8), 1024), 8),
        (
            {0: 1024, **dict.fromkeys((1, 2, 3), 900), **dict.fromkeys((4, 5, 6, 7), 400)},
            4,
        ),  # a phone: one, three, four
        ({n: 485 if n < 4 else 1024 for n in range(8)}, 4),  # RK3588
    ],
)
def test_threads_are_for_big_cores(sizes, cores):
    for name in ("cpu_capacity", "cpufreq__cpuinfo_max_freq"):
        files = {f"cpu{core}__{name}": f"{size}\n" for core, size in sizes.items()}
        eight = "".join(f"processor\t: {core}\nFeatures\t: fp asimd\n\n" for core in range(8))
        assert cpu.big_cores(eight, set(range(8)), reading(**files)) == cores


PI3 = PI4.replace("0xd08", "0xd03").replace("Pi 4 Model B Rev 1.4", "Pi 3 Model B Plus Rev 1.3")
SME2 = PI5.replace("asimddp\n", "asimddp i8mm bf16 sve sve2 sme sme2\n")


@pytest.mark.parametrize(
    "text, machine, precision, decoder, half",
    [
        (PI3, "aarch64", "f32", "f32", False),
        (PI4, "aarch64", "f32", "f32", False),
        (PI5, "aarch64", "int8", "mixed", True),
        (SME2, "aarch64", "int8", "mixed", True),
        (X86, "x86_64", "int8", "mixed", False),
        ("\0\xff: garbage", "aarch64", "f32", "f32", False),
        ("", "riscv64", "f32", "f32", False),
    ],
)
def test_what_suits_each_machine(text, machine, precision, decoder, half):
    here = Device(machine, cpu.model(text), 4, 0, cpu.features(text))
    advice = recommended(here)
    assert (
        advice.preferred("dit")[0],
        advice.preferred("decoder")[0],
        device.recommended_half(here),
    ) == (precision, decoder, half)


@pytest.mark.parametrize(
    "system, said",
    [
        (("Linux", "aarch64", 64, ("glibc", "2.36")), None),
        (("Linux", "x86_64", 64, ("glibc", "2.31")), None),
        (("Darwin", "arm64", 64, ("", "")), None),
        (("Linux", "armv7l", 32, ("glibc", "2.36")), "64-bit only"),
        (("Linux", "aarch64", 32, ("glibc", "2.36")), "32-bit program"),
        (("Linux", "aarch64", 64, ("glibc", "2.31")), "needs glibc 2.34"),
        (("Linux", "aarch64", 64, ("", "")), "Alpine"),
        (("Linux", "riscv64", 64, ("glibc", "2.39")), "no wheel for riscv64"),
    ],
)
def test_systems_without_litert(system, said):
    reason = device.why_unsupported(*system)
    assert reason is None if said is None else said in reason
