"""`model_config.json` of Stable Audio 3 and T5Gemma's `config.json` as dataclasses.

An option that the graphs do not implement is refused by name.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_audio.bundle.manifest import LATENTS, TOKENS, Latent, Padding, Schedule
from edge_audio.errors import EdgeAudioError

from ..config import DiTConfig as BaseDiTConfig
from ..config import NumberConfig, read_conditioners, read_seconds, refuse_contradictions
from ..reader import MEND, Reader, load_json

MODEL_TYPE = "diffusion_cond_inpaint"
#: log-SNR at the two ends of the official schedule (stable-audio-3, `LogSNRShift`, rate 0)
LOGSNR_SHIFT = Schedule("logsnr", start=-6.2, end=2.0)
#: seconds beside those asked for that the official `generate` gives the transformer
PAD_SECONDS = 6.0
#: Latents of one attention chunk of SAME: lengths are multiples of it.
CHUNK = 2
#: latents of the shortest clips that a bundle can be exported for
SHORTEST = 12
#: Lengths at which graphs are converted, and others at which they are proven: a runtime resizes
#: them to those of a clip.
CONVERTED = {LATENTS: 14, TOKENS: 6}
PROVEN = {LATENTS: 26, TOKENS: 11}

# Options whose official default the graphs implement, with that default (`...`: any value, it
# changes nothing that is exported).
_ROOT_OPTIONS: dict[str, Any] = {"training": ..., "repo_id": ...}
_PRETRANSFORM_OPTIONS: dict[str, Any] = {
    "iterate_batch": ...,
    "scale": 1.0,
    "enable_grad": ...,
    "model_half": False,
    "chunked": ...,
}
_DIFFUSION_OPTIONS: dict[str, Any] = {
    "distribution_shift_options": ...,  # shapes the noise levels of training
    "mask_padding_attention": True,
    "use_effective_length_for_schedule": ...,  # the schedule of these models knows no length
}
_DIT_OPTIONS: dict[str, Any] = {
    "transformer_type": "continuous_transformer",
    "timestep_cond_type": "global",
    "patch_size": 1,
    "project_cond_tokens": True,
    "project_global_cond": True,
    "input_concat_dim": 0,
    "prepend_cond_dim": 0,
    "timestep_features_logsnr": False,
    "norm_kwargs": {"force_fp32": True},
    "ff_kwargs": {"mult": 4.0},
}
_SAME_OPTIONS: dict[str, Any] = {
    "checkpointing": ...,
    "use_flash": ...,
    "freeze_backbone": ...,
    "mapping_style": "none",
    "mask_noise": ...,  # random terms, which ports leave out
    "sinusoidal_blocks": [0],
}
_GEMMA_OPTIONS: dict[str, Any] = {
    "attention_bias": False,
    "hidden_activation": "gelu_pytorch_tanh",
}


@dataclass(frozen=True)
class GemmaConfig:
    """Text encoder: the encoder half of T5Gemma."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    dim_head: int
    feed_forward: int
    #: divides the scores, under a root
    scale: float
    #: scores are softcap · tanh(score / softcap)
    softcap: float
    rope_base: float
    eps: float


@dataclass(frozen=True)
class DiTConfig(BaseDiTConfig):
    """Diffusion transformer with memory tokens, adaLN and local conditioning."""

    local_dim: int
    memory_tokens: int


@dataclass(frozen=True)
class SameConfig:
    """One side of the SAME-S autoencoder."""

    #: of a patch: audio channels times patch size
    patch_channels: int
    latent_dim: int
    width: int
    depth: int
    dim_head: int
    #: patches a latent stands for
    stride: int

    @property
    def heads(self) -> int:
        """Of every attention."""
        return self.width // self.dim_head

    @property
    def tokens(self) -> int:
        """Tokens a latent stands for: its patches and one for the latent itself."""
        return self.stride + 1


