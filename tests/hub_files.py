"""Repositories of the Hub for tests: an official checkpoint, and the text encoder that it names."""

import json

from references import DATA

CHECKPOINT, T5 = "maker/tiny", "google-t5/tiny-t5"


def checkpoint_files() -> dict[str, bytes]:
    """An official checkpoint, whose text encoder is elsewhere."""
    folder = DATA / "tiny0"
    config = json.loads((folder / "model_config.json").read_text())
    prompt = config["model"]["conditioning"]["configs"][0]["config"]
    prompt["t5_model_name"] = "tiny-t5"
    return {
        "README.md": b"a card",
        "LICENSE.md": b"terms",
        "pictures/spectrogram.png": b"a picture",
        "model.ckpt": b"the same weights again",
        "model.safetensors": (folder / "model.safetensors").read_bytes(),
        "model_config.json": json.dumps(config).encode(),
    }


def t5_files(tokenizer: bytes = b"pieces") -> dict[str, bytes]:
    """The text encoder's repository, with what nobody needs of it."""
    folder = DATA / "tiny0" / "t5"
    return {
        "config.json": (folder / "config.json").read_bytes(),
        "model.safetensors": (folder / "model.safetensors").read_bytes(),
        "rust_model.ot": b"another format",
        "spiece.model": tokenizer,
        "tokenizer.json": b"{}",
    }
