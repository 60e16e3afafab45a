"""Photos on the page: how they get in, and what comes back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browser import BOTTLE, CUP, Page
from recyclenet import Classifier

# Answers when the test says so: `answerAll()`; `asked` holds the bodies.
FAKE_SERVER = """
const real = window.fetch;
window.asked = [];
const reply = (body, status) => new Response(JSON.stringify(body), { status });
window.fetch = (path, options) => {
  if (!String(path).includes("v1/classify")) return real(path, options);
  return new Promise((resolve, reject) => {
    options.signal.addEventListener("abort", () => reject(options.signal.reason));
    window.asked.push({
      body: options.body,
      answer: (label, more = {}) => resolve(reply({
        id: "0".repeat(32), path: null, label, confidence: 0.9,
        probabilities: { [label]: 0.9, x: 0.1 },
        stream: "recyclable", bin: "recycling bin", known: true, unknown: null,
        expected_cost: null, error: null, ...more }, 200)),
      refuse: (status, detail, reason) => resolve(reply({ status, detail, reason }, status)),
      break: () => reject(new TypeError("no network")),
    });
  });
};
"""


@pytest.fixture
def faked(page: Page) -> Page:
    """The page with a server that the test plays."""
    page.before_scripts(FAKE_SERVER)
    return page.open()


def asked(page: Page, number: int) -> None:
    page.wait(lambda: page.run("return window.asked.length") >= number, f"request {number}")


def test_a_dropped_photo_gets_the_answer_of_classify(page: Page) -> None:
    expected = Classifier().classify(BOTTLE)
    page.drop(BOTTLE)
    page.wait_for(".verdict", "glass")
    assert f"{expected.confidence:.0%}" in page.text(".verdict")
    assert page.text(".place") == expected.bin
    assert page.text(".bin .soft") != ""  # the advice
    shown = [line.text.split("\n") for line in page.all(".bars li")]
    bars = {**expected.probabilities, "None of these": expected.unknown}
    assert [name for name, _ in shown] == list(bars)
    assert [share for _, share in shown] == [f"{p:.0%}" for p in bars.values()]
    assert page.text("#said") == f"glass, {expected.confidence:.0%}. recycling bin"
    assert page.is_shown("#photo")


def test_not_sure_is_shown_as_such(page: Page, tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.new("RGB", (400, 300), (128, 128, 128)).save(grey)
    expected = Classifier().classify(grey)
    assert not expected.known
    page.pick(grey)
    page.wait_for(".verdict", "Not sure")
    assert page.text(".place") == "Ask a person"
    guess = f"Best guess: {expected.label}, {expected.confidence:.0%}"
    assert guess in page.text("#panel")
    assert "ask a person" in page.text("#said")


def test_a_pasted_photo_gets_an_answer(page: Page) -> None:
    page.run(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (char) => char.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "image.jpg", { type: "image/jpeg" }));
        const event = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
        document.dispatchEvent(event);
        """,
        base64_of(BOTTLE),
    )
    page.wait_for(".verdict", "glass")


def base64_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_the_heatmap_comes_on_demand(page: Page) -> None:
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    assert not page.is_shown("#caption")
    page.find("#heatmap").click()
    page.wait(lambda: page.is_shown("#caption"), "heatmap", seconds=120)
    assert "glass" in page.text("#caption")
    page.find("#heatmap").click()
    assert not page.is_shown("#caption")


BOXES = {
    "width": 1000, "height": 750,
    "objects": [
        {"box": [100, 75, 400, 375], "label": "glass", "confidence": 0.9, "unknown": None,
         "probabilities": {"glass": 0.9}, "stream": "recyclable", "bin": "recycling bin",
         "known": True},
        {"box": [500, 375, 900, 675], "label": "<b>x", "confidence": 0.4, "unknown": 0.2,
         "probabilities": {"<b>x": 0.4}, "stream": "other", "bin": "not sure: ask a person",
         "known": False},
    ],
}  # fmt: skip
FAKE_OBJECTS = """
const before = window.fetch;
window.detected = [];
window.fetch = (path, options) => {
  if (!String(path).includes("v1/detect")) return before(path, options);
  return new Promise((resolve, reject) => {
    options.signal.addEventListener("abort", () => reject(options.signal.reason));
    detected.push((body, status = 200) =>
      resolve(new Response(JSON.stringify(body), { status })));
  });
};
"""


@pytest.fixture
def with_objects(page: Page) -> Page:
    """The page with an answered photo; the test plays the server."""
    page.before_scripts(FAKE_SERVER)
    page.before_scripts(FAKE_OBJECTS)
    page.open().pick(BOTTLE)
    asked(page, 1)
    page.run("asked[0].answer('glass')")
    page.wait_for(".verdict", "glass")
    return page


