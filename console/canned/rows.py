"""The jobs, failures, deliveries and processes of the pretended deployment."""

from __future__ import annotations

from datetime import datetime, timedelta

from console.canned.clockwork import GENRES, NAMES, TITLES, at, job_id, noise, pick, unix, wave
from console.canned.world import World, hash_number
from console.feed import DeliveryRow, Duplicate, ProcessRow
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.findings import Cure
from fixionmail.ops.views.jobs import FailureGroup, JobDetail, JobRow, TimelineEvent

TOTAL_JOBS = 64_918
_WAITING = ("queued", "scheduled")
_STATES = (
    ("finished",) * 14 + ("queued",) * 4 + ("started",) * 2 + ("failed",) * 2 + ("scheduled", "canceled")
)
_ERRORS = (
    "ProviderOverloaded: 529 overloaded_error",
    "ReadTimeout: no answer from api.resend.com within 30 s",
    "StoryRefused: the provider would not write this one",
    "RateLimited: 429 too many requests, retry in 2 s",
)
STORY, MAIL = "fixionmail.jobs.tasks.write_story", "fixionmail.jobs.tasks.send_due_mail"


def job_row(number: int, world: World, now: datetime) -> JobRow:
    """The job with this number; the higher, the newer."""
    state = _STATES[int(noise("state", number) * len(_STATES))]
    story = noise("kind", number) > 0.4
    identity = job_id(number)
    if identity in world.gone_jobs:
        state = "queued"
    failed = state == "failed"
    name = pick(NAMES, "name", number)
    return JobRow(
        job_id=identity,
        state=state,
        queue="stories" if story else "emails",
        function=STORY if story else MAIL,
        at=now - timedelta(seconds=(TOTAL_JOBS - number) * 1.7),
        summary=pick(_ERRORS, "error", number) if failed else f"{name}, {pick(GENRES, 'genre', number)}",
        attempts=3 if failed else 1,
        worker=f"fixionmail-w-{1 + number % 2}" if state in ("started", "finished") else "",
    )


def number_of(identity: str) -> int:
    """The number of a job among the newest ones; the oldest if it is unknown."""
    for number in range(TOTAL_JOBS, TOTAL_JOBS - 6000, -1):
        if job_id(number) == identity:
            return number
    return 1


def _timeline(row: JobRow, came: datetime) -> tuple[TimelineEvent, ...]:
    events = [
        TimelineEvent(at=came - timedelta(seconds=95), what="planned by scheduler on railway-7f3a"),
        TimelineEvent(at=came - timedelta(seconds=94), what=f"rung on {row.queue}"),
    ]
    if row.state not in _WAITING:
        claimed = "claimed by fixionmail-w-1, attempt 1"
        events.append(TimelineEvent(at=came - timedelta(seconds=52), what=claimed))
        events.append(TimelineEvent(at=came, what=f"{row.state}"))
    return tuple(events)


def job_detail(identity: str, world: World, now: datetime) -> JobDetail:
    """All about one job."""
    row = job_row(number_of(identity), world, now)
    came = row.at or now
    failed, waiting = row.state == "failed", row.state in _WAITING
    return JobDetail(
        job_id=identity,
        state=row.state,
        places=(f"rq:{row.state}:{row.queue}" if not waiting else f"rq:queue:{row.queue}",),
        queue=row.queue,
        function=row.function,
        payload=f'{{"args": ["{identity}"], "kwargs": {{}}}}',
        error=_traceback(row.summary) if failed else "",
        meta={"step": "draft", "percent": "38"} if row.state == "started" else {},
        timeline=_timeline(row, came),
        attempts=tuple(
            f"{came - timedelta(seconds=60 * (3 - n)):%H:%M:%S}  attempt {n}: {row.summary}"
            for n in (1, 2, 3)
        )
        if failed
        else (),
        worker=row.worker,
        ttl_seconds=86_400.0 if row.state == "finished" else None,
        depends_on=(),
        story_job={
            "subscriber": f"{pick(NAMES, 'name', number_of(identity))}@example.org",
            "local date": f"{now:%Y-%m-%d}",
            "genre": pick(GENRES, "genre", number_of(identity)),
            "state": "failed" if failed else "pending" if waiting else "completed",
            "attempts": "3 of 3" if failed else "1 of 3",
        },
        why=("it waits behind 214 others on stories; at 64 a minute its turn comes in about 3 min",)
        if waiting
        else (),
        cures=(
            Cure(label="requeue it", action="requeue", targets=(identity,)),
            Cure(label="give it up", action="cancel", targets=(identity,)),
        )
        if failed
        else (),
    )


def _traceback(error: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        '  File "fixionmail/jobs/tasks.py", line 41, in write_story\n'
        "    story = writer.write(claim.brief, progress)\n"
        '  File "fixionmail/stories/writer.py", line 88, in write\n'
        "    draft = self.provider.complete(prompt, limit=self.limit)\n"
        '  File "fixionmail/stories/providers/anthropic.py", line 63, in complete\n'
        "    raise self._in_words(answer)\n"
        f"fixionmail.errors.{error}\n"
    )


def job_log(identity: str, now: datetime) -> tuple[str, ...]:
    """Log lines that name a job."""
    short = identity[:8]
    return tuple(
        f"{now - timedelta(seconds=90 - 20 * n):%H:%M:%S} [info] {what} job={short}"
        for n, what in enumerate(
            ("claimed", "plan done in 3.1 s", "draft begun", "provider answered 529, again in 4 s")
        )
    )


