"""The official generations from a clip and inside of one, replayed through the command line."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from .test_bundle import bundle, golden, ids  # noqa: F401
from .test_modules import assert_near, channels_last


@pytest.mark.parametrize(
    "kind, more", [("a2a", ["--strength", "0.6"]), ("inpaint", ["--replace", "0.52-1.14"])]
)
def test_generate_makes_the_official_clip(bundle, golden, tmp_path, kind, more):  # noqa: F811
    index = 0  # the other row of the official batch has this one's length
    first, rest = golden[f"gen_{kind}_noise_init"][None], golden[f"gen_{kind}_noise"]
    draws = channels_last(np.concatenate([first, rest])[:, index])
    np.save(tmp_path / "draws.npy", draws)
    soundfile.write(tmp_path / "audio.wav", channels_last(golden["audio"])[0], 1280, "FLOAT")
    seconds = round(float(golden["seconds_total"][index]), 4)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edge_audio.cli.main", "generate", "--limiter", "off"),
            *("--ids", ",".join(map(str, ids(golden, index))), "--seconds", str(seconds)),
            *("--pad-seconds", "0.6", "--precision", "f32", "--model", str(bundle), *more),
            *("--noise", str(tmp_path / "draws.npy"), "--latents", str(tmp_path / "out.npy")),
            *("--init", str(tmp_path / "audio.wav"), "-o", str(tmp_path / "out.wav")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = channels_last(golden[f"gen_{kind}_latents"])[index]
    assert_near(np.load(tmp_path / "out.npy"), expected, 1e-4)
