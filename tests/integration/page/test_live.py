"""The live camera: answers two times a second, none of them stale."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from browser import Page, Service

# The answer is `window.label`; null never answers.
INSTANT_SERVER = """
const real = window.fetch;
window.label = "glass";
window.calls = [];
window.fetch = async (path, options) => {
  if (!String(path).includes("v1/classify")) return real(path, options);
  window.calls.push({ time: performance.now(), type: options.body.type });
  if (window.label === null) {
    await new Promise((_, reject) =>
      options.signal.addEventListener("abort", () => reject(options.signal.reason)));
  }
  if (window.label === "") return new Response("{}", { status: 503 });
  const label = window.label === "flicker" ? `item ${window.calls.length}` : window.label;
  return new Response(JSON.stringify({
    id: "0".repeat(32), path: null, label, confidence: 0.9, probabilities: { [label]: 0.9, x: 0.1 },
    stream: "recyclable", bin: "recycling bin", known: true, unknown: null, expected_cost: null,
    error: null }));
};
"""


def live(page: Page) -> Page:
    page.before_scripts(INSTANT_SERVER)
    page.open()
    page.find("#live").click()
    page.wait_for(".badge", "Live")
    return page


def test_the_real_service_answers_the_fake_camera(page: Page) -> None:
    page.find("#live").click()
    page.wait_for(".badge", "Live")
    page.wait(lambda: page.run("return document.querySelector('#video').videoWidth"), "picture")
    page.find("#keep").click()
    page.wait(lambda: page.text(".verdict"), "answer for the kept picture")
    assert not page.is_shown("#video")
    assert len(page.all("#thumbnails li")) == 1


def test_live_answers_come_about_twice_a_second(page: Page) -> None:
    live(page).wait_for(".verdict", "glass")
    page.wait(lambda: page.run("return calls.length") >= 5, "five frames")
    first, *_, last = page.run("return calls.slice(0, 5).map(({ time }) => time)")
    assert 1800 <= last - first <= 8000
    assert page.run("return calls[0].type") == "image/jpeg"
    assert page.text("#said").startswith("glass")
    assert page.all("#thumbnails li") == []


def test_a_new_item_replaces_the_old_one(page: Page) -> None:
    live(page).wait_for(".verdict", "glass")
    page.run("window.label = 'paper'")
    page.wait_for(".verdict", "paper")
    assert "glass" not in page.text("#panel")


def test_frames_that_disagree_give_no_answer(page: Page) -> None:
    page.before_scripts(INSTANT_SERVER)
    page.open().run("window.label = 'flicker'")
    page.find("#live").click()
    page.wait(lambda: page.run("return calls.length") >= 5, "five frames")
    assert page.text(".verdict") == ""


def test_an_answer_goes_when_no_new_one_comes(page: Page) -> None:
    live(page).wait_for(".verdict", "glass")
    page.run("window.label = null")
    page.wait(lambda: page.text(".verdict") == "", "end of the stale answer", seconds=10)
    page.wait_for("#panel", "Waiting for a new answer")


def test_a_failing_server_stops_the_camera_and_says_why(page: Page) -> None:
    live(page).wait_for(".verdict", "glass")
    page.run("window.label = ''")
    page.wait_for("#notice", "busy")
    assert not page.is_shown("#video")
    assert page.text(".verdict") == ""


def test_the_camera_stops_when_the_page_is_hidden(page: Page) -> None:
    live(page).wait_for(".verdict", "glass")
    page.run("window.track = document.querySelector('#video').srcObject.getTracks()[0]")
    page.run(  # headless browsers hide no tab
        "Object.defineProperty(document, 'hidden', { value: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for("#notice", "hidden")
    assert page.run("return track.readyState") == "ended"
    assert page.text(".verdict") == ""
    count = page.run("return calls.length")
    time.sleep(1)
    assert page.run("return calls.length") == count


def test_stopping_stops_the_camera(page: Page) -> None:
    live(page)
    page.wait(lambda: page.run("return document.querySelector('#video').srcObject"), "stream")
    page.run("window.track = document.querySelector('#video').srcObject.getTracks()[0]")
    page.find("#live").click()
    assert page.run("return track.readyState") == "ended"
    assert not page.is_shown("#video")


def test_no_camera_is_explained(browse: Callable[..., Any], service: Service) -> None:
    page = Page(browse(fake_camera=False), service.address).open()
    page.find("#live").click()
    page.wait(lambda: page.text("#notice"), "explanation")
    assert (
        "choose a photo" in page.text("#notice").lower() or "allow" in page.text("#notice").lower()
    )


def test_other_reasons_are_explained(page: Page) -> None:
    for name, words in {
        "NotAllowedError": "may not use the camera",
        "NotFoundError": "No camera was found",
        "NotReadableError": "Close other programs",
    }.items():
        page.run(
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('', arguments[0]); }",
            name,
        )
        page.find("#live").click()
        page.wait_for("#notice", words)
    page.run("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.find("#live").click()
    page.wait_for("#notice", "https")
