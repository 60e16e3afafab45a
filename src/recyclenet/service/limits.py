"""Reading request bodies within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from recyclenet.service.problems import Problem, overloaded
from recyclenet.service.settings import Settings

FORM = "multipart/form-data"
# What a photo may be declared as; the content decides whether it is one.
PLAIN_TYPES = ("", "application/octet-stream")
NOT_PHOTOS = ("image/svg+xml",)
# Text fields of a form, and their bytes.
MAX_FIELDS = 16
MAX_FIELD_BYTES = 4096
# A client that sends too much reads no answer before it has sent everything, so discard the rest:
# at most this many times the limit, for this many seconds.
DISCARD_TIMES = 4
DISCARD_SECONDS = 2.0


@dataclass
class Form:
    """The content of a request.

    Attributes:
        photos: the files, in order.
        fields: the text fields.
    """

    photos: list[bytes] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    def one_photo(self) -> bytes:
        """Return the only photo.

        Raises:
            Problem: there is none, or more than one.
        """
        if len(self.photos) != 1:
            raise Problem(
                422, "invalid_form", f"send one photo as field 'file', not {len(self.photos)}"
            )
        return self.photos[0]


@dataclass(eq=False)
class _Upload:
    """A body that arrives.

    Attributes:
        taken: bytes so far.
        since: when it began, on the event loop's clock.
        deadline: ends it.
    """

    taken: int
    since: float
    deadline: asyncio.Timeout


class Intake:
    """Bounds the requests with a complete body that are in progress, and the bytes of all bodies.

    A body that is still arriving takes no place of a request, so slow clients leave room for
    others. If it takes too much memory for too long, it ends.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._requests = 0
        self._held = 0
        self._uploads: list[_Upload] = []  # the longest first

    @asynccontextmanager
    async def form(self, request: Request, *, needs_form: bool = False) -> AsyncIterator[Form]:
        """Read a photo, or a form with photos and text fields; the block may hold it.

        Args:
            request: the request.
            needs_form: accept only a form.

        Raises:
            Problem: the body is too large, too slow, of the wrong type, or not a valid form; or
                too many requests are in progress.
        """
        kind, options = _content_type(request, needs_form)
        self._check_length(request)
        self._check_room()
        upload = _Upload(0, asyncio.get_running_loop().time(), asyncio.timeout(None))
        try:
            body = await self._read(request, upload)
            self._check_room()
            self._requests += 1
            try:
                if kind != FORM:
                    yield Form([body])
                    return
                boundary = options.get(b"boundary", b"")
                # In a thread: a hostile form takes seconds to parse.
                yield await asyncio.to_thread(_parse, body, boundary, self._settings.max_files)
            finally:
                self._requests -= 1
        finally:
            self._held -= upload.taken

    def _check_room(self) -> None:
        if self._requests >= self._settings.max_requests:
            raise overloaded(f"{self._requests} requests are in progress")

    def _check_length(self, request: Request) -> None:
        """Refuse a body that is announced as too large, before a waiting client sends it."""
        text = request.headers.get("content-length", "")
        waits = request.headers.get("expect", "").lower() == "100-continue"
        if waits and text.isdecimal() and int(text) > self._settings.max_body:
            raise self._too_large()

    def _too_large(self) -> Problem:
        limit = self._settings.max_body
        return Problem(413, "body_too_large", f"the body has more than {limit:,} bytes")

    async def _read(self, request: Request, upload: _Upload) -> bytes:
        settings = self._settings
        chunks: list[bytes] = []
        stream = request.stream()
        self._uploads.append(upload)
        try:
            async with upload.deadline:
                upload.deadline.reschedule(upload.since + settings.read_seconds)
                while True:
                    try:
                        chunk = await asyncio.wait_for(anext(stream), settings.idle_seconds)
                    except StopAsyncIteration:
                        return b"".join(chunks)
                    upload.taken += len(chunk)
                    self._held += len(chunk)
                    chunks.append(chunk)
                    if upload.taken > settings.max_body:
                        refusal = self._too_large()
                    elif self._held > settings.max_held and not self._end_a_slow_one(upload):
                        refusal = overloaded("the service holds many large photos")
                    else:
                        continue
                    chunks.clear()
                    await _discard(stream, DISCARD_TIMES * settings.max_body)
                    raise refusal
        except TimeoutError:
            raise Problem(
                408,
                "too_slow",
                f"the body must arrive within {settings.read_seconds:g} s, with no pause of "
                f"{settings.idle_seconds:g} s; sooner if the service is busy",
                {"Connection": "close"},
            ) from None
        finally:
            if upload in self._uploads:
                self._uploads.remove(upload)

    def _end_a_slow_one(self, asking: _Upload) -> bool:
        """End the upload that has lasted longest, if it is slow; say whether.

        Args:
            asking: the upload that needs memory; it does not end.
        """
        now = asyncio.get_running_loop().time()
        for upload in self._uploads:
            if now - upload.since < self._settings.idle_seconds:
                return False
            if upload is not asking:
                self._uploads.remove(upload)
                self._held -= upload.taken
                upload.taken = 0
                upload.deadline.reschedule(now)
                return True
        return False


