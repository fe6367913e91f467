"""A deployment whose processes are ours to kill, whose time is ours to pass, and whose provider counts its mails."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
from redis import Redis

from fixionmail.schedule import occurrences
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from tests import commands
from tests.contract.store.world import World, new_subscriber
from tests.standins import resend_ledger
from tests.standins.resend import ResendStandIn

_MOMENTS: LiteralString = """
select table_name, array_agg(column_name::text) from information_schema.columns
 where table_schema = 'public' and data_type = 'timestamp with time zone' and table_name <> 'fixionmail_migrations'
 group by table_name
"""
_ON_ITS_WAY: LiteralString = """
select (select count(*) from scheduled_deliveries where state in ('pending', 'sending') and due_at <= now())
     + (select count(*) from story_jobs where state in ('pending', 'running'))
"""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where everything is. Without ``redis_url`` the loops do all the work themselves."""

    home: Path
    provider: ResendStandIn
    database_url: str
    world: World
    redis_url: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    # Our processes

    def run(
        self, kind: str, *arguments: str, fault: str = "", **settings: str
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        """``fixionmail run`` of this kind while inside; ``fault``, as in :mod:`fixionmail.faults`, strikes once."""
        struck = self.home / f"struck-{uuid4().hex}"
        faults = {"FIXIONMAIL_FAULT": fault, "FIXIONMAIL_FAULT_ONCE": str(struck)} if fault else {}
        return commands.running(self.home, "run", kind, *arguments, **{**self.settings, **faults, **settings})

    @property
    def settings(self) -> dict[str, str]:
        """What leads a process here, and makes it look every second."""
        redis = {"REDIS_URL": self.redis_url} if self.redis_url else {"ENABLE_REDIS_QUEUE": "false"}
        return {
            "DATABASE_URL": self.database_url,
            "RESEND_API_KEY": "re_faults",
            "RESEND_API_URL": self.provider.url,
            "EMAIL_FROM": "FixionMail <stories@example.com>",
            "CHECK_INTERVAL_SECONDS": "1",
            "WORKER_CONCURRENCY": "4",
            **redis,
            **self.more,
        }

    @property
    def python_path(self) -> str:
        """Where our processes find this code."""
        return str(Path(__file__).parents[2])

    @property
    def log(self) -> str:
        """What our processes have said so far."""
        return (self.home / "command.log").read_text()

    def add_readers(
        self, count: int, *, ago: timedelta = timedelta(minutes=1), timezone: str = "UTC"
    ) -> None:
        """Subscribers whose next story was due that long ago, to the minute."""
        at = datetime.now(UTC) - ago
        local = at.astimezone(ZoneInfo(timezone))
        due = next(occurrences(timezone=timezone, delivery_time=f"{local:%H:%M}", from_date=local.date()))
        rows = [
            replace(new_subscriber(timezone=timezone), delivery_time=f"{local:%H:%M}", due=due)
            for _ in range(count)
        ]
        self.world.store.subscribers.add(rows)

    # Time

    def pass_time(self, *, hours: float = 0, seconds: float = 0) -> None:
        """Let that much time go by for the database, the provider and Redis's leases; none does for processes."""
        total = hours * 3600 + seconds
        self.provider.clock.advance(total)
        while not self._is_aged(total):
            pass  # a process was in the middle of a call that locks rows in another order
        if self.redis_url:
            _lapse(self.redis_url, total)

    def _is_aged(self, seconds: float) -> bool:
        """Make all that is in the database so much older, or nothing."""
        try:
            with self.world.connection.transaction():
                self.world.change("set local session_replication_role = replica")
                for table, columns in self.world.connection.execute(_MOMENTS).fetchall():
                    sets = ", ".join(
                        f"{column} = {column} - {seconds} * interval '1 second'" for column in columns
                    )
                    self.world.change(f"update {table} set {sets}")
        except psycopg.errors.DeadlockDetected:
            return False
        return True

    # What came of it

    def settle(self, seconds: float = commands.PATIENCE_SECONDS) -> None:
        """Wait until nothing that is due waits, runs or is on its way."""
        commands.until(lambda: self.world.value(_ON_ITS_WAY) == 0, "all to be done", seconds)

    def mails(self) -> Counter[tuple[str, str]]:
        """Mails by address and date, from what the provider wrote down."""
        return resend_ledger.count(resend_ledger.read_file(self.home / "ledger.jsonl"))

    def assert_one_mail_each(self, readers: int) -> None:
        """So many readers have one mail each, and each is on record as sent under its id at the provider."""
        mails = resend_ledger.read_file(self.home / "ledger.jsonl")
        counts = resend_ledger.count(mails)
        assert [who for who, n in counts.items() if n > 1] == [], "two mails for one date"
        assert len(counts) == readers
        recorded = set(self.world.column("select provider_id from scheduled_deliveries where state = 'sent'"))
        assert recorded == {mail.id for mail in mails}

    def states(self) -> Counter[str]:
        """Deliveries by state."""
        return Counter(self.world.column("select state from scheduled_deliveries"))

    def batches(self) -> Counter[str]:
        """Mail requests by state."""
        return Counter(self.world.column("select state from mail_batches"))


def _lapse(url: str, seconds: float) -> None:
    """Redis's clock cannot be put forward, but what workers hold there can be made as much older."""
    with Redis.from_url(url) as client:
        for key in client.keys("rq:wip:*"):
            for member in client.zrange(key, 0, -1):
                client.zincrby(key, -seconds, member)


@contextmanager
def deployment(
    home: Path, database_url: str, redis_url: str | None = None, **more: str
) -> Iterator[Deployment]:
    """A database and a provider, and nothing running yet; ``more``: settings of all processes."""
    home.mkdir(parents=True, exist_ok=True)
    store = Store.over(DirectTransport(database_url, 2))
    with (
        ResendStandIn(api_key="re_faults", ledger_file=home / "ledger.jsonl", keep_bodies=True) as provider,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        yield Deployment(
            home=home,
            provider=provider,
            database_url=database_url,
            world=World(store, connection),
            redis_url=redis_url,
            more=more,
        )
    store.close()


def state_of(process: subprocess.Popen[Any]) -> str:
    """How the kernel calls it: ``stopped``, ``sleeping``, ``zombie``, ..."""
    import psutil

    return str(psutil.Process(process.pid).status())
