"""The examples do what they say, as far as that goes without a board: pins, loudspeaker and paths
are stand-ins.
"""

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

GPIOZERO = """
class Button:
    presses = 0
    def __init__(self, pin, bounce_time):
        assert pin == 17
    def wait_for_press(self):
        Button.presses += 1
        if Button.presses > 2:
            raise SystemExit("no more presses")
    def wait_for_release(self):
        print("released", flush=True)
"""


def run(command, **environment):
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_a_press_plays_a_sound(tmp_path):
    player = tmp_path / "bin"
    player.mkdir()
    (player / "aplay").write_text('#!/bin/sh\nwc -c > "$PLAYED.$$"\n')
    (player / "aplay").chmod(0o755)
    (tmp_path / "gpiozero.py").write_text(GPIOZERO)
    done = run(
        [sys.executable, EXAMPLES / "button.py", "a laser shot"],
        PYTHONPATH=f"{tmp_path}:{ROOT}",
        PLAYED=str(tmp_path / "played"),
        PATH=f"{player}:/usr/bin:/bin",
    )
    assert "no more presses" in done.stderr and done.stdout.count("released") == 2, done.stderr
    played = [int(path.read_text()) for path in tmp_path.glob("played.*")]
    assert len(played) == 2 and all(size == 65536 * 4 for size in played)  # 4.096 s of float32


def test_the_unit_is_one(tmp_path):
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(EXAMPLES / "edge-audio-chime.service")
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[0].endswith("/bin/edge-audio") and "--play" in command
    made_without = [part for part in command[1:] if part != "--play"]
    made_without[made_without.index("-o") + 1] = str(tmp_path / "chime.wav")
    done = run([sys.executable, "-m", "edge_audio.cli", *made_without])
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert soundfile.info(tmp_path / "chime.wav").duration == 2


def test_the_home_assistant_command_makes_the_file(tmp_path):
    text = (EXAMPLES / "home_assistant.yaml").read_text()
    command = " ".join(re.search(r"make_sound: >-\n((?:    .*\n)+)", text)[1].split())
    filled = [
        part.replace("{{ prompt }}", "slow beeps").replace("{{ seed }}", "7")
        for part in re.findall(r"\{\{.*?\}\}|\S+", command)  # as Home Assistant: split, then filled
    ]
    filled[filled.index("/config/www/edge-audio.wav")] = str(tmp_path / "edge-audio.wav")
    for _ in range(2):  # the second time it replaces the first
        done = run([sys.executable, "-m", "edge_audio.cli", *filled[1:]])
        assert done.returncode == 0 and done.stdout + done.stderr == ""
    assert soundfile.info(tmp_path / "edge-audio.wav").duration == 3
