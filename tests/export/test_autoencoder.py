"""Convolutions of the autoencoder in int8: what is quiet keeps its detail beside what is loud."""

import numpy as np
import pytest
import tensorflow as tf

from edge_audio.evaluate.layers import operations
from edge_audio.evaluate.metrics import snr
from edge_audio.system.graph import Graph
from export.autoencoder import Conv
from export.convert import convert, save_module
from export.quantize import quantize

FRAMES, CHANNELS = 64, 64
#: dB
QUIETEST = -40


class Alone(tf.Module):
    """A convolution as a graph of its own."""

    def __init__(self, conv: Conv):
        super().__init__()
        self.conv = conv

    def run(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.conv(x)}

    def signatures(self):
        return {"run": (self.run, {"x": tf.TensorSpec([1, FRAMES, CHANNELS], tf.float32)})}


def quiet_snr(folder, taps: int, product: bool | None) -> float:
    """dB that int8 leaves of the first frames, which are 40 dB below the last."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((CHANNELS, CHANNELS, taps))
    conv = Conv("a.b.c", weight, None, padding=(taps // 2, taps // 2), product=product)
    save_module(Alone(conv), folder / "saved")
    exact, rounded = folder / "f32.tflite", folder / "int8.tflite"
    exact.write_bytes(convert(folder / "saved"))
    layers = {operation.layer: "int8" for operation in operations(exact)}
    rounded.write_bytes(quantize(exact, layers))
    x = rng.standard_normal((1, FRAMES, CHANNELS)).astype(np.float32)
    x[0] *= np.logspace(QUIETEST / 20, 0, FRAMES, dtype=np.float32)[:, None]
    with Graph(exact) as graph, Graph(rounded) as other:
        expected, actual = (one("run", x=x)["y"][0, : FRAMES // 8] for one in (graph, other))
    return snr(actual, expected)


@pytest.mark.parametrize("taps, product", [(1, None), (2, None), (7, True)])
def test_a_product_keeps_what_is_quiet(tmp_path, taps, product):
    assert quiet_snr(tmp_path, taps, product) > 30


def test_a_convolution_has_one_scale_for_all_frames(tmp_path):
    assert quiet_snr(tmp_path, 7, None) < 20
