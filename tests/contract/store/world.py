"""A small deployment in the database: makes what a test needs, and looks at what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from uuid_utils.compat import uuid7

from fixionmail.models.jobs import Claim, DueSubscriber, PlannedJob
from fixionmail.models.mail import Begun, MailAnswer, Opened, Outcome
from fixionmail.models.stories import Story
from fixionmail.models.subscribers import NewSubscriber
from fixionmail.models.verdict import Verdict
from fixionmail.schedule import Due
from fixionmail.store import Store
from fixionmail.store.mail import MailLine

TODAY = date(2031, 5, 14)
FAST = 1e6  # requests a second, so that no test waits for a slot
HOUR = timedelta(hours=1)
TAKEN = (Verdict.OK, Verdict.ALREADY)  # already, where a reply was lost on the way
STORY = Story(title="The Lamp", body="It burned.\n\nIt went out.", writer="test")


@dataclass(frozen=True)
class World:
    """``store`` is what is tested; ``connection`` a superuser's, to look and to turn clocks back."""

    store: Store
    connection: psycopg.Connection[Any]

    # What is in the tables

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(query, values).fetchone()
        assert row is not None, f"no row: {query}"
        return row[0]

    def column(self, query: str, *values: object) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self.connection.execute(query, values)]

    def row(self, table: str, key: object) -> dict[str, Any]:
        """The row of ``table`` with that id."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(f"select * from {table} where id = %s", [key]).fetchone()
        assert found is not None, f"no {table} {key}"
        return found

    def change(self, statement: str, *values: object) -> None:
        """Turn a clock back, or make happen what no function does."""
        self.connection.execute(statement, values)

    def state(self, table: str, key: object) -> str:
        """The state of one row."""
        return str(self.row(table, key)["state"])

    def audit(self, action: str | None = None) -> list[dict[str, Any]]:
        """The audit log, oldest first."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute("select * from audit_log order by id").fetchall()
        return [row for row in rows if action in (None, row["action"])]

    def lock_waiters(self) -> list[int]:
        """The processes of sessions that wait for somebody's lock."""
        return self.column(
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )

    def wait_for_lock_waiters(self, count: int) -> None:
        """Until as many sessions wait for somebody's lock."""
        ends_at = time.monotonic() + 20
        while len(self.lock_waiters()) < count:
            assert time.monotonic() < ends_at, "nobody waits"
            time.sleep(0.01)

    # Subscribers and jobs

    def lead(self, name: str, holder: str = "leader") -> int:
        """The fence of a leader."""
        view = self.store.leases.acquire(name=name, holder=holder, ttl_seconds=30, info={})
        assert view.held
        return view.fence

    def subscribe(self, count: int = 1, *, due_at: datetime | None = None) -> list[UUID]:
        """New subscribers, due at that instant (an hour ago)."""
        rows = [new_subscriber(due_at=due_at) for _ in range(count)]
        assert self.store.subscribers.add(rows) == ["added"] * count
        return [row.user_id for row in rows]

    def due_subscribers(self) -> list[DueSubscriber]:
        """Who is due by now."""
        return self.store.jobs.due_subscribers(until=now(), limit=1000)

    def jobs(self, count: int = 1, *, due_at: datetime | None = None) -> list[UUID]:
        """Pending jobs of as many new subscribers, due at that instant (an hour ago)."""
        users = self.subscribe(count, due_at=due_at)
        plan = [planned(user, due_at=due_at or now() - HOUR, seen=self._seen(user)) for user in users]
        result = self.store.jobs.plan(fence=self.lead("scheduler"), sweep_seconds=60, plan=plan)
        assert len(result.job_ids) == count
        return [job.job_id for job in plan]

    def job(self) -> UUID:
        """One pending job."""
        return self.jobs()[0]

    def _seen(self, user: UUID) -> datetime:
        seen: datetime = self.value("select next_due_at from subscriber_schedule where user_id = %s", user)
        return seen

    def claim(self, job: UUID, holder: str = "worker", *, lease: float = 60, charge: int = 0) -> Claim:
        """Ask for a job."""
        return self.store.jobs.claim(job, holder=holder, lease_seconds=lease, charge=charge)

    def claimed(self, job: UUID, holder: str = "worker") -> int:
        """The token of a job that was free."""
        claim = self.claim(job, holder)
        assert claim.verdict is Verdict.GO
        return claim.token

    def complete(
        self,
        job: UUID,
        token: int,
        *,
        story: UUID | None = None,
        delivery: UUID | None = None,
        charge: int = 0,
    ) -> tuple[Verdict, bool]:
        """Hand in a story."""
        return self.store.jobs.complete(
            job,
            token=token,
            story_id=story or uuid7(),
            delivery_id=delivery or uuid7(),
            story=STORY,
            charge=charge,
        )

    def tick(self, limit: int = 1000) -> Mapping[str, int]:
        """A tick of the delivery leader; what it repaired, at most so many of each kind."""
        return self.line.tick(fence=self.lead("delivery"), max_size=100, limit=limit).repairs

    def lapse(self, job: UUID) -> None:
        """The lease of a job or a batch is over."""
        for table in ("story_jobs", "mail_batches"):
            self.change(
                f"update {table} set lease_expires_at = clock_timestamp() - interval '1 second' where id = %s",
                job,
            )

    def deliveries(self, count: int = 1, *, due_at: datetime | None = None) -> list[UUID]:
        """Written stories of as many new subscribers, due at that instant (an hour ago), in this order."""
        made = []
        for job in self.jobs(count, due_at=due_at):
            delivery = uuid7()
            assert self.complete(job, self.claimed(job), delivery=delivery)[0] in TAKEN
            made.append(delivery)
        return made

    def withdraw(self, delivery: UUID, status: str) -> None:
        """Its subscriber leaves at this very moment: the status alone changes."""
        owner = "(select user_id from scheduled_deliveries where id = %s)"
        self.change(f"update users set status = %s where id = {owner}", status, delivery)

    # Mail

    @property
    def line(self) -> MailLine:
        """A line so fast that nobody waits."""
        return self.store.mail_line("resend", FAST)

    def slow_backlog(self) -> None:
        """From now on one request takes as many mails as it can."""
        self.line.outlook(max_size=1)
        self.change("update send_lines set rate = 0.001")

    def full_speed(self) -> None:
        """From now on nobody waits for a slot."""
        self.change("update send_lines set rate = %s, next_slot_at = '-infinity'", FAST)

    def open(
        self, holder: str = "hand", *, batch: UUID | None = None, size: int = 100, lease: float = 60
    ) -> Opened:
        """Ask for mail work."""
        return self.line.open(batch_id=batch or uuid7(), holder=holder, lease_seconds=lease, max_size=size)

    def draft(self, count: int = 1, holder: str = "hand") -> tuple[UUID, int, list[UUID]]:
        """Batch, token and members of a draft with ``count`` new deliveries."""
        self.deliveries(count)
        self.slow_backlog()
        opened = self.open(holder)
        self.full_speed()
        assert opened.verdict is Verdict.DRAFT
        assert opened.batch_id is not None
        assert len(opened.letters) == count
        return opened.batch_id, opened.token, [letter.delivery_id for letter in opened.letters]

    def seal(
        self, batch: UUID, token: int, body: bytes = b"bytes", unfit: dict[UUID, str] | None = None
    ) -> Verdict:
        """Store the bytes of a draft."""
        return self.line.seal(batch, token=token, body=body, unfit=unfit or {})

    def sealed(self, count: int = 1) -> tuple[UUID, list[UUID]]:
        """Batch and members of a sealed batch."""
        batch, token, members = self.draft(count)
        assert self.seal(batch, token) in TAKEN
        return batch, members

    def begin(self, batch: UUID, holder: str = "hand", *, lease: float = 60, max_wait: float = 5) -> Begun:
        """Ask for the go."""
        return self.line.begin(batch, holder=holder, lease_seconds=lease, max_wait_seconds=max_wait)

    def sending(self, count: int = 1) -> tuple[UUID, int, list[UUID]]:
        """Batch, token and members of a batch on its way."""
        batch, members = self.sealed(count)
        begun = self.begin(batch)
        assert begun.verdict is Verdict.GO
        return batch, begun.token, members

    def settle(self, batch: UUID, token: int, outcome: Outcome, **answer: Any) -> Verdict:
        """Hand in an answer."""
        return self.line.settle(batch, token=token, answer=MailAnswer(outcome=outcome, **answer))

    def sent(self, count: int = 1) -> tuple[UUID, list[UUID]]:
        """Batch and members of a batch that was accepted."""
        batch, token, members = self.sending(count)
        ids = tuple(f"id-{member}" for member in members)
        assert self.settle(batch, token, Outcome.ACCEPTED, ids=ids) in TAKEN
        return batch, members


