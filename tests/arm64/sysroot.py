"""An arm64 user-space to run the published aarch64 wheels in, on any Linux machine with qemu-user.

    python tests/arm64/sysroot.py build/arm64                                   # once; kept until
    the wheel or this file changes python tests/arm64/sysroot.py build/arm64 cortex-a76 -m
    edge_audio.cli info # a command on an emulated Raspberry Pi 5

Nothing is installed and no root file system image is needed: Debian's Python and its libraries are
unpacked, and pip unpacks the project's own wheel beside them, with the aarch64 wheels that it
depends on. qemu translates the instructions of one CPU model, and refuses those that it does not
have; system calls go to this machine's kernel. Because XNNPACK reads what the CPU can do from /proc
and /sys, there is a root for every CPU model, in which those files tell of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
PYTHON = "3.11"
PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "libexpat1",
    "libbz2-1.0",
    "liblzma5",
    "libffi8",
    "libssl3",
    "libuuid1",
    "libsqlite3-0",
)
#: what glibc 2.36, bookworm's, can load
PLATFORMS = (
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux2014_aarch64",
    "manylinux_2_17_aarch64",
)
CORES = 4
READY = ".ready"


@dataclass(frozen=True)
class Cpu:
    """A CPU model: qemu's name of it, and what Linux says of it."""

    qemu: str
    part: str
    variant: str
    revision: int
    khz: int
    l2: str
    features: str
    board: str


_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_DOTPROD = "atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
CPUS = {
    "cortex-a72": Cpu(
        "cortex-a72",
        "0xd08",
        "0x0",
        3,
        1_800_000,
        "1024K",
        "fp asimd evtstrm crc32 cpuid",
        "Raspberry Pi 4 Model B Rev 1.5",
    ),
    "cortex-a76": Cpu(
        "cortex-a76",
        "0xd0b",
        "0x4",
        1,
        2_400_000,
        "512K",
        f"{_ARMV8} {_DOTPROD}",
        "Raspberry Pi 5 Model B Rev 1.0",
    ),
    # everything that qemu knows, but for SME, with which it computes wrong results (7.2)
    "i8mm": Cpu(
        "max,sme=off",
        "0xd49",
        "0x0",
        0,
        2_800_000,
        "512K",
        f"{_ARMV8} {_DOTPROD} jscvt fcma asimdfhm i8mm bf16 sve sve2",
        "",
    ),
}


def make(folder: Path, wheel: Path) -> Path:
    """Make the user-space in `folder`, with `wheel` and all that it needs; what is there and still
    right is kept.
    """
    stamp = hashlib.sha256(Path(__file__).read_bytes() + wheel.read_bytes()).hexdigest()
    if (folder / READY).exists() and (folder / READY).read_text() == stamp:
        return folder
    _need("qemu-aarch64", "qemu-user")
    (folder / READY).unlink(missing_ok=True)
    if not (folder / "root" / "usr" / "bin" / f"python{PYTHON}").exists():
        _unpack_debian(folder / "root")
    shutil.rmtree(folder / "site", ignore_errors=True)
    _pip(folder / "site", wheel)
    for name, cpu in CPUS.items():
        _tell(folder / f"root-{name}", folder / "root", cpu)
    (folder / READY).write_text(stamp)
    return folder


def build_wheel(out: Path) -> Path:
    """The project's wheel."""
    shutil.rmtree(out, ignore_errors=True)
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--wheel-dir",
        out,
        ROOT,
    )
    return next(out.glob("edge_audio-*.whl"))


def run(
    folder: Path,
    cpu: str,
    *arguments: str | Path,
    count: Path | None = None,
    environment: dict[str, str] | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess:
    """Python on an emulated CPU: (returncode, stdout, stderr) as text.

    count: where the instruction counter writes (`benchmarks/arm_instructions.py`).
    """
    root = folder / f"root-{cpu}"
    settings = {
        "PYTHONPATH": folder / "site",
        "PYTHONHOME": root / "usr",
        "PYTHONDONTWRITEBYTECODE": 1,
        "OPENBLAS_NUM_THREADS": 1,
        "LD_LIBRARY_PATH": f"{root}/usr/lib/aarch64-linux-gnu:{root}/lib/aarch64-linux-gnu",
        **(environment or {}),
    }
    command = ["qemu-aarch64", "-L", root, "-cpu", CPUS[cpu].qemu, "-U", "LD_PRELOAD"]
    if count is not None:
        command += ["-plugin", folder / "libcount.so", "-d", "plugin", "-D", count]
    for name, value in settings.items():
        command += ["-E", f"{name}={value}"]
    return subprocess.run(
        [*map(str, command), str(root / "usr" / "bin" / f"python{PYTHON}"), *map(str, arguments)],
        text=True,
        capture_output=True,
        timeout=timeout,
    )


def _need(command: str, package: str) -> None:
    """Install a Debian package for a command that is missing, if this user may; else say how."""
    if shutil.which(command) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "-q", "update")
        _run("apt-get", "-q", "-y", "--no-install-recommends", "install", package)
    if shutil.which(command) is None:
        raise SystemExit(f"error: {command} is not installed; run sudo apt-get install {package}")


