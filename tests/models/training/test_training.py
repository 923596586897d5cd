"""Training: the lapped start carries sound, a killed run goes on where it was, a quick run ends in
a bundle that generates.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_audio.errors import EdgeAudioError
from edge_audio.evaluate.metrics import log_mel_distance
from edge_audio.pipeline import Pipeline
from models.training import (
    data,
    progress,
    round_trips,
    train_autoencoder,
    train_decoder,
    train_dit,
)
from models.training.design import CHECKPOINT, POCKET, of_world
from models.training.examples import Examples
from models.training.lapped import mdct_basis
from models.training.latents import normalise_latents
from models.training.modules import Autoencoder, Model
from models.training.official import read_codec, write_codec
from models.training.publish import options
from models.training.sounds import WORLDS, make_sound, packages

ROOT = Path(__file__).parents[3]
ROWS = range(24)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return data.prepare(tmp_path_factory.mktemp("clips"), 48, seed=3)


def need_packages(world):
    if world == "second" and (lines := packages.missing()):
        pytest.skip("; ".join(lines))


@pytest.fixture(scope="module")
def stereo_clips(tmp_path_factory):
    need_packages("second")
    return data.prepare(tmp_path_factory.mktemp("stereo"), len(ROWS), 3, of_world("second"))


def new_autoencoder(clips, design=POCKET):
    torch.manual_seed(0)
    return train_autoencoder.new_autoencoder(design, clips).eval()


def test_mdct_is_orthonormal():
    """Princen-Bradley: frames that overlap by half give the signal back."""
    basis, x = mdct_basis(16), torch.randn(1, 1, 160)
    coefficients = torch.nn.functional.conv1d(x, basis[:, None], stride=16, padding=8)
    back = torch.nn.functional.conv_transpose1d(coefficients, basis[:, None], stride=16, padding=8)
    assert (back - x)[..., 8:-8].abs().max() < 1e-5


@torch.no_grad()
def test_untrained_autoencoder_already_carries_a_tone(clips):
    model = new_autoencoder(clips)
    tone = torch.from_numpy(make_sound(np.random.default_rng(0), "tone", {"note": "A4"}).audio)
    decoded = model.decode(model.encode(tone[None, None])[0])
    assert train_autoencoder.signal_to_noise(decoded, tone[None, None]).item() > 15


@torch.no_grad()
def test_untrained_autoencoder_carries_both_channels_and_silence(stereo_clips):
    model = new_autoencoder(stereo_clips, of_world("second"))
    audio = torch.stack([torch.from_numpy(stereo_clips.audio.cut(row, 0, 65536)) for row in ROWS])
    decoded = model.decode(model.encode(audio)[0])
    assert train_autoencoder.signal_to_noise(decoded, audio).median() > 12
    apart, heard = (sound[:, :1] - sound[:, 1:] for sound in (audio, decoded))
    assert train_autoencoder.signal_to_noise(heard, apart).max() > 20  # of one that is apart
    silence = torch.zeros(1, 2, 8192)
    assert model.decode(model.encode(silence)[0]).abs().max() == 0


def test_training_keeps_silence_silent(stereo_clips, tmp_path, monkeypatch):
    monkeypatch.setattr(train_autoencoder, "BATCH", 2)
    design = of_world("second")
    model = train_autoencoder.train(design, stereo_clips, tmp_path, 2, "cpu")
    start = new_autoencoder(stereo_clips, design)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters()))
    with torch.no_grad():
        assert model.decode(model.encode(torch.zeros(1, 2, 8192))[0]).abs().max() == 0


@torch.no_grad()
def test_normalised_latents_decode_to_the_same_audio(clips):
    model = new_autoencoder(clips)
    audio = torch.stack([torch.from_numpy(clips.audio.cut(row, 0, 65536)) for row in range(4)])
    latents = model.encode(audio)[0]
    before = model.decode(latents)
    loud = train_dit.audibility(model)[:, 0]
    assert 3 * loud[-10:].mean() < loud[:10].mean()  # the strongest components come first
    scaled = normalise_latents(model, latents.numpy())
    normal = model.encode(audio)[0]
    assert np.allclose(normal.numpy(), scaled, atol=2e-2)
    assert torch.allclose(normal.std((0, 2)), torch.ones(POCKET.latents), atol=1e-2)
    assert torch.allclose(model.decode(normal), before, atol=1e-4)
    # twice as large a latent does twice as much to the sound
    loud = loud * latents.std((0, 2))
    assert torch.allclose(train_dit.audibility(model)[:, 0], loud / loud.mean(), rtol=0.1)


@torch.no_grad()
def test_a_codec_is_where_another_training_begins(clips, tmp_path):
    model = new_autoencoder(clips)
    write_codec(model, tmp_path / "codec.safetensors")
    again = Autoencoder(POCKET.model_config["model"]["pretransform"]["config"])
    read_codec(again, tmp_path / "codec.safetensors")
    audio = torch.from_numpy(clips.audio.cut(0, 0, 65536))[None]
    decoded, expected = (codec.decode(codec.encode(audio)[0]) for codec in (again, model))
    assert train_autoencoder.signal_to_noise(decoded, expected).min() > 40
    read_codec(again, CHECKPOINT)
    heard = again.decode(again.encode(audio)[0])
    assert train_autoencoder.signal_to_noise(heard, audio) > 10
    other = Autoencoder(of_world("second").model_config["model"]["pretransform"]["config"])
    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    files = [tmp_path / f"{name}.safetensors" for name in ("codec", "none", "missing")]
    for codec, file in zip((other, again, again, other), (*files, CHECKPOINT)):
        with pytest.raises(EdgeAudioError, match="no autoencoder of this design"):
            read_codec(codec, file)
    assert round_trips.main([str(tmp_path / "none.safetensors")]) == 1


def new_model():
    torch.manual_seed(0)
    return Model(POCKET.model_config, POCKET.t5_config(POCKET.pieces))


def test_the_loss_of_log_mel_is_the_metric():
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 440 * np.arange(16384) / 32_000)[None].repeat(2, 0)
    hissing = tone + 1e-3 * rng.standard_normal(tone.shape)
    both = [torch.from_numpy(s[None].astype("float32")) for s in (hissing, tone)]
    loss = train_decoder.mel_loss(*both, 32_000).item()
    assert loss == pytest.approx(log_mel_distance(hissing.T, tone.T, 32_000), rel=0.05)
    assert loss > 3, "a hiss 60 dB below a tone is told from none"
    silence = torch.zeros_like(both[0]).requires_grad_()
    train_decoder.mel_loss(silence, torch.zeros_like(silence), 32_000).backward()
    assert torch.isfinite(silence.grad).all()


def test_killed_run_goes_on_where_it_was(clips, tmp_path, monkeypatch):
    latents = np.random.default_rng(0).standard_normal((48, POCKET.latents, 128)).astype("float16")
    for module in (train_dit, train_autoencoder):
        monkeypatch.setattr(module, "SAVE_EVERY", 1)
    design = dataclasses.replace(POCKET, batch=4)
    examples = Examples(design, clips, latents, "cpu")
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train_dit.train(examples, new_model(), tmp_path / "whole", 3)

    add = progress.Log.add

    def killed(self, step, *arguments, **figures):
        add(self, step, *arguments, **figures)
        if step == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Log, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        train_dit.train(examples, new_model(), tmp_path / "killed", 3)
    monkeypatch.setattr(progress.Log, "add", add)
    resumed = train_dit.train(examples, new_model(), tmp_path / "killed", 3)
    for (name, a), b in zip(whole.named_parameters(), resumed.parameters()):
        assert torch.equal(a, b), name


def test_a_state_of_other_parts_is_refused(tmp_path):
    path, layer, bigger = tmp_path / "x.pt", torch.nn.Linear(2, 2), torch.nn.Linear(3, 3)
    progress.save_state(path, 7, layer=layer)
    assert progress.load_state(path, "cpu", layer=layer) == 7
    for parts in ({"layer": bigger}, {"layer": layer, "other": layer}):
        with pytest.raises(EdgeAudioError, match="other parts; use another folder"):
            progress.load_state(path, "cpu", **parts)


def test_best_by_validation_is_what_is_kept(tmp_path):
    layer, state = torch.nn.Linear(2, 2), tmp_path / "x.pt"
    best = progress.Best(tmp_path / "best.pt", tmp_path / "x-validation.csv", state)
    for step, loss in ((1, 0.5), (2, 0.3), (3, 0.4)):
        torch.nn.init.constant_(layer.weight, step)
        best.offer(step, loss, layer=layer)
    progress.save_state(state, 3, layer=layer)
    again = progress.Best(
        tmp_path / "best.pt", tmp_path / "x-validation.csv", state
    )  # after a kill
    torch.nn.init.constant_(layer.weight, 4)
    again.offer(4, 0.35, layer=layer)
    assert progress.load_state(best.path, "cpu", layer=layer) == 2 and (layer.weight == 2).all()
    state.unlink()
    progress.Best(
        tmp_path / "best.pt", tmp_path / "x-validation.csv", state
    )  # another training starts
    assert not best.path.exists()


@pytest.mark.parametrize("world", WORLDS)
def test_quick_run_ends_in_a_bundle(world, tmp_path):
    need_packages(world)
    design, run = of_world(world), str(tmp_path / "run")
    for _ in range(2):  # the second run finds everything done
        done = subprocess.run(
            [sys.executable, "-m", "models.training", run, "--quick", "--world", world],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "dit.csv").read_text().startswith("step,seconds,loss")
    assert (tmp_path / "run" / "curves.png").stat().st_size > 5000
    assert len((tmp_path / "run" / "dit-validation.csv").read_text().splitlines()) == 2
    from edge_audio.exporter.bundle import export

    bundled = options(("int8",), design)  # as it ships, without the search for a mixed precision
    export(tmp_path / "run" / "checkpoint", tmp_path / "bundle", bundled, say=lambda line: None)
    clip = Pipeline.load(tmp_path / "bundle", "int8").generate("rain", seconds=1, seed=1, steps=2)
    assert clip.samples.shape == (design.world.sample_rate, design.world.channels)
    assert np.isfinite(clip.samples).all()
