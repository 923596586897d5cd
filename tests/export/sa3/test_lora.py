"""Styles: adapters merged into the weights of Stable Audio 3, against golden arrays of the official
code, and what is refused.
"""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from references import DATA
from safetensors.numpy import load_file, save_file

from edge_audio.bundle.store import Bundle
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.evaluate.diagnose import diagnose, load
from edge_audio.exporter.bundle import Options, export
from edge_audio.exporter.checkpoint import Checkpoint, Lazy, read_checkpoint
from edge_audio.exporter.sa3.conditioners import Conditioners
from edge_audio.exporter.sa3.config import read_config
from edge_audio.exporter.sa3.dit import DiT
from edge_audio.exporter.styles import merge
from edge_audio.lora.adapter import KINDS, bases, identity
from edge_audio.lora.reading import argument, read_adapter

from .test_modules import ROWS, SOURCE, assert_near, row, velocity

LORA, DORA = (SOURCE / f"adapter_{name}.safetensors" for name in ("lora", "dora"))
#: of the golden arrays of kinds
RANK, ALPHA, STRENGTH = 3, 6, 0.7
WEIGHT = "model.model.x.weight"


@pytest.fixture(scope="module")
def golden():
    return np.load(SOURCE / "golden.npz")


@pytest.fixture(scope="module")
def checkpoint():
    return read_checkpoint(SOURCE, read_config(SOURCE).text_folder, "t5gemma")


def styled(checkpoint, *adapters):
    """The checkpoint with adapters (path, strength)."""
    fitted = [
        read_adapter(path, strength).fitted(checkpoint.tensors) for path, strength in adapters
    ]
    return merge(checkpoint, fitted)


def everything(checkpoint, *adapters):
    """Name -> merged weight of every layer that an adapter changes."""
    names = [
        name
        for path, strength in adapters
        for name in read_adapter(path, strength).fitted(checkpoint.tensors).layers
    ]
    merged = styled(checkpoint, *adapters)
    return {name: merged.take(name, checkpoint.tensors[name].shape) for name in names}


def write(path, tensors, config=None, **metadata):
    """A file as the official code writes it."""
    if config is not None:
        metadata["lora_config"] = json.dumps(config)
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, path, metadata)
    return path


def config_of(kind, **more):
    return {"rank": RANK, "alpha": ALPHA, "adapter_type": kind, **more}


def parts_of(golden, kind):
    """The adapter tensors of a kind in the golden arrays, by name."""
    start = f"kind_{kind}_"
    names = ("lora_A", "lora_B", "M_xs", "magnitude", "magnitude_r", "magnitude_c")
    return {name: golden[start + name] for name in names if start + name in golden.files}


def keyed(parts, layer="model.x"):
    return {f"{layer}.parametrizations.weight.0.{part}": array for part, array in parts.items()}


def toy(golden):
    """A checkpoint of the one weight that the golden arrays of kinds have."""
    return Checkpoint({WEIGHT: golden["kind_W0"]}, "0" * 64)


# --- golden arrays ---


@pytest.mark.parametrize("name, path", [("lora", LORA), ("dora", DORA)])
def test_merged_weights(name, path, golden, checkpoint):
    keys = [key for key in golden.files if key.startswith(f"{name}_W/")]
    merged = styled(checkpoint, (path, 1.0))
    for key in keys:
        found = merged.take(key.partition("/")[2], golden[key].shape)
        assert found.dtype == np.float32
        assert_near(found, golden[key], 1e-5)
        assert np.abs(found - checkpoint.take(key.partition("/")[2], found.shape)).max() > 1e-3
    assert len(keys) >= 3


def test_all_layers_are_found(golden, checkpoint):
    found = [len(read_adapter(path).fitted(checkpoint.tensors).layers) for path in (LORA, DORA)]
    assert found == golden["lora_layers"][:2].tolist()


