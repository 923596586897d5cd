"""The peers of `sa3.py`: PyTorch eager, and the straight litert-torch conversion that
`sa3_straight.py` runs.

    python benchmarks/sa3_peers.py CHECKPOINT_DIR OUT_DIR LATENTS...

converts what clips of these numbers of latents need: the text encoder at its 256 places in
float32; the transformer in dynamic int8 at the publisher's lengths, each in a file of its own; the
decoder in dynamic int8 at one size of tiles. Every step makes the keys and values of 257 places,
the local condition and all else that does not change anew, as the modules do.

Needs torch and litert-torch 0.10, in an environment of their own (`make bench-sa3` makes it).
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import sa3_modules
import torch
from sa3_straight import TILE, places, rung
from torch import Tensor, nn

from edge_audio.evaluate.bench_tasks import peak_memory
from edge_audio.sampling.features import level_features

Told = tuple[Tensor, Tensor]


class Eager:
    """The reference modules in PyTorch eager, float32. A clip is decoded at once: the official way
    of chunks of 128 that share 32 computes more.
    """

    def __init__(self, checkpoint: Path, frequencies: Sequence[float], threads: int):
        torch.set_num_threads(threads)
        self.frequencies = frequencies
        model = sa3_modules.Model(checkpoint)
        self.max_length = model.max_length
        self.conditioner, self.dit, self.decoder = model.conditioner, model.dit, model.decoder

    def condition(self, ids: tuple[int, ...], seconds: float) -> Told:
        """What the transformer is told."""
        row, mask = map(torch.from_numpy, places(ids, self.max_length))
        with torch.inference_mode():
            return self.conditioner(row, mask, torch.tensor([seconds]))

    def v(self, x: np.ndarray, t: float, told: Told, valid: int) -> np.ndarray:
        """x [1, T, C] -> v [1, T, C]; the values of latents from `valid` on are zero."""
        counts = (torch.arange(x.shape[1]) < valid).float()[None]
        features = torch.from_numpy(level_features(t, self.frequencies))
        with torch.inference_mode():
            v = self.dit(torch.from_numpy(x).transpose(1, 2), features, *told, counts)
        return v.transpose(1, 2).numpy()

    def decode(self, latents: np.ndarray) -> Iterator[np.ndarray]:
        """latents [1, T, C] -> one block of audio [N, channels]."""
        with torch.inference_mode():
            audio = self.decoder(torch.from_numpy(latents).transpose(1, 2))
        yield audio[0].T.numpy()


# --- the conversion ---


class Velocity(nn.Module):
    """The transformer with the inputs of the conversion: a local condition is one of them, also
    where nothing is kept, since the publisher's graphs keep parts of a clip as well.
    """

    def __init__(self, dit: nn.Module):
        super().__init__()
        self.dit = dit

    def forward(self, x, t_features, cross_attn_cond, global_cond, key_bias, local):
        return self.dit(x, t_features, cross_attn_cond, global_cond, None, key_bias, local)


def convert(checkpoint: Path, out: Path, latents: list[int]) -> None:
    """Write what is not there yet, each graph in a process of its own, which gives all its memory
    back.
    """
    out.mkdir(parents=True, exist_ok=True)
    rungs = sorted({rung(length) for length in latents})
    for name in ("conditioner", "decoder", *(f"dit_{length}" for length in rungs)):
        if not (out / f"{name}.tflite").exists():
            process = multiprocessing.get_context("spawn").Process(
                target=convert_part, args=(checkpoint, name, out)
            )
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{name} was not converted")


def convert_part(checkpoint: Path, name: str, out: Path) -> None:
    """Write one graph."""
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    start, path = time.perf_counter(), out / f"{name}.tflite"
    module, inputs = _part(sa3_modules.Model(checkpoint), name)
    made = out / f"{name}.converting"
    litert_torch.convert(module, inputs).export(str(made))
    if name != "conditioner":
        float_file, made = made, out / f"{name}.quantizing"
        made.unlink(missing_ok=True)
        quantized = quantizer.Quantizer(str(float_file), recipe.dynamic_wi8_afp32())
        quantized.quantize().export_model(str(made))
        float_file.unlink()
    made.rename(path)
    print(
        f"{path}: {path.stat().st_size / 1e6:.0f} MB in {time.perf_counter() - start:.0f} s, at"
        f" most {peak_memory() / 1e9:.1f} GB of memory",
        flush=True,
    )


def _part(model: sa3_modules.Model, name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module to convert, and inputs of it."""
    torch.manual_seed(0)
    config, read = model.config["model"], model.max_length
    channels, width = config["io_channels"], config["conditioning"]["cond_dim"]
    if name == "conditioner":
        ids = map(torch.from_numpy, places((3, 5, 7), read))
        return model.conditioner, (*ids, torch.tensor([10.0]))
    if name == "decoder":
        return model.decoder, (torch.randn(1, channels, TILE),)
    length = int(name.removeprefix("dit_"))
    return Velocity(model.dit), (
        torch.randn(1, channels, length),
        torch.randn(1, sa3_modules.FEATURES),
        torch.randn(1, read + 1, width),
        torch.randn(1, width),
        torch.zeros(1, length),
        torch.zeros(1, length, config["diffusion"]["config"]["local_add_cond_dim"]),
    )


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), [int(text) for text in sys.argv[3:]])
