"""A TCP proxy that is as far away as a hosted Redis: everything arrives half a round trip later, in order."""

from __future__ import annotations

import queue
import socket
import threading
import time


class DistantProxy:
    """Forwards to a port of this machine. Unlike a sleep for each piece, long answers are delayed once.

    ``round_trip_seconds`` may be changed at any time.
    """

    def __init__(self, target_port: int, round_trip_seconds: float) -> None:
        self._target_port = target_port
        self.round_trip_seconds = round_trip_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target_port))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connect(client, server)
            self._connect(server, client)

    def _connect(self, source: socket.socket, target: socket.socket) -> None:
        line: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source, line), daemon=True).start()
        threading.Thread(target=self._write, args=(target, line), daemon=True).start()

    def _read(self, source: socket.socket, line: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(1 << 20)
            except OSError:
                data = b""
            line.put((time.monotonic() + self.round_trip_seconds / 2, data))

    @staticmethod
    def _write(target: socket.socket, line: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            arrives, data = line.get()
            time.sleep(max(0.0, arrives - time.monotonic()))
            if not data:
                target.close()
                return
            try:
                target.sendall(data)
            except OSError:
                return
