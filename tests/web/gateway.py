"""A TCP gateway in front of a server: open, shut (it cuts whoever comes), or dead (it takes all and says nothing)."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Gateway:
    """Forwards to a port of this machine while it is open; what is connected is cut when it is not."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._mode = "open"
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """Refuse whoever comes and cut who is there."""
        self._change("shut")

    def go_dead(self) -> None:
        """Take whoever comes and say nothing."""
        self._change("dead")

    def open(self) -> None:
        """Forward from now on."""
        self._change("open")

    def close(self) -> None:
        """End for good."""
        self._change("shut")
        self._listener.close()

    def _change(self, mode: str) -> None:
        with self._lock:
            self._mode = mode
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                mode = self._mode
                self._sockets.add(client)
            if mode == "shut":
                client.close()
            elif mode == "open":
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        with self._lock:
            self._sockets.add(server)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
