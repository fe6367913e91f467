"""The demonstration: a stack of its own, subscribers in many zones who are all due now, and an honest count."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_binary_file
from email.policy import default as modern
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from uuid_utils.compat import uuid7

from fixionmail.errors import DatabaseUnreachableError
from fixionmail.models.subscribers import NewSubscriber
from fixionmail.processes.stack import Stack, running_stack
from fixionmail.schedule import Due, occurrences
from fixionmail.settings import Settings
from fixionmail.store import Store, open_store

PAGE = 1000
GENRES = ("mystery", "fantasy", "science fiction", "romance", "adventure", "horror", "comedy", "historical")
TICK_SECONDS = 5
LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a demonstration is."""

    subscribers: int
    stories: int
    sent: int


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What a demonstration came to. ``duplicates`` are counted in the outbox and in the database."""

    subscribers: int
    stories: int
    sent: int
    duplicates: int
    seconds: float
    mode: str
    outbox: Path

    @property
    def is_good(self) -> bool:
        """Everybody got one mail, nobody two."""
        return self.sent == self.subscribers and self.duplicates == 0


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A demonstration to run.

    Attributes:
        home: a folder of its own, so that real subscribers and settings are left alone.
        subscribers: how many.
        queue: queue mode, or fallback.
        copies: of each process.
        patience_seconds: give up after this long.
    """

    home: Path
    subscribers: int
    queue: bool = True
    copies: int = 1
    patience_seconds: float = 300.0
    on_progress: Callable[[Progress], None] = field(default=lambda progress: None)

    def run(self) -> DemoResult:
        """Run it to its end, and stop everything again.

        Raises:
            FixionMailError: the stack cannot be started.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        settings = Settings.model_construct(
            fixionmail_home=self.home, enable_redis_queue=None if self.queue else False
        )
        with self._seeded(settings) as (store, started_at), self._stack(settings) as stack:
            progress = self._watch(store)
            duplicates = len(store.deliveries.duplicates(since=started_at.date() - timedelta(days=2)))
            seconds = (datetime.now(UTC) - started_at).total_seconds()
        counted = count_mails(settings.home / "outbox")
        return DemoResult(
            subscribers=self.subscribers,
            stories=progress.stories,
            sent=counted.total(),
            duplicates=max(duplicates, counted.total() - len(counted)),
            seconds=round(seconds, 1),
            mode=stack.mode,
            outbox=settings.home / "outbox",
        )

    @contextmanager
    def _seeded(self, settings: Settings) -> Iterator[tuple[Store, datetime]]:
        with open_store(settings) as store:
            now = datetime.now(UTC)
            people = [_subscriber(number, now) for number in range(self.subscribers)]
            for first in range(0, len(people), PAGE):
                store.subscribers.add(people[first : first + PAGE])
            yield store, now

    @contextmanager
    def _stack(self, settings: Settings) -> Iterator[Stack]:
        known = {name.upper() for name in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k.upper() not in known}
        environment |= {"FIXIONMAIL_HOME": str(settings.home), "CHECK_INTERVAL_SECONDS": str(TICK_SECONDS)}
        with running_stack(settings, copies=self.copies, environment=environment, cwd=settings.home) as stack:
            yield stack

    def _watch(self, store: Store) -> Progress:
        """Wait until every story is recorded as sent, or patience ends."""
        give_up_at = time.monotonic() + self.patience_seconds
        progress = Progress(subscribers=self.subscribers, stories=0, sent=0)
        while progress.sent < self.subscribers and time.monotonic() < give_up_at:
            with suppress(DatabaseUnreachableError):  # it died and is started again: look once more
                progress = self._progress(store)
            self.on_progress(progress)
            time.sleep(LOOK_SECONDS)
        return progress

    def _progress(self, store: Store) -> Progress:
        today = datetime.now(UTC).date()
        days = [store.operations.snapshot(today + timedelta(days=shift)) for shift in (-1, 0, 1)]
        return Progress(
            subscribers=self.subscribers,
            stories=sum(day.jobs.get("completed", 0) for day in days),
            sent=sum(day.deliveries.get("sent", 0) for day in days),
        )


def count_mails(outbox: Path) -> Counter[str]:
    """Mails per recipient, read from the files as a mail program would read them."""
    counted: Counter[str] = Counter()
    for file in outbox.glob("*.eml"):
        with file.open("rb") as stream:
            counted[str(message_from_binary_file(stream, policy=modern)["To"])] += 1
    return counted


def _subscriber(number: int, now: datetime) -> NewSubscriber:
    zones = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    zone = zones[number * 7 % len(zones)]
    local = now.astimezone(ZoneInfo(zone))
    delivery_time = f"{local:%H:%M}"
    return NewSubscriber(
        user_id=uuid7(),
        email=f"reader{number + 1:05d}@example.com",
        timezone=zone,
        delivery_time=delivery_time,
        story_bible={"genre": GENRES[number % len(GENRES)]},
        unsubscribe_token=secrets.token_urlsafe(24),
        due=_due_today(zone, delivery_time, local),
    )


def _due_today(zone: str, delivery_time: str, local: datetime) -> Due:
    return next(occurrences(timezone=zone, delivery_time=delivery_time, from_date=local.date()))
