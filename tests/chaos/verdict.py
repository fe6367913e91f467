"""The independent reader: what the provider's ledger says against what the database says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.standins import resend_ledger

ENDS = (
    "sent",
    "delivered",
    "bounced",
    "complained",
    "failed",
    "rejected",
    "uncertain",
    "missed",
    "suppressed",
)
_ROWS = """
    select u.email, j.local_date::text, j.state, j.error, d.state, d.reason, d.provider_id, d.id::text
      from users u
      left join story_jobs j on j.user_id = u.id
      left join scheduled_deliveries d on d.job_id = j.id
     order by u.email
"""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with one delivery, in one line."""

    text: str
    address: str
    delivery: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found."""

    subscribers: int
    mails: int
    ends: dict[str, int]
    problems: tuple[Problem, ...]


def is_settled(url: str) -> bool:
    """True when nothing waits, runs or is on its way any more. False while the database does not answer."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "select (select count(*) from story_jobs where state in ('pending', 'running'))"
                " + (select count(*) from scheduled_deliveries where state in ('pending', 'sending'))"
                " + (select count(*) from subscriber_schedule where active and next_due_at <= now())"
            ).fetchone()
    except psycopg.Error:
        return False
    return row is not None and row[0] == 0


def judge(url: str, ledger: Path) -> Verdict:
    """Compare every mail with every row."""
    mails = resend_ledger.read_file(ledger)
    counts: Counter[tuple[str, str]] = resend_ledger.count(mails)
    with psycopg.connect(url) as connection:
        rows = connection.execute(_ROWS).fetchall()
    known = {mail.id for mail in mails}
    recorded = {row[6] for row in rows if row[6]}
    problems = [
        Problem(text=f"two mails for {date}", address=address)
        for (address, date), n in counts.items()
        if n > 1
    ]
    for row in rows:
        about = {"address": row[0], "delivery": row[7] or ""}
        if row[4] not in ENDS:
            problems.append(Problem(text=f"no end: job {row[2]} ({row[3]}), delivery {row[4]}", **about))
        if row[6] and row[6] not in known:
            problems.append(Problem(text=f"recorded as {row[6]}, but not sent", **about))
        if _was_sent(row, counts) != _is_sent(row):
            problems.append(Problem(text=f"sent: {_was_sent(row, counts)}, recorded: {row[4]}", **about))
    problems += [
        Problem(text=f"mail {mail.id} without a row", address=mail.to[0])
        for mail in mails
        if mail.id not in recorded
    ]
    return Verdict(
        subscribers=len({row[0] for row in rows}),
        mails=len(mails),
        ends=dict(Counter(str(row[4]) for row in rows)),
        problems=tuple(problems),
    )


def tell_story(url: str, ledger: Path, problem: Problem) -> str:
    """Everything on record about one offending delivery: its rows, requests, audit, and the provider's entries."""
    with psycopg.connect(url) as connection:
        shown = connection.execute(
            "select jsonb_pretty(show_delivery_v1(d.id)) from scheduled_deliveries d"
            " join users u on u.id = d.user_id where u.email = %s or d.id::text = %s",
            [problem.address, problem.delivery],
        ).fetchall()
    entries = [
        f"  at the provider: {datetime.fromtimestamp(mail.at, UTC).isoformat()} id {mail.id} key {mail.key}"
        for mail in resend_ledger.read_file(ledger)
        if problem.address in mail.to
    ]
    return "\n".join([problem.text, *(row[0] for row in shown), *entries])


def _was_sent(row: tuple[Any, ...], counts: Counter[tuple[str, str]]) -> bool:
    return counts[row[0], row[1]] > 0


def _is_sent(row: tuple[Any, ...]) -> bool:
    return row[4] in ("sent", "delivered", "bounced", "complained", "failed")
