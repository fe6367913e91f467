"""The queues we are measured beside, each with one mail per message, two processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = "tests.benchmarks.mail.peers"
BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class MailPeer:
    """How to fill a queue (``python -m module count``) and how to start its workers."""

    name: str
    needs: str
    module: str
    workers: Sequence[Sequence[str]]

    def is_installed(self) -> bool:
        """Its package is there."""
        return find_spec(self.needs) is not None

    def fill(self, mails: int, environment: Mapping[str, str]) -> None:
        """Queue so many messages."""
        command = [sys.executable, "-m", self.module, "fill", str(mails)]
        subprocess.run(command, check=True, env=dict(environment))


PEERS = (
    MailPeer(
        name="rq SimpleWorker, one mail per job",
        needs="rq",
        module=f"{HERE}.rq_app",
        workers=[[sys.executable, "-m", f"{HERE}.rq_app", "work"]] * 2,
    ),
    MailPeer(
        name="dramatiq, one mail per message, 2 × 8 threads",
        needs="dramatiq",
        module=f"{HERE}.dramatiq_app",
        workers=[[str(BIN / "dramatiq"), f"{HERE}.dramatiq_app", "-p", "2", "-t", "8"]],
    ),
    MailPeer(
        name="huey, one mail per message, 2 × 8 threads",
        needs="huey",
        module=f"{HERE}.huey_app",
        workers=[[str(BIN / "huey_consumer"), f"{HERE}.huey_app.huey", "-w", "8", "-k", "thread", "-n", "-q"]]
        * 2,
    ),
)