def failure_groups(world: World, now: datetime, part: float) -> tuple[FailureGroup, ...]:
    """Failures by fingerprint, as far as they have been read."""
    t = unix(now)
    groups = []
    for index, error in enumerate(_ERRORS):
        count = int((18, 14, 7, 4)[index] * part)
        if count == 0 or error in world.cured:
            continue
        hours = tuple(int(wave(t / 3600 - h, 7 + index, 0, 4) * noise(error, h)) for h in range(23, -1, -1))
        groups.append(
            FailureGroup(
                fingerprint=f"{index:02}f3c1",
                error=error,
                count=count,
                queues={"stories" if index != 1 else "emails": count},
                functions={STORY if index != 1 else MAIL: count},
                first_at=at(t - 3600 * (20 - index)),
                last_at=at(t - 70 * (index + 1)),
                per_hour=hours,
                sample_ids=tuple(job_id(TOTAL_JOBS - 10 * n - index) for n in range(3)),
            )
        )
    return tuple(groups)


_TABS = {"upcoming": 5_112, "sending": 100, "uncertain": 3, "failed": 14}
_NOTES = {
    "uncertain": "no answer within 30 s, key expired",
    "failed": "550 5.1.1 mailbox unknown",
}


def delivery_total(tab: str, world: World) -> int:
    """How many deliveries a tab holds."""
    if tab == "uncertain":
        return max(0, 3 - len(world.settled)) if world.troubled else 0
    return _TABS[tab]


def delivery_row(tab: str, number: int, now: datetime) -> DeliveryRow:
    """A delivery of a tab."""
    states = {"upcoming": "pending", "sending": "sending", "uncertain": "uncertain", "failed": "bounced"}
    offset = {
        "upcoming": number * 0.8,
        "sending": -4 - number * 0.1,
        "uncertain": -4300 - number,
        "failed": -number * 400,
    }
    identity = job_id(9_001 + number) if tab == "uncertain" else job_id(hash_number(tab, number))
    return DeliveryRow(
        delivery_id=identity,
        subscriber=address_of(identity),
        title=pick(TITLES, "delivery", identity),
        state=states[tab],
        at=now + timedelta(seconds=offset[tab]),
        note=_NOTES.get(tab, ""),
    )


def address_of(delivery_id: str) -> str:
    """Where a delivery goes."""
    return f"{pick(NAMES, 'delivery', delivery_id)}.{delivery_id[:4]}@example.org"


def delivery_detail(identity: str, world: World, now: datetime) -> DeliveryDetail:
    """All about one delivery."""
    address, title = address_of(identity), pick(TITLES, "delivery", identity)
    uncertain = identity in [job_id(9_001 + n) for n in range(3)] and identity not in world.settled
    due = now - timedelta(minutes=72)
    ending = "answer: none; uncertain" if uncertain else "answer: 200; accepted as 4f1c09aa"
    steps = (
        (-1800, f"planned, due {due:%Y-%m-%d %H:%M} UTC"),
        (-1650, "writing begun, attempt 1"),
        (-1602, f"written: {title}"),
        (0.4, "taken into a mail request of 3 mails"),
        (0.5, "sealed under the key fm/0198c2/1"),
        (0.9, "sent to the provider for the first time"),
        (2100 if uncertain else 1.2, f"7 attempts, {ending}" if uncertain else f"1 attempt, {ending}"),
    )
    return DeliveryDetail(
        delivery_id=identity,
        state="uncertain" if uncertain else "sent",
        subscriber=address,
        facts={
            "state": "uncertain (no answer within 30 s, key expired)" if uncertain else "sent",
            "address": address,
            "story": title,
            "local date": f"{now:%Y-%m-%d}",
            "due": f"{due:%Y-%m-%d %H:%M} UTC",
        },
        timeline=tuple(TimelineEvent(at=due + timedelta(seconds=s), what=what) for s, what in steps),
        evidence=(f"key fm/0198c2/1: first used {due:%H:%M}; 7 attempts, no answer",) if uncertain else (),
        advice="Ask the provider what became of it; what it does not know, you decide." if uncertain else "",
    )


def duplicates(world: World) -> tuple[Duplicate, ...]:
    """The duplicate check finds nothing in good times."""
    if not world.troubled or len(world.settled) >= 3:
        return ()
    return (
        Duplicate(
            kind="uncertain",
            subject="batch 0198c2",
            detail="3 mails went out under one key without an answer; the provider may have sent them",
            delivery_ids=tuple(job_id(9_001 + n) for n in range(3)),
        ),
    )


def processes(world: World, now: datetime) -> tuple[ProcessRow, ...]:
    """What runs on the pretended machine."""
    t = unix(now)
    rows = [
        ProcessRow(
            name=name,
            kind=kind,
            state="stopped" if name in world.stopped else "running",
            pid=None if name in world.stopped else 4000 + index * 13,
            started_at=None if name in world.stopped else at(t - 6.4 * 3600 + index),
            cpu_percent=None
            if name in world.stopped
            else 1 + 14 * noise(name, int(t / 2)) * (kind == "worker"),
            rss_bytes=None if name in world.stopped else int(70e6 + 9e6 * index),
            about=about,
        )
        for index, (name, kind, about) in enumerate(_machine(world))
    ]
    if world.troubled and "w-3" not in world.cured:
        rows[2] = ProcessRow(
            name="worker-3",
            kind="worker",
            state="crash-looping",
            restarts=6,
            last_end="signal 9 (killed; out of memory?)",
            about="starts again in 32 s",
        )
    return tuple(rows)


def _machine(world: World) -> list[tuple[str, str, str]]:
    return [
        *((f"worker-{n}", "worker", "emails, stories") for n in range(1, world.scales["worker"] + 1)),
        ("scheduler-1", "scheduler", "leads"),
        ("delivery-1", "delivery", "leads"),
        ("web-1", "web", "port 8080"),
        ("redis", "redis", "bundled Valkey 9.1.2, port 6379"),
        ("postgres", "postgres", "bundled Postgres 18.6"),
    ]
