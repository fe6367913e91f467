"""``fixionmail jobs``: every job of any RQ deployment, why some failed, and all about one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands import job_actions, jobs_why
from fixionmail.commands.looking import KeyPrefix, RedisUrl, Watch, age, opened_reader, show
from fixionmail.commands.output import AsJson, clean, plain, print_facts, print_json, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.failures import FailuresStep
    from fixionmail.ops.filters import JobFilter
    from fixionmail.ops.views.jobs import JobDetail, JobRow

app = typer.Typer(help="Jobs of any RQ deployment: look, find, requeue, cancel.", no_args_is_help=True)
app.command("why")(jobs_why.why)
job_actions.register(app)

Filter = Annotated[
    str,
    typer.Argument(
        metavar="[FILTER]",
        help="Such as: state:failed queue:emails age>10m err:timeout id:… func:… and words.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@app.command("list")
def list_(
    wanted: Filter = "",
    limit: Limit = 50,
    after: Annotated[
        str, typer.Option(metavar="PLACE", help="Go on behind a page: its 'next'.", show_default=False)
    ] = "",
    as_json: AsJson = False,
    watch: Watch = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """List jobs, newest first. More than states and a queue in the filter is a search, which ends at --limit."""
    from fixionmail.ops.filters import parse

    chosen = parse(wanted)
    with opened_reader(redis_url, key_prefix) as reader:
        if chosen.is_plain:
            show(lambda: _page(reader, chosen, limit, after), as_json=as_json, watch=watch)
        else:
            show(lambda: _search(reader, chosen, limit), as_json=as_json, watch=watch)


@app.command()
def search(
    wanted: Filter,
    limit: Limit = 100,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Search ids, functions, errors and descriptions. Says how many jobs it looked at, a million at most."""
    from fixionmail.ops.filters import parse

    chosen = parse(wanted)
    with opened_reader(redis_url, key_prefix) as reader:
        show(lambda: _search(reader, chosen, limit), as_json=as_json)


@app.command("show")
def show_(
    job_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Show one job: where it is, what happened to it, its payload and error. Exit code 1 if nothing knows it."""
    from fixionmail.errors import FixionMailError
    from fixionmail.ops.job_detail import detail

    with opened_reader(redis_url, key_prefix) as reader:
        job = detail(reader, job_id)
    if job is None:
        raise FixionMailError(f"Nothing in this Redis knows a job {job_id!r}.")
    if as_json:
        print_json({"job": asdict(job)})
        return
    print_facts(_facts(job))
    for title, text in (("payload", job.payload), ("error", job.error)):
        if text:
            typer.echo(f"\n{title}:")
            for line in text.splitlines():
                typer.echo(f"  {clean_line(line)}")


@app.command()
def failures(
    queue: Annotated[str, typer.Option(help="Only of this queue.")] = "",
    as_json: AsJson = False,
    watch: Watch = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Group failed jobs by what went wrong, the most frequent first. Exit code 1 when there are any."""
    from fixionmail.ops.failures import grouped

    def look() -> tuple[dict[str, Any], RenderableType]:
        now = datetime.now(UTC)
        *_, last = grouped(reader, now, queue=queue)
        document = {
            "groups": [asdict(group) for group in last.groups],
            "failed": last.searched,
            "commands": last.commands,
        }
        return document, _groups(last, now)

    with opened_reader(redis_url, key_prefix) as reader:
        shown = show(look, as_json=as_json, watch=watch)
    if shown["failed"]:
        raise typer.Exit(1)


# ---- what is printed -------------------------------------------------------------------------------------------------


def _page(
    reader: RedisReader, wanted: JobFilter, limit: int, after: str
) -> tuple[dict[str, Any], RenderableType]:
    from rich.console import Group

    from fixionmail.ops.pages import page
    from fixionmail.ops.rows import STATES

    found = page(reader, states=wanted.states or STATES, queue=wanted.queue, limit=limit, after=after)
    document = {"jobs": [asdict(row) for row in found.rows], "total": found.total, "next": found.next}
    notes = [plain(f"{len(found.rows)} of {found.total:,} jobs.")]
    if found.next:
        notes.append(plain(f"What follows: --after {found.next}"))
        notes[-1].overflow = "ignore"  # to be copied as one line
        notes[-1].no_wrap = True
    return document, Group(_rows(found.rows), *notes)


def _search(reader: RedisReader, wanted: JobFilter, limit: int) -> tuple[dict[str, Any], RenderableType]:
    from rich.console import Group

    from fixionmail.ops.search import search as search_jobs

    found = list(search_jobs(reader, wanted, datetime.now(UTC), limit=limit))
    rows, last = [row for step in found for row in step.rows], found[-1]
    document = {
        "jobs": [asdict(row) for row in rows],
        "searched": last.searched,
        "total": last.total,
        "commands": last.commands,
        "note": last.note,
    }
    note = f"{last.found:,} found among {last.searched:,} of {last.total:,} jobs. {last.note}"
    return document, Group(_rows(rows), plain(note))


def _rows(rows: list[JobRow] | tuple[JobRow, ...]) -> RenderableType:
    now = datetime.now(UTC)
    return table(
        ("job", "state", "queue", "function", "since", "about"),
        (
            (row.job_id, row.state, row.queue, row.function, age(row.at, now), row.broken or row.summary)
            for row in rows
        ),
    )


def _groups(step: FailuresStep, now: datetime) -> RenderableType:
    from rich.console import Group

    view = table(
        ("jobs", "error", "queues", "last", "first", "last 24 h", "for example"),
        (
            (
                f"{group.count:,}",
                group.error,
                ", ".join(group.queues),
                age(group.last_at, now),
                age(group.first_at, now),
                f"{sum(group.per_hour):,}",
                group.sample_ids[0] if group.sample_ids else "",
            )
            for group in step.groups
        ),
    )
    return Group(view, plain(f"{step.searched:,} failed jobs in {len(step.groups):,} groups."))


def _facts(job: JobDetail) -> Iterator[tuple[str, str]]:
    yield "job", job.job_id
    yield "state", job.state
    yield from (("held by", place) for place in job.places or ("no list or registry",))
    yield "queue", job.queue
    yield "function", job.function
    if job.worker:
        yield "worker", job.worker
    if job.ttl_seconds is not None:
        yield "kept for", f"{job.ttl_seconds:,.0f} s"
    if job.depends_on:
        yield "waits for", ", ".join(job.depends_on)
    if job.dependents:
        yield "waited for by", ", ".join(job.dependents)
    yield from job.meta.items()
    yield from (("attempt", attempt) for attempt in job.attempts)
    for event in job.timeline:
        yield (f"{event.at:%Y-%m-%d %H:%M:%S}" if event.at else "", event.what)


def clean_line(line: str) -> str:
    """A line of text with its indentation, and without anything that steers a terminal."""
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + clean(line.strip())