def ask_for_objects(page: Page, answer: object, status: int = 200) -> None:
    count = page.run("return detected.length")
    page.find("#objects").click()
    page.wait(lambda: page.run("return detected.length") > count, "request")
    page.run("detected.at(-1)(...arguments)", answer, status)


def test_several_objects_have_boxes_and_a_list(with_objects: Page) -> None:
    page = with_objects
    plain = page.run("return document.querySelector('#photo').toDataURL()")
    ask_for_objects(page, BOXES)
    page.wait_for(".verdict", "2 objects")
    lines = [line.text for line in page.all(".objects li")]
    assert lines[0].split("\n") == ["glass 90%", "recycling bin"]
    assert lines[1].split("\n") == ["<b>x 40%", "Ask a person"]
    said = page.text("#said")
    assert "2 objects; 1: glass, 90%. recycling bin; 2: Not sure" in said
    assert page.find("#photo").accessible_name == page.text("#caption")
    assert page.run("return document.querySelector('#photo').toDataURL()") != plain
    blue = """
        const canvas = document.querySelector("#photo");
        const at = (x, y) => [...canvas.getContext("2d").getImageData(
          Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data].slice(0, 3);
        return [at(0.1, 0.3), at(0.4, 0.3), at(0.25, 0.5), at(0.9, 0.7)];
    """
    edges = page.run(blue)  # their pixels are mixed with those beside them
    assert all(blue > red + 100 for red, _, blue in edges), edges
    assert page.text("#thumbnails") == "glass, 90%"
    page.find("#objects").click()
    page.wait_for(".verdict", "glass")
    assert not page.is_shown("#caption")
    page.find("#objects").click()  # is not asked for again
    page.wait_for(".verdict", "2 objects")
    page.find("#language").click()
    page.wait_for(".verdict", "2 件物品")
    assert page.text(".objects li .place") == "玻璃"


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ({**BOXES, "objects": []}, 200, "No object found"),
        ({**BOXES, "objects": BOXES["objects"][:1]}, 200, "One object"),  # type: ignore[index]
        ({**BOXES, "width": 0}, 200, "makes no sense"),
        ({**BOXES, "objects": [{"box": [1, 2], "label": "glass"}]}, 200, "makes no sense"),
        ({"detail": "busy", "reason": "overloaded"}, 503, "busy"),
    ],
)
def test_no_objects_and_problems_are_said(
    with_objects: Page, answer: object, status: int, words: str
) -> None:
    ask_for_objects(with_objects, answer, status)
    with_objects.wait_for("#panel", words)
    assert with_objects.is_shown("#objects")


def test_looking_for_objects_can_be_cancelled(with_objects: Page) -> None:
    page = with_objects
    page.find("#objects").click()
    page.wait(lambda: page.text("#objects") == "Cancel", "button to cancel")
    page.find("#objects").click()
    page.wait(lambda: page.text("#objects") == "Several objects?", "button to try again")
    assert "glass" in page.text(".verdict")
    assert not page.is_shown(".notice")


def test_the_server_finds_the_object_of_a_photo(page: Page) -> None:
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    page.find("#objects").click()
    page.wait(lambda: page.all(".objects li"), "objects", seconds=120)
    assert "glass" in page.text(".objects")


@pytest.mark.parametrize("consent", [False, True])
def test_feedback_sends_the_photo_only_with_consent(
    page: Page, feedback_folder: Path, consent: bool
) -> None:
    before = set(feedback_folder.iterdir())
    page.pick(BOTTLE)
    page.wait_for(".verdict", "glass")
    page.find("#wrong").click()
    page.find("#truth option[value=plastic]").click()
    if consent:
        page.find("#consent").click()
    page.find("#send").click()
    page.wait_for(".thanks", "with the photo" if consent else "without the photo")
    new = sorted(set(feedback_folder.iterdir()) - before)
    assert [path.suffix for path in new] == ([".jpg", ".json"] if consent else [".json"])
    row = json.loads(new[-1].read_text(encoding="utf-8"))
    assert (row["label"], row["predicted"]) == ("plastic", "glass")
    assert row["answer"]


