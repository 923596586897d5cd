"""The published aarch64 wheels on emulated ARM CPUs: the same tokens, noise, latents and audio as
here. `make test-arm`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import sysroot

from edge_audio.evaluate.metrics import snr

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EDGE_AUDIO_ARM64", ROOT / "build" / "arm64")).resolve()
FLOAT_TOLERANCE, INT8_SNR, INT8_MARGIN = 1e-4, 40.0, 3.0
#: CPU -> the transformer's precision that suits it, and whether LiteRT's CompiledModel runs there
EXPECTED = {"cortex-a72": ("f16", False), "cortex-a76": ("int8", True), "i8mm": ("int8", True)}


@pytest.fixture(scope="module")
def arm():
    """The folder of the user-space, with the project's wheel installed in it."""
    return sysroot.make(FOLDER, sysroot.build_wheel(FOLDER / "wheel"))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    out = tmp_path_factory.mktemp("here") / "here.npz"
    subprocess.run(
        [sys.executable, Path(__file__).with_name("probe.py"), out],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDGE_AUDIO_CACHE": "off"},
    )
    return np.load(out)


def emulated(arm, cpu, *arguments):
    done = sysroot.run(arm, cpu, *arguments, environment={"EDGE_AUDIO_CACHE": "off"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("cpu", sysroot.CPUS)
def test_every_graph_gives_what_it_gives_here(cpu, arm, here, tmp_path):
    emulated(arm, cpu, Path(__file__).with_name("probe.py"), tmp_path / "there.npz")
    there = np.load(tmp_path / "there.npz")
    assert set(there.files) == set(here.files)
    for name in here.files:
        if name.startswith(("ids", "mask", "noise")):
            assert np.array_equal(there[name], here[name]), name
        elif name.startswith("f16"):
            assert np.abs(there[name] - here[name]).max() <= FLOAT_TOLERANCE, name
        else:
            # CPUs round dynamic scales differently: that must stay below what int8 itself costs, by
            # half its power
            own = snr(here[name], here[name.replace("int8", "f16")])
            assert snr(there[name], here[name]) >= min(INT8_SNR, own + INT8_MARGIN), name


@pytest.mark.parametrize("cpu", sysroot.CPUS)
def test_the_right_choice_by_itself(cpu, arm):
    found = json.loads(emulated(arm, cpu, "-m", "edge_audio.cli", "info", "--json"))
    precision, _ = EXPECTED[cpu]
    assert found["chosen"]["precision"]["dit"] == precision
    assert found["device"]["architecture"] == "aarch64" and (
        "dotprod" in found["device"]["features"]
    ) == (precision == "int8")
    assert sysroot.CPUS[cpu].board in found["device"]["model"]


@pytest.mark.parametrize("cpu", sysroot.CPUS)
def test_generate(cpu, arm, tmp_path):
    """The command as a user types it; the clip that the wheel makes there is the clip that is made
    here.
    """
    arguments = (
        "generate",
        "a plucked string at A3",
        "--seconds",
        "1",
        "--steps",
        "2",
        "--seed",
        "7",
        "--threads",
        "1",
        "--precision",
        "f16",
        "--fp16",
        "off",
        "--json",
    )
    there = json.loads(
        emulated(arm, cpu, "-m", "edge_audio.cli", *arguments, "-o", tmp_path / "there.wav")
    )
    subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", *arguments, "-o", tmp_path / "here.wav"],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    (a, rate), (b, _) = (soundfile.read(tmp_path / name) for name in ("there.wav", "here.wav"))
    assert rate == 16000 and len(a) == 16000 == there["frames"]
    assert np.abs(a - b).max() <= FLOAT_TOLERANCE


@pytest.mark.parametrize("cpu", sysroot.CPUS)
def test_big_graphs_pack_their_weights_only_where_that_is_safe(cpu, arm, tmp_path):
    """CompiledModel dies of SIGILL on a CPU without LSE atomics; there it must not be touched."""
    code = (
        "from edge_audio import Pipeline; from edge_audio.system import cache, device;"
        " cache.MINIMUM = 0; Pipeline.load(None, 'f16', threads=1,"
        " half=False).generate('rain', seconds=0.1, steps=1, cfg_scale=1.0,"
        " seed=1);print(any(cache.folder().glob('*.weights')),"
        " device.runs_compiled_model(device.describe()))"
    )
    done = sysroot.run(arm, cpu, "-c", code, environment={"EDGE_AUDIO_CACHE": tmp_path / "cache"})
    assert done.returncode == 0, done.stderr
    _, compiled = EXPECTED[cpu]
    assert done.stdout.split() == [str(compiled)] * 2


def test_the_wheel(arm, tmp_path):
    """One pure wheel with the model inside; pip installs it into a clean environment, and the
    command works there. (What pip installed into the emulated user-space is the same file.)
    """
    wheel = next((FOLDER / "wheel").glob("*.whl"))
    assert wheel.name.endswith("-py3-none-any.whl") and wheel.stat().st_size <= 25_000_000
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "clean"], check=True)
    python = tmp_path / "clean" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel],
        check=True,
        capture_output=True,
    )
    done = subprocess.run(
        [
            python.with_name("edge-audio"),
            "generate",
            "a slow siren",
            "--seconds",
            "2",
            "--seed",
            "1",
            "-o",
            "siren.wav",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert soundfile.info(tmp_path / "siren.wav").duration == 2


def test_half_precision_follows(arm, here, tmp_path):
    """A decoder in float16 arithmetic, where the CPU has it: far below what anybody hears."""
    code = (
        "import sys, numpy as np; from edge_audio import Pipeline, Request;"
        " from edge_audio.sampling.noise import NoiseStream;"
        " pipe = Pipeline.load(None, 'f16', threads=1); assert pipe.half; request"
        " = Request('a plucked string at A3', seconds=0.5, seed=7, steps=1,"
        " cfg_scale=1.0).resolved(pipe.bundle.manifest);x = NoiseStream(7).normal((1,"
        " request.latents(pipe.bundle.manifest),"
        " pipe.bundle.manifest.latent.channels));np.save(sys.argv[1],"
        " np.concatenate(list(pipe.decode(request, x))))"
    )
    emulated(arm, "cortex-a76", "-c", code, tmp_path / "half.npy")
    assert 35 < snr(np.load(tmp_path / "half.npy"), here["f16_audio"]) < 90
