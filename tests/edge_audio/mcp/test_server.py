"""`edge-audio mcp` in a process of its own, by the client of the official SDK."""

# ruff: noqa: E402 (the package may not be here)
import asyncio
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import numpy as np
import pytest
import soundfile
from systems import posix

from edge_audio import Pipeline
from edge_audio.bundle.store import Bundle
from edge_audio.model.model import default_model
from edge_audio.pipeline import Cancelled
from edge_audio.session import Progress

pytestmark = pytest.mark.clients
pytest.importorskip("mcp.server", reason="mcp is not here; make test-clients installs it")

from mcp import Client, StdioServerParameters

from edge_audio.mcp.server import create_server

MODEL = Path(os.environ.get("EDGE_AUDIO_MODEL") or default_model())
SHORT = {"text": "a bell", "duration_seconds": 0.4, "seed": 3}


def using(folder, talk):
    """What a conversation with the server of a folder comes to."""
    command = ["-m", "edge_audio.cli", "mcp", "--folder", str(folder), "--model", str(MODEL)]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))

    async def run():
        async with Client(server) as client:
            return await talk(client)

    return asyncio.run(asyncio.wait_for(run(), 120))


def calls(folder, *asked):
    """(whether it failed, what it said) of each of these calls."""

    async def talk(client):
        return [await client.call_tool(name, arguments) for name, arguments in asked]

    return [
        (answer.is_error, answer.content[0].text if answer.is_error else answer.structured_content)
        for answer in using(folder, talk)
    ]


def test_tools_are_described(tmp_path):
    async def talk(client):
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in using(tmp_path, talk)}
    assert set(tools) == {"text_to_sound_effects", "edit_sound", "list_sounds"}
    made = tools["text_to_sound_effects"]
    assert "4.096 seconds at most" in made.description
    assert set(made.input_schema["properties"]) == {*SHORT, "loop", "file"}
    assert made.input_schema["required"] == ["text"]


def test_sounds_are_made_and_listed(tmp_path):
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "broken.wav").write_text("no sound either")
    made, again, named, looped, listed = calls(
        tmp_path,
        ("text_to_sound_effects", SHORT),
        ("text_to_sound_effects", SHORT),
        ("text_to_sound_effects", {**SHORT, "duration_seconds": 60, "file": "long.mp3"}),
        ("text_to_sound_effects", {**SHORT, "loop": True, "file": "loop.flac"}),
        ("list_sounds", {}),
    )
    assert made == (False, {**made[1], "file": "a-bell-3.wav", "seconds": 0.4, "seed": 3})
    assert again[1]["file"] == "a-bell-3-2.wav"
    clip = Pipeline.load(MODEL).generate("a bell", seconds=0.4, seed=3)
    expected = io.BytesIO()
    clip.save(expected, format="wav")
    assert (tmp_path / "a-bell-3.wav").read_bytes() == expected.getvalue()
    assert named[1]["seconds"] == 4.096
    assert "duration_seconds 60 was set to 4.096" in named[1]["notes"]
    assert not looped[0] and soundfile.info(tmp_path / "loop.flac").format == "FLAC"
    files = {sound["file"]: sound for sound in listed[1]["result"]}
    assert set(files) == {"a-bell-3.wav", "a-bell-3-2.wav", "long.mp3", "loop.flac"}
    assert (files["long.mp3"]["prompt"], files["long.mp3"]["seed"]) == ("a bell", 3)


