"""The page, in a browser without a window: what is made of a sound that is there, by pocket. The
clips are those of the server, as it lets them be downloaded.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from adapters import random_adapter
from serve.browsing import Visit, ask, at_rest, drag, drop, made, ordered, until
from serve.serving import CHECKPOINT, ended, serving

from edge_audio import Clip, Pipeline
from edge_audio.sampling.editing import CROSS_FADE
from edge_audio.system import cache

pytestmark = pytest.mark.browser
try:
    from playwright.sync_api import expect
except ImportError:
    expect = None

RATE = 16000
#: frames in which the end of a clip fades over into what follows
FADE = round(CROSS_FADE * RATE)


@pytest.fixture(scope="module")
def library():
    """pocket without a server."""
    with Pipeline.load() as pipe:
        yield pipe


def samples(client, job: dict, clip: int = 0, format: str = "wav") -> np.ndarray:
    """A job's clip when it is done, int16 [frames]."""
    over = ended(client, job["id"])
    assert over["state"] == "done", over
    asked = {"clip": clip, "format": format}
    sound = client.get(f"/v1/jobs/{job['id']}/audio", params=asked).content
    return soundfile.read(io.BytesIO(sound), dtype="int16")[0]


def as_file(clip: Clip) -> np.ndarray:
    """The library's clip as it would be written, int16 [frames]."""
    file = io.BytesIO()
    clip.save(file, format="wav")
    file.seek(0)
    return soundfile.read(file, dtype="int16")[0]


def first(page, client, prompt: str, **how) -> tuple[dict, np.ndarray]:
    """A clip to work on, and its samples."""
    job = ordered(page, lambda: ask(page, prompt, **how))
    expect(page.locator("#facts")).to_contain_text("seed")
    until(page, "player.sound?.isWhole")
    return job, samples(client, job)


def press(page, edit: str):
    return lambda: page.click(f"[data-edit={edit}] button >> nth=0")


def check_kept(old: np.ndarray, new: np.ndarray, begin: int, end: int) -> None:
    """Only samples between these are others."""
    assert len(old) == len(new)
    assert np.array_equal(old[:begin], new[:begin]) and np.array_equal(old[end:], new[end:])
    assert np.mean(old[begin:end] != new[begin:end]) > 0.5


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_part_is_replaced_and_nothing_else(page, client, format):
    drum, _ = first(page, client, "a drum", seconds=2)
    drag(page, 0.5, 0.75)
    page.fill("#prompt", "a cymbal")
    job = ordered(page, press(page, "replace"))
    [(begin, end)] = job["request"]["replace"]
    assert (begin, end) == pytest.approx((1.0, 1.5), abs=0.01)
    assert job["request"]["init"] == {"job": drum["id"], "clip": 0}
    expect(page.locator("#title")).to_have_text("a cymbal")
    old, new = (samples(client, j, format=format) for j in (drum, job))
    check_kept(old, new, int(begin * RATE), int(np.ceil(end * RATE)))
    until(page, f"player.sound?.isWhole && player.sound.key.startsWith('{job['id']}')")
    heard = page.evaluate("[...player.sound.channels[0]]")
    assert np.array_equal(np.rint(np.array(heard) * 32768), new)


def test_a_part_is_chosen_by_numbers_or_by_keys(page, client):
    _, old = first(page, client, "a drum", seconds=2)
    page.focus("#region-start")
    page.keyboard.type("0.25")
    page.keyboard.press("Tab")
    expect(page.locator("#region-end")).to_have_value("2.00")
    page.keyboard.type("0.5")
    page.keyboard.press("Tab")
    expect(page.locator("#region-end")).to_have_value("0.50")
    job = ordered(page, press(page, "replace"))
    assert job["request"]["replace"] == [[0.25, 0.5]]
    new = samples(client, job)
    check_kept(old, new, 4000, 8000)
    until(page, f"player.sound?.isWhole && player.sound.key.startsWith('{job['id']}')")
    at_rest(page)
    if page.evaluate("player.isPlaying"):
        page.keyboard.press("Space")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("[")
    again = ordered(page, press(page, "replace"))
    assert again["request"]["replace"] == [[1.0, 2.0]]
    assert again["request"]["init"] == {"job": job["id"], "clip": 0}
    check_kept(new, samples(client, again), RATE, 2 * RATE)


@pytest.mark.parametrize("where", ["extend", "extend_before"])
def test_it_goes_on(page, client, where):
    _, old = first(page, client, "a drum", seconds=1)
    page.fill("#extend-by", "1.5")
    page.select_option("#extend-where", where)
    job = ordered(page, press(page, "extend"))
    assert job["request"][where] == 1.5
    new = samples(client, job)
    assert len(new) == 2.5 * RATE
    if where == "extend_before":
        new, old = new[::-1], old[::-1]
    assert np.array_equal(new[: RATE - FADE], old[:-FADE])
    assert np.abs(new[RATE:]).max() > 100


def test_a_loop_of_bars_at_a_tempo(page, client, library):
    page.click("#advanced summary")
    page.fill("#steps", "2")
    page.fill("#prompt", "a shaker")
    page.fill("#bars", "2")
    page.fill("#bpm", "140")
    job = ordered(page, press(page, "loop"))
    asked = job["request"]
    assert (asked["loop"], asked["bars"], asked["bpm"]) == (True, 2, 140)
    looped = samples(client, job)
    assert len(looped) == round(8 * 60 / 140 * RATE)
    wanted = library.generate("a shaker", steps=2, loop=True, bars=2, bpm=140, seed=asked["seed"])
    assert np.array_equal(looped, as_file(wanted))
    expect(page.locator("#loop")).to_have_attribute("aria-pressed", "true")
    until(page, f"player.playedFrames > {len(looped)} + 4000", seconds=30)
    assert page.evaluate("player.isPlaying")
    page.click("#loop")  # the choice is kept for later clips


