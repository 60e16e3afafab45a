"""Drives the page of the real service in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLES = REPOSITORY / "samples"
BOTTLE = SAMPLES / "green_glass_bottle.jpg"
CUP = SAMPLES / "coffee_cup.jpg"
SECONDS = 60.0  # a busy machine is no defect


class Service:
    """A running `recyclenet serve`."""

    def __init__(self, *options: str | os.PathLike[str]) -> None:
        command = [sys.executable, "-m", "recyclenet", "serve", "--port", "0", "--deadline", "60"]
        self._process = subprocess.Popen(
            [*command, *map(os.fspath, options)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if found := re.search(r"serving on (http://127\.0\.0\.1:\d+)", line):
                self.address = found[1]
                return
        pytest.fail("no service: " + "".join(lines))

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.stderr is not None
        self._process.stderr.read()
        self._process.wait(30)
        self._process.stderr.close()


class Page:
    """The page in a browser tab."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str = "/") -> Page:
        self.driver.get(self.address + path)
        self.wait(lambda: self.text("#model"), "the name of the model")
        return self

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        """Text of the first match as it is on screen; empty if there is none."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.driver.execute_script(script, selector)).strip()

    def is_shown(self, selector: str) -> bool:
        return any(element.is_displayed() for element in self.all(selector))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def tell(self, command: str, **values: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, values)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.1)
        shown = self.run("return document.body.innerText")
        return pytest.fail(f"no {what} within {seconds} s; the page shows: {shown}")

    def wait_for(self, selector: str, words: str) -> None:
        self.wait(lambda: words in self.text(selector), f"{words!r} in {selector}")

    def pick(self, *photos: Path) -> None:
        self.find("#pick").send_keys("\n".join(map(str, photos)))

    def drop(self, *photos: Path) -> None:
        """Drop files as the desktop does."""
        place = self.run("return document.querySelector('#drop').getBoundingClientRect().toJSON()")
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        data = {"items": [], "files": [str(path) for path in photos], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.tell("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def before_scripts(self, script: str) -> None:
        """Run a script before the page's own, from the next opening on."""
        self.tell("Page.addScriptToEvaluateOnNewDocument", source=script)