@dataclass(frozen=True)
class Sa3Config:
    """All that the export needs to know of a checkpoint besides its tensors."""

    sample_rate: int
    sample_size: int
    channels: int
    latent_channels: int
    patch: int
    max_length: int
    objective: str
    seconds: NumberConfig
    schedule: Schedule
    text_folder: str
    gemma: GemmaConfig
    dit: DiTConfig
    decoder: SameConfig
    encoder: SameConfig

    @property
    def downsampling(self) -> int:
        """Samples of audio a latent stands for."""
        return self.decoder.stride * self.patch

    @property
    def latent(self) -> Latent:
        """Shape of the latents."""
        length = self.sample_size // self.downsampling
        padding = Padding(PAD_SECONDS, CHUNK)
        return Latent(length, self.latent_channels, self.downsampling, padding=padding)

    def with_lengths(self, lengths: tuple[int, ...]) -> Sa3Config:
        """The same model for clips up to the longest of these latents; of none: up to the model's
        own. EdgeAudioError for lengths that it cannot have.
        """
        longest = self.sample_size // self.downsampling
        for length in lengths:
            if not SHORTEST <= length <= longest or length % CHUNK:
                raise EdgeAudioError(
                    f"latent length {length} cannot be exported; this model has even ones from"
                    f" {SHORTEST} to {longest}"
                )
        size = max(lengths, default=longest) * self.downsampling
        return dataclasses.replace(self, sample_size=size)


def read_config(folder: Path) -> Sa3Config:
    """Read `folder`/model_config.json and the text encoder's config.json; EdgeAudioError names the
    first thing that is not supported.
    """
    root = Reader(load_json(folder / "model_config.json"), "model_config")
    root.expect("model_type", MODEL_TYPE)
    root.only(
        {"model_type", "model", "sample_rate", "sample_size", "audio_channels"}, _ROOT_OPTIONS
    )
    model = root("model", dict)
    model.only({"pretransform", "conditioning", "diffusion", "io_channels"}, {})
    conditioning = _read_conditioning(model("conditioning", dict))
    patch, sides, latent_channels = _read_autoencoder(model("pretransform", dict))
    diffusion = model("diffusion", dict)
    objective, schedule, dit = _read_diffusion(diffusion)
    config = Sa3Config(
        sample_rate=root("sample_rate", int),
        sample_size=root("sample_size", int),
        channels=root("audio_channels", int),
        latent_channels=latent_channels,
        patch=patch,
        max_length=conditioning["max_length"],
        objective=objective,
        seconds=conditioning["seconds"],
        schedule=schedule,
        text_folder=conditioning["text_folder"],
        gemma=_read_gemma(folder, conditioning["text_folder"]),
        dit=dit,
        decoder=sides["decoder"],
        encoder=sides["encoder"],
    )
    _check_sizes(config, conditioning["cond_dim"])
    return config


def _check_sizes(config: Sa3Config, cond_dim: int) -> None:
    dit, sides = config.dit, (config.decoder, config.encoder)
    rules: list[tuple[str, Any, Any]] = [
        ("diffusion.io_channels", dit.io_channels, config.latent_channels),
        ("diffusion.cond_token_dim", dit.cond_token_dim, cond_dim),
        ("diffusion.global_cond_dim", dit.global_cond_dim, cond_dim),
        ("diffusion.local_add_cond_dim", dit.local_dim, config.latent_channels + 1),
        ("diffusion.embed_dim modulo num_heads", dit.embed_dim % dit.num_heads, 0),
        ("t5gemma.hidden_size (no projection to cond_dim)", config.gemma.width, cond_dim),
        ("sample_size modulo two latents", config.sample_size % (CHUNK * config.downsampling), 0),
        ("encoder.strides", config.encoder.stride, config.decoder.stride),
    ]
    for side, name in zip(sides, ("decoder", "encoder")):
        rules += [
            (f"{name}.latent_dim", side.latent_dim, config.latent_channels),
            (f"{name} channels", side.patch_channels, config.channels * config.patch),
            (f"{name} width modulo dim_heads", side.width % side.dim_head, 0),
            (f"{name}.transformer_depths modulo 2", side.depth % 2, 0),
            (f"{name}.dim_heads modulo 4", side.dim_head % 4, 0),
        ]
    refuse_contradictions(rules, dit)


