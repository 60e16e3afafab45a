"""Writing matplotlib figures. matplotlib itself is imported where they are drawn."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recyclenet.core.files import generator, write_bytes
from recyclenet.core.text import printable

_log = logging.getLogger(__name__)
_MISSING_GLYPH = r"Glyph .* missing from"


def name_bars(axes: Any, names: Sequence[str]) -> None:
    """Write names of any script beside the bars 0, 1, 2, ... of a plot, the first one on top.

    Args:
        axes: matplotlib's.
        names: any text; none of it is taken for a formula.
    """
    try:
        from noto_cjk_sans_otc import FONT_PATH
    except ImportError:  # it comes with the extra `data`
        look = {}
    else:
        look = {"font": Path(FONT_PATH)}
    axes.set_yticks(range(len(names)), list(map(printable, names)), parse_math=False, **look)
    axes.invert_yaxis()


def figure_png(figure: Any) -> bytes:
    """Return a matplotlib figure as PNG, with `generator()` in its metadata.

    A warning is logged if no font here has some of its characters; boxes stand for these.
    """

    def drawn(missing: Any) -> bytes:
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings(missing, _MISSING_GLYPH, UserWarning)
            figure.savefig(content, format="png", dpi=110, metadata={"Software": generator()})
        return content.getvalue()

    try:
        return drawn("error")
    except UserWarning:
        _log.warning(
            "a picture shows boxes for characters that are in no font here; "
            "pip install 'recyclenet[data]' brings a font with Chinese characters"
        )
        return drawn("ignore")


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib figure as PNG to `path` atomically."""
    write_bytes(path, figure_png(figure))
