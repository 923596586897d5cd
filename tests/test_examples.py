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

import jinja2
import pytest
import soundfile

from edge_audio.cli.parser import parser

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
        timeout=600,  # a busy computer takes long to import
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def press(tmp_path, player):
    """Two presses, with a player of that shell script; PLAYED names a file that it may write."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "aplay").write_text(f"#!/bin/sh\n{player}\n")
    (folder / "aplay").chmod(0o755)
    (tmp_path / "gpiozero.py").write_text(GPIOZERO)
    return run(
        [sys.executable, EXAMPLES / "button.py", "a laser shot"],
        PYTHONPATH=f"{tmp_path}:{ROOT}",
        PLAYED=str(tmp_path / "played"),
        PATH=f"{folder}:/usr/bin:/bin",
    )


def test_a_player_that_fails_does_not_end_the_button(tmp_path):
    done = press(tmp_path, "echo 'audio open error: Device or resource busy' >&2; exit 1")
    assert "no more presses" in done.stderr and done.stdout.count("released") == 2, done.stderr
    assert (
        done.stderr.count("error: the clip is made, but aplay could not play it (audio open") == 2
    )


def test_a_press_plays_a_sound(tmp_path):
    done = press(tmp_path, 'wc -c > "$PLAYED.$$"')
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


def home_assistant(**data):
    """The arguments that Home Assistant's shell_command makes of the example: it fills in what
    follows the program, then splits it.
    """
    text = (EXAMPLES / "home_assistant.yaml").read_text()
    command = " ".join(re.search(r"make_sound: >-\n((?:    .*\n)+)", text)[1].split())
    _, arguments = command.split(" ", 1)
    return shlex.split(jinja2.Template(arguments).render(**data).strip())


@pytest.mark.parametrize(
    "prompt",
    [
        "slow beeps",
        "rain -o /tmp/evil.wav",
        "rain' -o '/tmp/evil.wav",
        "rain' -o /tmp/evil.wav -- '",
        "--help",
        "-o/tmp/evil.wav",
        """a baby's "cry" \\ $(reboot) `reboot` \\' {{ 1 }}\nand a newline""",
        "",
    ],
)
def test_no_prompt_from_home_assistant_is_more_than_a_prompt(prompt):
    parsed = parser().parse_args(home_assistant(prompt=prompt, seed="7"))
    assert (parsed.prompt, parsed.seed) == (prompt, 7)
    assert parsed.output == "/config/www/edge-audio.wav" and parsed.model is None


def test_the_home_assistant_command_makes_the_file(tmp_path):
    filled = home_assistant(prompt="slow beeps", seed=7)
    filled[filled.index("/config/www/edge-audio.wav")] = str(tmp_path / "edge-audio.wav")
    for _ in range(2):  # the second time it replaces the first
        done = run([sys.executable, "-m", "edge_audio.cli", *filled])
        assert done.returncode == 0 and done.stdout + done.stderr == ""
    assert soundfile.info(tmp_path / "edge-audio.wav").duration == 3
