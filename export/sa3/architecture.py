"""The family of Stable Audio 3 small, for the export."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import (
    KEPT,
    LATENTS,
    TOKENS,
    Defaults,
    FileEntry,
    Guidance,
    Latent,
    Prompt,
    Tiling,
)
from edge_audio.errors import EdgeAudioError

from ..architecture import COMMON, Architecture
from ..checkpoint import Checkpoint, read_checkpoint
from .conditioners import FREQUENCIES, Conditioners
from .config import CONVERTED, MODEL_TYPE, Sa3Config, read_config
from .dit import DiT
from .same import Decoder, Encoder

#: port (regular expression) -> its axis that follows a length, and which
BY_LENGTH = {
    r"x|v|positions|padding_mask|rotary_(cos|sin)": (1, LATENTS),
    r"keep|kept_latents|local_\d+": (1, KEPT),
    r"input_ids|attention_mask|cross_attn_(cond|bias)": (1, TOKENS),
    r"cross_[kv]_\d+": (2, TOKENS),
}
#: seconds of a clip when none are asked for
USUAL_SECONDS = 10.0


class StableAudio3(Architecture):
    """See `Architecture`."""

    model_type = MODEL_TYPE
    builders = {  # noqa: RUF012
        "conditioners": lambda checkpoint, config, tile: Conditioners(checkpoint, config),
        "dit": lambda checkpoint, config, tile: DiT(checkpoint, config),
        "decoder": Decoder,
        "encoder": Encoder,
    }
    # `project` gives keys and values of every block, `local` what inpainting adds in every block
    stages = {  # noqa: RUF012
        "conditioners": {
            "condition": (
                ("input_ids", "attention_mask", "learned_padding", "seconds_features"),
                ("cross_attn_cond", "cross_attn_bias", "global_cond"),
            ),
        },
        "dit": {
            "project": (("cross_attn_cond",), ()),
            "adaln": (("t_features", "global_cond"), ("modulations",)),
            "rotary": (("positions",), ("rotary_cos", "rotary_sin")),
            "local": (("keep", "kept_latents"), ()),
            "denoise": (
                (
                    *("x", "padding_mask", "rotary_cos", "rotary_sin", "modulations"),
                    "cross_attn_bias",
                ),
                ("v",),
            ),
        },
        "decoder": {"decode": (("latents",), ("audio",))},
        "encoder": {"encode": (("audio",), ("mean",))},
    }
    # The unconditional branch is zero tokens, the global condition kept; a prompt of no tokens is
    # all padding, which the model has learned (stable-audio-3, `DiffusionTransformer.forward`).
    guidance = Guidance(zeroed=("cross_attn_cond",), kept=("global_cond",), empty="encoded")
    defaults = {  # noqa: RUF012
        # 62 % of what the public port renders passes full scale (its own count)
        "rf_denoiser": Defaults("pingpong", 8, 1.0, 1.0, USUAL_SECONDS, limiter=True),
        "rectified_flow": Defaults("euler", 50, 7.0, 1.0, USUAL_SECONDS, limiter=True),
    }
    sources = (
        *COMMON,
        "autoencoder.py",
        "dit.py",
        "t5.py",
        *(f"sa3/{name}" for name in ("config.py", "conditioners.py", "dit.py", "same.py")),
        "sa3/t5gemma.py",
        "sa3/expo_frequencies.npy",
    )
    tokenizers = ("tokenizer.model",)
    resizes = True
    # a tile shares four latents with its neighbours, which are computed twice
    tile = 16

    def read_config(self, folder: Path, lengths: tuple[int, ...]) -> Sa3Config:
        return read_config(folder).with_lengths(lengths)

    def read_checkpoint(self, folder: Path, config: Any) -> Checkpoint:
        return read_checkpoint(folder, config.text_folder, "t5gemma")

    def vocabulary_size(self, config: Any) -> int:
        return int(config.gemma.vocab_size)

    def tokenizer_places(self, config: Any) -> Iterator[str]:
        yield from self.tokenizers
        yield f"{config.text_folder}/tokenizer.model"

    def refuse_tokenizer(self, processor: Any, path: Path) -> None:
        from sentencepiece import sentencepiece_model_pb2 as pb

        # its classes are made when it is imported, where mypy does not see them
        model = pb.ModelProto()  # type: ignore[attr-defined]
        model.ParseFromString(path.read_bytes())
        bpe = pb.TrainerSpec.BPE  # type: ignore[attr-defined]
        if model.trainer_spec.model_type != bpe or not processor.is_byte(
            processor.piece_to_id("<0x00>")
        ):
            raise EdgeAudioError(
                f"{path} is no BPE model with bytes to fall back on, as Gemma's is; give the"
                " tokenizer.model of T5Gemma"
            )

    def shape(
        self, stage: str, port: str, shape: tuple[int, ...], latent: Latent, tiling: Tiling
    ) -> tuple[int | str, ...]:
        named: list[int | str] = list(shape)
        converted = {**CONVERTED, KEPT: CONVERTED[LATENTS]}
        for pattern, (axis, length) in BY_LENGTH.items():
            if re.fullmatch(pattern, port):
                more = shape[axis] - converted[length]
                named[axis] = f"{length}+{more}" if more else length
        return tuple(named)

    def more(self, config: Any) -> dict[str, Any]:
        return {
            "schedule": config.schedule,
            "frequencies": tuple(float(value) for value in FREQUENCIES),
        }

    def prompt(self, config: Any, tokenizer: FileEntry | None) -> Prompt:
        entry = super().prompt(config, tokenizer)
        return dataclasses.replace(entry, ends=False, padded=False)
