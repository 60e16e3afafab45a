"""One HTTP request: which addresses and redirects are allowed, and what each failure means.

Plain urllib, because pooch, the usual choice for data sets, cannot resume a partial download.
"""

from __future__ import annotations

import re
import socket
import ssl
import string
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException, HTTPResponse, InvalidURL
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from recyclenet.errors import DataError, UsageError

RETRIED_STATUS = frozenset({408, 425, 429})  # and every 5xx


class FetchError(DataError):
    """One address cannot be had; another one may.

    Attributes:
        no_answer: the server could not be reached or failed, so its other files are no better.
    """

    no_answer = False


class Failure(Exception):  # noqa: N818 - not an outcome, only a reason to try again
    """This attempt failed; the next one may not."""

    def __init__(self, reason: str, *, wait_s: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.unreachable = unreachable
        self.reached = 0


class RangeRefused(Failure):
    """HTTP 416. `size` is what the server says the whole file has, in bytes."""

    def __init__(self, size: int | None) -> None:
        super().__init__("the server has no such part of the file (HTTP 416)")
        self.size = size


class Redirects(HTTPRedirectHandler):
    """Follows redirects to https, and from http to http; refuses all others."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """Return the request to follow with."""
        fp.close()  # urllib would read the redirect's body, however long, into memory
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after != "https" and (before, after) != ("http", "http"):
            raise FetchError(
                f"{shown(req.full_url)} redirects from {before} to {after}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


@cache
def _opener() -> OpenerDirector:
    return build_opener(Redirects())


def check_url(url: str) -> str:
    """Return `url`, percent-encoded where needed.

    Raises:
        UsageError: it is no http or https address.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\x00-\x20\x7f]", url):
        raise UsageError(
            f"cannot download from {url!r}: a source is an address that starts with https:// "
            f"or http:// and holds no spaces"
        )
    return quote(url, safe=string.punctuation)


def shown(url: str) -> str:
    """Return `url` without user name, password and query, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def open_url(
    url: str,
    headers: Mapping[str, str],
    timeout_s: float,
    opener: OpenerDirector | None = None,
) -> HTTPResponse:
    """Ask for `url` with `headers`; the answer's status is 2xx.

    Args:
        url: the address.
        headers: to send besides our own.
        timeout_s: seconds without a byte before a connection counts as dropped.
        opener: what connects; by default anything is asked that the user names.

    Raises:
        FetchError: asking again would be no use.
        Failure: it may be.
    """
    sent = {"User-Agent": "recyclenet", "Accept-Encoding": "identity", **headers}
    try:
        request = Request(url, headers=sent)
        response = cast(HTTPResponse, (opener or _opener()).open(request, timeout=timeout_s))
    except HTTPError as error:
        error.close()
        raise _status_failure(url, error) from None
    except (InvalidURL, ValueError) as error:
        raise FetchError(f"{shown(url)}: not a usable address ({error})") from error
    except (URLError, HTTPException, OSError) as error:
        raise network_failure(url, error) from error
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        response.close()
        raise FetchError(f"{shown(url)}: the server insists on compressing the file")
    return response


def _status_failure(url: str, error: HTTPError) -> Exception:
    if error.code == 416:
        size = re.fullmatch(r"bytes \*/(\d{1,18})", error.headers.get("Content-Range", ""))
        return RangeRefused(int(size[1]) if size else None)
    if error.code in RETRIED_STATUS or error.code >= 500:
        return Failure(f"the server answers HTTP {error.code}", wait_s=_retry_after_s(error))
    if 300 <= error.code < 400:
        return FetchError(f"{shown(url)}: redirects in a circle or to no usable address")
    return FetchError(f"{shown(url)}: the server answers HTTP {error.code}")


def network_failure(url: str, error: Exception) -> Exception:
    """What a failed connection comes to: a `Failure`, or a `FetchError` if it is final."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f"{shown(url)}: its certificate cannot be verified ({reason.verify_message})"
        )
    if isinstance(reason, TimeoutError):
        return Failure("no answer in time")
    if isinstance(reason, socket.gaierror | ConnectionRefusedError):
        return Failure(f"cannot be reached: {reason.strerror}", unreachable=True)
    return Failure(f"the connection dropped ({reason or type(reason).__name__})")


def _retry_after_s(error: HTTPError) -> float:
    """Seconds that the server asks to wait for; 0 where it does not say."""
    value = (error.headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return 0.0
