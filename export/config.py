"""`model_config.json` and T5's `config.json` as dataclasses.

An option that the graphs do not implement is refused by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import Latent
from edge_audio.errors import EdgeAudioError

from .reader import MEND, Reader, load_json

MODEL_TYPE = "diffusion_cond"

# Options whose official default the graphs implement, with that default (`...`: any value, it
# changes nothing that is exported). Anything else is an architecture we do not have.
_ROOT_OPTIONS = {"training": ...}
_PRETRANSFORM_OPTIONS = {
    "iterate_batch": ...,
    "scale": 1.0,
    "enable_grad": ...,
    "model_half": False,
    "chunked": ...,
}
_AUTOENCODER_OPTIONS = {"scale": 1.0, "pretransform": None}
_SIDE_OPTIONS = {"requires_grad": ..., "soft_clip": False}
_BOTTLENECK_OPTIONS: dict[str, Any] = {"config": {}}
_DIFFUSION_OPTIONS = {"distribution_shift_options": ...}  # shapes the noise levels of training
_DIT_OPTIONS = {
    "transformer_type": "continuous_transformer",
    "global_cond_type": "prepend",
    "timestep_cond_type": "global",
    "patch_size": 1,
    "project_cond_tokens": True,
    "project_global_cond": True,
    "input_concat_dim": 0,
    "prepend_cond_dim": 0,
    "num_memory_tokens": 0,
}
#: learned positions, where the configuration does not say how many: the official default
POSITIONS = 10_000
_OOBLECK_OPTIONS = {
    "use_snake": True,
    "antialias_activation": False,
    "use_nearest_upsample": False,
    "final_tanh": False,
    "requires_grad": ...,
}
_T5_OPTIONS = {"feed_forward_proj": "relu", "is_gated_act": False, "dense_act_fn": "relu"}


@dataclass(frozen=True)
class T5Config:
    """Text encoder, T5 v1.0."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int
    buckets: int
    max_distance: int
    eps: float


@dataclass(frozen=True)
class NumberConfig:
    """The number conditioner `seconds_total`."""

    min: float
    max: float


