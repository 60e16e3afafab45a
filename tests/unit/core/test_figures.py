"""Names in figures: of any script, never a formula, and a clear word where a font is missing."""

from __future__ import annotations

import io
import logging
import sys

import numpy as np
import pytest
from PIL import Image

from recyclenet.core.figures import figure_png, name_bars

figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
NAMES = ["可回收物", "厨余垃圾", "a$b$ \\frac{", "$x", "_^", "\udcff\n"]


def drawn(names: list[str]) -> bytes:
    plot = figure.Figure(figsize=(4, 2), layout="constrained")
    name_bars(plot.subplots(), names)
    return figure_png(plot)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def test_chinese_names_are_drawn_and_differ(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("noto_cjk_sans_otc", reason="the extra data is not installed")
    assert pixels(drawn(NAMES)).min() < 100
    assert not np.array_equal(pixels(drawn(["可回收物"])), pixels(drawn(["厨余垃圾"])))
    assert caplog.messages == []


def test_without_a_font_the_warning_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "noto_cjk_sans_otc", None)
    with caplog.at_level(logging.WARNING):
        assert pixels(drawn(NAMES)).min() < 100
    (message,) = caplog.messages
    assert "pip install 'recyclenet[data]'" in message
    caplog.clear()
    drawn(["glass", "$x$"])
    assert caplog.messages == []
