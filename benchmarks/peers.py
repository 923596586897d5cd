"""The peers of `full_size.py`: PyTorch eager on the reference modules, and their straight
conversion by litert-torch.

    python benchmarks/peers.py CHECKPOINT_DIR OUT_DIR

writes what the public example would run: conditioners in float32, the transformer in dynamic int8,
the decoder in float32, each converted whole from the PyTorch module. Needs torch and litert-torch
0.10, in an environment of their own (`make bench-full` makes it). Weight norm is folded first,
for both peers alike: nobody would deploy it unfolded.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from models.training.modules import Model, WeightNormConv1d

GRAPHS = ("conditioners", "dit", "decoder")


class Conditioners(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, seconds_total):
        return self.model.condition(input_ids, attention_mask, seconds_total)


class Decoder(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.decoder = model.autoencoder.decoder

    def forward(self, latents):
        return self.decoder(latents)


def load(checkpoint: Path) -> Model:
    """The reference modules with the checkpoint's weights in float32, weight norm folded."""
    configs = [
        json.loads((checkpoint / name).read_text())
        for name in ("model_config.json", "t5/config.json")
    ]
    model = Model(*configs)
    tensors = load_file(checkpoint / "model.safetensors")
    tensors |= {
        f"t5.{name}": tensor
        for name, tensor in load_file(checkpoint / "t5" / "model.safetensors").items()
    }
    model.load_state_dict(tensors)
    del tensors
    fold_weight_norm(model)
    return model.float().eval().requires_grad_(False)


def fold_weight_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, WeightNormConv1d):
            setattr(module, name, folded(child))
        else:
            fold_weight_norm(child)


def folded(conv: WeightNormConv1d) -> nn.Module:
    """The same convolution as PyTorch's own module."""
    weight = conv.weight_g * conv.weight_v / conv.weight_v.norm(dim=(1, 2), keepdim=True)
    kind = nn.ConvTranspose1d if conv.transposed else nn.Conv1d
    inputs, outputs = weight.shape[:2] if conv.transposed else weight.shape[1::-1]
    options = {} if conv.transposed else {"dilation": conv.dilation}
    plain = kind(
        inputs,
        outputs,
        weight.shape[2],
        conv.stride,
        conv.padding,
        bias=conv.bias is not None,
        **options,
    )
    plain.weight.data = weight.detach()
    if conv.bias is not None:
        plain.bias.data = conv.bias.detach()
    return plain


def example(model: Model) -> dict[str, tuple[torch.Tensor, ...]]:
    """Inputs of each graph: what `forward` takes, official layout."""
    config = model.config["model"]
    length = model.config["sample_size"] // config["pretransform"]["config"]["downsampling_ratio"]
    channels, width = config["io_channels"], config["conditioning"]["cond_dim"]
    tokens = config["conditioning"]["configs"][0]["config"]["max_length"]
    torch.manual_seed(0)
    mask = (torch.arange(tokens) < 12).to(torch.int32)[None]
    ids = torch.randint(2, model.t5_config["vocab_size"], (1, tokens), dtype=torch.int32) * mask
    return {
        "conditioners": (ids, mask, torch.tensor([11.0])),
        "dit": (
            torch.randn(1, channels, length),
            torch.tensor([0.7]),
            torch.randn(1, tokens + 1, width),
            torch.randn(1, width),
        ),
        "decoder": (torch.randn(1, channels, length),),
    }


def parts(model: Model) -> dict[str, nn.Module]:
    return {"conditioners": Conditioners(model), "dit": model.dit, "decoder": Decoder(model)}


def convert(checkpoint: Path, out: Path) -> None:
    """Write the straight conversion of each part that is not there yet."""
    import litert_torch
    from ai_edge_quantizer import quantizer, recipe

    out.mkdir(parents=True, exist_ok=True)
    model = load(checkpoint)
    inputs = example(model)
    for name, part in parts(model).items():
        path, start = out / f"{name}.tflite", time.perf_counter()
        if path.exists():
            continue
        converted = out / f"{name}.converting"
        litert_torch.convert(part.eval(), inputs[name]).export(str(converted))
        if name == "dit":
            float_file, converted = converted, out / f"{name}.quantizing"
            converted.unlink(missing_ok=True)
            quantizer.Quantizer(
                str(float_file), recipe.dynamic_wi8_afp32()
            ).quantize().export_model(str(converted))
            float_file.unlink()
        converted.rename(path)
        print(
            f"{path}: {path.stat().st_size / 1e6:.0f} MB in {time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
