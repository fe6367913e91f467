"""RQ's own workers and clients in processes of their own, and a gate that stops one at the command a test names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import psutil

from tests.commands import PATIENCE_SECONDS, until
from tests.integration.worker.workers import ROOT

CLIENT = """\
import sys, time
from redis import Redis
from rq import Queue
from rq.job import Job
redis = Redis.from_url(sys.argv[1])
queue = Queue("imports", connection=redis)
"""


@dataclass(frozen=True, kw_only=True)
class StockRq:
    """An RQ as it is published. ``folder``: where another version than the installed one is."""

    folder: str = ""

    @contextmanager
    def worker(
        self,
        url: str,
        *queues: str,
        kind: str = "rq.Worker",
        name: str = "mill-worker",
        burst: bool = False,
        jobs: int | None = None,
    ) -> Iterator[psutil.Process]:
        """A worker: ``rq.SimpleWorker`` runs a job in its own process, ``rq.Worker`` in a child.

        It ends when nothing waits (``burst``), or after so many ``jobs``.
        """
        words = ["worker", *queues, "--url", url, "--name", name, "--worker-class", kind, "--quiet"]
        ends = [*(["--burst"] if burst else []), *(["--max-jobs", str(jobs)] if jobs else [])]
        with self._running("-m", "rq.cli", *words, *ends) as process:
            yield process

    @contextmanager
    def client(self, url: str, code: str) -> Iterator[psutil.Process]:
        """A process that uses RQ's library; ``code`` knows ``redis``, ``queue`` (imports) and ``Job``."""
        with self._running("-c", CLIENT + code, url) as process:
            yield process

    def do(self, url: str, code: str) -> None:
        """Let a client do that to its end."""
        with self.client(url, code) as process:
            assert process.wait(PATIENCE_SECONDS) == 0

    def work_off(self, url: str, *queues: str) -> None:
        """Let a worker do all that waits."""
        with self.worker(url, *queues, name="mender", burst=True) as worker:
            assert worker.wait(PATIENCE_SECONDS) == 0

    @contextmanager
    def _running(self, *words: str) -> Iterator[psutil.Process]:
        path = os.pathsep.join(filter(None, (self.folder, str(ROOT))))
        process = psutil.Popen(
            [sys.executable, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        )
        try:
            yield process
        finally:
            kill(process)


def kill(process: psutil.Process) -> None:
    """SIGKILL a process with its children, if it still runs."""
    with suppress(psutil.NoSuchProcess):
        for each in (process, *process.children(recursive=True)):
            each.kill()
    process.wait()


class Gate:
    """A way to a Redis. It shuts in front of a command or once one is answered; whoever came through then waits.

    Args:
        url: of the Redis.
        before: shut in front of the first command that holds this, and of all that the client sends with it.
        after: shut as soon as the first command that holds this is answered.
    """

    def __init__(self, url: str, *, before: bytes = b"", after: bytes = b"") -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._before, self._after = before, after
        self._shut = threading.Event()
        self._answering: socket.socket | None = None
        self._sockets: list[socket.socket] | None = []  # None once it is torn down
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        here = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{here}".lstrip("@")).geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_until_shut(self) -> None:
        """Until somebody has come to that command."""
        until(self._shut.is_set, "the command")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            opened, self._sockets = self._sockets or [], None
        for each in (self._listener, *opened):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._is_kept(client):
                    return
                server = socket.create_connection(self._target)
                if not self._is_kept(server):
                    return
                for pass_on in (self._commands, self._answers):
                    threading.Thread(target=pass_on, args=(client, server), daemon=True).start()

    def _is_kept(self, opened: socket.socket) -> bool:
        """Whether it will be closed with the others; one that comes too late for that is closed here."""
        with self._lock:
            if self._sockets is None:
                opened.close()
                return False
            self._sockets.append(opened)
            return True

    def _commands(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._before and self._before in data:
                    self._shut.set()
                if self._shut.is_set():
                    return
                if self._after and self._after in data:
                    self._answering = server
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self._answering is server:
                    self._shut.set()
                client.sendall(data)


def taken_and_lost(url: str, *queues: str, rq: StockRq | None = None, before: bytes = b"") -> None:
    """A worker takes the job that waits and is killed: as soon as it has it, or in front of that command."""
    popped = (
        b"BLMOVE" if len(queues) == 1 else b"BLPOP"
    )  # RQ moves a job to a list of its own from one queue only
    with (
        Gate(url, before=before, after=b"" if before else popped) as gate,
        (rq or StockRq()).worker(gate.url, *queues) as worker,
    ):
        gate.wait_until_shut()
        kill(worker)


BEFORE_THE_START = b"LREM"
"""RQ takes a job out of that list in the transaction that starts it; the run is on record by then."""
