# ruff: noqa: E402 (the package may not be here)
"""The `wyoming` package as Home Assistant uses it, and connections that nobody would make."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from edge_audio import Pipeline
from edge_audio.errors import UsageError
from edge_audio.serve.config import ServeConfig
from edge_audio.serve.jobs import CANCELLED, Order
from edge_audio.serve.server import bound_at, server

pytestmark = pytest.mark.clients
pytest.importorskip("wyoming", reason="the wyoming package is not here; make test-clients")

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeVoice


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The studio and the port of a server."""
    with serving(tmp_path_factory.mktemp("data")) as found:
        yield found


@contextlib.contextmanager
def serving(data):
    config = ServeConfig(port=0, data=data, drain_seconds=0, wyoming=("127.0.0.1", 0))
    with bound_at("127.0.0.1", 0) as web, bound_at("127.0.0.1", 0) as listening:
        running = server(config, listening)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [web]})
        thread.start()
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield running.config.app.state.studio, listening.getsockname()[1]
        finally:
            running.should_exit = True
            thread.join()


def talk(port, *events):
    """What is answered to these, one after the other."""

    async def run():
        answers = []
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for event in events:
                await client.write_event(event.event())
                while (answer := await asyncio.wait_for(client.read_event(), 60)) is not None:
                    answers.append(answer)
                    if not (AudioStart.is_type(answer.type) or AudioChunk.is_type(answer.type)):
                        break
        return answers

    return asyncio.run(run())


def test_it_is_described_as_a_voice(served):
    [answer] = talk(served[1], Describe())
    [program] = Info.from_event(answer).tts
    [voice] = program.voices
    assert program.installed and voice.installed
    assert (voice.name, voice.languages) == ("pocket", ["en"])


@pytest.mark.parametrize("voice", [None, SynthesizeVoice("pocket"), SynthesizeVoice(language="en")])
def test_a_text_becomes_a_sound(served, voice):
    studio, port = served
    start, *chunks, stop = talk(port, Synthesize("a slow siren", voice))
    assert AudioStart.from_event(start) == AudioStart(16000, 2, 1) and AudioStop.is_type(stop.type)
    heard = b"".join(AudioChunk.from_event(chunk).audio for chunk in chunks)
    assert len(chunks) > 1
    [job], _ = studio.history.page("", None, 1, "")
    assert job["request"]["prompt"] == "a slow siren"
    clip = Pipeline.load().generate("a slow siren", seed=job["request"]["seed"])
    expected = np.clip(np.rint(clip.samples[:, 0] * 32768), -32768, 32767)
    assert np.array_equal(np.frombuffer(heard, "<i2"), expected)


def test_a_connection_may_go_on(served):
    answers = talk(served[1], Ping(text="1"), Synthesize("a bell"), Ping(text="2"))
    assert [Pong.from_event(a).text for a in answers if Pong.is_type(a.type)] == ["1", "2"]


def test_an_unknown_voice_is_an_error_and_the_end(served):
    [answer] = talk(served[1], Synthesize("a bell", SynthesizeVoice("nobody")))
    assert Error.from_event(answer).code == "model_not_found"
    [answer] = talk(served[1], Synthesize(3))
    assert Error.from_event(answer).code == "invalid"


def test_who_hangs_up_cancels(served):
    studio, port = served
    # one that runs for long lets the next one wait
    long = studio.submit(Order(request("a bell", steps=200)), "another")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b'{"type":"synthesize","data":{"text":"never heard"}}\n')
        waiting = wait_for(lambda: [j for j in jobs(studio) if j.settings.prompt == "never heard"])
    wait_for(lambda: waiting[0].state == CANCELLED)
    studio.cancel(long)


def request(prompt, **settings):
    from edge_audio import Request

    return Request(prompt, **settings)


def jobs(studio):
    return list(studio._live.values())


def wait_for(found):
    for _ in range(1000):
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError("it never came")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"[" * 60000 + b"\n",
        b"x" * 200_000,
        b'{"type":3}\n',
        b'{"type":"synthesize","data":[]}\n{"type":1}\n',
        b'{"type":"describe","data":{},"data_length":100000000000}\n',
        b'{"type":"describe","data_length":-1}\n',
        b'{"type":"describe","data_length":2}\n[]',
        b'{"type":"audio-chunk","payload_length":"9"}\n',
    ],
)
def test_what_is_no_event_ends_the_connection(served, sent):
    client = socket.create_connection(("127.0.0.1", served[1]), timeout=10)
    with client, contextlib.suppress(ConnectionError):
        client.sendall(sent)
        while client.recv(1 << 16):
            pass
    [answer] = talk(served[1], Describe())
    assert Info.is_type(answer.type)


def test_others_are_let_in_only_when_that_is_said():
    with pytest.raises(UsageError, match="Wyoming has no keys"):
        ServeConfig(wyoming=("0.0.0.0", 10200), api_keys=("a key of sixteen characters",))
    ServeConfig(wyoming=("0.0.0.0", 10200), no_auth=True)


def test_the_command_line(tmp_path):
    command = [sys.executable, "-m", "edge_audio.cli", "serve", "--port", "0", "--wyoming", "0"]
    with subprocess.Popen(
        [*command, "--data", tmp_path, "--quiet"], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as running:
        try:
            web = running.stdout.readline().rsplit(" ", 1)[1].strip()
            port = int(running.stdout.readline().rpartition(":")[2])
            [answer] = talk(port, Describe())
            assert Info.is_type(answer.type)
            assert httpx.get(f"{web}health").json()["status"] == "ok"
        finally:
            running.terminate()
    wrong = subprocess.run([*command[:-1], "ten"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--wyoming 'ten' is no [ADDRESS:]PORT" in wrong.stderr
    assert not wrong.stdout
