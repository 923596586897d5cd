"""A toy model with the signatures of a real one: exported in seconds, and every input changes the
output.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from edge_audio import Clip, EdgeAudioWarning, Pipeline, Request
from edge_audio.bundle.manifest import (
    MANIFEST_NAME,
    Defaults,
    GraphEntry,
    Guidance,
    Latent,
    Manifest,
    Port,
    Prompt,
    SecondsRange,
    Stage,
    Tiling,
)
from edge_audio.bundle.store import file_entry

PROMPT_LENGTH, LENGTH, CHANNELS, DOWNSAMPLING, RATE = 8, 16, 4, 8, 64
TILE, OVERLAP, PER_LATENT, COND, VOCABULARY = 8, 2, 2, 6, 60
SHORT = 8  # latents that the graphs also run on
FULL_SECONDS = LENGTH * DOWNSAMPLING / RATE
PRECISIONS = ("f32", "int8")


def write_graphs(folder: Path) -> None:
    """NAME.PRECISION.tflite of the three components; "int8" is a copy of "f32": weights this small
    stay as they are.

    The one place of these tests that needs TensorFlow.
    """
    import tensorflow as tf

    for name, signatures in _modules(tf).items():
        module = tf.Module()
        module.functions = list(signatures.values())
        tf.saved_model.save(module, str(folder / name), signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(folder / name), signature_keys=list(signatures)
        )
        graph = converter.convert()
        for precision in PRECISIONS:
            (folder / f"{name}.{precision}.tflite").write_bytes(graph)


def write_tokenizer(path: Path) -> None:
    """A SentencePiece model with T5's ids: pad 0, eos 1, unk 2."""
    import sentencepiece

    words = [
        "slow rising siren",
        "rain on a roof",
        "a bell at noon",
        "kick and snare",
        "waves and wind",
    ]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words * 20),
        model_prefix=str(path.with_suffix("")),
        vocab_size=VOCABULARY,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )


def manifest(folder: Path, tokenizer: bool = True, **changes) -> Manifest:
    """The manifest of what lies in `folder`, with some entries changed."""
    graphs = {
        name: {
            p: GraphEntry(**vars(file_entry(folder / f"{name}.{p}.tflite")), fidelity={"out": 60.0})
            for p in PRECISIONS
        }
        for name in ("conditioners", "dit", "decoder")
    }
    entries = dict(  # noqa: C408
        name="toy",
        license="Apache-2.0",
        source_sha256="0" * 64,
        sample_rate=RATE,
        channels=2,
        latent=Latent(LENGTH, CHANNELS, DOWNSAMPLING, (SHORT,)),
        prompt=Prompt(PROMPT_LENGTH, file_entry(folder / "tokenizer.model") if tokenizer else None),
        seconds=SecondsRange(0.25, 1.5),
        objective="rf_denoiser",
        defaults=Defaults("pingpong", 4, 1.0),
        tiling=Tiling(TILE * PER_LATENT, OVERLAP * PER_LATENT, PER_LATENT),
        stages=stages(),
        guidance=Guidance(zeroed=("cross_attn_cond",), kept=("global_cond",)),
        graphs=graphs,
    )
    return Manifest(**{**entries, **changes})


def stages() -> dict[str, Stage]:
    """What the graphs consist of."""

    def ports(**shapes) -> dict[str, Port]:
        ids = ("input_ids", "attention_mask")
        return {
            name: Port("int32" if name in ids else "float32", shape)
            for name, shape in shapes.items()
        }

    keys, latents = (1, PROMPT_LENGTH + 1, COND), (1, "latents", CHANNELS)
    text = {"input_ids": (1, PROMPT_LENGTH), "attention_mask": (1, PROMPT_LENGTH)}
    cond = {"cross_attn_cond": keys, "global_cond": (1, COND)}
    projected = {"cross_k_00": keys, "cross_v_00": keys, "global_embed": (1, CHANNELS)}
    features = (1, f"{PER_LATENT}*latents", COND)
    tile, audio = (1, TILE * PER_LATENT, COND), (1, TILE * DOWNSAMPLING, 2)
    return {
        "condition": Stage("conditioners", ports(**text, seconds_total=(1,)), ports(**cond)),
        "project": Stage("dit", ports(**cond), ports(**projected)),
        "denoise": Stage("dit", ports(x=latents, t=(1,), **projected), ports(v=latents)),
        "head": Stage("decoder", ports(latents=latents), ports(features=features)),
        "tail": Stage("decoder", ports(features=tile), ports(audio=audio)),
    }


