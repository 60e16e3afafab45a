"""Connections to strangers' servers: only public ones, and never longer than allowed."""

from __future__ import annotations

import functools
import ipaddress
import socket
import threading
from collections.abc import Collection
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from recyclenet.data.web import FetchError, Redirects


def guarded_opener(deadline_s: float, allowed: Collection[str] = ()) -> OpenerDirector:
    """Return an opener that refuses private addresses and cuts what takes too long.

    The address is looked at after connecting, so neither a name nor a redirect can hide it. Proxies
    of the environment are not used: they would connect on our behalf.

    Args:
        deadline_s: seconds after which a connection is cut, whatever it does.
        allowed: "HOST:PORT" of private servers that are meant.
    """
    connections = {
        kind: functools.partial(_connect, kind, deadline_s, frozenset(allowed))
        for kind in (HTTPConnection, HTTPSConnection)
    }

    class Http(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(connections[HTTPConnection], req)

    class Https(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(connections[HTTPSConnection], req)

    return build_opener(ProxyHandler({}), Http(), Https(), Redirects())


def _connect(
    kind: type[HTTPConnection],
    deadline_s: float,
    allowed: frozenset[str],
    host: str,
    **options: Any,
) -> HTTPConnection:
    """Return a connection that checks where it has come as soon as it is there."""
    connection = kind(host, **options)
    create = socket.create_connection

    def guarded(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
        sock = create(address, *args, **more)
        peer = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        mapped = getattr(peer, "ipv4_mapped", None)
        if not (mapped or peer).is_global and f"{address[0]}:{address[1]}" not in allowed:
            sock.close()
            raise FetchError(f"{address[0]} is a private address ({peer}), which is not asked")
        timer = threading.Timer(deadline_s, _cut, [sock])
        timer.daemon = True
        timer.start()
        return sock

    connection._create_connection = guarded  # type: ignore[attr-defined]
    return connection


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        sock.shutdown(socket.SHUT_RDWR)