def test_several_photos_wait_their_turn_and_keep_their_answers(faked: Page) -> None:
    faked.pick(BOTTLE, CUP)
    asked(faked, 1)
    faked.pick(CUP)  # while the first is in flight
    faked.run("asked[0].answer('first')")
    asked(faked, 2)
    assert faked.text(".verdict") == ""  # the photo shown has no answer yet
    faked.run("asked[1].answer('second')")
    asked(faked, 3)
    faked.run("asked[2].answer('third')")
    faked.wait_for(".verdict", "third")
    names = [faked.text(f"#thumbnails li:nth-child({n})") for n in (1, 2, 3)]
    assert names == ["third, 90%", "second, 90%", "first, 90%"]
    faked.find("#thumbnails li:nth-child(3) button").click()
    assert "first" in faked.text(".verdict")
    assert faked.find("#thumbnails li:nth-child(3) button").get_attribute("aria-current") == "true"
    faked.find("#clear").click()
    assert not faked.is_shown("#history")
    assert faked.is_shown("#prompt")


def test_a_request_in_flight_can_be_cancelled_and_tried_again(faked: Page) -> None:
    faked.pick(BOTTLE)
    asked(faked, 1)
    faked.find("#cancel").click()
    faked.wait_for(".problem", "Cancelled")
    faked.find("#retry").click()
    asked(faked, 2)
    faked.run("asked[0].answer('late'); asked[1].answer('glass')")
    faked.wait_for(".verdict", "glass")


PROBLEMS: dict[str, tuple[str, str]] = {
    "asked[0].refuse(413, 'too many pixels', 'image_too_large')": ("too large", "too many pixels"),
    "asked[0].refuse(422, 'cut off', 'broken_image')": ("cannot be read", "cut off"),
    "asked[0].refuse(503, 'try again soon', 'overloaded')": ("busy", "try again soon"),
    "asked[0].refuse(500, '<b>x</b>', 'model_failed')": ("had a problem", "<b>x</b>"),
    "asked[0].break()": ("does not answer", "still runs"),
    "asked[0].answer(null)": ("makes no sense", "Reload"),
    "asked[0].answer('x', { probabilities: null })": ("makes no sense", "Reload"),
    "asked[0].answer('x', { confidence: 'much' })": ("makes no sense", "Reload"),
}


@pytest.mark.parametrize("script", PROBLEMS)
def test_errors_are_plain_words_and_can_be_tried_again(faked: Page, script: str) -> None:
    faked.pick(BOTTLE)
    asked(faked, 1)
    faked.run(script)
    for words in PROBLEMS[script]:
        faked.wait_for(".problem", words)
    assert faked.text("#said") != ""
    faked.find("#retry").click()
    asked(faked, 2)
    faked.run("asked[1].answer('glass')")
    faked.wait_for(".verdict", "glass")


def test_hostile_names_are_inert(faked: Page) -> None:
    name = "<img src=x onerror=window.hacked=1>\u202e"
    faked.pick(BOTTLE)
    asked(faked, 1)
    faked.run("asked[0].answer(arguments[0], { bin: arguments[0] })", name)
    faked.wait_for(".verdict", "<img src=x")
    assert faked.text(".place").startswith("<img src=x")
    assert faked.run("return document.querySelectorAll('main img').length") == 0
    assert faked.run("return window.hacked ?? null") is None


def test_unknown_score_colour_and_rest_are_shown(faked: Page) -> None:
    faked.pick(BOTTLE)
    asked(faked, 1)
    many = {f"class {n}": 0.05 for n in range(12)}
    faked.run(
        "asked[0].answer('glass', arguments[0])",
        {"probabilities": many, "unknown": 0.42, "bin": "blue bin (paper)"},
    )
    faked.wait_for(".bars", "None of these")
    assert "42%" in faked.text(".bars .unknown")
    assert "6 other classes" in faked.text(".bars .rest")
    assert "30%" in faked.text(".bars .rest")
    assert faked.is_shown(".tile.blue")
    assert faked.text(".place") == "blue bin (paper)"  # the colour in words, too


@pytest.mark.parametrize(("side", "sent"), [(3000, (1600, 800)), (1200, None)])
def test_large_photos_are_scaled_before_they_are_sent(
    faked: Page, tmp_path: Path, side: int, sent: tuple[int, int] | None
) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (side, side // 2), (90, 120, 60)).save(path)
    faked.pick(path)
    asked(faked, 1)
    measure: Any = """
        const [finish] = arguments;
        const { body } = asked[0];
        createImageBitmap(body).then((b) => finish([b.width, b.height, body.size]));
    """
    width, height, size = faked.driver.execute_async_script(measure)
    if sent is None:
        assert size == path.stat().st_size
    else:
        assert (width, height) == sent
    faked.run("asked[0].answer('glass')")
    faked.wait_for(".verdict", "glass")