def _unpack_debian(root: Path) -> None:
    """Download the packages with apt, whose keys vouch for them, from the mirror that this machine
    uses; unpack, do not install.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in ("lists/partial", "cache/archives/partial"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(
            f"deb [arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {_mirror()}"
            f" {SUITE} main\n"
        )
        options = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "Dir::Etc::sourcelist": work / "sources.list",
            "Dir::Etc::sourceparts": "/nonexistent",
            "Dir::State::lists": work / "lists",
            "Dir::State::status": work / "status",
            "Dir::Cache": work / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = [
            "apt-get",
            "-q",
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        ]
        _run(*apt, "update")
        _run(*apt, "download", *PACKAGES, cwd=work)
        for package in sorted(work.glob("*.deb")):
            _run("dpkg-deb", "-x", package, root)


def _mirror() -> str:
    for place in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        for line in place.read_text().splitlines() if place.exists() else ():
            words = line.split()
            if words[:1] == ["URIs:"] and len(words) > 1:
                return words[1]
            if words[:1] == ["deb"]:
                return next(word for word in words[1:] if "://" in word)
    return "http://deb.debian.org/debian"


def _pip(site: Path, wheel: Path) -> None:
    """Install the wheel and its dependencies as pip does on the board itself, but for another
    platform.
    """
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    _run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        site,
        "--only-binary=:all:",
        "--python-version",
        PYTHON,
        "--implementation",
        "cp",
        *platforms,
        wheel,
    )
    assert zipfile.is_zipfile(wheel) and (site / "edge_audio" / "pocket" / "manifest.json").exists()


def _tell(view: Path, root: Path, cpu: Cpu) -> None:
    """A root that shares `root`'s files and has /proc/cpuinfo and /sys of its own."""
    shutil.rmtree(view, ignore_errors=True)
    system = view / "sys" / "devices" / "system" / "cpu"
    system.mkdir(parents=True)
    for name in ("lib", "usr", "etc"):
        (view / name).symlink_to(root.resolve() / name)
    for name, text in (
        ("possible", f"0-{CORES - 1}\n"),
        ("present", f"0-{CORES - 1}\n"),
        ("kernel_max", "255\n"),
    ):
        (system / name).write_text(text)
    blocks = []
    for core in range(CORES):
        blocks.append(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {cpu.features}\nCPU"
            f" implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {cpu.variant}\nCPU part\t:"
            f" {cpu.part}\nCPU revision\t: {cpu.revision}\n"
        )
        files = {
            "cache/index2/level": "2",
            "cache/index2/size": cpu.l2,
            "cache/index2/shared_cpu_list": str(core),
            "cpufreq/cpuinfo_max_freq": str(cpu.khz),
            "cpufreq/cpuinfo_min_freq": "600000",
            "topology/cluster_cpus_list": f"0-{CORES - 1}",
            "topology/physical_package_id": "0",
        }
        for name, text in files.items():
            path = system / f"cpu{core}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
    (view / "proc").mkdir()
    board = f"\nRevision\t: c04170\nModel\t\t: {cpu.board}\n" if cpu.board else ""
    (view / "proc" / "cpuinfo").write_text("\n".join(blocks) + board)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise SystemExit(
            f"error: {command[0]} failed:"
            f" {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}"
        )


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0])
    make(folder, build_wheel(folder / "wheel"))
    if len(arguments) == 1:
        print(f"{folder}: ready for {', '.join(CPUS)}")
        return 0
    done = run(folder, arguments[1], *arguments[2:])
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
