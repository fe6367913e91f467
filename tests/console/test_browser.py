"""The console in a browser: served on this machine, drawn by a real Chromium, used by its keyboard."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from fixionmail.engine import free_port
from tests.commands import command, environment

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60.0
_CONTROLS = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[^\[]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


@dataclass
class Page:
    """A page of the browser, over its debugging protocol. ``shown``: what its terminal was given to draw, as text."""

    link: ClientConnection
    shown: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method and wait for its result."""
        number = next(self._ids)
        self.link.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.link.recv(timeout=SECONDS))
            if message.get("id") == number:
                return message.get("result")
            self._hear(message)

    def _hear(self, message: Any) -> None:
        if message.get("method") == "Network.webSocketFrameReceived":
            frame = message["params"]["response"]
            if frame["opcode"] == 2:
                data = base64.b64decode(frame["payloadData"])
                self.shown += _CONTROLS.sub(b"", data).decode("utf-8", "replace")

    def until(self, words: str) -> None:
        """Wait until its terminal has drawn these words, and forget what it has drawn."""
        give_up_at = time.monotonic() + SECONDS
        while words not in self.shown:
            assert time.monotonic() < give_up_at, f"{words} never came: {self.shown[-2000:]}"
            with suppress(TimeoutError):
                self._hear(json.loads(self.link.recv(timeout=1.0)))
        self.shown = ""

    def press(self, key: str, text: str = "") -> None:
        """Press a key; one that types something names it in ``text``."""
        codes = {"Enter": 13, "Escape": 27}
        key_down = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0)} | ({"text": text} if text else {})
        self.call("Input.dispatchKeyEvent", type="keyDown", **key_down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type a text, key by key."""
        for mark in text:
            self.press(mark, mark)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The link to a console on the deployment that pretends."""
    process = subprocess.Popen(
        command("console", "--demo", "--serve", "--port", str(free_port())),
        env=environment(tmp_path),
        cwd=Path.cwd(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """An empty page of a browser of its own, without a window."""
    profile = tmp_path / "profile"
    assert CHROMIUM is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1400,900"]
    browser = subprocess.Popen(
        [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with debugging(profile) as link:
            yield Page(link)
    finally:
        browser.terminate()
        browser.wait(20)


@contextmanager
def debugging(profile: Path) -> Iterator[ClientConnection]:
    """A connection to the browser's first page."""
    file = profile / "DevToolsActivePort"
    give_up_at = time.monotonic() + SECONDS
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < give_up_at, "the browser does not start"
        time.sleep(0.1)
    port = file.read_text().split()[0]
    pages = httpx.get(f"http://127.0.0.1:{port}/json/list").json()
    url = next(each["webSocketDebuggerUrl"] for each in pages if each["type"] == "page")
    with connect(url, max_size=None, compression=None) as link:
        yield link


def test_in_a_browser_keys_reach_the_console_and_what_it_shows_is_drawn(served: str, page: Page) -> None:
    page.call("Network.enable")
    page.call("Page.enable")
    page.call("Page.navigate", url=served)
    page.until("Overview")
    page.call("Runtime.evaluate", expression="document.querySelector('textarea').focus()")

    page.press("?", "?")
    page.until("Help · Overview")
    page.type("?2/")
    page.until("filter; → completes")
    page.type("state:failed")
    page.press("Enter", "\r")
    page.until("state:failed · ")

    picture = base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])
    assert len(picture) > 20_000  # an empty page is a few thousand bytes


def test_who_does_not_have_the_link_gets_no_console(served: str) -> None:
    address = served.partition("/?")[0]
    assert httpx.get(address).status_code == 403
    assert httpx.get(served, headers={"Origin": "https://example.com"}).status_code == 403
    assert httpx.get(served).status_code == 200
