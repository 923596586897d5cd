"""The page for everybody: keys, screen readers, sizes, weight; and its own arithmetic."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from serve.browsing import Visit, at_rest, axe_script, made, until
from serve.serving import ended, order

from edge_audio.serve.routes.page import FOLDER

pytestmark = pytest.mark.browser
try:
    from playwright.sync_api import expect
except ImportError:
    expect = None

MOST_BYTES = 150_000


@pytest.fixture(scope="module", autouse=True)
def history(client):
    """Something to look at."""
    ended(client, order(client, prompt="a bell", variations=3)["id"])
    ended(client, order(client, prompt="rain")["id"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser, client, theme):
    """In both themes; in the middle of work; and in the dialogs."""
    script = axe_script()
    # axe is put into the page, which the page's own policy forbids
    visit = Visit(browser, client, color_scheme=theme, bypass_csp=True)
    page = visit.open()
    page.click(".row:has-text('a bell') .entry")
    expect(page.locator(".take")).to_have_count(3)
    page.add_script_tag(path=script)
    page.evaluate("document.querySelector('#advanced').open = true")
    until(page, "!player.isPlaying")
    assert violations(page) == []
    for button in ("#keys-button", "#words-button"):
        page.click(button)
        assert violations(page) == []
        page.keyboard.press("Escape")
    visit.context.close()


def violations(page) -> list[str]:
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [f"{v['id']}: {node['html']}" for v in found for node in v["nodes"]]


def test_every_control_is_reached_and_named_by_the_keyboard(page):
    expect(page.locator("#downloads a").first).to_be_visible()
    page.evaluate("document.querySelector('#advanced').open = true; document.activeElement.blur()")
    wanted = page.evaluate(
        """[...document.querySelectorAll('*')]
            .filter((e) => e.matches('a[href], button, input, select, textarea, summary, .seek'))
            .filter((e) => !e.disabled && e.tabIndex >= 0 && e.checkVisibility())
            .filter((e) => !e.closest('dialog') && (e.type !== 'radio' || e.checked))
            .map((e) => e.id || e.textContent.trim() || e.className)"""
    )
    reached = []
    for _ in range(2 * len(wanted)):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (at === document.body) return null;
                // the box around these is what shows it
                const around = at.closest('.ask, .segments label, #file-label');
                const marked = [at, around, around?.querySelector(':checked + span')];
                const isShown = (e) => e && getComputedStyle(e).outlineStyle !== 'none';
                return [at.id || at.textContent.trim() || at.className, marked.some(isShown)];
            }"""
        )
        if at is None:  # the end of the page, from which it goes on at the beginning
            continue
        if at[0] in reached[:1]:
            break
        assert at[1], f"{at[0]} shows no focus"
        reached.append(at[0])
    assert [name for name in wanted if name not in reached] == []


def test_keys(page):
    made(page, "a gong", seconds=4)
    until(page, "player.sound?.isWhole")
    at_rest(page)
    if page.evaluate("player.isPlaying"):
        page.keyboard.press("Space")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    until(page, "player.position === 1")
    page.keyboard.press("[")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("]")
    expect(page.locator("#region-start")).to_have_value("1.00")
    expect(page.locator("#region-end")).to_have_value("2.00")
    page.keyboard.press("End")
    until(page, "player.position === 4")
    for key, selector in (("f", "#favourite"), ("l", "#loop")):
        pressed = page.get_attribute(selector, "aria-pressed")
        page.keyboard.press(key)
        other = "false" if pressed == "true" else "true"
        expect(page.locator(selector)).to_have_attribute("aria-pressed", other)
        page.keyboard.press(key)
    page.evaluate("player.volume = 0.5")
    page.keyboard.press("m")
    until(page, "player.volume === 0")
    page.keyboard.press("m")
    until(page, "player.volume === 0.5")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.keyboard.press("j")
    expect(page.locator("#title")).not_to_have_text("a gong")
    page.keyboard.press("k")
    expect(page.locator("#title")).to_have_text("a gong")
    page.keyboard.press("/")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("glow")  # in a field they are letters
    expect(page.locator("#prompt")).to_have_value("glow")
    expect(page.locator("#cancel")).to_be_disabled()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert page.locator("#keys-list dt").count() >= 25
    page.uncheck("#single-keys")
    page.keyboard.press("Escape")
    expect(page.locator("#keys-button")).not_to_be_focused()
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_what_happens_is_said(page):
    page.evaluate(
        """() => { window.said = [];
            const watched = {childList: true, subtree: true, characterData: true};
            const at = document.querySelector('#announcer');
            const hear = () => at.textContent && said.push(at.textContent);
            new MutationObserver(hear).observe(at, watched); }"""
    )
    made(page, "a short horn")
    until(page, "said.some((text) => text.startsWith('Done: a short horn'))")


@pytest.mark.parametrize("width", [320, 360, 800, 1200, 1600, 2560])
def test_nothing_sticks_out(browser, client, width):
    visit = Visit(browser, client)
    page = visit.open()
    page.set_viewport_size({"width": width, "height": 900})
    page.click(".row:has-text('a bell') .entry")
    expect(page.locator(".take")).to_have_count(3)
    assert outside(page) == []
    visit.context.close()


