"""Connections to strangers' servers: only public ones, and never longer than allowed."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import weakref
from collections import deque
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
    watch = _Watch(deadline_s)

    def create(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        sock = socket.create_connection(address, *args, **options)
        peer = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        peer = getattr(peer, "ipv4_mapped", None) or peer
        if not peer.is_global and f"{address[0]}:{address[1]}" not in allowed:
            sock.close()
            raise FetchError(f"{address[0]} is a private address ({peer}), which is not asked")
        watch.add(sock)
        return sock

    class Plain(HTTPConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = create

    class Secure(HTTPSConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = create

        def connect(self) -> None:
            super().connect()
            watch.add(self.sock)  # another object since the handshake

    class Http(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Plain, req)

    class Https(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Secure, req)

    return build_opener(ProxyHandler({}), Http(), Https(), Redirects())


class _Watch:
    """Cuts connections that live too long; one thread for all, and none while there are none.

    Args:
        deadline_s: how long one may live.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._open: deque[tuple[float, weakref.ref[socket.socket]]] = deque()
        self._running = False

    def add(self, sock: socket.socket) -> None:
        """Watch a connection from now on."""
        with self._lock:
            self._open.append((time.monotonic() + self._deadline_s, weakref.ref(sock)))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                while self._open and self._open[0][1]() is None:
                    self._open.popleft()
                if not self._open:
                    self._running = False
                    return
                due, reference = self._open[0]
                left = due - time.monotonic()
                if left <= 0:
                    self._open.popleft()
            if left > 0:
                time.sleep(min(left, 1.0))
                continue
            if (sock := reference()) is not None:
                with suppress(OSError):  # it has ended by itself
                    # The plain method, under TLS too: its own would pull the rug from a reader.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                del sock