def write_manifest(folder: Path, **changes) -> Path:
    """Write manifest.json and return the folder."""
    (folder / MANIFEST_NAME).write_text(manifest(folder, **changes).to_json())
    return folder


def generate(pipe: Pipeline, prompt: str | Request | None = "rain", **settings) -> Clip:
    """A clip with seed 7, without the warnings that are not the test's subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeAudioWarning)
        return pipe.generate(prompt, **{"seed": 7, **settings})


def _modules(tf) -> dict[str, dict]:
    random = np.random.default_rng(0)

    def weight(*shape):
        return tf.constant(random.normal(0, 0.4, shape).astype(np.float32))

    def function(**inputs):
        specs = [tf.TensorSpec(shape, kind, name) for name, (shape, kind) in inputs.items()]
        return tf.function(input_signature=specs)

    f32, i32, keys = tf.float32, tf.int32, (1, PROMPT_LENGTH + 1, COND)
    embedding, w_seconds = weight(VOCABULARY, COND), weight(1, COND)
    w_k, w_v, w_g, w_q, w_o, w_x = (
        weight(*s)
        for s in (
            (COND, COND),
            (COND, COND),
            (COND, CHANNELS),
            (CHANNELS, COND),
            (COND, CHANNELS),
            (CHANNELS, CHANNELS),
        )
    )
    w_head, w_tail = (
        weight(3, CHANNELS, PER_LATENT * COND),
        weight(3, COND, DOWNSAMPLING // PER_LATENT * 2),
    )

    @function(
        input_ids=((1, PROMPT_LENGTH), i32),
        attention_mask=((1, PROMPT_LENGTH), i32),
        seconds_total=((1,), f32),
    )
    def condition(input_ids, attention_mask, seconds_total):
        hidden = tf.gather(embedding, input_ids) * tf.cast(attention_mask, f32)[..., None]
        global_cond = tf.reshape(seconds_total, (1, 1)) * w_seconds
        return {
            "cross_attn_cond": tf.concat([hidden, global_cond[:, None]], 1),
            "global_cond": global_cond * 0.5,
        }

    @function(cross_attn_cond=(keys, f32), global_cond=((1, COND), f32))
    def project(cross_attn_cond, global_cond):
        return {
            "cross_k_00": cross_attn_cond @ w_k,
            "cross_v_00": cross_attn_cond @ w_v,
            "global_embed": global_cond @ w_g,
        }

    def denoise(x, t, global_embed, cross_k_00, cross_v_00):
        attention = tf.nn.softmax(tf.matmul(x @ w_q, cross_k_00, transpose_b=True)) @ cross_v_00
        return {
            "v": x @ w_x + attention @ w_o + global_embed[:, None] + tf.reshape(t, (1, 1, 1)) * 0.3
        }

    def head(latents):
        features = tf.nn.conv1d(latents, w_head, 1, "SAME")
        return {"features": tf.reshape(tf.tanh(features), (1, latents.shape[1] * PER_LATENT, COND))}

    @function(features=((1, TILE * PER_LATENT, COND), f32))
    def tail(features):
        audio = tf.nn.conv1d(features, w_tail, 1, "SAME")
        return {"audio": tf.reshape(audio, (1, TILE * DOWNSAMPLING, 2)) * 0.2}

    dit, decoder = {"project": project}, {"tail": tail}
    for suffix, length in (("", LENGTH), (f"_{SHORT}", SHORT)):
        latents = ((1, length, CHANNELS), f32)
        dit[f"denoise{suffix}"] = function(
            x=latents,
            t=((1,), f32),
            global_embed=((1, CHANNELS), f32),
            cross_k_00=(keys, f32),
            cross_v_00=(keys, f32),
        )(denoise)
        decoder[f"head{suffix}"] = function(latents=latents)(head)
    return {"conditioners": {"condition": condition}, "dit": dit, "decoder": decoder}
