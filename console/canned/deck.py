"""The pretended deployment as a deck: it answers at once, and remembers what the operator did to it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from console.canned import rows, troubles
from console.canned.clockwork import job_id, noise, unix, wave
from console.canned.world import World, snapshot
from console.feed import (
    CURVE_POINTS,
    PAGE_ROWS,
    TAB_STATES,
    AuditStep,
    CheckRow,
    DeliveryList,
    Duplicate,
    LogTail,
    ProcessRow,
    finding_row,
)
from fixionmail.errors import InputError
from fixionmail.ops.history import Curve
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.findings import Finding, Preview, Progress
from fixionmail.ops.views.jobs import FailureGroup, JobDetail, JobPage, JobRow
from fixionmail.ops.views.redis import ClientCost
from fixionmail.ops.views.section import Target
from fixionmail.ops.views.snapshot import Snapshot

STEPS = 12
SETTLING = ("resolve-delivery", "resolve-sent", "resolve-not-sent", "cancel-delivery", "retry-delivery")
LOG_LINES = 200


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class CannedDeck:
    """A deck without a deployment.

    Args:
        troubled: with things to mend, or calm.
        now: the clock.
        step_seconds: how long a step of something long takes.
        remote: pretend to be a production deployment.
        read_only: refuse every change.
    """

    troubled: bool = True
    now: Callable[[], datetime] = _now
    step_seconds: float = 0.15
    remote: bool = False
    read_only: bool = False
    world: World = field(init=False)
    changes: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    """What was done: the action, its targets and the reason."""
    details: list[str] = field(default_factory=list)
    """What each change was given beside its targets."""

    def __post_init__(self) -> None:
        self.world = World(troubled=self.troubled)

    @property
    def target(self) -> Target:
        """A local deployment, or one called production."""
        return Target(
            redis="eu1-brave-ox.upstash.io:6379/0" if self.remote else "127.0.0.1:6379/0",
            database="aws-0-eu.pooler.supabase.com/postgres" if self.remote else "127.0.0.1/fixionmail",
            environment="production" if self.remote else "demo",
            remote=self.remote,
            read_only=self.read_only,
            mail="the local outbox" if not self.remote else "Resend",
        )

    def look(self) -> Snapshot:
        """The pretended deployment now."""
        return snapshot(self.world, self.target, self.now())

    def findings(self, snapshot: Snapshot, previous: Snapshot | None) -> tuple[Finding, ...]:
        """What is wrong."""
        return troubles.findings(self.world, snapshot.taken_at)

    def jobs(self, query: str, cursor: str) -> Iterator[JobPage]:
        """Jobs that match, newest first."""
        now, wanted = self.now(), _terms(query)
        number = int(cursor) if cursor else rows.TOTAL_JOBS
        found: list[JobRow] = []
        while number > 0 and len(found) < PAGE_ROWS:
            row = rows.job_row(number, self.world, now)
            if _matches(row, wanted, now):
                found.append(row)
            number -= 1
            if number < rows.TOTAL_JOBS - 20_000:
                break
        total = rows.TOTAL_JOBS if not wanted else max(len(found), int(rows.TOTAL_JOBS * _share(wanted)))
        following = str(number) if len(found) == PAGE_ROWS else ""
        yield JobPage(rows=tuple(found), total=total, next=following)

    def job(self, job_id: str) -> JobDetail:
        """One job."""
        return rows.job_detail(job_id, self.world, self.now())

    def job_log(self, job_id: str) -> tuple[str, ...]:
        """Its log lines."""
        return rows.job_log(job_id, self.now())

    def failures(self) -> Iterator[tuple[FailureGroup, ...]]:
        """Failures by fingerprint."""
        for part in (0.4, 1.0):
            yield rows.failure_groups(self.world, self.now(), part)
            self._work()

    def deliveries(self, tab: str, cursor: str) -> DeliveryList:
        """Deliveries of a tab."""
        now, start, total = self.now(), int(cursor or 0), rows.delivery_total(tab, self.world)
        end = min(total, start + PAGE_ROWS)
        found = tuple(rows.delivery_row(tab, number, now) for number in range(start, end))
        return DeliveryList(rows=found, total=total, next=str(end) if end < total else "")

    def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery."""
        return rows.delivery_detail(delivery_id, self.world, self.now())

    def duplicates(self) -> tuple[Duplicate, ...]:
        """The duplicate check."""
        self._work()
        return rows.duplicates(self.world)

    def audit(self) -> Iterator[AuditStep]:
        """Pretends to look at 180,000 keys."""
        total = 182_433
        for step in range(STEPS + 1):
            done = total * step // STEPS
            found = troubles.findings(self.world, self.now())[1:2] if step > STEPS // 2 else ()
            yield AuditStep(
                done=done, total=total, words="keys and entries", findings=found, finished=step == STEPS
            )
            self._work()

    def doctor(self, deep: bool) -> Iterator[CheckRow]:
        """Every check of the pretended deployment."""
        now = self.now()
        found = troubles.findings(self.world, now)
        for name, words in troubles.checks(self.look(), found, deep):
            state = "note" if words == f"{len(found)} found" else "ok"
            yield CheckRow(name=name, state=state, words=words, at=now)
            self._work()
        for finding in found:
            yield finding_row(finding, "conditions", now)

    def commands(self) -> tuple[ClientCost, ...]:
        """What each pretended client costs."""
        t = unix(self.now())
        clients = (
            ("worker-1", 4, 61.0),
            ("worker-2", 4, 58.0),
            ("this console", 1, 30.0),
            ("scheduler-1", 1, 1.2),
        )
        return tuple(
            ClientCost(
                name=name, connections=links, commands=int(rate * 384), per_minute=rate + noise(name, int(t))
            )
            for name, links, rate in clients
        )

    def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
        """What an action would touch."""
        from fixionmail.ops import actions  # takes as long as all else that the pretended deployment needs
        from fixionmail.ops.actions.command_line import command_line

        name, named = self._named(action, targets)
        wanted = actions.action(name)
        return Preview(
            action=action,
            count=self._meant(targets),
            samples=named[:5],
            warnings=troubles.warnings(action),
            destructive=wanted.destructive,
            command=command_line(wanted, named, detail),
            seen=dict.fromkeys(targets, "seen"),
            asks=wanted.asks,
            detail=detail,
        )

    def _named(self, action: str, targets: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The operation and the ids that are meant, of very many only some."""
        if action in ("scale-up", "scale-down"):
            copies = self.world.scales["worker"]
            up = action == "scale-up"
            return f"{'start' if up else 'stop'}-process", (f"worker-{copies + 1 if up else copies}",)
        query = targets[0].removeprefix("query:")
        if query == targets[0]:
            return action, targets
        for tab, states in TAB_STATES.items():
            if query == f"state:{','.join(states)}":
                return action, tuple(row.delivery_id for row in self.deliveries(tab, "").rows)
        return action, tuple(row.job_id for row in next(self.jobs(query, "")).rows)

    def _meant(self, targets: tuple[str, ...]) -> int:
        for tab, states in TAB_STATES.items():
            if targets == (f"query:state:{','.join(states)}",):
                return rows.delivery_total(tab, self.world)
        return 43 if any(target.startswith("query:") for target in targets) else max(1, len(targets))

    def run(self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str) -> Iterator[Progress]:
        """Pretends to do it, in steps."""
        if self.read_only:
            raise InputError("This console only looks (--read-only).")
        self.changes.append((preview.action, targets, reason))
        self.details.append(preview.detail)
        begun = int(cursor or 0)
        for step in range(1, STEPS + 1):
            done = begun + (preview.count - begun) * step // STEPS
            self._work()
            yield Progress(
                done=done,
                total=preview.count,
                outcomes={"done": done},
                cursor=str(done),
                finished=step == STEPS,
            )
        self._apply(preview.action, targets)

    def processes(self) -> tuple[ProcessRow, ...]:
        """What runs on the pretended machine."""
        return rows.processes(self.world, self.now())

    def log(self, name: str, position: str) -> LogTail:
        """A log that gets a line a second."""
        now = int(unix(self.now()))
        start = int(position) if position else now - LOG_LINES
        return LogTail(
            lines=tuple(_log_line(name, second) for second in range(start, now)), position=str(now)
        )

    def history(self, seconds: int) -> Mapping[str, Curve]:
        """Curves that go up and down."""
        now = unix(self.now())
        step = seconds / CURVE_POINTS
        shapes = {
            "": (5400, 40, 380),
            ":emails": (5400, 30, 320),
            ":stories": (7200, 10, 90),
            ":imports": (900, 0, 3),
        }
        return {
            f"{what}{queue}": tuple(
                wave(at, period * seconds / 21_600, low, high) + high / 4 * noise(what, queue, int(at / step))
                for at in (now - seconds + step * n for n in range(CURVE_POINTS))
            )
            for what in ("waiting", "done")
            for queue, (period, low, high) in shapes.items()
        }

    def close(self) -> None:
        """There is nothing to let go of."""

    def _work(self) -> None:
        if self.step_seconds:
            time.sleep(self.step_seconds)

    def _apply(self, action: str, targets: tuple[str, ...]) -> None:
        world = self.world
        if action in SETTLING:
            world.settled |= set(targets)
        elif action == "drain-worker":
            world.draining |= {target.removeprefix("fixionmail-") for target in targets}
        elif action in ("stop-worker", "stop-process"):
            world.stopped |= {target.removeprefix("fixionmail-") for target in targets}
        elif action in ("pause-queue", "resume-queue"):
            for target in targets:
                if world.paused_queues.pop(target, None) is None:
                    world.paused_queues[target] = "closed in the console"
        elif action in ("scale-up", "scale-down"):
            world.scales["worker"] = max(1, world.scales["worker"] + (1 if action == "scale-up" else -1))
        elif action in ("start-process", "restart-process"):
            world.stopped -= set(targets)
            world.cured |= {"imports" for target in targets if "imports" in target}
        elif action == "requeue":
            world.gone_jobs |= set(targets)
            world.cured |= {"w-3" for target in targets if target == troubles.DEAD_JOB}
        elif action == "repair-redis":
            world.cured |= {"policy" for target in targets if target == troubles.POLICY}


def _terms(query: str) -> dict[str, str]:
    terms: dict[str, str] = {}
    try:
        words = shlex.split(query)
    except ValueError:  # a quotation that is still being typed
        words = query.split()
    for word in words:
        name, colon, value = word.partition(":")
        terms[name if colon else "text"] = value if colon else word
    return terms


def _matches(row: JobRow, terms: dict[str, str], now: datetime) -> bool:
    text = f"{row.job_id} {row.function} {row.summary}".lower()
    tests: dict[str, Callable[[str], bool]] = {
        "state": lambda value: row.state == value,
        "queue": lambda value: row.queue == value,
        "id": lambda value: row.job_id.startswith(value),
        "err": lambda value: row.state == "failed" and value.lower() in row.summary.lower(),
        "text": lambda value: value.lower() in text,
    }
    return all(tests[name](value) for name, value in terms.items() if name in tests)


def _share(terms: dict[str, str]) -> float:
    share = {"failed": 43 / rows.TOTAL_JOBS, "started": 0.0004, "queued": 0.04, "scheduled": 0.0001}
    return share.get(terms.get("state", ""), 0.2)


def _log_line(name: str, second: int) -> str:
    words = (
        f"claimed job={job_id(second)[:8]} queue=stories",
        f"story written job={job_id(second)[:8]} words=742 seconds=41.2",
        f"batch accepted mails={1 + second % 99} provider=resend",
        "tick ended due=41 planned=41 seconds=0.012",
        f"provider answered 529, again in 4 s job={job_id(second)[:8]}",
    )
    which = int(noise(name, second) * len(words))
    level = "warning" if which == 4 else "info"
    stamp = datetime.fromtimestamp(second, UTC) + timedelta(milliseconds=120)
    return f"{stamp:%Y-%m-%dT%H:%M:%S.120Z} [{level}] {words[which]}"
