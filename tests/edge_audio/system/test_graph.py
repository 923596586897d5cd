import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import toy

from edge_audio.errors import EdgeAudioError
from edge_audio.system import device
from edge_audio.system.graph import Graph

ROOT = Path(__file__).parents[3]
LATENTS = np.linspace(-1, 1, toy.LENGTH * toy.CHANNELS, dtype=np.float32).reshape(
    1, toy.LENGTH, toy.CHANNELS
)


def test_signatures_run_by_name(toy_bundle):
    with Graph(toy_bundle / "decoder.f32.tflite", threads=2) as graph:
        features = graph("head", latents=LATENTS)["features"]
        assert (
            features.shape
            == graph.shape("head", "features")
            == (1, toy.LENGTH * toy.PER_LATENT, toy.COND)
        )
        assert graph.shape("tail", "features") == (1, toy.TILE * toy.PER_LATENT, toy.COND)
        assert graph.dtype("head", "latents") == np.float32


def test_outputs_are_copies_that_outlive_the_graph(toy_bundle):
    graph = Graph(toy_bundle / "decoder.f32.tflite")
    first = graph("head", latents=LATENTS)["features"]
    kept = first.copy()
    graph("head", latents=LATENTS * 2)
    graph.close()
    assert np.array_equal(first, kept)


def test_close_frees_the_interpreter(toy_bundle):
    graph = Graph(toy_bundle / "decoder.f32.tflite")
    graph("head", latents=LATENTS)
    interpreter = weakref.ref(graph._engine._interpreter)
    graph.close()
    graph.close()
    assert interpreter() is None
    with pytest.raises(EdgeAudioError, match="decoder.f32.tflite is closed; open it again"):
        graph("head", latents=LATENTS)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.999])
def test_truncated_file(toy_bundle, tmp_path, kept):
    data = (toy_bundle / "dit.f32.tflite").read_bytes()
    path = tmp_path / "dit.f32.tflite"
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(
        EdgeAudioError,
        match=(
            r"dit\.f32\.tflite is not a graph .*; free some memory .*, else copy the bundle again"
        ),
    ):
        Graph(path)


def test_missing_file(tmp_path):
    with pytest.raises(EdgeAudioError, match="absent.tflite is not a graph"):
        Graph(tmp_path / "absent.tflite")


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("neck", {"latents": LATENTS}, "has no signature neck, it has head, head_8, tail"),
        ("head", {}, "signature head of .* takes latents, not none"),
        ("head", {"x": LATENTS}, "takes latents, not x"),
        (
            "head",
            {"latents": LATENTS[:, 1:]},
            r"input latents .* is float32 \[1, 16, 4\], not float32 \[1, 15, 4\]",
        ),
        ("head", {"latents": LATENTS.astype(np.float64)}, r"is float32 .*, not float64"),
    ],
)
def test_wrong_inputs_are_named(toy_bundle, signature, inputs, message):
    with Graph(toy_bundle / "decoder.f32.tflite") as graph:
        with pytest.raises(EdgeAudioError, match=message):
            graph(signature, **inputs)
        with pytest.raises(EdgeAudioError, match="no tensor audio in a signature head"):
            graph.shape("head", "audio")


def test_an_id_out_of_range_is_not_blamed_on_the_file(toy_bundle):
    with Graph(toy_bundle / "conditioners.f32.tflite") as graph:
        ids = np.full((1, toy.PROMPT_LENGTH), 10**6, np.int32)
        with pytest.raises(EdgeAudioError) as failure:
            graph(
                "condition",
                input_ids=ids,
                attention_mask=np.ones_like(ids),
                seconds_total=np.ones(1, np.float32),
            )
    assert "conditioners.f32.tflite failed in signature condition" in str(failure.value)
    assert "check that its inputs attention_mask, input_ids, seconds_total are in range" in str(
        failure.value
    )
    assert "copy the bundle" not in str(failure.value)


@pytest.mark.parametrize("compiled", [False, True])
def test_threads_that_share_a_graph_get_their_own_results(toy_bundle, tmp_path, compiled):
    if compiled and not device.runs_compiled_model(device.describe()):
        pytest.skip("no CompiledModel here")
    packed = tmp_path / "packed.weights" if compiled else None
    with Graph(toy_bundle / "decoder.f32.tflite", 1, packed) as graph:
        given = [LATENTS * scale for scale in (1, 2, 3, 4)]
        expected = [graph("head", latents=latents)["features"] for latents in given]

        def work(number):
            return all(
                np.array_equal(graph("head", latents=given[number])["features"], expected[number])
                for _ in range(200)
            )

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))


def test_closed_by_one_thread_while_another_runs_it(toy_bundle):
    def run_until_closed(graph):
        with pytest.raises(EdgeAudioError, match="is closed"):
            while True:
                graph("head", latents=LATENTS)
        return True

    graphs = [Graph(toy_bundle / "decoder.f32.tflite") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(run_until_closed, graph) for graph in graphs]
        for graph in graphs * 2:
            graph.close()
        assert all(future.result() for future in ended)


def stderr_of(code, *arguments):
    """What a Python of its own, running the code, writes to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=True,
    )
    return done.stderr


SAYS = """
import ctypes, os, sys
from edge_audio.system import chatter
from edge_audio.system.graph import Graph, _is_chatter
Graph(sys.argv[1])
libc = ctypes.CDLL(None)
stream = ctypes.c_void_p.in_dll(libc, "stderr")
with chatter.dropped(_is_chatter):
    for line in (b"INFO: gone\\n", b"WARNING: gone\\n", b"Something else: kept\\n"):
        libc.fputs(line, ctypes.c_void_p(stream.value))
    os.write(2, b"INFO: not LiteRT's\\n")
print("after", file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another name of C's stderr")
def test_stderr_loses_chatter_and_nothing_else(toy_bundle):
    assert stderr_of(SAYS, toy_bundle / "decoder.f32.tflite") == (
        "INFO: not LiteRT's\nSomething else: kept\nafter\n"
    )


THREADS = """
import os, sys, threading
from pathlib import Path
from edge_audio.system.graph import Graph

def work(number):
    for turn in range(20):
        packed = Path(sys.argv[2], f"{number}-{turn}.weights") if turn % 2 else None
        if number < 4:
            Graph(sys.argv[1], 1, packed).close()
        os.write(2, f"{number}-{turn}\\n".encode())

threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.write(2, b"end\\n")
"""


@pytest.mark.skipif(
    not device.runs_compiled_model(device.describe()), reason="no CompiledModel here"
)
def test_stderr_outlives_threads_that_open_graphs(toy_bundle, tmp_path):
    lines = stderr_of(THREADS, toy_bundle / "decoder.f32.tflite", tmp_path).split()
    assert sorted(lines[:-1]) == sorted(f"{n}-{turn}" for n in range(5) for turn in range(20))
    assert lines[-1] == "end"
