"""The page for everyone: keyboard, screen reader, phone, dark, Chinese; and nothing leaves it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browser import BOTTLE, Page, Service


def focused(page: Page) -> str:
    return str(page.run("return document.activeElement.id"))


def press(page: Page, key: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.driver).send_keys(key).perform()


def tab_to(page: Page, target: str) -> list[str]:
    """Press Tab until the element `target` has the focus; return the ids passed."""
    passed: list[str] = []
    while target not in passed:
        press(page, "\ue004")
        passed.append(focused(page))
        assert len(passed) < 30, f"Tab does not reach {target}: {passed}"
        outline = "return getComputedStyle({}).outlineStyle".format(
            "document.activeElement.matches('[type=file]') "
            "? document.activeElement.nextElementSibling : document.activeElement"
        )
        assert page.run(outline) != "none", f"the focus on {passed[-1]} is not visible"
    return passed


def test_the_keyboard_is_enough(page: Page, feedback_folder: Path) -> None:
    assert tab_to(page, "live") == ["language", "pick", "live"]
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    page.run("document.querySelector('#live').focus()")
    assert tab_to(page, "wrong") == ["heatmap", "objects", "wrong"]
    press(page, "\ue007")
    assert page.is_shown("#truth")
    tab_to(page, "truth")
    press(page, "p")  # the first class with that letter
    tab_to(page, "send")
    press(page, "\ue007")
    page.wait_for(".thanks", "without the photo")
    assert focused(page) == "answer"
    assert tab_to(page, "photo-1") == ["heatmap", "objects", "clear", "photo-1"]
    page.find("#clear").send_keys("\ue007")
    assert focused(page) == "pick"


def test_every_control_has_a_name_and_the_answer_is_announced(page: Page) -> None:
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    page.find("#wrong").click()
    for control in page.all("button, input, select, summary"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert page.find("#said").get_attribute("aria-live") == "polite"
    assert page.find("#photo").accessible_name == "Your photo"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_and_dark_mode(page: Page, scheme: str) -> None:
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    page.tell("Emulation.setEmulatedMedia", features=feature)
    page.tell("Emulation.setDeviceMetricsOverride",
              width=390, height=844, deviceScaleFactor=1, mobile=True)  # fmt: skip
    page.tell("Emulation.setTouchEmulationEnabled", enabled=True)
    page.open().pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    assert page.run("return document.documentElement.scrollWidth") <= 390
    assert page.is_shown("label[for=take]")
    assert page.find("#take").get_attribute("capture") == "environment"
    script = "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    assert (sum(page.run(script)) < 200) == (scheme == "dark")


def test_chinese(browse: Callable[..., Any], service: Service) -> None:
    page = Page(browse("--accept-lang=zh-CN"), service.address).open()
    page.pick(BOTTLE)
    page.wait_for(".verdict", "玻璃")
    assert page.text(".place") == "可回收物桶"
    assert page.run("return document.documentElement.lang") == "zh-Hans"
    page.find("#language").click()
    page.wait_for(".verdict", "glass")
    page.open("/?lang=zh")
    assert page.text("#language") == "English"


def test_both_languages_have_the_same_texts(page: Page) -> None:
    script = """
        const finish = arguments[0];
        const keys = (table, at = "") => Object.entries(table).flatMap(([key, value]) =>
          typeof value === "string" ? at + key + (value.match(/{\\w+}/g) ?? []).sort()
          : Array.isArray(value) ? at + key + value.length : keys(value, at + key + "."));
        import("/page/strings.js").then(({ STRINGS }) =>
          finish([keys(STRINGS.en).sort(), keys(STRINGS.zh).sort()]));
    """
    english, chinese = page.driver.execute_async_script(script)
    assert english == chinese
    assert len(english) > 50


def test_nothing_leaves_the_server(browse: Callable[..., Any], service: Service) -> None:
    page = Page(browse(network_log=True), service.address).open()
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    sent = [
        json.loads(row["message"])["message"]["params"]["request"]["url"]
        for row in page.driver.get_log("performance")
        if '"Network.requestWillBeSent"' in row["message"]
    ]
    assert any(url.endswith("/v1/classify") for url in sent)
    # The log begins with Chromium's new-tab page; data: URLs need no network.
    own = (page.address + "/", "chrome://", "chrome-untrusted://", "data:")
    assert [url for url in sent if not url.startswith(own)] == []


def test_the_policy_holds(page: Page) -> None:
    page.run("""
        window.ran = false;
        window.blocked = [];
        document.addEventListener("securitypolicyviolation",
          (event) => blocked.push(event.effectiveDirective));
        const script = document.createElement("script");
        try { script.text = "window.ran = true"; } catch { blocked.push("text"); }
        document.body.append(script);
        try { document.body.innerHTML += "<b>x</b>"; } catch { blocked.push("markup"); }
        const picture = document.createElement("img");
        picture.src = "https://example.org/x.png";
        document.body.append(picture);
    """)
    page.wait(lambda: "img-src" in page.run("return blocked"), "blocked picture")
    assert {"text", "markup"} <= set(page.run("return blocked"))
    assert page.run("return window.ran") is False
    page.driver.get_log("browser")  # the blocked attempts


def test_without_a_feedback_store_nothing_asks_for_feedback(driver: Any) -> None:
    running = Service()
    try:
        page = Page(driver, running.address).open()
        page.pick(BOTTLE)
        page.wait_for(".verdict", "glass")
        assert not page.is_shown("#wrong")
    finally:
        running.stop()


def test_a_token_is_asked_for(driver: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-that-is-long-enough")
    running = Service("--token-file", token)
    try:
        page = Page(driver, running.address)
        driver.get(running.address)
        page.wait(lambda: page.is_shown("#access"), "question for the token")
        page.pick(BOTTLE)
        page.wait_for(".problem", "asks for a token")
        page.find("#token").send_keys("a wrong one\n")
        page.wait(lambda: page.is_shown("#access"), "question again")
        page.find("#token").send_keys("a-token-that-is-long-enough\n")
        page.wait_for(".verdict", "glass")
        assert not page.is_shown("#access")
    finally:
        running.stop()


def test_axe_finds_nothing(page: Page) -> None:
    """Set AXE to the file `axe.min.js` of axe-core; it is not part of this repository."""
    if "AXE" not in os.environ:
        pytest.skip("no axe-core: set AXE to its axe.min.js")
    source = Path(os.environ["AXE"]).read_text(encoding="utf-8")
    scan = (
        "axe.run(document, { resultTypes: ['violations'] }).then((r) => arguments[0](r.violations))"
    )
    for scheme in ("light", "dark"):
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        page.tell("Emulation.setEmulatedMedia", features=feature)
        for shown in ("start", "answer", "objects", "error"):
            page.open()
            if shown == "answer":
                page.pick(BOTTLE)
                page.wait_for(".verdict", "glass")
                page.find("#wrong").click()
            if shown == "objects":
                page.pick(BOTTLE)
                page.wait_for(".verdict", "glass")
                page.find("#objects").click()
                page.wait(lambda: page.all(".objects li"), "objects", seconds=120)
            if shown == "error":
                page.run("window.fetch = async () => { throw new TypeError('no network') }")
                page.pick(BOTTLE)
                page.wait(lambda: page.is_shown(".problem"), "error")
            page.run(source)
            found = page.driver.execute_async_script(scan)
            assert [(row["id"], [n["html"] for n in row["nodes"]]) for row in found] == []
