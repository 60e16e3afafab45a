"""A browser without a window, and the real service for its page."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Page, Service


@pytest.fixture(scope="session")
def browse() -> Iterator[Callable[..., Any]]:
    """A function that starts a browser with a fake camera, with further options."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    from selenium.common.exceptions import SessionNotCreatedException

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no chromium and chromedriver on this machine: the page is not tested")
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    drivers = []

    def start(*arguments: str, fake_camera: bool = True, network_log: bool = False) -> Any:
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
        logs = ("browser", "performance") if network_log else ("browser",)
        options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
        service = webdriver.ChromeService(executable_path=chromedriver)
        try:
            driver = webdriver.Chrome(options=options, service=service)
        except SessionNotCreatedException:  # on a busy machine, the start may take too long
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
    yield Page(driver, service.address).open()
    errors = [row for row in driver.get_log("browser") if row["level"] == "SEVERE"]
    driver.close()
    driver.switch_to.window(first)
    assert errors == []