@pytest.mark.parametrize(
    "name, rate, channels", [("hum.wav", 16000, 1), ("hum.flac", 44100, 2), ("hum.mp3", 22050, 1)]
)
def test_a_dropped_file_is_started_from(page, client, library, tmp_path, name, rate, channels):
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(rate) / rate)
    soundfile.write(tmp_path / name, np.repeat(tone[:, None], channels, 1), rate)
    drop(page, name, (tmp_path / name).read_bytes())
    expect(page.locator("#source-name")).to_have_text(name)
    page.fill("#strength", "0.4")
    job = ordered(page, lambda: ask(page, "an organ", seconds=1))
    asked = job["request"]
    assert (asked["init"], asked["strength"]) == ({"file": name}, 0.4)
    wanted = library.generate(
        "an organ", seconds=1, steps=2, seed=asked["seed"], init=tmp_path / name, strength=0.4
    )
    assert np.array_equal(samples(client, job), as_file(wanted))


def test_what_is_no_sound_is_said(page):
    drop(page, "words.txt", b"no sound", "text/plain")
    expect(page.locator("[data-error=init]")).to_have_text("words.txt is no sound file.")
    expect(page.locator("#strength-field")).to_be_hidden()
    drop(page, "broken.wav", b"RIFF but nothing else")
    ask(page, "an organ")
    expect(page.locator("[data-error=init]")).to_be_visible()
    page.click("#source-clear")
    expect(page.locator("#strength-field")).to_be_hidden()
    made(page, "an organ")


def test_eight_variations_of_an_edit(page, client):
    """They keep what it kept; and one of them is worked on as any clip."""
    _, old = first(page, client, "a drum", seconds=1)
    drag(page, 0.5, 0.75)
    edited = ordered(page, press(page, "replace"))
    ended(client, edited["id"])
    expect(page.locator("#cancel")).to_be_disabled()
    job = ordered(page, press(page, "more"))
    assert job["request"]["replace"] == edited["request"]["replace"]
    takes = [samples(client, job, clip) for clip in range(8)]
    [(begin, end)] = job["request"]["replace"]
    for take in takes:
        check_kept(old, take, int(begin * RATE), int(np.ceil(end * RATE)))
    assert len({take.tobytes() for take in takes}) == 8
    expect(page.locator(".take:enabled")).to_have_count(8)
    at_rest(page)
    page.keyboard.press("4")
    expect(page.locator(".take").nth(3)).to_have_attribute("aria-pressed", "true")
    until(page, "player.sound?.isWhole && player.sound.key.endsWith('3')")
    page.fill("#extend-by", "0.5")
    longer = ordered(page, press(page, "extend"))
    assert longer["request"]["init"] == {"job": job["id"], "clip": 3}
    assert np.array_equal(samples(client, longer)[: RATE - FADE], takes[3][:-FADE])


def test_a_clip_of_the_history_is_started_from(page, client, library, tmp_path):
    drum, _ = first(page, client, "a drum", seconds=1)
    page.click("#start-from")
    expect(page.locator("#source-name")).to_contain_text("a drum")
    job = ordered(page, lambda: ask(page, "a wooden drum", seconds=1))
    asked = job["request"]
    assert asked["init"] == {"job": drum["id"], "clip": 0} and asked["strength"] == 0.6
    kept = client.get(f"/v1/jobs/{drum['id']}/audio", params={"format": "flac"})
    (tmp_path / "drum.flac").write_bytes(kept.content)
    wanted = library.generate(
        "a wooden drum",
        **{"seconds": 1, "steps": 2, "seed": asked["seed"], "strength": 0.6},
        init=tmp_path / "drum.flac",
    )
    assert np.array_equal(samples(client, job), as_file(wanted))


def test_what_a_model_cannot_is_said_and_not_offered(visit):
    """As of a bundle without an encoder."""

    def models(route):
        answer = route.fetch()
        known = answer.json()
        known["data"][0]["can"] = []
        route.fulfill(response=answer, json=known)

    visit.page.route("**/v1/models", models)
    page = visit.open()
    expect(page.locator("#cannot")).to_contain_text("pocket cannot")
    expect(page.locator("[data-edit=replace]")).to_be_hidden()
    expect(page.locator(".source")).to_be_hidden()
    drop(page, "hum.wav", b"RIFF")
    expect(page.locator("#banner")).to_contain_text("pocket cannot start from a sound")


def test_a_style_is_chosen_where_there_are_any(browser, page, tmp_path, monkeypatch):
    page.click("#advanced summary")
    expect(page.locator("#precision")).to_be_visible()
    expect(page.locator("#style-field")).to_be_hidden()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    styles = tmp_path / "styles"
    styles.mkdir()
    random_adapter(styles / "vinyl.safetensors", CHECKPOINT)
    with serving(tmp_path / "data", styles=styles) as client:
        visit = Visit(browser, client)
        page = visit.open()
        page.click("#advanced summary")
        page.select_option("#style", label="vinyl")
        page.fill("#style-strength", "0.5")
        job = ordered(page, lambda: ask(page, "a bell"))
        assert job["request"]["lora"] == [{"name": "vinyl.safetensors", "strength": 0.5}]
        expect(page.locator("#title")).to_have_text("a bell")
        styled = samples(client, job)
        with Pipeline.load(lora=[(styles / "vinyl.safetensors", 0.5)]) as pipe:
            wanted = pipe.generate("a bell", seconds=0.5, steps=2, seed=job["request"]["seed"])
        assert np.array_equal(styled, as_file(wanted))
        visit.context.close()
        assert visit.complaints == []