def now() -> datetime:
    """This instant."""
    return datetime.now(UTC)


def new_subscriber(
    email: str | None = None,
    *,
    local_date: date = TODAY,
    due_at: datetime | None = None,
    timezone: str = "Europe/Lisbon",
    bible: dict[str, str] | None = None,
) -> NewSubscriber:
    """A subscriber to add, due at that instant (an hour ago)."""
    user = uuid7()
    due_at = due_at or now() - HOUR
    return NewSubscriber(
        user_id=user,
        email=email or f"{user}@example.com",
        timezone=timezone,
        delivery_time="08:00",
        story_bible=bible or {"genre": "mystery", "setting": "a lighthouse", "character": "Ada"},
        unsubscribe_token=f"token-{user}",
        due=due(local_date=local_date, due_at=due_at),
    )


def due(*, local_date: date = TODAY, due_at: datetime) -> Due:
    """A daily story that may be sent for ten hours."""
    return Due(local_date=local_date, due_at=due_at, send_until=due_at + 10 * HOUR)


def planned(
    user: UUID,
    *,
    seen: datetime,
    due_at: datetime | None = None,
    local_date: date = TODAY,
    missed: str | None = None,
) -> PlannedJob:
    """A job for ``local_date``; afterwards its subscriber is due a day later."""
    due_at = due_at or seen
    return PlannedJob(
        job_id=uuid7(),
        user_id=user,
        local_date=local_date,
        due_at=due_at,
        send_until=due_at + 10 * HOUR,
        seen_due_at=seen,
        next_local_date=local_date + timedelta(days=1),
        next_due_at=due_at + 24 * HOUR,
        missed=missed,
    )
