# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, driven over a pipe by its own DevTools protocol: opens pages, clicks, types, prints, and takes pictures.

https://chromedevtools.github.io/devtools-protocol/ describes the commands. With ``--remote-debugging-pipe`` each message is JSON and ends
with a zero byte; no port is opened.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import time
import typing as t

from .processes import NotReady, Unavailable, overdue

Json = t.Dict[str, t.Any]

ANSWER = 60
"""Seconds that an answer may take."""

_KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "Tab": 9}


class PageError(Exception):
    """A command of the browser, or JavaScript in the page, failed."""


class Browser:
    """One page. problems: errors on its console and exceptions; requests: the addresses that it asked for, itself among them."""

    def __init__(self, process: subprocess.Popen[bytes], write_end: int, read_end: int) -> None:
        self._process = process
        self._write_end = write_end
        self._read_end = read_end
        self._rest = b""
        self._number = 0
        self._session: t.Optional[str] = None
        self._loaded: t.Set[str] = set()
        self.problems: t.List[str] = []
        self.requests: t.List[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(domain + ".enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)

    # -- messages -----------------------------------------------------------------------------------------------------

    def send(self, method: str, **parameters: t.Any) -> Json:
        """Send a command and wait for its result. Raises PageError, NotReady after a while."""
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write_end, data) :]
        began = time.monotonic()
        while True:
            answer = self._receive(began, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise PageError("%s: %s" % (method, answer["error"]["message"]))
                return t.cast(Json, answer["result"])

    def _receive(self, began: float, waiting_for: str) -> Json:
        while b"\0" not in self._rest:
            if not select.select([self._read_end], [], [], 1.0)[0]:
                if overdue(began, ANSWER):
                    raise NotReady("the browser does not answer: %s" % waiting_for)
                continue
            data = os.read(self._read_end, 1 << 20)
            if not data:
                raise NotReady("the browser has ended: %s" % waiting_for)
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: Json = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, facts: Json) -> None:
        if event == "Page.lifecycleEvent" and facts["name"] == "load":
            self._loaded.add(facts["loaderId"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(each.get("value", each.get("description"))) for each in facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.problems.append(facts["entry"]["text"])

    # -- the page -----------------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Load a page anew, and wait for it."""
        self._load("about:blank")
        self.problems.clear()
        self.requests.clear()
        self._load(url)

    def _load(self, url: str) -> None:
        loader = self.send("Page.navigate", url=url)["loaderId"]
        began = time.monotonic()
        while loader not in self._loaded:
            self._receive(began, "load of %s" % url)

    def evaluate(self, expression: str) -> t.Any:
        """The value of a JavaScript expression, which may be a promise. Raises PageError."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def texts(self, selector: str) -> t.List[str]:
        """The text of each element that matches and is shown."""
        found = "[...document.querySelectorAll(%s)].filter(e => e.getClientRects().length).map(e => e.innerText)" % json.dumps(selector)
        return t.cast(t.List[str], self.evaluate(found))

    def click(self, selector: str, share: float = 0.5) -> None:
        """Click the first element that matches, at this share of its width."""
        place = self.evaluate(
            "(() => { const e = document.querySelector(%s); e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.left + b.width * %r, b.top + b.height / 2]; })()" % (json.dumps(selector), share)
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **button)

    def hover(self, selector: str, share: float = 0.5) -> None:
        """Move the mouse over the first element that matches."""
        place = self.evaluate(
            "(() => { const b = document.querySelector(%s).getBoundingClientRect();"
            " return [b.left + b.width * %r, b.top + b.height / 2]; })()" % (json.dumps(selector), share)
        )
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])

    def press(self, *keys: str) -> None:
        """Press keys by their names ("Enter", "ArrowLeft"), or type a character."""
        for key in keys:
            facts: Json = {"key": key, "windowsVirtualKeyCode": _KEYS[key]} if key in _KEYS else {"key": key, "text": key}
            if key == "Enter":
                facts["text"] = "\r"
            self.send("Input.dispatchKeyEvent", type="keyDown", **facts)
            self.send("Input.dispatchKeyEvent", type="keyUp", **facts)

    def select(self, selector: str, value: str) -> None:
        """Choose an option of a select element, as a person does."""
        self.evaluate(
            "(() => { const e = document.querySelector(%s); e.value = %s; e.dispatchEvent(new Event('change', {bubbles: true})); })()"
            % (json.dumps(selector), json.dumps(value))
        )

    def look(self, width: int = 1400, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """The size of the window in pixels, the colour scheme, and the medium: screen or print."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def picture(self, path: t.Union[str, pathlib.Path], whole: bool = False) -> None:
        """Write a picture of the window, or of the whole page: PNG or WebP, by the suffix of the path."""
        how: Json = {"format": "webp", "quality": 85} if pathlib.Path(path).suffix == ".webp" else {"format": "png"}
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole, **how)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """The page as it prints, with the paper size of its style sheet."""
        return base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])


@contextlib.contextmanager
def browser(folder: t.Union[str, pathlib.Path]) -> t.Iterator[Browser]:
    """A browser with its profile in ``folder``. Raises Unavailable without Chromium."""
    program = shutil.which("chromium")
    if program is None:
        raise Unavailable("chromium is not installed: apt-get install chromium")
    to_browser, write_end = os.pipe()
    read_end, from_browser = os.pipe()
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--hide-scrollbars", "--user-data-dir=%s" % folder, "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    # The browser wants the pipes at these numbers.
    script = 'exec "$0" "$@" 3<&%d 4>&%d' % (to_browser, from_browser)
    process = subprocess.Popen(
        ["/bin/bash", "-c", script, program, *options],
        pass_fds=(to_browser, from_browser),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        made = Browser(process, write_end, read_end)
        yield made
        made._session = None
        with contextlib.suppress(NotReady, PageError, OSError):
            made.send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(write_end)
        os.close(read_end)
