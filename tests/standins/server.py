"""A small HTTP/1.1 server for the stand-ins: keep-alive, one write an answer, connections that can be cut."""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived. Header names are case-insensitive; ``arrived``: when, in Unix seconds."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    arrived: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. ``sent_bytes`` below the body's length cuts the connection in the middle of the body.

    With ``stream`` the body is what it yields, piece by piece; it may raise ConnectionCutError in between.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None
    stream: Iterator[bytes] | None = None


class ConnectionCutError(Exception):
    """Raised by an application to reset the client's connection without a byte of an answer."""


Application = Callable[[Request], Reply]


def json_reply(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer carrying ``value`` as JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(
        status=status,
        body=body,
        headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
    )


class HttpServer:
    """Serves ``application`` from its own threads until closed.

    Args:
        application: answers each request; called from many threads at once.
        port: TCP port; 0 picks a free one.
        host: where it listens.
    """

    def __init__(self, application: Application, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._server = _ThreadedServer((host, port), application)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def accepted(self) -> int:
        """How many connections have been made so far."""
        return self._server.accepted

    def close(self) -> None:
        """Stop accepting, end every open connection, and wait for their threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.end_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for_signal() -> None:
    """Block the main thread until SIGINT or SIGTERM arrives."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


class _ThreadedServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.application = application
        self.connections: set[socket.socket] = set()
        self.accepted = 0
        self.changed = threading.Condition()
        super().__init__(address, _Handler)

    def shutdown_request(self, request: Any) -> None:
        """Close without the usual shutdown, so that a connection marked for a reset is reset."""
        self.close_request(request)

    def end_connections(self) -> None:
        with self.changed:
            for connection in self.connections:
                _shut(connection)
            self.changed.wait_for(lambda: not self.connections, timeout=10)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is daily business here; anything else is a defect of the stand-in."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _ThreadedServer

    def setup(self) -> None:
        super().setup()
        with self.server.changed:
            self.server.connections.add(self.connection)
            self.server.accepted += 1

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.server.changed:
                self.server.connections.discard(self.connection)
                self.server.changed.notify_all()

    def _serve(self) -> None:
        arrived = time.time()
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if len(body) < int(self.headers.get("content-length", "0")):
            self.close_connection = True  # the client died in the middle: nothing was received
            return
        try:
            reply = self.server.application(self._request(body, arrived))
        except ConnectionCutError:
            self._reset()
            return
        except Exception:
            # The thread's boundary: a defect of the stand-in must be seen, and not pass for a fault.
            traceback.print_exc()
            reply = json_reply(599, {"message": "the stand-in itself failed: " + traceback.format_exc()})
        self._answer(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _request(self, body: bytes, arrived: float) -> Request:
        parts = urlsplit(self.path)
        return Request(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=self.headers,  # type: ignore[arg-type]  # a Message reads as a mapping of its headers
            body=body,
            arrived=arrived,
        )

    def _answer(self, reply: Reply) -> None:
        head = [f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('Unknown',))[0]}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.stream is not None:
            self.wfile.write("\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode("latin-1"))
            self._send_pieces(reply.stream)
            return
        head += [f"content-length: {len(reply.body)}", "", ""]
        self.wfile.write("\r\n".join(head).encode("latin-1") + reply.body[: reply.sent_bytes])
        if reply.sent_bytes is not None:
            self._reset()

    def _send_pieces(self, pieces: Iterator[bytes]) -> None:
        try:
            for piece in pieces:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        except ConnectionCutError:
            self._reset()
            return
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_: Any) -> None:
        """Requests are not logged: the ledger and the tests say what happened."""


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already gone
