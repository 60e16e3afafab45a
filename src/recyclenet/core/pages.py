"""HTML pages that hold everything they show: no script, no network."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from recyclenet.core.files import generator
from recyclenet.core.images import ImageArray
from recyclenet.core.text import printable

THUMBNAIL = 320


def render_page(package: str, template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        package: whose `templates` folder has it; it may extend `page.html` of this package.
        template: its file name.
        values: what the template names; a missing one is an error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("recyclenet.core")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["png_uri"] = png_uri
    environment.filters["percent"] = lambda value, digits=0: f"{value:.{digits}%}"
    return environment.get_template(template).render(generator=generator(), **values)


def _inert(value: Any) -> Any:
    """Show what a browser or an editor would obey or hide in a name, as the terminal does."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def thumbnail(image: ImageArray) -> ImageArray:
    """Return a picture `(H, W, 3)` uint8 as small as a page shows it."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(small)


def data_uri(image: ImageArray) -> str:
    """Return a small JPEG of `(H, W, 3)` uint8 as a data URI."""
    content = io.BytesIO()
    Image.fromarray(thumbnail(image)).save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def png_uri(content: bytes) -> str:
    """Return the bytes of a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
