"""One request to a web server: whom it may reach, how long it may take, what failures mean."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import string
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2

from recyclenet.errors import DataError, UsageError

MAX_REDIRECTS = 10
MIN_BYTES_PER_S = 512  # the slowest transfer that is waited for
RETRIED_STATUS = frozenset({408, 425, 429, *range(500, 1000)})
_tls = cache(httpcore2.default_ssl_context)


class FetchError(DataError):
    """One address cannot be had; another one may.

    Attributes:
        reason: why, without the address.
        strikes: how many failed attempts this one counts as; 0: another attempt is pointless.
        wait_s: seconds that the server asks to wait.
    """

    def __init__(self, url: str, reason: str, *, strikes: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(f"{shown(url)}: {reason}")
        self.reason, self.strikes, self.wait_s = reason, strikes, wait_s


@dataclass(kw_only=True)
class Rules:
    """What a request may do.

    Attributes:
        timeout_s: for the headers of an answer; then for silence, or less than `MIN_BYTES_PER_S`.
        deadline_s: for one answer, however fast it comes.
        allowed: the private servers ("HOST:PORT") that may be asked besides public ones. None: all
            may. Addresses are looked at after connecting, so that no name or redirect hides one,
            and no proxy connects on our behalf.
        before: is told each address before it is asked, those of redirects too; may refuse it.
        look: sees an address and its answer before the body is read; may refuse it.
    """

    timeout_s: float = 30.0
    deadline_s: float = float("inf")
    allowed: Collection[str] | None = None
    before: Callable[[str], object] = lambda _: None
    look: Callable[[str, httpcore2.Response], object] = lambda *_: None


def check_url(url: str) -> str:
    """Return `url`, encoded where needed.

    Raises:
        UsageError: it is no http or https address.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # refuses what no resolver takes
        server = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if known and not re.search(r"[\x00-\x20\x7f]", url):
            return quote(urlunsplit(parts._replace(netloc=server)), safe=string.punctuation)
    raise UsageError(
        f"cannot download from {shown(url)!r}: a source is an address that starts with https:// or "
        f"http:// and holds no spaces"
    )


def shown(url: str) -> str:
    """Return `url` without user name, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@contextmanager
def open_url(url: str, headers: dict[str, str], rules: Rules) -> Iterator[httpcore2.Response]:
    """Ask for `url` with `headers`, redirects followed; the status is then 200, 206 or 416.

    Raises:
        FetchError: it cannot be had; also while the body is read.
    """
    url = _target(url, url)
    sent = {"User-Agent": "recyclenet", "Accept-Encoding": "identity", **headers}
    for _ in range(MAX_REDIRECTS + 1):
        rules.before(url)
        connection = _Connection(url, rules)
        proxy = _proxy(url) if rules.allowed is None else None
        pool = httpcore2.ConnectionPool(_tls(), proxy, network_backend=connection)
        with _failures(url), pool, pool.stream("GET", url, headers=list(sent.items())) as answer:
            connection.head_is_there = True
            if not 300 <= answer.status < 400:
                _check_status(url, answer)
                rules.look(url, answer)
                yield answer
                return
            location = quote(header(answer, "location"), string.punctuation, "latin-1")
            url = _target(url, location)
    raise FetchError(url, "redirects in a circle")


def header(answer: httpcore2.Response, name: str) -> str:
    """Return a header of an answer: several of one name joined, "" if there is none."""
    values = (value for key, value in answer.headers if key.lower() == name.encode())
    return b", ".join(values).decode("latin-1")


def _target(origin: str, location: str) -> str:
    """Return the address that `origin` leads to: from https only to https."""
    try:
        target = check_url(urljoin(origin, location))
    except (UsageError, ValueError):
        raise FetchError(origin, "the URL, or its redirect, cannot be used") from None
    if origin.startswith("https:") and not target.startswith("https:"):
        raise FetchError(origin, "redirects from https to http, which is not followed")
    return target


def _proxy(url: str) -> httpcore2.Proxy | None:
    """Return the proxy that the environment names for `url`, if any."""
    parts = urlsplit(url)
    address = getproxies().get(parts.scheme)
    if not address or proxy_bypass(parts.hostname or ""):
        return None
    server = urlsplit(address if "://" in address else f"http://{address}")
    if server.scheme not in ("http", "https") or not server.hostname:
        raise UsageError(f"{parts.scheme}_proxy is {shown(address)}; it must be an HTTP proxy")
    login = (unquote(server.username or ""), unquote(server.password or ""))
    return httpcore2.Proxy(shown(server.geturl()), auth=login if any(login) else None)


def _check_status(url: str, answer: httpcore2.Response) -> None:
    """Refuse an answer that brings no file."""
    reason = f"the server answers HTTP {answer.status}"
    if answer.status in RETRIED_STATUS:
        wait_s = _seconds_until(header(answer, "retry-after"))
        raise FetchError(url, reason, strikes=1, wait_s=wait_s)
    if answer.status not in (200, 206, 416):
        raise FetchError(url, reason)
    if header(answer, "content-encoding").lower() not in ("", "identity"):
        raise FetchError(url, "the server sends only a compressed file")


def _seconds_until(value: str) -> float:
    """Seconds that a Retry-After asks to wait for; 0 where it does not say."""
    with suppress(ValueError, TypeError, OverflowError):
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return float(value) if re.fullmatch(r"\d{1,9}", value) else 0.0


@contextmanager
def _failures(url: str) -> Iterator[None]:
    """Say what a failed connection means."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise FetchError(url, "the server answered too slowly or not at all", strikes=1) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        cause = error.args[0] if error.args else "no reason given"  # what the system said
        reason, strikes = f"the connection was lost ({cause})", 1
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason, strikes = f"its certificate cannot be verified ({cause.verify_message})", 0
        elif isinstance(cause, socket.gaierror | ConnectionRefusedError):
            # Nobody offline should have to sit through all the waits of a busy server.
            reason, strikes = f"cannot be reached: {cause.strerror}", 2
        raise FetchError(url, reason, strikes=strikes) from error


class _Connection(httpcore2.SyncBackend, httpcore2.NetworkStream):
    """The connection of one request: to an allowed server, and for no longer than allowed."""

    def __init__(self, url: str, rules: Rules) -> None:
        self._url, self._rules, self.head_is_there = url, rules, False
        self._patient_until = time.monotonic() + rules.timeout_s
        self._end = time.monotonic() + rules.deadline_s

    def _left_s(self) -> float:
        """How long the next step may take."""
        left_s = min(self._patient_until, self._end) - time.monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout
        return left_s

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        self._stream, allowed = super().connect_tcp(host, port, self._left_s()), self._rules.allowed
        if allowed is not None and f"{host}:{port}" not in allowed:
            peer = ipaddress.ip_address(self._stream.get_extra_info("server_addr")[0])
            peer = getattr(peer, "ipv4_mapped", None) or peer
            if not peer.is_global:
                self.close()
                raise FetchError(self._url, f"a private address ({peer}), which is refused")
        return self

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: Any, **__: Any
    ) -> httpcore2.NetworkStream:
        self._stream = self._stream.start_tls(ssl_context, server_hostname, self._left_s())
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = self._stream.read(max_bytes, self._left_s())
        if self.head_is_there:  # the time grows with each byte of a body, not of a head
            longer = self._patient_until + len(content) / MIN_BYTES_PER_S
            self._patient_until = min(longer, time.monotonic() + self._rules.timeout_s)
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left_s())

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
