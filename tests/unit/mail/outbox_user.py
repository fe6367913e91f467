"""A process that sends through a local outbox, to be killed and raced.

``python -m tests.unit.mail.outbox_user FOLDER`` takes requests from its standard input, one line of JSON each, and
answers each with one line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fixionmail.mail.outbox import Outbox
from fixionmail.models.mail import MailAnswer, Outcome

REPOSITORY = Path(__file__).parents[3]
PATIENCE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``Outbox.send`` takes."""

    key: str
    body: bytes
    count: int

    def line(self) -> str:
        """As the process reads it."""
        return json.dumps({"key": self.key, "body": self.body.decode(), "count": self.count}) + "\n"


class OutboxUser:
    """Such a process, seen from a test. It begins as soon as it is made.

    Args:
        folder: of the outbox.
        requests: what it sends.
        fault: as ``FIXIONMAIL_FAULT`` takes it.
        prefix: a command that runs the process.
    """

    def __init__(
        self, folder: Path, requests: Sequence[Request], *, fault: str = "", prefix: Sequence[str] = ()
    ) -> None:
        self._requests = requests
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.unit.mail.outbox_user", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "FIXIONMAIL_FAULT": fault},
        )

    def begin(self) -> None:
        """Hand over the requests, when the process is ready for them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._process.stdin.write("".join(request.line() for request in self._requests))
        self._process.stdin.flush()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def answers(self) -> list[MailAnswer]:
        """Its answers, at its end."""
        out, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        return [
            MailAnswer(outcome=Outcome(answer["outcome"]), ids=tuple(answer["ids"]), error=answer["error"])
            for answer in map(json.loads, out.splitlines())
        ]

    @property
    def code(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        return self._process.wait(PATIENCE_SECONDS)


def main(folder: str) -> None:
    outbox = Outbox(Path(folder), now=lambda: datetime.now(UTC))
    _say("ready")
    for line in sys.stdin:
        request = json.loads(line)
        answer = outbox.send(key=request["key"], body=request["body"].encode(), count=request["count"])
        _say(json.dumps({"outcome": answer.outcome, "ids": answer.ids, "error": answer.error}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
