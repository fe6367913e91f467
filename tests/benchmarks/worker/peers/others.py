"""The peers whose own command lines start their workers; the best setting we know for each kind of job."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.worker.peers import PYTHON, URL, Kind, Peer

APPS = "tests.benchmarks.worker.peers"
BIN = Path(sys.executable).parent


def fill_in_process(app: str, url: str, kind: Kind, jobs: int) -> None:
    """Fill from a process of its own, as each of these apps connects when it is imported."""
    command = [PYTHON, "-m", f"{APPS}.others", app, kind, str(jobs)]
    subprocess.run(command, check=True, env={**os.environ, URL: url})


def dramatiq_commands(kind: Kind) -> Sequence[Sequence[str]]:
    threads = "250" if kind == "story" else "8"
    return [[str(BIN / "dramatiq"), f"{APPS}.dramatiq_app", "-p", "2", "-t", threads]]


def huey_commands(kind: Kind) -> Sequence[Sequence[str]]:
    threads = "250" if kind == "story" else "8"
    return [
        [str(BIN / "huey_consumer"), f"{APPS}.huey_app.huey", "-w", threads, "-k", "thread", "-n", "-q"]
    ] * 2


def celery_commands(kind: Kind) -> Sequence[Sequence[str]]:
    pool = ["-P", "threads", "-c", "250"] if kind == "story" else ["-P", "solo"]
    quiet = ["--without-gossip", "--without-mingle", "-l", "ERROR"]
    base = [str(BIN / "celery"), "-A", f"{APPS}.celery_app", "worker"]
    return [[*base, *pool, *quiet, "-n", f"w{number}"] for number in range(2)]


def taskiq_commands(kind: Kind) -> Sequence[Sequence[str]]:
    limits = ["--max-async-tasks", "250", "--log-level", "ERROR"]
    return [[str(BIN / "taskiq"), "worker", f"{APPS}.taskiq_app:broker", "--workers", "2", *limits]]


def peer(name: str, needs: Sequence[str], commands: Any, noops: int) -> Peer:
    def fill(url: str, kind: Kind, jobs: int) -> None:
        fill_in_process(f"{name}_app", url, kind, jobs)

    return Peer(name=name, needs=needs, fill=fill, commands=commands, noops=noops)


PEERS = (
    peer("dramatiq", ["dramatiq"], dramatiq_commands, 10_000),
    peer("huey", ["huey"], huey_commands, 10_000),
    peer("celery", ["celery"], celery_commands, 5_000),
    peer("taskiq", ["taskiq", "taskiq_redis"], taskiq_commands, 10_000),
)


def main(app: str, kind: str, jobs: int) -> None:
    module = import_module(f"{APPS}.{app}")
    task = getattr(module, kind)
    if app == "taskiq_app":
        asyncio.run(_fill_taskiq(module.broker, task, jobs))
        return
    send = {"dramatiq_app": "send", "celery_app": "delay"}.get(app)
    call = getattr(task, send) if send else task
    for number in range(jobs):
        call(number)


async def _fill_taskiq(broker: Any, task: Any, jobs: int) -> None:
    await broker.startup()
    for number in range(jobs):
        await task.kiq(number)
    await broker.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
