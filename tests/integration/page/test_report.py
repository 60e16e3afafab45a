"""The report of `evaluate` in a browser: filters, the matrix and folded lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Page
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.operations.evaluate import evaluate


def dataset(photo_folder: Path) -> Manifest:
    """18 photos of two domains; of glass, two are told to be metal and one paper."""
    told = {("glass", 1): "metal", ("glass", 2): "metal", ("glass", 3): "paper"}
    return Manifest(
        tuple(
            Sample(
                photo_folder / label / f"{label}{number}.jpg",
                told.get((label, number), label),
                domain="home" if number % 2 else "web",
            )
            for label in ("glass", "metal", "paper")
            for number in range(1, 7)
        )
    )


@pytest.fixture
def report(driver: Any, photo_folder: Path, tiny_model: Path, tmp_path: Path) -> Iterator[Page]:
    """The report, freshly opened; no error may be left in the console."""
    evaluate(dataset(photo_folder), tiny_model).write_page(tmp_path / "report.html")
    driver.get_log("browser")
    driver.get((tmp_path / "report.html").as_uri())
    yield Page(driver, "")
    assert [row for row in driver.get_log("browser") if row["level"] == "SEVERE"] == []


def shown(report: Page) -> list[dict[str, str]]:
    """Return the data of the photos that are on screen."""
    return list(
        report.run(
            "return [...document.querySelectorAll('article.card')]"
            ".filter(card => card.offsetParent !== null).map(card => ({...card.dataset}))"
        )
    )


def choose(report: Page, name: str, value: str) -> None:
    report.run(
        "const field = document.querySelector(`#filters [name=${arguments[0]}]`);"
        "field.value = arguments[1]; field.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        value,
    )


def test_filters_by_class_mistake_confidence_and_domain(report: Page) -> None:
    whole = shown(report)
    assert len(whole) >= 3
    assert len({card["d"] for card in whole}) == 2
    middle = sorted(float(card["c"]) for card in whole)[len(whole) // 2]
    meant = {
        ("truth", "1"): lambda card: card["t"] == "1",
        ("label", "0"): lambda card: card["p"] == "0",
        ("domain", "1"): lambda card: card["d"] == "1",
        ("answer", "wrong"): lambda card: card["t"] != card["p"],
        ("answer", "right"): lambda card: card["t"] == card["p"],
        ("answer", "unsure"): lambda card: card["known"] == "0",
        ("low", str(middle)): lambda card: float(card["c"]) >= middle,
        ("high", str(middle)): lambda card: float(card["c"]) <= middle,
    }
    for (name, value), is_meant in meant.items():
        choose(report, name, value)
        expected = [card for card in whole if is_meant(card)]
        assert shown(report) == expected, name
        words = f"{len(expected)} of the {len(whole)} photos on this page"
        assert report.text("#shown") == words
        report.find("#all").click()
    choose(report, "truth", "1")
    choose(report, "domain", "0")
    assert shown(report) == [card for card in whole if card["t"] == "1" and card["d"] == "0"]


def test_a_cell_of_the_matrix_shows_its_photos(report: Page) -> None:
    report.run('document.querySelector(\'td.no[data-t="1"][data-p="0"]\').click()')
    assert [(card["t"], card["p"]) for card in shown(report)] == [("1", "0")] * 2
    assert "the cell has 2 photos" in report.text("#shown")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_screen(report: Page, width: int) -> None:
    values = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    report.tell("Emulation.setDeviceMetricsOverride", **values)
    try:
        wide = report.run("return document.documentElement.scrollWidth")
    finally:
        report.tell("Emulation.clearDeviceMetricsOverride")
    assert wide <= width
