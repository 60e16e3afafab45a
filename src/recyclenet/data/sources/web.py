"""One request to a web server: whom it may reach, how long it may take, what failures mean."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import string
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
RETRIED_STATUS = frozenset({408, 425, 429})  # and every 5xx
_tls = cache(httpcore2.default_ssl_context)


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers, redirects followed. Header names are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a request may do.

    Attributes:
        timeout_s: seconds until the headers of an answer are there, and seconds that a server may
            then send nothing, or less than `min_bytes_per_s`.
        min_bytes_per_s: the slowest transfer that is waited for.
        deadline_s: seconds for one answer, however fast it comes.
        allowed: the private servers ("HOST:PORT") that may be asked besides public ones. Addresses
            are looked at after connecting, so that no name or redirect hides one, and proxies are
            not used, which would connect on our behalf. None: any server may be asked.
        before: is told each address before it is asked, those of redirects too; may refuse it.
        look: sees each answer before its body is read; may refuse it.
    """

    timeout_s: float = 30.0
    min_bytes_per_s: float = 512.0
    deadline_s: float = float("inf")
    allowed: Collection[str] | None = None
    before: Callable[[str], object] = lambda _: None
    look: Callable[[Answer], object] = lambda _: None


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
def open_url(url: str, headers: dict[str, str], rules: Rules) -> Iterator[Answer]:
    """Ask for `url` with `headers`; the answer's status is 2xx, or 416.

    Raises:
        FetchError: asking again would be no use.
        Failure: it may be. Either may be raised while the body is read, too.
    """
    url = _usable(url, url)
    sent = {"User-Agent": "recyclenet", "Accept-Encoding": "identity", **headers}
    for _ in range(MAX_REDIRECTS + 1):
        rules.before(url)
        try:
            network = _Network(rules)
            pool = _pool(url, network)
            with pool, pool.stream("GET", url, headers=list(sent.items())) as response:
                network.head_is_there = True
                answer = _answer(url, response)
                if not 300 <= answer.status < 400:
                    rules.look(answer)
                    yield answer
                    return
                location = answer.headers.get("location", "")
                url = _usable(quote(location, string.punctuation, "latin-1"), url)
        except httpcore2.TimeoutException:
            raise Failure("the server answered too slowly or not at all") from None
        except httpcore2.NetworkError as error:
            raise _network_failure(url, error) from error
        except (httpcore2.ProtocolError, httpcore2.ProxyError) as error:
            raise Failure("the connection was lost, or the answer is not valid HTTP") from error
    raise FetchError(f"{shown(url)}: redirects in a circle")


def _pool(url: str, network: _Network) -> httpcore2.ConnectionPool:
    """Return what connects to the server of `url`, by the environment's proxy if there is one."""
    parts, proxy = urlsplit(url), None
    address = getproxies().get(parts.scheme) if network.rules.allowed is None else None
    if address and not proxy_bypass(parts.hostname or ""):
        server = urlsplit(address if "://" in address else f"http://{address}")
        if server.scheme not in ("http", "https") or not server.hostname:
            raise UsageError(f"{parts.scheme}_proxy is {shown(address)}; it must be an HTTP proxy")
        login = (unquote(server.username or ""), unquote(server.password or ""))
        proxy = httpcore2.Proxy(shown(server.geturl()), auth=login if any(login) else None)
    return httpcore2.ConnectionPool(_tls(), proxy, network_backend=network)


class _Network(httpcore2.SyncBackend):
    """Makes the connections of one request: to allowed servers, and for no longer than allowed."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.head_is_there = rules, False
        self._patient_until = time.monotonic() + rules.timeout_s
        self._end = time.monotonic() + rules.deadline_s

    def left_s(self) -> float:
        """How long the next step may take."""
        left_s = min(self._patient_until, self._end) - time.monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout
        return left_s

    def received(self, num_bytes: int) -> None:
        """Be patient for longer, as bytes have come; a head without end earns nothing."""
        if not self.head_is_there:
            return
        longer = self._patient_until + num_bytes / self.rules.min_bytes_per_s
        self._patient_until = min(longer, time.monotonic() + self.rules.timeout_s)

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        stream, allowed = super().connect_tcp(host, port, self.left_s()), self.rules.allowed
        if allowed is not None and f"{host}:{port}" not in allowed:
            peer = ipaddress.ip_address(stream.get_extra_info("server_addr")[0].partition("%")[0])
            peer = getattr(peer, "ipv4_mapped", None) or peer
            if not peer.is_global:
                stream.close()
                reason = f"a private address ({peer}), which is not asked"
                raise FetchError(f"{host}:{port}: {reason}")
        return _Connection(stream, self)


class _Connection(httpcore2.NetworkStream):
    """A connection that keeps to its request's time."""

    def __init__(self, stream: httpcore2.NetworkStream, network: _Network) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = self._stream.read(max_bytes, self._network.left_s())
        self._network.received(len(content))
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.left_s())

    def start_tls(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:
        options["timeout"] = self._network.left_s()
        return _Connection(self._stream.start_tls(*args, **options), self._network)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _answer(url: str, response: httpcore2.Response) -> Answer:
    """Return the answer, unless it is a refusal. Several headers of one name become one."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode().lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = response.status
    if status in RETRIED_STATUS or status >= 500:
        wait_s = _seconds_until(headers.get("retry-after", ""))
        raise Failure(f"the server answers HTTP {status}", wait_s=wait_s)
    if status != 416 and not 200 <= status < 400:
        raise FetchError(f"{shown(url)}: the server answers HTTP {status}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError(f"{shown(url)}: the server sends only a compressed file")
    return Answer(url, status, headers, response.iter_stream())


def _usable(url: str, origin: str) -> str:
    """Return the address `url`, which `origin` leads to: to https, or from http to http."""
    try:
        target = check_url(urljoin(origin, url))
    except (UsageError, ValueError):
        raise FetchError(f"{shown(origin)}: the URL, or its redirect, cannot be used") from None
    if origin.startswith("https:") and not target.startswith("https:"):
        raise FetchError(f"{shown(origin)}: redirects from https to http, which is not followed")
    return target


def _network_failure(url: str, error: Exception) -> Exception:
    """What a failed connection comes to: a `Failure`, or a `FetchError` if it is final."""
    reason = error.args[0] if error.args else None  # what the system said
    if isinstance(reason, ssl.SSLCertVerificationError):
        what = f"its certificate cannot be verified ({reason.verify_message})"
        return FetchError(f"{shown(url)}: {what}")
    if isinstance(reason, socket.gaierror | ConnectionRefusedError):
        return Failure(f"cannot be reached: {reason.strerror}", unreachable=True)
    return Failure(f"the connection dropped ({reason or 'no reason given'})")


def _seconds_until(value: str) -> float:
    """Seconds that a Retry-After asks to wait for; 0 where it does not say."""
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return 0.0
