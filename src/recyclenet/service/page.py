"""The web page: `page/index.html` and the files beside it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from recyclenet.service.problems import Problem
from recyclenet.service.schemas import problems

router = APIRouter()
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """Return content and type of each file of the page, by name."""
    folder = files("recyclenet.service") / "page"
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        media_type = TYPES.get("." + path.name.rpartition(".")[2])
        if media_type is not None and path.is_file():
            found[path.name] = (path.read_bytes(), media_type)
    return found


def _file(name: str) -> Response:
    if name not in _contents():
        raise Problem(404, "not_found", f"the page has no file {name[:100]!r}")
    content, media_type = _contents()[name]
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})


@router.get("/", response_class=Response, responses=problems(404), include_in_schema=False)
async def index() -> Response:
    """Return the page."""
    return _file(INDEX)


@router.get("/page/{name}", response_class=Response, include_in_schema=False)
async def page_file(name: str) -> Response:
    """Return a file of the page."""
    return _file(name)
