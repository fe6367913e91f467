"""A folder in the place of a mail provider: one ``.eml`` file per mail, and a memory for idempotency keys.

A request is staged as a folder of its own, which then becomes ``.keys/<digest of the key>`` in one step: from there
on the key is used. Its mails move from that folder to the outbox one by one. A move happens once, whoever makes it,
so a request may be taken up by any number of processes, and after a crash or a power cut at any point.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from fixionmail import faults
from fixionmail.mail.mime import message_text
from fixionmail.mail.render import DELIVERY_HEADER
from fixionmail.models.mail import MailAnswer, Outcome

WAIT_SECONDS = 30.0
"""How long to leave a folder alone that cannot be written."""

_IDS = UUID("5e0b6a52-3f5e-4d55-9d0c-6a4a4c7d1f0b")
_ABANDONED_SECONDS = 3600.0
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9@.+_-]")
_LONGEST_ADDRESS = 180  # a file name has 255 bytes at most


class Outbox:
    """The local outbox. Threads and processes may share its folder, which is made on first use.

    Args:
        folder: where the ``.eml`` files appear, whole or not at all.
        now: the clock for the dates of mails, with its zone.
    """

    name = "outbox"

    def __init__(self, folder: Path, *, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._keys = folder / ".keys"
        self._staging = folder / ".staging"
        self._now = now
        self._is_open = False

    def send(
        self, *, key: str, body: bytes, count: int, on_line: Callable[[], None] = lambda: None
    ) -> MailAnswer:
        """Write the mails of one request; see ``mailer.Mailer``. A folder that cannot be written asks for a wait.

        There is no limit to keep, so ``on_line`` is not called.
        """
        used = self._keys / hashlib.sha256(key.encode()).hexdigest()[:40]
        marker = f"{hashlib.sha256(body).hexdigest()}.body"
        ids = tuple(str(uuid5(_IDS, f"{key}\n{place}")) for place in range(count))
        try:
            names = _listed(used)
            if not names:
                self._use(used, self._stage(marker, ids, body))
                names = os.listdir(used)
        except OSError as error:
            return self._held_up(Outcome.RATE_LIMITED, error)
        if marker not in names:
            return MailAnswer(
                outcome=Outcome.KEY_CONFLICT,
                error="The outbox got this idempotency key before, with another request.",
            )
        try:
            self._deliver(used, [name for name in names if name != marker])
        except OSError as error:
            return self._held_up(Outcome.AMBIGUOUS, error)
        return MailAnswer(outcome=Outcome.ACCEPTED, ids=ids)

    def _stage(self, marker: str, ids: tuple[str, ...], body: bytes) -> Path:
        """A new folder with the request's mails, and its digest as the name of an empty file."""
        self._open()
        staged = self._staging / uuid4().hex
        try:
            staged.mkdir()
            (staged / marker).touch()
            for mail_id, payload in zip(ids, _payloads(body), strict=True):
                self._write(staged, mail_id, payload)
            _make_durable(staged)
        except OSError:
            self._is_open = False
            shutil.rmtree(staged, ignore_errors=True)
            raise
        faults.point("outbox staged")
        return staged

    def _write(self, staged: Path, mail_id: str, payload: Mapping[str, Any]) -> None:
        sent_at = self._now()
        message = message_text(
            message_id=mail_id,
            sender=payload["from"],
            recipients=payload["to"],
            subject=payload["subject"],
            sent_at=sent_at,
            headers=payload["headers"],
            text=payload["text"],
            html=payload["html"],
        )
        recipient = _UNSAFE_IN_NAMES.sub("_", payload["to"][0])[:_LONGEST_ADDRESS]
        delivery = payload["headers"].get(DELIVERY_HEADER, "")[-12:]
        # The end of the mail's own id keeps two mails of one delivery apart: a mistake must not hide itself.
        name = f"{sent_at:%Y-%m-%d}_{recipient}_{delivery}-{mail_id[-6:]}.eml"
        with open(staged / name, "xb", buffering=0) as file:
            written = file.write(message)
            os.fsync(file.fileno())
        if written != len(message):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _use(self, used: Path, staged: Path) -> None:
        """From here on the key is used, by this request or by one that was faster."""
        try:
            staged.rename(used)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
            if not used.exists():
                raise
        _make_durable(self._keys)
        faults.point("outbox key used")

    def _deliver(self, used: Path, names: list[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):  # somebody else has moved it
                os.rename(used / name, self._folder / name)
            faults.point("outbox mail delivered")
        _make_durable(self._folder)

    def _open(self) -> None:
        """Make the folders, and clear away what processes that died have left staged."""
        if self._is_open:
            return
        self._keys.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(exist_ok=True)
        with os.scandir(self._staging) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                        shutil.rmtree(entry.path, ignore_errors=True)
        self._is_open = True

    def _held_up(self, outcome: Outcome, error: OSError) -> MailAnswer:
        reason = error.strerror or type(error).__name__
        return MailAnswer(
            outcome=outcome,
            error=f"The outbox folder {self._folder} cannot be written: {reason}. Its mails wait until it can.",
            wait_seconds=WAIT_SECONDS,
        )


def _make_durable(folder: Path) -> None:
    """What was put into ``folder`` is there after a power cut too; its files see to their own contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _payloads(body: bytes) -> list[Mapping[str, Any]]:
    value = json.loads(body)
    return value if isinstance(value, list) else [value]