@pytest.mark.parametrize("width", [800, 1600])
def test_nothing_sticks_out_in_large_letters(launch, client, width):
    """A browser whose letters are twice as large."""
    visit = Visit(launch("--blink-settings=defaultFontSize=32"), client)
    page = visit.open()
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "32px"
    assert outside(page) == []
    visit.page.context.browser.close()


def outside(page) -> list[str]:
    """What can be seen and lies to the right of the window, or past the box that holds it."""
    page.wait_for_timeout(200)  # layout after a resize
    return page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            const clipped = (e) => e.closest('#examples, .scope, .unseen, .sprite, .title, .skip');
            return [...document.querySelectorAll('body *')]
                .filter((e) => e.checkVisibility() && !clipped(e) && e.offsetWidth)
                .filter((e) => e.getBoundingClientRect().right > width + 1)
                .map((e) => e.id || e.className || e.tagName);
        }"""
    )


def test_nothing_jumps(browser, client):
    """Cumulative layout shift while the page comes up and while a clip is made."""
    visit = Visit(browser, client)
    visit.page.add_init_script(
        """window.shifts = [];
        new PerformanceObserver((list) => {
            for (const shift of list.getEntries()) if (!shift.hadRecentInput) shifts.push(
                [shift.value, ...shift.sources.map((s) => s.node?.id || s.node?.className)]);
        }).observe({type: 'layout-shift', buffered: true});"""
    )
    page = visit.open()
    made(page, "a whoosh", seconds=2, steps=8)
    page.wait_for_timeout(300)
    shifts = page.evaluate("shifts")
    visit.context.close()
    assert sum(shift[0] for shift in shifts) < 0.02, shifts  # 0.1 is what Chromium calls good


def test_weight_and_time(browser, client, capsys):
    """What a first visit loads; the time is told, not asserted."""
    times = []
    for _ in range(3):
        visit = Visit(browser, client)
        page = visit.open()
        times.append(page.evaluate("performance.getEntriesByName('interactive')[0].startTime"))
        visit.context.close()
    weight = sum(path.stat().st_size for path in FOLDER.iterdir())
    with capsys.disabled():
        print(f"\npage: {weight / 1000:.0f} kB, interactive after {min(times):.0f} ms")
    assert weight <= MOST_BYTES


def test_every_module_is_preloaded():
    """One that is not would be found late, by way of those that import it."""
    html = (FOLDER / "index.html").read_text()
    missing = [p.name for p in FOLDER.glob("*.js") if f'"/page/{p.name}"' not in html]
    assert missing == []


@pytest.mark.parametrize("theme, other", [("light", "dark"), ("dark", "light")])
def test_theme_follows_the_system_until_one_is_chosen(browser, client, theme, other):
    visit = Visit(browser, client, color_scheme=theme)
    page = visit.open()
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    page.click("#theme-button")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", other)
    visit.context.close()


def test_fft(page):
    """Against numpy's, for a signal that begins in the middle of nothing."""
    rng = np.random.default_rng(3)
    samples = rng.standard_normal(600).astype(np.float32)
    power = page.evaluate(
        """async (samples) => {
            const {Fft} = await import('/page/fft.js');
            const power = new Float64Array(257);
            new Fft(512).addPower(new Float32Array(samples), -100, power);
            return [...power];
        }""",
        samples.tolist(),
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(512) + 0.5) / 512)
    piece = np.concatenate([np.zeros(100), samples])[:512] * window
    assert np.allclose(power, np.abs(np.fft.rfft(piece) * 4 / 512) ** 2, atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_wav_file_is_read_in_pieces_of_any_size(page, size):
    """With a chunk before the samples, and two channels."""
    samples = np.arange(-300, 300, dtype="<i2").reshape(-1, 2)
    data = samples.tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 8000, 32000, 4, 16)
    more = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body = b"WAVE" + head + more + b"data" + struct.pack("<I", len(data)) + data
    wav = b"RIFF" + struct.pack("<I", len(body)) + body
    format, left = page.evaluate(
        """async ([bytes, size]) => {
            const {readWav} = await import('/page/wav.js');
            const pieces = [];
            for (let i = 0; i < bytes.length; i += size) {
                pieces.push(Uint8Array.from(bytes.slice(i, i + size)));
            }
            const stream = new ReadableStream({
                pull(out) { pieces.length ? out.enqueue(pieces.shift()) : out.close(); },
            });
            let format;
            const left = [];
            await readWav(stream, (found) => (format = found), ([l]) => left.push(...l));
            return [format, left];
        }""",
        [list(wav), size],
    )
    assert (format["rate"], format["channels"], format["frames"]) == (8000, 2, 300)
    assert np.array_equal(np.array(left) * 32768, samples[:, 0])


def test_a_long_history_comes_page_by_page(page, client):
    for number in range(31):
        ended(client, order(client, prompt=f"tone {number}", seconds=0.05, steps=1)["id"])
    page.fill("#search", "tone")
    expect(page.locator(".row")).to_have_count(30)
    expect(page.locator(".row .words").first).to_have_text("tone 30")
    page.click("#history-more")
    expect(page.locator(".row")).to_have_count(31)
    expect(page.locator(".row .words").last).to_have_text("tone 0")
    expect(page.locator("#history-more")).to_be_hidden()
    page.fill("#search", "no such tone")
    expect(page.locator("#history-empty")).to_have_text("Nothing found.")