@pytest.mark.parametrize(
    "key, adapters",
    [
        ("dit_v_base_t05", []),
        ("dit_v_lora", [(LORA, 1.0)]),
        ("dit_v_lora_s05", [(LORA, 0.5)]),
        ("dit_v_dora", [(DORA, 1.0)]),
        ("dit_v_dora_s05", [(DORA, 0.5)]),
        ("dit_v_lora_then_dora", [(LORA, 1.0), (DORA, 1.0)]),
    ],
)
def test_velocity(key, adapters, golden, checkpoint):
    config, merged = read_config(SOURCE), styled(checkpoint, *adapters)
    conditioners, dit = Conditioners(merged, config), DiT(merged, config)
    for index in ROWS:
        keep = [row(golden, f"inpaint_{kind}_L24", index) for kind in ("mask", "input")]
        v = velocity(conditioners, dit, golden, index, golden["x_L24"][index], 0.5, keep=keep)
        assert_near(v, golden[key][index])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind, golden, tmp_path):
    path = write(tmp_path / "a.safetensors", keyed(parts_of(golden, kind)), config_of(kind))
    assert read_adapter(path).kind == kind
    merged = styled(toy(golden), (path, STRENGTH)).take(WEIGHT, (40, 24))
    assert_near(merged, golden[f"kind_{kind}_merged"], 1e-5)
    if kind.endswith("-xs"):
        for found, side in zip(bases(golden["kind_W0"], RANK), "UV"):
            assert_near(found, golden[f"kind_{kind}_{side}"], 1e-5)


@pytest.mark.parametrize("axis", ["rows", "cols"])
def test_dora_of_older_files(axis, golden, tmp_path):
    parts = parts_of(golden, f"dora-{axis}")
    magnitude = parts["magnitude"]
    for shape in [(1, -1)] if axis == "cols" else [(-1,), (-1, 1)]:
        parts["magnitude"] = magnitude.reshape(shape)
        path = write(tmp_path / "a.safetensors", keyed(parts), config_of("dora"))
        merged = styled(toy(golden), (path, STRENGTH)).take(WEIGHT, (40, 24))
        assert_near(merged, golden[f"kind_dora-{axis}_merged"], 1e-5)


def test_without_metadata_alpha_is_the_rank(golden, tmp_path):
    parts = parts_of(golden, "lora")
    path = write(tmp_path / "a.safetensors", keyed(parts))
    merged = styled(toy(golden), (path, 1.0)).take(WEIGHT, (40, 24))
    assert_near(merged, golden["kind_W0"] + parts["lora_B"] @ parts["lora_A"], 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_changes_nothing(kind, golden, tmp_path):
    path = write(tmp_path / "a.safetensors", keyed(parts_of(golden, kind)), config_of(kind))
    merged = styled(toy(golden), (path, 0.0)).take(WEIGHT, (40, 24))
    assert np.array_equal(merged, golden["kind_W0"])


# --- one after the other ---


def test_bases_and_magnitudes_are_of_the_original_weight(golden, tmp_path):
    original = golden["kind_W0"]
    first = write(tmp_path / "1.safetensors", keyed(parts_of(golden, "lora")), config_of("lora"))
    parts = parts_of(golden, "dora-rows-xs")
    del parts["magnitude"]  # then it is as long as the rows of the original weight
    second = write(tmp_path / "2.safetensors", keyed(parts), config_of("dora-rows-xs"))
    merged = styled(toy(golden), (first, STRENGTH), (second, STRENGTH)).take(WEIGHT, (40, 24))
    u, v = bases(original, RANK)
    total = golden["kind_lora_merged"] + ALPHA / RANK * STRENGTH * u @ parts["M_xs"] @ v.T
    lengths = [np.linalg.norm(array, axis=1, keepdims=True) for array in (original, total)]
    assert_near(merged, total / lengths[1] * lengths[0], 1e-5)


def test_nothing_is_read_before_it_is_asked_for(golden, tmp_path):
    read = []

    def reader(name):
        return lambda: read.append(name) or golden["kind_W0"]

    names = [f"model.model.{layer}.weight" for layer in "xyz"]
    lazy = Checkpoint(Lazy({name: reader(name) for name in names}), "0" * 64)
    parts = parts_of(golden, "lora")
    tensors = keyed(parts, "model.x") | keyed(parts, "model.y")
    merged = styled(lazy, (write(tmp_path / "a.safetensors", tensors), 1.0))
    assert not read
    merged.take(names[1], (40, 24))
    assert read == names[1:2] and merged.used == {names[1]} and not lazy.used


def test_identity(checkpoint, golden, tmp_path):
    """What graphs are made of: files, strengths and their order, where they change something."""
    dit, seconds = "dit", "conditioners"

    def of(component, *adapters):
        found = [read_adapter(*adapter).fitted(checkpoint.tensors) for adapter in adapters]
        return identity(found, component)

    assert of(dit) == of(dit, (LORA, 0.0)) == ""
    different = [[(LORA, 1)], [(LORA, 0.5)], [(DORA, 1)], [(LORA, 1), (DORA, 1)]]
    different.append(different[-1][::-1])
    assert len({of(dit, *adapters) for adapters in different}) == len(different)
    assert of(dit, (LORA, 1)) == of(dit, (LORA, 1.0))
    tensors = {key: value for key, value in load_file(LORA).items() if "seconds_total" not in key}
    path = write(tmp_path / "a.safetensors", tensors)
    assert of(seconds, (path, 1)) == "" != of(seconds, (LORA, 1))


# --- folders of PEFT ---


def peft(folder, tensors, **config):
    folder.mkdir()
    save_file(
        {f"base_model.model.{key}": np.ascontiguousarray(value) for key, value in tensors.items()},
        folder / "adapter_model.safetensors",
    )
    entries = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "use_dora": False, **config}
    (folder / "adapter_config.json").write_text(json.dumps(entries))
    return folder