def _read_conditioning(conditioning: Reader) -> dict[str, Any]:
    prompt, number = read_conditioners(conditioning, "t5gemma")
    prompt.only(
        {"max_length", "padding_mode", "subfolder"},
        {"repo_id": ..., "project_out": False, "enable_grad": ...},
    )
    prompt.expect("padding_mode", "learned")
    number.only({"min_val", "max_val", "fourier_features_type"}, {})
    number.expect("fourier_features_type", "expo")
    subfolder = prompt("subfolder", str)
    if Path(subfolder).name != subfolder or subfolder in ("", ".", ".."):
        raise EdgeAudioError(f"{prompt.where}.subfolder {subfolder!r} is no folder's name; {MEND}")
    return {
        "max_length": prompt("max_length", int),
        "seconds": read_seconds(number),
        "text_folder": subfolder,
        "cond_dim": conditioning("cond_dim", int),
    }


def _read_diffusion(diffusion: Reader) -> tuple[str, Schedule, DiTConfig]:
    diffusion.only(
        {
            "type",
            "config",
            "diffusion_objective",
            "cross_attention_cond_ids",
            "global_cond_ids",
            "local_add_cond_ids",
            "sampling_distribution_shift_options",
        },
        _DIFFUSION_OPTIONS,
    )
    diffusion.expect("type", "dit")
    diffusion.expect("diffusion_objective", "rf_denoiser", "rectified_flow")
    diffusion.expect("cross_attention_cond_ids", ["prompt", "seconds_total"])
    diffusion.expect("global_cond_ids", ["seconds_total"])
    diffusion.expect("local_add_cond_ids", ["inpaint_mask", "inpaint_masked_input"])
    reader = diffusion("config", dict)
    fields = {
        "io_channels": "io_channels",
        "embed_dim": "embed_dim",
        "depth": "depth",
        "num_heads": "num_heads",
        "cond_token_dim": "cond_token_dim",
        "global_cond_dim": "global_cond_dim",
        "local_add_cond_dim": "local_dim",
        "num_memory_tokens": "memory_tokens",
    }
    kinds = {"timestep_features_type", "global_cond_type", "attn_kwargs", "norm_type"}
    reader.only({*fields, *kinds}, _DIT_OPTIONS)
    reader.expect("timestep_features_type", "expo")
    reader.expect("global_cond_type", "adaLN")
    reader.expect("norm_type", "rms_norm")
    attention = reader("attn_kwargs", dict)
    attention.expect("qk_norm", "rms")
    attention.only({"qk_norm"}, {"differential": False})
    dit = DiTConfig(**{field: reader(key, int) for key, field in fields.items()})
    return diffusion.value["diffusion_objective"], _read_schedule(diffusion), dit


def _read_schedule(diffusion: Reader) -> Schedule:
    """`sampling_distribution_shift_options`; absent or null: the official default."""
    key = "sampling_distribution_shift_options"
    if diffusion.value.get(key) is None:
        return LOGSNR_SHIFT
    raise EdgeAudioError(
        f"{diffusion.where}.{key} is {diffusion.value[key]!r}; only models that leave it out can be"
        " exported"
    )