@dataclass(frozen=True)
class DiTConfig:
    """Diffusion transformer."""

    io_channels: int
    embed_dim: int
    depth: int
    num_heads: int
    cond_token_dim: int
    global_cond_dim: int
    #: how many positions have a learned vector, the prepended token's the first of them
    positions: int | None = field(default=None, kw_only=True)

    @property
    def dim_head(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def rotary_dims(self) -> int:
        """How many of a head's dims turn: half of them, but at least 32."""
        return max(self.dim_head // 2, 32)


@dataclass(frozen=True)
class OobleckConfig:
    """One side of the autoencoder. `strides` in the encoder's order, from audio to latents."""

    audio_channels: int
    latent_dim: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class ModelConfig:
    """All that the export needs to know of a checkpoint besides its tensors."""

    sample_rate: int
    sample_size: int
    channels: int
    latent_channels: int
    downsampling: int
    max_length: int
    objective: str
    seconds: NumberConfig
    t5: T5Config
    dit: DiTConfig
    decoder: OobleckConfig
    encoder: OobleckConfig
    #: further latent lengths to export, ascending
    shorter: tuple[int, ...] = ()

    @property
    def latent(self) -> Latent:
        return Latent(
            self.sample_size // self.downsampling,
            self.latent_channels,
            self.downsampling,
            self.shorter,
        )

    def with_lengths(self, lengths: tuple[int, ...]) -> ModelConfig:
        """The same model exported at these latent lengths as well; EdgeAudioError for those that it
        cannot have.
        """
        for length in lengths:
            if not 1 <= length <= self.latent.length:
                raise EdgeAudioError(
                    f"latent length {length} cannot be exported; this model has"
                    f" {self.latent.length}, give shorter ones"
                )
        return dataclasses.replace(self, shorter=tuple(sorted({*lengths} - {self.latent.length})))


def read_config(folder: Path) -> ModelConfig:
    """Read `folder`/model_config.json and `folder`/t5/config.json; EdgeAudioError names the first
    thing not supported.
    """
    root = Reader(load_json(folder / "model_config.json"), "model_config")
    root.expect("model_type", MODEL_TYPE)
    root.only(
        {"model_type", "model", "sample_rate", "sample_size", "audio_channels"}, _ROOT_OPTIONS
    )
    model = root("model", dict)
    model.only({"pretransform", "conditioning", "diffusion", "io_channels"}, {})
    pretransform = model("pretransform", dict)
    pretransform.expect("type", "autoencoder")
    pretransform.only({"type", "config"}, _PRETRANSFORM_OPTIONS)
    autoencoder = pretransform("config", dict)
    autoencoder.only(
        {"encoder", "decoder", "bottleneck", "latent_dim", "downsampling_ratio", "io_channels"},
        _AUTOENCODER_OPTIONS,
    )
    bottleneck = autoencoder("bottleneck", dict)
    bottleneck.expect("type", "vae")
    bottleneck.only({"type"}, _BOTTLENECK_OPTIONS)
    latent_channels, downsampling = (
        autoencoder("latent_dim", int),
        autoencoder("downsampling_ratio", int),
    )

    max_length, seconds, cond_dim = _read_conditioning(model("conditioning", dict))
    diffusion = model("diffusion", dict)
    diffusion.only(
        {"type", "config", "diffusion_objective", "cross_attention_cond_ids", "global_cond_ids"},
        _DIFFUSION_OPTIONS,
    )
    diffusion.expect("type", "dit")
    diffusion.expect("diffusion_objective", "rf_denoiser", "rectified_flow")
    diffusion.expect("cross_attention_cond_ids", ["prompt", "seconds_total"])
    diffusion.expect("global_cond_ids", ["seconds_total"])
    t5 = _read_t5(Reader(load_json(folder / "t5" / "config.json"), "t5.config"))
    dit = _read_dit(diffusion("config", dict))
    sides = {
        name: _read_oobleck(autoencoder(name, dict), audio)
        for name, audio in (("decoder", "out_channels"), ("encoder", "in_channels"))
    }
    config = ModelConfig(
        root("sample_rate", int),
        root("sample_size", int),
        root("audio_channels", int),
        latent_channels,
        downsampling,
        max_length,
        diffusion.value["diffusion_objective"],
        seconds,
        t5,
        dit,
        sides["decoder"],
        sides["encoder"],
    )
    _check_sizes(config, cond_dim)
    return config


def refuse_contradictions(sizes: Iterable[tuple[str, Any, Any]], dit: DiTConfig) -> None:
    """Sizes that two places of the configuration state must agree: (name, value, expected)."""
    for name, value, expected in sizes:
        if value != expected:
            raise EdgeAudioError(
                f"model_config: {name} is {value}, the rest of it needs {expected}; {MEND}"
            )
    if dit.rotary_dims > dit.dim_head:
        raise EdgeAudioError(
            f"model_config: heads of {dit.dim_head} dims are too small for rotary positions;"
            " only models with heads of 32 or more can be exported"
        )


def _check_sizes(config: ModelConfig, cond_dim: int) -> None:
    ratio = 1
    for stride in config.decoder.strides:
        ratio *= stride
    needed = config.latent.length + 1  # positions: of every latent, and of the token before them
    sizes = (
        ("decoder.strides (their product)", ratio, config.downsampling),
        ("encoder.strides", config.encoder.strides, config.decoder.strides),
        ("decoder.latent_dim", config.decoder.latent_dim, config.latent_channels),
        (
            "encoder.latent_dim (mean and scale)",
            config.encoder.latent_dim,
            2 * config.latent_channels,
        ),
        ("decoder.out_channels", config.decoder.audio_channels, config.channels),
        ("encoder.in_channels", config.encoder.audio_channels, config.channels),
        ("diffusion.io_channels", config.dit.io_channels, config.latent_channels),
        ("diffusion.cond_token_dim", config.dit.cond_token_dim, cond_dim),
        ("diffusion.global_cond_dim", config.dit.global_cond_dim, cond_dim),
        ("t5.d_model (a projection to cond_dim is not supported)", config.t5.d_model, cond_dim),
        ("sample_size modulo downsampling_ratio", config.sample_size % config.downsampling, 0),
        ("diffusion.embed_dim modulo num_heads", config.dit.embed_dim % config.dit.num_heads, 0),
        ("diffusion.abs_pos_emb_max_length", min(config.dit.positions or needed, needed), needed),
    )
    refuse_contradictions(sizes, config.dit)


def read_conditioners(conditioning: Reader, text: str) -> tuple[Reader, Reader]:
    """The configurations of a text encoder of the type `text` and of the seconds, which are all
    the conditioners there may be.
    """
    conditioning.only({"configs", "cond_dim"}, {})
    entries = [
        Reader(entry, f"{conditioning.where}.configs[{i}]")
        for i, entry in enumerate(conditioning("configs", list))
    ]
    kinds = [(entry.value.get("id"), entry.value.get("type")) for entry in entries]
    if kinds != [("prompt", text), ("seconds_total", "number")]:
        raise EdgeAudioError(
            f"{conditioning.where}.configs is {kinds}; "
            f"only models with prompt ({text}) and seconds_total (number) can be exported"
        )
    for entry in entries:
        entry.only({"id", "type", "config"}, {})
    prompt, number = (entry("config", dict) for entry in entries)
    return prompt, number


def read_seconds(number: Reader) -> NumberConfig:
    """The range of a number conditioner."""
    seconds = NumberConfig(number("min_val", float), number("max_val", float))
    if seconds.min >= seconds.max:
        raise EdgeAudioError(
            f"{number.where}: min_val {seconds.min} is not below max_val {seconds.max}; {MEND}"
        )
    return seconds


def _read_conditioning(conditioning: Reader) -> tuple[int, NumberConfig, int]:
    prompt, number = read_conditioners(conditioning, "t5")
    prompt.only({"t5_model_name", "max_length"}, {"project_out": False, "enable_grad": ...})
    number.only({"min_val", "max_val"}, {})
    return prompt("max_length", int), read_seconds(number), conditioning("cond_dim", int)


def _read_dit(reader: Reader) -> DiTConfig:
    fields = ("io_channels", "embed_dim", "depth", "num_heads", "cond_token_dim", "global_cond_dim")
    embedded, count = "use_abs_pos_emb", "abs_pos_emb_max_length"
    reader.only({*fields, "attn_kwargs", embedded, count}, _DIT_OPTIONS)
    attention = reader("attn_kwargs", dict)
    attention.expect("qk_norm", "ln")
    attention.only({"qk_norm"}, {})
    positions = None
    if embedded in reader.value and reader(embedded, bool):
        positions = reader(count, int) if count in reader.value else POSITIONS
    return DiTConfig(*(reader(name, int) for name in fields), positions=positions)


def _read_oobleck(reader: Reader, audio_channels: str) -> OobleckConfig:
    reader.expect("type", "oobleck")
    reader.only({"type", "config"}, _SIDE_OPTIONS)
    config = reader("config", dict)
    config.only({audio_channels, "channels", "c_mults", "strides", "latent_dim"}, _OOBLECK_OPTIONS)
    config.expect("use_snake", True)
    strides, multipliers = config("strides", list), config("c_mults", list)
    if len(strides) != len(multipliers) or not strides:
        raise EdgeAudioError(
            f"{config.where}: {len(strides)} strides but {len(multipliers)} c_mults; {MEND}"
        )
    if any(type(multiplier) is not int or multiplier < 1 for multiplier in multipliers):
        raise EdgeAudioError(
            f"{config.where}.c_mults is {multipliers}, expected whole numbers from 1; {MEND}"
        )
    for stride in strides:
        if not isinstance(stride, int) or stride < 2 or stride % 2:
            raise EdgeAudioError(
                f"{config.where}.strides has {stride!r}; only models with even strides can be"
                " exported"
            )
    channels = config("channels", int)
    widths = (channels, *(channels * multiplier for multiplier in multipliers))
    return OobleckConfig(
        config(audio_channels, int), config("latent_dim", int), widths, tuple(strides)
    )


def _read_t5(reader: Reader) -> T5Config:
    for key, value in _T5_OPTIONS.items():
        if reader.value.get(key, value) != value:
            raise EdgeAudioError(
                f"{reader.where}.{key} is {reader.value[key]!r}; "
                f"only T5 v1.0 encoders ({value!r}) can be exported"
            )
    buckets = reader("relative_attention_num_buckets", int)
    key = "relative_attention_max_distance"  # older T5 configurations leave it out
    distance = reader(key, int) if key in reader.value else 128
    if buckets % 4 or distance <= buckets // 4:
        raise EdgeAudioError(
            f"{reader.where}: {buckets} relative_attention_num_buckets up to distance {distance} "
            f"make no T5; {MEND}"
        )
    return T5Config(
        vocab_size=reader("vocab_size", int),
        d_model=reader("d_model", int),
        d_kv=reader("d_kv", int),
        d_ff=reader("d_ff", int),
        num_layers=reader("num_layers", int),
        num_heads=reader("num_heads", int),
        buckets=buckets,
        max_distance=distance,
        eps=reader("layer_norm_epsilon", float),
    )