def as_peft(path, strip=""):
    """Tensors of an official file under PEFT's names, the layers' names cut at their start."""
    names = {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}
    return {
        f"{layer.removeprefix(strip)}.{names.get(part, 'lora_magnitude_vector')}": value
        for key, value in load_file(path).items()
        for layer, part in [key.split(".parametrizations.weight.0.")]
    }


@pytest.mark.parametrize("path, more", [(LORA, {}), (DORA, {"r": 2, "lora_alpha": 2})])
@pytest.mark.parametrize("strip", ["", "model."])
def test_a_folder_of_peft(path, more, strip, checkpoint, tmp_path):
    """The whole model was given to PEFT, or a module of it."""
    folder = peft(tmp_path / "style", as_peft(path, strip), use_dora=path == DORA, **more)
    expected = everything(checkpoint, (path, 0.8))
    for given in (folder, folder / "adapter_model.safetensors"):
        found = everything(checkpoint, (given, 0.8))
        assert found.keys() == expected.keys() and read_adapter(given).name == "style"
        for name, weight in expected.items():
            assert_near(found[name], weight, 1e-6)


def test_peft_names_the_whole_model_and_shapes_of_convolutions(checkpoint, tmp_path):
    tensors = {
        key.replace("model.", "model.model.", 1)
        if key.startswith("model.")
        else f"conditioner.{key}": (value[..., None] if "conv" in key else value)
        for key, value in as_peft(LORA).items()
    }
    found = everything(checkpoint, (peft(tmp_path / "style", tensors), 1.0))
    for name, weight in everything(checkpoint, (LORA, 1.0)).items():
        assert_near(found[name], weight, 1e-6)


@pytest.mark.parametrize(
    "config, scale",
    [
        ({}, ALPHA / RANK),
        ({"use_rslora": True}, ALPHA / RANK**0.5),
        ({"r": 8, "rank_pattern": {"x": RANK}, "alpha_pattern": {"model.x": 9}}, 9 / RANK),
        ({"alpha_pattern": {"^x": 9, "xx": 9, "y": 9}}, ALPHA / RANK),
        ({"alpha_pattern": {r"^model\.x": 9}}, 9 / RANK),
    ],
)
def test_scales_of_peft(config, scale, golden, tmp_path):
    parts = parts_of(golden, "lora")
    tensors = {f"model.x.{part}.default.weight": parts[part] for part in ("lora_A", "lora_B")}
    merged = styled(toy(golden), (peft(tmp_path / "style", tensors, **config), STRENGTH))
    expected = golden["kind_W0"] + scale * STRENGTH * parts["lora_B"] @ parts["lora_A"]
    assert_near(merged.take(WEIGHT, (40, 24)), expected, 1e-5)


