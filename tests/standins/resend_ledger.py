"""What was really sent: one line for every mail accepted, for an independent reader to count."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DATE_TAG = "local_date"


@dataclass(kw_only=True)
class Mail:
    """One mail accepted. ``at`` is the stand-in's clock in Unix seconds; ``key`` the idempotency key."""

    id: str
    at: float
    key: str
    to: list[str]
    sender: str
    subject: str
    tags: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    html: str | None = None
    text: str | None = None
    last_event: str = "sent"

    @property
    def date(self) -> str:
        """The subscriber's date the mail is for: its ``local_date`` tag, or else the UTC day it was sent."""
        return self.tags.get(DATE_TAG) or datetime.fromtimestamp(self.at, UTC).date().isoformat()


class Ledger:
    """Every mail accepted, in order; also appended to ``file`` as JSON lines before the answer is given."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._mails: dict[str, Mail] = {}
        self._file = None if file is None else os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def record(self, mails: list[Mail]) -> None:
        """Add mails that were accepted together."""
        with self._lock:
            self._mails.update((mail.id, mail) for mail in mails)
        if self._file is not None:
            lines = "".join(json.dumps(as_row(mail)) + "\n" for mail in mails)
            os.write(self._file, lines.encode())

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            os.close(self._file)

    def mails(self) -> list[Mail]:
        """All mails, oldest first."""
        with self._lock:
            return list(self._mails.values())

    def get(self, email_id: str) -> Mail | None:
        """The mail with this provider id."""
        with self._lock:
            return self._mails.get(email_id)

    def __len__(self) -> int:
        return len(self._mails)

    def mails_per(self, address: str, date: str) -> int:
        """How many mails went to ``address`` for ``date`` (YYYY-MM-DD)."""
        return self.counts()[address, date]

    def counts(self) -> Counter[tuple[str, str]]:
        """Mails by address and date."""
        return count(self.mails())

    def duplicates(self) -> dict[tuple[str, str], int]:
        """Addresses and dates with more than one mail."""
        return {pair: number for pair, number in self.counts().items() if number > 1}


def count(mails: Iterable[Mail]) -> Counter[tuple[str, str]]:
    """Mails by address (in lower case) and date."""
    return Counter((address.lower(), mail.date) for mail in mails for address in mail.to)


def as_row(mail: Mail) -> dict[str, Any]:
    """A mail as the ledger's file and control endpoint show it, without its body."""
    row = asdict(mail)
    del row["html"], row["text"]
    return row | {"date": mail.date}


def read_file(file: Path) -> list[Mail]:
    """The mails in a ledger's file, whoever wrote it and whether or not they still run."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Mail(**{name: value for name, value in row.items() if name != "date"}) for row in rows]
