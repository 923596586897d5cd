"""The page, in a browser without a window: made, heard, changed, found again."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile
from serve.browsing import Visit, ask, at_rest, drag, made, until
from serve.serving import serving

pytestmark = pytest.mark.browser
try:
    from playwright.sync_api import expect
except ImportError:
    expect = None


def test_samples_are_played(page):
    """Frames go out, and the analyser before the loudspeaker hears them."""
    ask(page, "a bell", seconds=2, steps=4)
    until(page, "player.playedFrames > 4000 && player.level() > 1e-4")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    until(page, "!player.isPlaying && player.position === 0")
    assert abs(page.evaluate("player.playedFrames") - 2 * 16000) < 4000
    assert page.evaluate("player.sound.isWhole && player.sound.frames") == 32000


def test_the_picture_shows_the_clip(page):
    made(page, "a loud bell")
    until(page, "player.sound?.isWhole")
    painted = """selector => {
        const canvas = document.querySelector(selector);
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const colours = new Set();
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3]) colours.add(data.slice(i, i + 3).join());
        }
        return colours.size;
    }"""
    assert page.evaluate(painted, ".wave.played") >= 2
    assert page.evaluate(painted, ".spectrum") > 50


def test_it_plays_while_samples_still_arrive(page):
    """Half a clip is heard, the player waits for the rest, and goes on when it comes."""
    page.evaluate(
        """async () => {
            const {Sound} = await import('/page/sounds.js');
            window.sound = new Sound('x');
            const tone = new Float32Array(8000).map((_, i) => Math.sin(i / 5) / 2);
            window.more = () => sound.add([tone]);
            player.open(sound, {play: true});
            sound.begin({rate: 16000, channels: 1, frames: 16000});
            more();
        }"""
    )
    page.mouse.click(5, 5)  # browsers let sound out after a press
    page.evaluate("player.unlock(16000)")
    until(page, "player.position === 0.5")
    assert page.evaluate("player.isPlaying && !sound.isWhole")
    page.evaluate("more(); sound.end(true)")
    until(page, "player.position > 0.6")
    until(page, "!player.isPlaying")


def test_blocks_join_without_a_seam(visit):
    """A sine in many blocks, as it leaves for the loudspeaker: each sample follows from the two
    before it, x[n] = 2 cos(w) x[n-1] - x[n-2], but where the player fades in and out.
    """
    visit.page.add_init_script(
        """window.heard = [];
        const make = AudioContext.prototype.createAnalyser;
        AudioContext.prototype.createAnalyser = function () {
            const analyser = make.call(this);
            const tap = this.createScriptProcessor(16384, 1, 1);
            tap.onaudioprocess = (event) => heard.push(...event.inputBuffer.getChannelData(0));
            analyser.connect(tap).connect(this.destination);
            return analyser;
        };"""
    )
    page = visit.open()
    page.mouse.click(5, 5)
    page.evaluate(
        """async () => {
            const {Sound} = await import('/page/sounds.js');
            const sound = new Sound('x');
            const sine = new Float32Array(32000).map((_, i) => 0.5 * Math.sin(0.2 * i));
            sound.begin({rate: 16000, channels: 1, frames: sine.length});
            player.volume = 1;
            player.open(sound, {play: true});
            for (let begin = 0; begin < sine.length; begin += 1000) {
                sound.add([sine.subarray(begin, begin + 1000)]);
                if (begin > 16000) await new Promise((resolve) => setTimeout(resolve, 10));
            }
            sound.end(true);
        }"""
    )
    until(page, "!player.isPlaying && heard.length > 50000")
    heard = np.array(page.evaluate("heard"))
    (sounding,) = np.nonzero(np.abs(heard) > 1e-6)
    heard = heard[sounding[0] : sounding[-1] + 1]
    assert abs(len(heard) - 32000) <= 2
    inner = heard[400:-400]
    steps = inner[2:] - 2 * np.cos(0.2) * inner[1:-1] + inner[:-2]
    assert np.abs(inner).max() > 0.49 and np.abs(steps).max() < 1e-4


def test_cancel(page, client):
    ask(page, "a very slow siren", seconds=4, steps=250)
    expect(page.locator("#facts")).to_contain_text("step")
    page.keyboard.press("Escape")
    expect(page.locator("#cancel")).to_be_disabled()
    newest = client.get("/v1/jobs?limit=1").json()["jobs"][0]
    assert (newest["state"], newest["clips"]) == ("cancelled", [])
    expect(page.locator(".row").first).to_contain_text("cancelled")


def test_several_takes_for_one_key(page):
    page.fill("#prompt", "a coin")
    page.fill("#seconds", "0.3")
    page.press("#prompt", "Control+Shift+Enter")
    expect(page.locator(".take:enabled")).to_have_count(8, timeout=30_000)
    expect(page.locator("#cancel")).to_be_disabled()
    at_rest(page)
    page.keyboard.press("3")
    expect(page.locator(".take").nth(2)).to_have_attribute("aria-pressed", "true")
    seeds = page.locator(".take .seed").all_text_contents()
    assert len(set(seeds)) == 8
    expect(page.locator("#facts")).to_contain_text(seeds[2])


def test_what_was_made_is_found_after_a_reload(page):
    made(page, "a frog in the rain")
    made(page, "a cuckoo")
    page.click(".row:has-text('frog') .star")
    page.reload()
    expect(page.locator("#history")).to_contain_text("a cuckoo")
    page.fill("#search", "frog")
    expect(page.locator(".row")).to_have_count(1)
    page.fill("#search", "")
    page.check("#only-favourites")
    expect(page.locator(".row .words")).to_have_text(["a frog in the rain"])
    page.click(".row .entry")
    expect(page.locator("#title")).to_have_text("a frog in the rain")
    expect(page.locator("#favourite")).to_have_attribute("aria-pressed", "true")


def test_delete_can_be_taken_back(page, client):
    made(page, "a knock")
    job = client.get("/v1/jobs?query=knock").json()["jobs"][0]["id"]
    page.fill("#prompt", "being written")
    page.click("#delete")
    expect(page.locator(".row:has-text('a knock')")).to_have_count(0)
    expect(page.locator("#prompt")).to_have_value("being written")
    page.click("#toast button")
    expect(page.locator(".row:has-text('a knock')")).to_have_count(1)
    assert client.get(f"/v1/jobs/{job}").status_code == 200
    page.click("#delete")
    page.reload()  # who leaves does not come back to undo
    expect(page.locator(".row:has-text('a knock')")).to_have_count(0)
    assert client.get(f"/v1/jobs/{job}").status_code == 404


def test_errors_stand_at_their_field(page):
    ask(page, "a bell", seconds=99)
    expect(page.locator("[data-error=seconds]")).to_contain_text("use at most 4.096")
    expect(page.locator("#seconds")).to_be_focused()
    expect(page.locator("#seconds")).to_have_attribute("aria-invalid", "true")
    ask(page, "  ")
    expect(page.locator("[data-error=prompt]")).to_be_visible()
    expect(page.locator("[data-error=seconds]")).to_be_hidden()


def test_other_errors_stand_in_a_banner(page):
    full = {"error": {"code": "queue_full", "message": "16 jobs wait already", "field": None}}
    page.route("**/v1/jobs", lambda route: route.fulfill(status=503, json=full))
    ask(page, "a bell")
    expect(page.locator("#banner")).to_have_text("16 jobs wait already")
    page.click("#banner button")
    expect(page.locator("#banner")).to_be_hidden()


def test_a_server_that_is_gone_comes_back(visit, page):
    visit.context.set_offline(True)
    ask(page, "a bell")
    expect(page.locator("#connection")).to_contain_text("does not answer")
    visit.context.set_offline(False)
    expect(page.locator("#connection")).to_be_empty(timeout=15_000)
    made(page, "a bell after the storm")


def test_the_key_is_asked_for(browser, tmp_path):
    with serving(tmp_path, api_keys=("secret",)) as client:
        visit = Visit(browser, client)
        visit.page.goto(visit.base)
        visit.page.fill("#key", "wrong")
        visit.page.press("#key", "Enter")
        expect(visit.page.locator("[data-error=key]")).not_to_be_empty()
        visit.page.fill("#key", "secret")
        visit.page.press("#key", "Enter")
        visit.page.locator("body.ready").wait_for()
        made(visit.page, "a locked bell")
        visit.context.close()


def test_two_clips_at_the_same_place(page):
    made(page, "a low tone", seconds=3)
    page.click("#pin")
    made(page, "a high tone", seconds=3)
    at_rest(page)
    page.evaluate("player.pause(); player.seek(0)")
    page.keyboard.press("Space")
    until(page, "player.position > 0.5")
    before = page.evaluate("player.position")
    page.keyboard.press("x")
    expect(page.locator("#title")).to_have_text("a low tone")
    until(page, "player.isPlaying && player.sound.isWhole")
    assert page.evaluate("player.position") >= before
    page.keyboard.press("x")
    expect(page.locator("#title")).to_have_text("a high tone")
    expect(page.locator("#side-a")).to_have_attribute("aria-pressed", "true")


def test_seek_loop_and_part(page):
    made(page, "a tone", seconds=4)
    until(page, "player.sound?.isWhole")
    at_rest(page)
    box = page.locator("#scope").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 50)
    until(page, "player.position > 1.95")
    drag(page, 0.25, 0.375)
    expect(page.locator("#region-start")).to_have_value("1.00")
    expect(page.locator("#region-end")).to_have_value("1.50")
    page.click("#loop")
    frames = page.evaluate("player.playedFrames")
    if not page.evaluate("player.isPlaying"):
        page.click("#play")
    until(page, f"player.playedFrames > {frames} + 16000")
    assert 0.99 <= page.evaluate("player.position") <= 1.51
    page.click("#loop")  # the choice is kept for later clips
    at_rest(page)
    page.keyboard.press("Escape")
    expect(page.locator(".region")).to_be_hidden()


def test_download_and_copy(page, visit):
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    made(page, "a clock")
    offered = page.locator("#downloads a").all_text_contents()
    assert offered == ["WAV", "FLAC", "Ogg", "MP3", "Opus"]
    for format, kind in zip(offered, ("WAV", "FLAC", "OGG", "MP3", "OGG")):
        with page.expect_download() as download:
            page.click(f"#downloads a:text-is('{format}')")
        path = download.value.path()
        assert soundfile.info(path).format == kind
        assert re.fullmatch(rf"a-clock-\d+\.{format.lower()}", download.value.suggested_filename)
    page.click("#copy-command")
    expect(page.locator("#toast")).to_contain_text("command")
    assert "edge-audio generate" in page.evaluate("navigator.clipboard.readText()")
    page.click("#copy-recipe")
    expect(page.locator("#toast")).to_contain_text("recipe")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["prompt"] == "a clock"