# --- what is refused ---

QKV = "model.transformer.layers.0.self_attn.to_qkv"
OFFICIAL = {"rank": 3, "alpha": 6, "include": None, "exclude": ["ff.ff", "global_cond_embedder"]}


def edited(change, config=OFFICIAL):
    """A function that writes adapter_lora with its tensors changed."""

    def make(folder):
        tensors = load_file(LORA)
        change(tensors)
        return write(folder / "style.safetensors", tensors, config)

    return make


def key(part, layer=QKV):
    return f"{layer}.parametrizations.weight.0.{part}"


def renamed(old, new):
    def change(tensors):
        for part in ("lora_A", "lora_B"):
            tensors[key(part, new)] = tensors.pop(key(part, old))

    return change


def configured(**config):
    return edited(lambda tensors: None, {**OFFICIAL, **config})


def raw(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def peft_of(tensors=None, weights=True, **config):
    def make(folder):
        path = peft(folder / "style", as_peft(LORA) if tensors is None else tensors, **config)
        if not weights:
            (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")
        return path

    return make


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda folder: folder / "none.safetensors", "none.safetensors is missing"),
        (lambda folder: folder, "adapter_config.json is missing"),
        (raw("style.safetensors", b"hello"), "style.safetensors cannot be read as safetensors"),
        (raw("style.wav", b"RIFF" * 99), "style.wav cannot be read as safetensors"),
        (raw("style.safetensors", LORA.read_bytes()[:9000]), "cannot be read as safetensors"),
        (edited(lambda t: t.clear()), "holds no tensors"),
        # another model
        (
            edited(renamed(QKV, "model.transformer.layers.9.to_q")),
            "is for another model: it change",
        ),
        (edited(lambda t: [t.pop(key(part)) for part in ("lora_A", "lora_B")]), f"lacks {QKV}"),
        (edited(lambda t: t.pop(key("lora_B"))), f"has no lora_B of '{QKV}'"),
        (
            edited(lambda t: t.update({key("lora_A"): t[key("lora_A")][:, :-1]})),
            f"lora_A of model.{QKV}.weight has shape [3, 127], needed is [3, 128]",
        ),
        (
            edited(lambda t: t.update({key("lora_B"): t[key("lora_B")].T})),
            f"lora_B of model.{QKV}.weight has shape [3, 384], needed is [384, 3]",
        ),
        (edited(lambda t: t.update({key("lora_A"): t[key("lora_A")][0]})), "has shape [128]"),
        (edited(lambda t: t.update(hello=np.zeros(2, "f4"))), "holds tensor 'hello'"),
        (edited(lambda t: t.update({"a\n\x1b": np.zeros(2, "f4")})), r"holds tensor 'a\n\x1b'"),
        (edited(lambda t: t.update({key("soul"): np.zeros(2, "f4")})), "has 'soul' of"),
        (edited(lambda t: t.update({key("magnitude"): np.zeros(2, "f4")})), "has 'magnitude' of"),
        (
            lambda folder: write(
                folder / "style.safetensors",
                {k: v for k, v in load_file(DORA).items() if k != key("magnitude")},
                {"adapter_type": "dora-rows"},
            ),
            f"has no magnitude of '{QKV}'",
        ),
        # what no adapter may change
        (
            edited(renamed(QKV, "t5gemma.model.encoder.layers.0.self_attn.q_proj")),
            "changes t5gemma.model.encoder.layers.0.self_attn.q_proj.weight; adapters may change",
        ),
        (
            edited(renamed(QKV, "pretransform.model.decoder.layers.1")),
            "changes pretransform.model.decoder.layers.1.weight; adapters may change only",
        ),
        # configurations and numbers
        (configured(adapter_type="loha"), "has adapter_type 'loha'; known are lora, dora-rows"),
        (configured(adapter_type=["lora"]), "has adapter_type ['lora']"),
        (configured(adapter_type="dora-rows-xs"), "has no M_xs of"),
        (configured(rank=0), "has rank 0"),
        (configured(rank=4), "has shape [32, 3], needed is [32, 4]"),
        (configured(rank="3"), "has rank '3'"),
        (configured(alpha=float("nan")), "has alpha nan"),
        (configured(alpha=None), "has alpha None"),
        (configured(include="to_qkv"), "include of lora_config is no list of names"),
        (configured(exclude=["[0-9999][0-9999]"]), "exclude of lora_config stands for too many"),
        (
            lambda folder: write(folder / "s.safetensors", load_file(LORA), lora_config="[" * 9999),
            "lora_config is no JSON object",
        ),
        (
            edited(lambda t: t.update({k: v[:0] for k, v in t.items() if "lora_A" in k}), None),
            "has rank 0",
        ),
        (
            edited(lambda t: t.update({key("lora_A"): t[key("lora_A")] * np.nan})),
            f"holds NaN or infinity in lora_A of model.{QKV}.weight",
        ),
        (edited(lambda t: t.update({key("lora_A"): np.zeros((3, 128), "i4")})), "is I32"),
        # PEFT
        (peft_of(peft_type="LOHA"), "has peft_type 'LOHA'; only adapters with 'LORA'"),
        (peft_of(init_lora_weights="pissa"), "has init_lora_weights 'pissa'"),
        (peft_of(fan_in_fan_out=True), "has fan_in_fan_out True"),
        (peft_of(rank_pattern={"(a+)+$": 3}), "has rank_pattern '(a+)+$', which is no name"),
        (peft_of(r=0), "has rank 0"),
        (peft_of(use_dora=True, tensors={"x.lora_A.weight": np.zeros((3, 2), "f4")}), "no lora_B"),
        (peft_of({"x.lora_embedding_A": np.zeros((3, 2), "f4")}), "x.lora_embedding_A'"),
        (peft_of(weights=False), "adapter_model.bin is a pickle"),
    ],
)
def test_what_is_no_adapter_for_this_model(make, message, checkpoint, tmp_path):
    path = make(tmp_path)
    with pytest.raises(EdgeAudioError) as error:
        everything(checkpoint, (path, 1.0))
    assert message in str(error.value) and str(path.name) in str(error.value)
    assert str(error.value).isprintable() and "; " in str(error.value)


