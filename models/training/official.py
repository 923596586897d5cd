"""Checkpoints in the official layout: model_config.json, model.safetensors, t5/, spiece.model. The
exporter reads them like any other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge_audio.errors import EdgeAudioError
from edge_audio.system.safetensors import INDEX, weights

from .modules import Autoencoder, Model

TOKENIZER = "spiece.model"
#: bytes of weights beyond which they come in parts
LARGEST_FILE = 24_900_000


def write_checkpoint(model: Model, tokenizer: Path, folder: Path) -> None:
    """Write `model`, its weights as float16, and its tokenizer into `folder`."""
    (folder / "t5").mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.detach().half().contiguous().cpu()
        for name, tensor in model.state_dict().items()
    }
    text = {
        name.removeprefix("t5."): state.pop(name) for name in list(state) if name.startswith("t5.")
    }
    _save_weights(state, folder)
    save_file(text, folder / "t5" / "model.safetensors", metadata={"format": "pt"})
    (folder / "model_config.json").write_text(json.dumps(model.config, indent=4) + "\n")
    (folder / "t5" / "config.json").write_text(json.dumps(model.t5_config, indent=2) + "\n")
    shutil.copyfile(tokenizer, folder / TOKENIZER)


def _save_weights(state: dict[str, Tensor], folder: Path) -> None:
    """One file, or two with an index where that would be larger than what a repository takes: the
    autoencoder, which other trainings leave as it is, and the rest.
    """
    files = dict.fromkeys(state, "model.safetensors")
    if sum(tensor.nbytes for tensor in state.values()) > LARGEST_FILE:
        for name in state:
            number = 2 if name.startswith("pretransform.") else 1
            files[name] = f"model-0000{number}-of-00002.safetensors"
    written = {folder / file for file in files.values()}
    for path in written:
        part = {name: tensor for name, tensor in state.items() if files[name] == path.name}
        save_file(part, path, metadata={"format": "pt"})
    index = folder / INDEX
    if len(written) > 1:
        index.write_text(json.dumps({"weight_map": files}, indent=1) + "\n")
    else:
        index.unlink(missing_ok=True)
    # what an earlier one of another size left, which would be read instead
    for old in {folder / "model.safetensors", *folder.glob("model-*-of-*.safetensors")} - written:
        old.unlink(missing_ok=True)


def write_codec(autoencoder: Autoencoder, file: Path) -> None:
    """Write an autoencoder alone, its weights as float16, for other trainings to begin with."""
    state = autoencoder.state_dict().items()
    save_file({name: tensor.detach().half().contiguous().cpu() for name, tensor in state}, file)


def read_codec(autoencoder: Autoencoder, file: Path) -> None:
    """Take the weights that `write_codec` wrote, or those of a checkpoint's folder; EdgeAudioError
    if they are of another design.
    """
    try:
        if file.is_dir():
            state = read_checkpoint(file).autoencoder.state_dict()
        else:
            state = {name: tensor.float() for name, tensor in load_file(file).items()}
        autoencoder.load_state_dict(state)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EdgeAudioError(
            f"{file} is no autoencoder of this design ({' '.join(str(error).split())[:120]})"
        ) from None


def read_checkpoint(folder: Path) -> Model:
    """The model of a checkpoint that `write_checkpoint` wrote; EdgeAudioError if it is none."""
    try:
        config, t5 = (
            json.loads((folder / name).read_text())
            for name in ("model_config.json", "t5/config.json")
        )
        model = Model(config, t5)
        text = load_file(folder / "t5" / "model.safetensors")
        state = {f"t5.{name}": tensor for name, tensor in text.items()}
        for file in weights(folder):
            state |= load_file(file)
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EdgeAudioError(
            f"{folder} is no checkpoint of the pocket model's kind"
            f" ({' '.join(str(error).split())[:120]}); give one that the training wrote"
        ) from None
    return model
