"""Starting workers in threads or processes, and ending them whatever a test does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixionmail.jobs.worker import ThreadedWorker, WorkerOptions
from tests.integration.worker.functions import FUNCTIONS

ROOT = Path(__file__).parents[3]


class RunningWorker:
    """A worker in threads of this process."""

    def __init__(self, url: str, options: WorkerOptions) -> None:
        self.worker = ThreadedWorker(url, FUNCTIONS, options)
        self.name = self.worker.name
        self.exit_code: int | None = None
        self._thread = threading.Thread(target=self._run, name="worker")
        self._thread.start()

    def _run(self) -> None:
        self.exit_code = self.worker.run()

    def stop(self) -> int | None:
        self.worker.stop()
        return self.join()

    def join(self, seconds: float = 30.0) -> int | None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the worker did not stop"
        return self.exit_code


class Workers:
    """Starts workers against one server and stops those that a test leaves running."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self._running: list[RunningWorker] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, url: str | None = None, **options: Any) -> RunningWorker:
        worker = RunningWorker(url or self.url, _options(**options))
        self._running.append(worker)
        return worker

    def spawn(self, *, url: str | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """A worker process; what it logs is in ``log()``."""
        told = {"queues": ["emails", "stories"], "concurrency": 20, **options}
        command = [
            sys.executable,
            "-m",
            "tests.integration.worker.process",
            url or self.url,
            json.dumps(told),
        ]
        with self._log_path.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for worker in self._running:
            if worker.exit_code is None:
                worker.stop()

    @property
    def _log_path(self) -> Path:
        return self._folder / "workers.log"


def _options(**options: Any) -> WorkerOptions:
    usual = WorkerOptions(queues=("emails", "stories"), concurrency=20, drain_seconds=2.0)
    return replace(usual, **options)