@pytest.mark.parametrize("name", ["style.ckpt", "style.pt", "style.safetensors"])
def test_nothing_is_unpickled(name, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    (tmp_path / name).write_bytes(pickle.dumps({"state_dict": Trap()}))
    with pytest.raises(EdgeAudioError, match=name):
        read_adapter(tmp_path / name)
    assert not (tmp_path / "trapped").exists()


def test_bases_that_a_weight_does_not_have(golden, tmp_path):
    core = {"M_xs": np.zeros((25, 25), np.float32)}
    path = write(tmp_path / "a.safetensors", keyed(core), {"adapter_type": "lora-xs"})
    with pytest.raises(EdgeAudioError, match=r"rank 25, tensor .* has not as many bases"):
        styled(toy(golden), (path, 1.0)).take(WEIGHT, (40, 24))


def test_strengths(checkpoint):
    for strength in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="is not a finite number"):
            read_adapter(LORA, strength)
    for path in (LORA, DORA):
        with pytest.raises(EdgeAudioError, match="makes tensor .* infinite; give a smaller"):
            everything(checkpoint, (path, 1e308))


def test_a_damaged_weight_is_the_checkpoints(golden, tmp_path):
    parts = parts_of(golden, "lora-xs")
    path = write(tmp_path / "a.safetensors", keyed(parts), config_of("lora-xs"))
    broken = Checkpoint({WEIGHT: golden["kind_W0"] * np.nan}, "0" * 64)
    with pytest.raises(EdgeAudioError, match=f"tensor {WEIGHT} holds NaN"):
        styled(broken, (path, 1.0)).take(WEIGHT, (40, 24))


