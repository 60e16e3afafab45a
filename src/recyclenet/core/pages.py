"""Self-contained HTML pages: no network, and no script but the program's own."""

from __future__ import annotations

import base64
import hashlib
import io
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from recyclenet.core.files import generator
from recyclenet.core.images import ImageArray
from recyclenet.core.text import printable

THUMBNAIL = 320


def render_page(package: str, template: str, *, script: str = "", **values: Any) -> str:
    """Render a template.

    Args:
        package: package whose `templates` folder has the template, which may extend `page.html` of
            `recyclenet.core`.
        template: file name.
        script: file name of a script in the `templates` folder; empty for none. The page allows
            this script and no other.
        values: the template's variables; a missing one is an error.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("recyclenet.core")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["png_uri"] = png_uri
    environment.filters["percent"] = lambda value, digits=0: f"{value:.{digits}%}"
    source = _script(package, script) if script else ""
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return environment.get_template(template).render(
        generator=generator(),
        script=Markup(source),
        script_digest=digest,
        **values,
    )


def _script(package: str, name: str) -> str:
    return (resources.files(package) / "templates" / name).read_text("utf-8")


def _escaped(value: Any) -> Any:
    """Escape hidden and control characters of text, as on the terminal."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def thumbnail(image: ImageArray) -> ImageArray:
    """Shrink an image `(H, W, 3)` uint8 to fit `THUMBNAIL` pixels on each side."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(small)


def data_uri(image: ImageArray) -> str:
    """Return a thumbnail of `(H, W, 3)` uint8 as a JPEG data URI."""
    content = io.BytesIO()
    Image.fromarray(thumbnail(image)).save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def png_uri(content: bytes) -> str:
    """Return the bytes of a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
