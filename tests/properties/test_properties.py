"""What must hold for any input, tried on inputs that nobody thought of."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_audio import Clip, EdgeAudioError, Request
from edge_audio.bundle.manifest import Manifest
from edge_audio.bundle.vocabulary import edit_distance, words_of
from edge_audio.model.codec import faded, plan
from edge_audio.model.tokens import padded
from edge_audio.sampling.samplers import SAMPLERS

OLD = Path(__file__).parents[1] / "data" / "schema1" / "manifest.json"
MANIFEST = Manifest.from_json(OLD.read_text())
# The first example of a test pays for imports; slow machines are no failure.
bounded = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@bounded
@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 300))
def test_tiles_cover_everything_once(length: int, tile: int, overlap: int) -> None:
    if not 2 * overlap < tile <= length:
        with pytest.raises(ValueError, match="cannot cover"):
            plan(length, tile, overlap)
        return
    tiles = plan(length, tile, overlap)
    assert [one.begin for one in tiles] == [0, *(one.end for one in tiles[:-1])]
    assert tiles[-1].end == length
    for one in tiles:
        assert 0 <= one.start <= one.begin < one.end <= one.start + tile <= length
        assert one.begin - one.start >= overlap or one.start == 0
        assert one.start + tile - one.end >= overlap or one.end == length


@bounded
@given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.sampled_from([64, 8000, 44_100]))
def test_fades_do_not_depend_on_blocks(sizes: list[int], rate: int) -> None:
    whole = np.random.default_rng(len(sizes)).standard_normal((sum(sizes), 2)).astype(np.float32)
    blocks = np.split(whole, np.cumsum(sizes)[:-1])
    found = np.concatenate(list(faded(blocks, len(whole), rate)))
    assert np.array_equal(found, next(faded([whole], len(whole), rate)))
    assert np.all(np.abs(found) <= np.abs(whole))


@bounded
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(2, 12))
def test_padded_ids_keep_their_end(ids: list[int], length: int) -> None:
    tokens = padded(ids, length)
    assert tokens.ids.shape == tokens.mask.shape == (1, length)
    kept = int(tokens.mask.sum())
    assert tokens.mask[0].tolist() == [1] * kept + [0] * (length - kept)
    assert not tokens.ids[0, kept:].any() and kept == min(tokens.count, length)
    if any(ids):
        assert tokens.ids[0, kept - 1] == [i for i in ids if i][-1]  # ids end before their padding


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.binary(max_size=4),
)


@bounded
@given(
    prompt=st.one_of(st.none(), st.text(max_size=20), st.integers()),
    seconds=ANYTHING,
    seed=ANYTHING,
    steps=ANYTHING,
    sampler=st.one_of(ANYTHING, st.sampled_from(sorted(SAMPLERS))),
    cfg_scale=ANYTHING,
    negative=st.one_of(st.none(), st.text(max_size=8)),
    ids=st.one_of(st.none(), st.lists(st.one_of(st.integers(), st.floats()), max_size=12)),
)
def test_any_request_is_decided_or_refused(**asked) -> None:
    """Never anything but an EdgeAudioError of one line, or settings that are all decided."""
    try:
        decided = Request(**{**asked, "ids": asked["ids"] and tuple(asked["ids"])}).resolved(
            MANIFEST
        )
    except EdgeAudioError as error:
        assert "\n" not in str(error).strip()
        return
    assert 1 <= decided.frames(MANIFEST) <= 128 and decided.latents(MANIFEST) in (8, 16)
    assert decided.steps >= 1 and np.isfinite(decided.cfg_scale) and decided.sampler in SAMPLERS
    assert hash(decided) == hash(Request.from_recipe(vars(decided)).resolved(MANIFEST))
    json.dumps(vars(decided))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
RECIPE = vars(Request("rain", seed=3).resolved(MANIFEST))


@bounded
@given(st.dictionaries(st.sampled_from(sorted(RECIPE)), JSON, max_size=3))
def test_any_recipe_is_a_request_or_refused(changed) -> None:
    try:
        decided = Request.from_recipe({**RECIPE, **changed}).resolved(MANIFEST)
    except EdgeAudioError as error:
        assert str(error).isprintable() and len(str(error)) < 400
        return
    json.dumps(vars(decided))


def entries_at(value, path=()):
    """Every place in parsed JSON."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    for key, child in enumerate(value) if isinstance(value, list) else children:
        yield from entries_at(child, (*path, key))


PLACES = list(entries_at(json.loads(MANIFEST.to_json())))[1:]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=30),
    st.lists(st.integers(-5, 2**40), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@bounded
@given(st.sampled_from(PLACES), VALUES)
def test_any_change_of_a_manifest_is_read_or_refused(place, value) -> None:
    entries = json.loads(MANIFEST.to_json())
    holder = entries
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    try:
        read = Manifest.from_json(json.dumps(entries))
    except ValueError as error:
        assert str(error) and len(str(error)) < 500
        return
    assert Manifest.from_json(read.to_json()) == read


@pytest.fixture(scope="module")
def wav() -> bytes:
    stream = io.BytesIO()
    clip = Clip(np.zeros((50, 1), np.float32), 8000, {"prompt": "rain", "seed": 1})
    clip.save(stream, format="wav")
    return stream.getvalue()


@bounded
@given(st.data())
def test_any_damaged_wav_tells_its_recipe_or_an_error(wav, tmp_path, data) -> None:
    raw = bytearray(wav)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.wav"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        recipe = Clip.recipe_of(path)
    except EdgeAudioError as error:
        assert "\n" not in str(error).strip()
        return
    assert isinstance(recipe, dict)


@bounded
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_edit_distance_is_a_distance(a: str, b: str, c: str) -> None:
    most = 24
    assert edit_distance(a, b, most) == edit_distance(b, a, most)
    assert (edit_distance(a, b, most) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= edit_distance(a, b, most) <= max(len(a), len(b))
    assert all(word == word.lower() and word for word in words_of(a + " " + b))