def _read_autoencoder(pretransform: Reader) -> tuple[int, dict[str, SameConfig], int]:
    pretransform.expect("type", "autoencoder")
    pretransform.only({"type", "config"}, _PRETRANSFORM_OPTIONS)
    config = pretransform("config", dict)
    known = {"encoder", "decoder", "bottleneck", "pretransform"}
    config.only({*known, "latent_dim", "downsampling_ratio", "io_channels"}, {"scale": 1.0})
    bottleneck = config("bottleneck", dict)
    bottleneck.expect("type", "softnorm")
    bottleneck.only({"type", "config"}, {"requires_grad": ...})
    bottleneck("config", dict).only(
        {"dim"},
        # the noise of training, and of the official decode, which ports leave out
        {"noise_augment_dim": 0, "noise_regularize": ..., "auto_scale": True, "freeze": ...},
    )
    patched = config("pretransform", dict)
    patched.expect("type", "patched")
    patched.only({"type", "config"}, {"enable_grad": ...})
    patch = patched("config", dict)("patch_size", int)
    sides = {
        "decoder": _read_same(config("decoder", dict), "out_channels", conv_mapping=True),
        "encoder": _read_same(config("encoder", dict), "in_channels", conv_mapping=False),
    }
    ratio = config("downsampling_ratio", int)
    if ratio != patch * sides["decoder"].stride:
        raise EdgeAudioError(
            f"{config.where}.downsampling_ratio is {ratio}, patches of {patch} and a stride of"
            f" {sides['decoder'].stride} make {patch * sides['decoder'].stride}; {MEND}"
        )
    return patch, sides, config("latent_dim", int)


def _read_same(reader: Reader, audio_channels: str, conv_mapping: bool) -> SameConfig:
    reader.expect("type", "taae_v2")
    reader.only({"type", "config"}, {"requires_grad": ...})
    config = reader("config", dict)
    sizes = {"c_mults", "channels", "strides", "transformer_depths", "dim_heads", "latent_dim"}
    kinds = {"differential", "dyt", "variable_stride", "chunk_midpoint_shift", "chunk_size"}
    config.only({*sizes, *kinds, audio_channels, "conv_mapping"}, _SAME_OPTIONS)
    for kind in ("differential", "dyt", "variable_stride", "chunk_midpoint_shift"):
        config.expect(kind, True)
    config.expect("conv_mapping", conv_mapping)
    values: dict[str, int] = {}
    for name in ("c_mults", "strides", "transformer_depths"):
        listed = config(name, list)
        if len(listed) != 1 or type(listed[0]) is not int or listed[0] < 1:
            raise EdgeAudioError(
                f"{config.where}.{name} is {listed!r}; only SAME-S, with one stage, can be exported"
            )
        values[name] = listed[0]
    if config("chunk_size", int) != CHUNK * values["strides"]:
        raise EdgeAudioError(
            f"{config.where}.chunk_size is {config.value['chunk_size']}; only chunks of"
            f" {CHUNK} latents ({CHUNK * values['strides']}) can be exported"
        )
    return SameConfig(
        patch_channels=config(audio_channels, int),
        latent_dim=config("latent_dim", int),
        width=config("channels", int) * values["c_mults"],
        depth=values["transformer_depths"],
        dim_head=config("dim_heads", int),
        stride=values["strides"],
    )


def _read_gemma(folder: Path, name: str) -> GemmaConfig:
    path = folder / name / "config.json"
    if not path.is_file():
        raise EdgeAudioError(
            f"{path} is missing; the text encoder belongs to the checkpoint, put its folder {name}"
            " there"
        )
    root = Reader(load_json(path), f"{name}.config")
    root.expect("model_type", "t5gemma")
    encoder = root("encoder", dict)
    for key, value in _GEMMA_OPTIONS.items():
        if encoder.value.get(key, value) != value:
            raise EdgeAudioError(
                f"{encoder.where}.{key} is {encoder.value[key]!r}; only T5Gemma encoders with"
                f" {value!r} can be exported"
            )
    heads = encoder("num_attention_heads", int)
    encoder.expect("num_key_value_heads", heads)
    rope = encoder.value.get("rope_parameters") or encoder.value
    base = Reader(rope, encoder.where)("rope_theta", float) if "rope_theta" in rope else 10_000.0
    return GemmaConfig(
        vocab_size=encoder("vocab_size", int),
        width=encoder("hidden_size", int),
        layers=encoder("num_hidden_layers", int),
        heads=heads,
        dim_head=encoder("head_dim", int),
        feed_forward=encoder("intermediate_size", int),
        scale=1 / math.sqrt(encoder("query_pre_attn_scalar", float)),
        softcap=encoder("attn_logit_softcapping", float),
        rope_base=base,
        eps=encoder("rms_norm_eps", float),
    )