async def _discard(stream: AsyncIterator[bytes], most: int) -> None:
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            async for chunk in stream:
                most -= len(chunk)
                if most < 0:
                    return
    except TimeoutError:
        return


def _content_type(request: Request, needs_form: bool) -> tuple[str, dict[bytes, bytes]]:
    """Return the declared type of a body, and its parameters.

    Raises:
        Problem: it is not the type of a photo or a form.
    """
    raw, options = parse_options_header(request.headers.get("content-type", ""))
    kind = raw.decode("latin-1").strip().lower()
    is_photo = kind in PLAIN_TYPES or (kind.startswith("image/") and kind not in NOT_PHOTOS)
    if kind != FORM and (needs_form or not is_photo):
        allowed = FORM if needs_form else f"image/jpeg or another image type, or {FORM}"
        raise Problem(
            415, "unsupported_media_type", f"the content type must be {allowed}, not {kind[:100]!r}"
        )
    return kind, options


class _Parts:
    """Collects the parts of a form while the parser reads it."""

    def __init__(self, max_files: int) -> None:
        self.form = Form()
        self._max_files = max_files
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._part: bytearray = bytearray()
        self._field = ""
        self._is_file = False
        self.ended = False

    def begin(self) -> None:
        self._name = self._value = b""
        self._headers = {}
        self._part = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise Problem(422, "invalid_form", "a part of the form has no name")
        self._field = options[b"name"].decode("utf-8", "replace")
        # The name that the user's file has is not used for anything.
        self._is_file = b"filename" in options or self._field == "file"
        if self._is_file and len(self.form.photos) >= self._max_files:
            raise Problem(413, "too_many_photos", f"at most {self._max_files} photos are allowed")
        if not self._is_file and len(self.form.fields) >= MAX_FIELDS:
            raise Problem(422, "invalid_form", f"at most {MAX_FIELDS} text fields are allowed")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._part += data[start:end]
        if not self._is_file and len(self._part) > MAX_FIELD_BYTES:
            raise Problem(
                422, "invalid_form", f"a text field has at most {MAX_FIELD_BYTES:,} bytes"
            )

    def part_end(self) -> None:
        if self._is_file:
            self.form.photos.append(bytes(self._part))
        else:
            self.form.fields[self._field] = self._part.decode("utf-8", "replace")
        self._part = bytearray()

    def end(self) -> None:
        self.ended = True


def _parse(body: bytes, boundary: bytes, max_files: int) -> Form:
    """Parse a form.

    Raises:
        Problem: it is not valid, or has too many parts.
    """
    parts = _Parts(max_files)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_end,
                "on_part_data": parts.data,
                "on_part_end": parts.part_end,
                "on_end": parts.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(422, "invalid_form", f"the form is damaged: {error}") from None
    if not parts.ended:
        raise Problem(422, "invalid_form", "the form is damaged: it has no end")
    return parts.form