def test_a_refused_adapter_leaves_nothing(tmp_path):
    style, out = tmp_path / "in", tmp_path / "out" / "bundle"
    style.mkdir()
    change = edited(lambda t: t.update({key("lora_A"): t[key("lora_A")][:, :-1]}))
    for source, path, message in (
        (SOURCE, change(style), "needed is"),
        (SOURCE, style / "none.safetensors", "is missing"),
        (DATA / "tiny0", LORA, "is for another model"),
    ):
        with pytest.raises(EdgeAudioError, match=message):
            export(source, out, Options(("f32",), adapters=((path, 1.0),)), say=lambda line: None)
        assert not out.exists() and not list(tmp_path.rglob(".*"))


# --- the command ---


def test_a_file_and_its_strength(tmp_path):
    for text, path, strength in (
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors=0.8", "a.safetensors", 0.8),
        ("a=b.safetensors=-1", "a=b.safetensors", -1.0),
        (f"{tmp_path}/a=b", f"{tmp_path}/a=b", 1.0),
    ):
        (tmp_path / "a=b").touch()
        found, given = argument(text)
        assert (str(found), given) == (path, strength)


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "edge_audio.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "given, code, message",
    [
        (["--lora", "none.safetensors"], 1, "none.safetensors is missing"),
        (["--lora", f"{LORA}=loud"], 2, "is neither a file nor one with a strength"),
        (["--lora", f"{LORA}=nan"], 2, "strength nan of"),
    ],
)
def test_bad_input_is_one_line(given, code, message, tmp_path):
    done = run("export", SOURCE, "out", *given, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == code and not list(tmp_path.iterdir())
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]


@pytest.mark.slow
def test_a_bundle_with_styles(tmp_path, golden):
    options = ("--precision", "f32", "--without-encoder", "--latent-lengths", "40")
    styles = ("--lora", LORA, "--lora", f"{DORA}=1")
    done = run("export", SOURCE, "out", *options, *styles, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "merged adapter_dora.safetensors at 1: dora-rows, 12 layers" in done.stdout
    with_styles = Bundle.open(tmp_path / "out").manifest
    assert [(one.name, one.strength) for one in with_styles.adapters] == [
        (LORA.name, 1.0),
        (DORA.name, 1.0),
    ]
    assert (
        "adapter    adapter_lora.safetensors, strength 1" in run("info", "out", cwd=tmp_path).stdout
    )
    check_velocity(tmp_path / "out", golden)
    with (
        load(tmp_path / "out", "f32", None) as pipe,
        pytest.raises(EdgeAudioError, match="has adapter_lora.safetensors merged into its weights"),
    ):
        diagnose(pipe, symptoms=[], checkpoint=SOURCE)
    # without them, only what they changed is made anew
    done = run("export", SOURCE, "out", *options, cwd=tmp_path)
    assert "decoder.f32.tflite: kept" in done.stdout and done.returncode == 0
    assert "dit.f32.tflite: converting" in done.stdout
    plain = Bundle.open(tmp_path / "out").manifest
    assert plain.adapters == () and plain.source_sha256 == with_styles.source_sha256
    for component, same in (("conditioners", False), ("dit", False), ("decoder", True)):
        hashes = {manifest.graphs[component]["f32"].sha256 for manifest in (plain, with_styles)}
        assert (len(hashes) == 1) is same


def check_velocity(folder, golden, key="dit_v_lora_then_dora", lora=()):
    """The graphs give the official v; lora: styles that are merged into them now."""
    from edge_audio import Pipeline

    from .test_bundle import channels_last
    from .test_bundle import velocity as through_the_bundle

    pipe = Pipeline.load(folder, precision="f32", threads=2, lora=lora)
    with pipe.model.lease() as lease:
        for index in ROWS:
            v, branches = through_the_bundle(pipe, lease, golden, index)
            kinds = {"keep": "mask", "kept_latents": "input"}
            branches[0].share(
                **{
                    name: channels_last(row(golden, f"inpaint_{kind}_L24", index))
                    for name, kind in kinds.items()
                }
            )
            assert_near(v(golden["x_L24"][index], 0.5), golden[key][index])
