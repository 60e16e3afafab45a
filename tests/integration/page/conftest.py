"""A browser without a window, and the real service for its page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = REPOSITORY / "samples"
BOTTLE = SAMPLES / "green_glass_bottle.jpg"
CUP = SAMPLES / "coffee_cup.jpg"  # the model is not sure
SECONDS = 60.0


class Service:
    """A running `recyclenet serve`."""

    def __init__(self, *options: str | os.PathLike[str]) -> None:
        command = [sys.executable, "-m", "recyclenet", "serve", "--port", "0"]
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


@pytest.fixture(scope="session")
def browse() -> Iterator[Callable[..., Any]]:
    """A function that starts a browser with a fake camera, with further options."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no chromium and chromedriver on this machine: the page is not tested")
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    drivers = []

    def start(*arguments: str, fake_camera: bool = True) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        profile = tempfile.mkdtemp(dir=folder.name)
        for argument in (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-first-run", "--disable-quic", "--window-size=1280,1000", "--lang=en-US",
            f"--user-data-dir={profile}", *arguments,
        ):  # fmt: skip
            options.add_argument(argument)
        if fake_camera:
            options.add_argument("--use-fake-device-for-media-stream")
            options.add_argument("--use-fake-ui-for-media-stream")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=chromedriver)
        driver = webdriver.Chrome(options=options, service=service)
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        driver.quit()
    folder.cleanup()


@pytest.fixture(scope="session")
def driver(browse: Callable[..., Any]) -> Any:
    return browse()


@pytest.fixture(scope="session")
def feedback_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="session")
def service(driver: Any, feedback_folder: Path) -> Iterator[Service]:
    """The service with the built-in model; after `driver`, so that it is skipped with it."""
    running = Service("--feedback", feedback_folder)
    yield running
    running.stop()


@pytest.fixture
def page(driver: Any, service: Service) -> Iterator[Page]:
    """The page, freshly opened in a new tab; no error may be left in the console."""
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    driver.get_log("browser")
    driver.get_log("performance")
    yield Page(driver, service.address).open()
    errors = [row for row in driver.get_log("browser") if row["level"] == "SEVERE"]
    driver.close()
    driver.switch_to.window(first)
    assert errors == []
