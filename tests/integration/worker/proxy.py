"""A TCP proxy between worker and server that delays replies or loses them: the server acted, nobody hears of it."""

from __future__ import annotations

import random
import select
import socket
import threading
import time


class LossyProxy:
    """Forwards everything, but cuts the connection instead of delivering a reply with the given probability.

    Each reply that is delivered comes ``delay`` seconds late.
    """

    def __init__(self, target_port: int, *, loss: float = 0.0, delay: float = 0.0) -> None:
        self._target_port = target_port
        self._loss = loss
        self._delay = delay
        self._random = random.Random(4)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = False
        self.cuts = 0
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """Lose nothing from now on."""
        self._loss = 0.0

    def close(self) -> None:
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
                self._forward(client, server)
        except OSError:
            return

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                data = source.recv(65536)
                if not data:
                    return
                if source is server and self._random.random() < self._loss:
                    self.cuts += 1
                    return
                if source is server:
                    time.sleep(self._delay)
                (server if source is client else client).sendall(data)
