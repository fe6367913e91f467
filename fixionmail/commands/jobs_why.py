"""``fixionmail jobs why``: why one job is not running."""

from __future__ import annotations

from typing import Annotated

import typer

from fixionmail.commands.cures import cure_json, cure_line, same_redis
from fixionmail.commands.looking import KeyPrefix, RedisUrl, opened_observer
from fixionmail.commands.output import AsJson, clean, print_json


def why(
    job_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of a job in Redis, or of a story job.", show_default=False),
    ],
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Say why a job is not running, and what to type where that helps: the first reason decides.

    Exit code 1 if nobody knows it.
    """
    from fixionmail.errors import FixionMailError
    from fixionmail.ops import why as reasons

    with opened_observer(redis_url, key_prefix) as observer:
        job = reasons.ask(observer, job_id)
    if job is None:
        raise FixionMailError(f"Neither Redis nor the database knows a job {job_id!r}.")
    same = same_redis(redis_url, key_prefix)
    if as_json:
        cures = [cure_json(cure, same=same) for cure in job.cures]
        print_json({"job_id": job.job_id, "state": job.state, "why": job.why, "cures": cures})
        return
    for reason in job.why or ("Nothing keeps it from running: it runs, or has ended.",):
        typer.echo(clean(reason))
    for cure in job.cures:
        typer.echo(f"  > {cure_line(cure, same=same)}")
