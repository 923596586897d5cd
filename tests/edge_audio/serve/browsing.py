"""Headless Chromium on the page of a real server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: set where the browser is there and its tests may not be left out
REQUIRED = bool(os.environ.get("EDGE_AUDIO_BROWSER"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
#: kept between runs
AXE = Path(__file__).parents[3] / "build" / "axe"


def left_out(reason: str) -> None:
    """Skip, or fail where the browser's tests are required."""
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def chromium() -> Iterator[Callable]:
    """A function that opens a browser without a window, with more arguments if need be."""
    if CHROMIUM is None:
        left_out("there is no chromium (apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        left_out("there is no playwright (pip install 'edge-audio[browser]')")
    with sync_playwright() as playwright:

        def launch(*more: str):
            arguments = [*ARGUMENTS, *more]
            return playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)

        yield launch  # what it opened ends with playwright


class Visit:
    """A page that was opened, and what it asked for and complained of."""

    def __init__(self, browser, client, **context):
        self.base = f"http://127.0.0.1:{client.port}"
        self.context = browser.new_context(viewport={"width": 1600, "height": 1000}, **context)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._on_console)

    def _on_console(self, message) -> None:
        # an answer of 4xx is shown by the page, and by the browser as well
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self):
        """The page, ready to be used."""
        self.page.goto(self.base)
        self.page.locator("body.ready").wait_for()
        until(self.page, "performance.getEntriesByName('loaded').length > 0")
        self.page.evaluate(
            "import('/page/studio.js').then(({player}) => { window.player = player })"
        )
        return self.page

    def foreign(self) -> list[str]:
        """Requests to other hosts."""
        inside = (f"{self.base}/", "blob:", "data:")
        return [url for url in self.requests if not url.startswith(inside)]


def ask(page, prompt: str, seconds: float = 0.5, steps: int = 2) -> None:
    """Fill in and generate; short and rough unless told otherwise."""
    if not page.locator("#steps").is_visible():
        page.click("#advanced summary")
    page.fill("#steps", str(steps))
    page.fill("#seconds", str(seconds))
    page.fill("#prompt", prompt)
    page.press("#prompt", "Enter")


def made(page, prompt: str, **how) -> None:
    """Ask, and wait for the clip."""
    from playwright.sync_api import expect

    ask(page, prompt, **how)
    expect(page.locator("#title")).to_have_text(prompt)
    expect(page.locator("#facts")).to_contain_text("seed")
    expect(page.locator("#cancel")).to_be_disabled()


def until(page, expression: str, seconds: float = 20) -> None:
    """Wait until JavaScript is true. Playwright's own way needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never: {expression}"
        page.wait_for_timeout(25)


def ordered(page, act: Callable[[], object]) -> dict:
    """The job that something on the page orders, as the server accepted it."""

    def is_order(response) -> bool:
        return response.request.method == "POST" and response.url.endswith("/v1/jobs")

    with page.expect_response(is_order) as answer:
        act()
    return answer.value.json()


def drag(page, begin: float, end: float) -> None:
    """Over the waveform, in shares of its width."""
    box = page.locator("#scope").bounding_box()
    page.mouse.move(box["x"] + begin * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 60, steps=5)
    page.mouse.up()


def drop(page, name: str, data: bytes, kind: str = "audio/wav") -> None:
    """A file, anywhere on the page."""
    page.evaluate(
        """([name, bytes, type]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], name, {type}));
            const options = {dataTransfer: carried, bubbles: true, cancelable: true};
            document.body.dispatchEvent(new DragEvent('drop', options));
        }""",
        [name, list(data), kind],
    )


def at_rest(page) -> None:
    """Nothing has the focus, so that single keys are shortcuts."""
    page.evaluate("document.activeElement.blur()")


def axe_script() -> Path:
    """axe-core's script; skips where it cannot be had."""
    script = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        AXE.mkdir(parents=True, exist_ok=True)
        try:
            command = ["npm", "install", "--silent", "--prefix", str(AXE), "axe-core@4"]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"axe-core cannot be had here: {error}")
    return script
