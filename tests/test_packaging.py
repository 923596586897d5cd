"""Images, the unit and what stands beside them, as far as that goes without Docker and systemd."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_audio.cli.parser import parser

PACKAGING = Path(__file__).parents[1] / "packaging"
DOCKERFILE = (PACKAGING / "Dockerfile").read_text().replace("\\\n", " ")
UNIT = PACKAGING / "systemd" / "edge-audio.service"


def instructions(name):
    return re.findall(rf"^ *{name} (.*)", DOCKERFILE, re.M)


def test_what_the_image_copies_is_let_in():
    let_in = (PACKAGING.parent / ".dockerignore").read_text().splitlines()
    copied = [one.split()[:-1] for one in instructions("COPY") if not one.startswith("--from")]
    names = {name.rstrip("/") for one in copied for name in one}
    assert names == {line[1:] for line in let_in if line.startswith("!")}
    assert all((PACKAGING.parent / name).exists() for name in names)


def test_the_wheel_of_the_image_has_all_that_it_is_built_of():
    project = (PACKAGING.parent / "pyproject.toml").read_text()
    built = re.findall(r'^"([^"]+)" = "(?:share|edge_audio)/', project, re.M)
    copied = " ".join(instructions("COPY")).split()
    assert built and all(any(name.startswith(one.rstrip("/")) for one in copied) for name in built)


def test_the_image_and_the_unit_start_the_server():
    last = json.loads(instructions("CMD")[-1])
    assert parser().parse_args(last).host == "0.0.0.0"
    unit = UNIT.read_text()
    flags = re.search(r'"EDGE_AUDIO_OPTIONS=(.*)"', unit)[1]
    command = shlex.split(
        re.search("ExecStart=(.*)", unit)[1].replace("$EDGE_AUDIO_OPTIONS", flags)
    )
    asked = parser().parse_args(command[1:])
    assert (asked.host, asked.drain_seconds) == ("0.0.0.0", 60)
    assert f'EDGE_AUDIO_OPTIONS="{flags}"' in (UNIT.parent / "edge-audio.default").read_text()
    stop = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    assert stop > asked.drain_seconds


def test_compose_starts_the_target_of_the_server():
    service = yaml.safe_load((PACKAGING / "compose.yaml").read_text())["services"]["edge-audio"]
    build = service["build"]
    assert (PACKAGING / build["context"] / build["dockerfile"]).samefile(PACKAGING / "Dockerfile")
    assert f"AS {build['target']}" in DOCKERFILE
    assert service["volumes"] == [f"data:{instructions('VOLUME')[0]}"]


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    here = tmp_path / UNIT.name
    program = "/opt/edge-audio/bin/edge-audio"
    assert program in UNIT.read_text()
    here.write_text(UNIT.read_text().replace(program, shutil.which("true")))
    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_the_lock_has_a_version_for_all_that_its_extras_ask_for():
    tomllib = pytest.importorskip("tomllib")
    root = PACKAGING.parent
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"] | {"": extras["dependencies"]}
    locked = re.search("^LOCKED = (.*)", (root / "Makefile").read_text(), re.M)[1].split()
    assert set(extras) - set(locked) == {"", "bench", "docs"}, "name it in the Makefile's LOCKED"
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (root / "constraints.txt").read_text(), re.M
    ):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    asked = [Requirement(text) for name in ("", *locked) for text in extras[name]]
    missing = [
        str(one)
        for one in asked
        if one.name != "edge-audio"
        and not any(
            one.specifier.contains(version, prereleases=True)
            for version in versions.get(canonicalize_name(one.name), ())
        )
    ]
    assert not missing, "run make lock"
