"""The reference checkpoints: random weights, and what the official code computes with them."""

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
#: The official code on random weights, and the precisions in which the tests need it.
REFERENCES = {"tiny0": ("f32", "f16", "int8"), "tinyrope0": ("f32",)}

#: latent lengths that the tests need besides the model's own
SHORTER = {"tiny0": (16, 24), "tinyrope0": ()}

CHANNELS_FIRST = (
    "dec_stage",
    "decode",
    "enc_",
    "encdec",
    "noise_init",
    "pingpong",
    "x_in",
    "dit_v_t",
    "dit_cfg",
    "dit_uncond",
    "euler",
    "rk4",
    "dpmpp",
    "init_latent",
    "a2a_noise",
    "a2a_final",
)


def channels_last(key: str, value: np.ndarray) -> np.ndarray:
    """The golden arrays keep audio and latents as [..., channels, time]; here time comes first."""
    return np.swapaxes(value, -1, -2) if key.startswith(CHANNELS_FIRST) else value