@posix
def test_no_name_leads_out_of_the_folder(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    soundfile.write(outside / "secret.wav", np.zeros(1600), 16000)
    (inside / "link.wav").symlink_to(outside / "secret.wav")
    (inside / "there").symlink_to(outside)
    (inside / "dangling.wav").symlink_to(outside / "new.wav")
    soundfile.write(inside / "mine.wav", np.zeros(1600), 16000)
    names = [
        *("../outside/secret.wav", str(outside / "secret.wav"), "link.wav", "there/secret.wav"),
        *("there/new.wav", "dangling.wav", "..\\outside\\x.wav", "C:x.wav", "", "a\0.wav"),
        *("./../inside/../outside/x.wav", ".hidden.wav", "mine.wav", "mine.txt", "no/where.wav"),
    ]
    made = calls(inside, *(("text_to_sound_effects", {**SHORT, "file": name}) for name in names))
    assert all(failed for failed, _ in made), made
    edited = calls(
        inside,
        *(("edit_sound", {"text": "x", "file": n}) for n in names if not n.startswith("mine")),
        ("list_sounds", {}),
    )
    assert all(failed for failed, _ in edited[:-1]), edited
    assert [sound["file"] for sound in edited[-1][1]["result"]] == ["mine.wav"]
    assert {path.name for path in outside.iterdir()} == {"secret.wav"}
    assert len(list(inside.iterdir())) == 4


@pytest.mark.skipif(
    "encoder" not in Bundle.open(MODEL).manifest.graphs,
    reason="this model has no encoder, which sounds to start from need",
)
def test_sounds_are_edited(tmp_path):
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(16000) / 4), 16000)
    ask = {"file": "tone.wav", "text": "a bell", "seed": 3}
    varied, replaced, extended = calls(
        tmp_path,
        ("edit_sound", {**ask, "strength": 0.5}),
        ("edit_sound", {**ask, "replace": [[0.5, 1.0]], "output_file": "half.wav"}),
        ("edit_sound", {**ask, "extend": 1.0, "output_file": "longer.wav"}),
    )
    assert varied[1]["seconds"] == 1.0 and replaced[1]["file"] == "half.wav"
    assert extended[1]["seconds"] == 2.0
    before, after = (soundfile.read(tmp_path / name)[0] for name in ("tone.wav", "half.wav"))
    assert np.abs(before - after)[:6400].mean() < np.abs(before - after)[9600:].mean()


def test_what_cannot_be_is_told(tmp_path):
    soundfile.write(tmp_path / "tone.wav", np.zeros(1600), 16000)
    answers = calls(
        tmp_path,
        ("text_to_sound_effects", {"text": "a bell", "duration_seconds": -1}),
        ("edit_sound", {"file": "tone.wav", "text": "x", "replace": [[5, 6]], "strength": 2}),
        ("edit_sound", {"file": "gone.wav", "text": "x"}),
    )
    assert all(failed for failed, _ in answers)
    assert "there is no sound file 'gone.wav'" in answers[2][1]
    if "encoder" not in Bundle.open(MODEL).manifest.graphs:
        [(failed, text)] = calls(tmp_path, ("edit_sound", {"file": "tone.wav", "text": "x"}))
        assert failed and "has no encoder" in text


def test_a_call_that_is_given_up_ends_and_leaves_nothing(tmp_path, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def slow(self, request, progress):
        """A clip that is never done, unless it is cancelled."""
        while progress(Progress("sample", 1, 12)) is not False:
            begun.set()
        ended.set()
        raise Cancelled("cancelled")

    async def talk():
        with Pipeline.load(MODEL) as pipeline:
            async with Client(create_server(pipeline, tmp_path)) as client:
                with monkeypatch.context() as patch, anyio.CancelScope() as scope:
                    patch.setattr(Pipeline, "generate", slow)
                    async with anyio.create_task_group() as group:
                        group.start_soon(client.call_tool, "text_to_sound_effects", SHORT)
                        await anyio.to_thread.run_sync(begun.wait, 10)
                        scope.cancel()
                assert await anyio.to_thread.run_sync(ended.wait, 10)
                assert not list(tmp_path.iterdir())
                return await client.call_tool("text_to_sound_effects", SHORT)

    assert not asyncio.run(talk()).is_error
    assert [path.name for path in tmp_path.iterdir()] == ["a-bell-3.wav"]


def test_a_folder_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "edge_audio.cli", "mcp", "--folder", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: --folder") and done.stderr.count("\n") == 1
