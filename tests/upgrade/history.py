"""Fills a database of the earlier FixionMail: readers in many zones, a story a day, and what had gone wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

_TABLES = (Path(__file__).parent / "earlier.sql").read_text(encoding="utf-8")

_STORIES = """
insert into stories (id, user_id, title, narrative, word_count, genre, story_bible, model_used, created_at)
select md5('story' || n || '/' || d)::uuid, md5('user' || n)::uuid, 'Story ' || d, repeat('It burned. ', 9), 900,
       'mystery', '{}', 'sonnet', now() - make_interval(days => d, hours => 1)
  from generate_series(1, %s) n, generate_series(1, %s) d"""
_JOBS = """
insert into story_jobs (id, job_id, status, story_bible, user_email, user_id, story_id, created_at)
select md5('job' || id)::uuid, id::text, 'completed', '{}', 'x', user_id, id, created_at from stories"""
_DELIVERIES = """
insert into scheduled_deliveries (id, story_id, user_id, user_email, deliver_at, status, sent_at, resend_email_id,
                                  created_at)
select md5('delivery' || id)::uuid, id, user_id, 'x', created_at + interval '1 hour', 'sent',
       created_at + interval '1 hour', 're_' || id, created_at
  from stories"""


@dataclass(frozen=True)
class Earlier:
    """A database of the earlier FixionMail. Readers and stories have numbers, from 1 and day 0 (today) on."""

    connection: psycopg.Connection[Any]

    def build(self) -> None:
        """Make its tables."""
        self.connection.execute(_TABLES.encode())

    def reader(
        self, number: int, *, timezone: str = "Europe/Berlin", time: str = "08:00", **columns: object
    ) -> str:
        """A reader who gets a story a day; the id."""
        user = _id("user", number)
        email = columns.pop("email", f"reader{number}@example.com")
        self.connection.execute("insert into auth.users (id, email) values (%s, %s)", [user, email])
        self.connection.execute(
            "update users set onboarding_completed = true, subscription_status = 'active', credits = 7, "
            'story_bible = \'{"genre": "mystery", "setting": {"name": "Oslo"}}\', '
            "preferences = jsonb_build_object('timezone', %s::text, 'delivery_time', %s::text) where id = %s",
            [timezone, time, user],
        )
        for column, value in columns.items():
            self.connection.execute(f"update users set {column} = %s where id = %s", [value, user])
        return user

    def story(self, number: int, user: str, *, hours_ago: float, job: str | None = "completed") -> str:
        """A story, with the job it came from; the id."""
        story = _id("story", number)
        at = f"now() - interval '{hours_ago} hours'"
        self.connection.execute(
            "insert into stories "
            "(id, user_id, title, narrative, word_count, genre, story_bible, model_used, created_at)"
            f" values (%s, %s, %s, 'It burned.', 900, 'mystery', '{{}}', 'sonnet', {at})",
            [story, user, f"Story {number}"],
        )
        if job is not None:
            self.job(number, user, job, hours_ago=hours_ago, story=story)
        return story

    def job(
        self, number: int, user: str | None, status: str, *, hours_ago: float, story: str | None = None
    ) -> str:
        """A job; the id."""
        job = _id("job", number)
        at = f"now() - interval '{hours_ago} hours'"
        self.connection.execute(
            "insert into story_jobs (id, job_id, status, story_bible, user_email, user_id, story_id, created_at, "
            f"error_message) values (%s, %s, %s, '{{}}', 'reader1@example.com', %s, %s, {at}, %s)",
            [job, f"job-{number}", status, user, story, "no luck" if status == "failed" else None],
        )
        return job

    def delivery(
        self,
        number: int,
        story: str,
        user: str,
        status: str,
        *,
        hours_ago: float,
        provider_id: str | None = None,
    ) -> str:
        """A delivery due so many hours ago; the id."""
        delivery = _id("delivery", number)
        at = f"now() - interval '{hours_ago} hours'"
        self.connection.execute(
            "insert into scheduled_deliveries (id, story_id, user_id, user_email, deliver_at, status, sent_at, "
            f"resend_email_id, error_message, created_at) values (%s, %s, %s, 'reader@example.com', {at}, %s, "
            f"case when %s = 'sent' then {at} end, %s, %s, {at} - interval '1 hour')",
            [delivery, story, user, status, status, provider_id, "550" if status == "failed" else None],
        )
        return delivery

    def history(self, readers: int, days: int) -> None:
        """A story and a mail for each reader and each of so many days before today, all of them sent."""
        zones = "array['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'Mars/Olympus', 'Pacific/Auckland']"
        self.connection.execute(
            "insert into auth.users (id, email) select md5('user' || n)::uuid, 'reader' || n || '@example.com' "
            "from generate_series(1, %s) n",
            [readers],
        )
        self.connection.execute(
            "update users set onboarding_completed = true, subscription_status = 'active', preferences = "
            "jsonb_build_object('delivery_time', '07:30', 'timezone', "
            f"({zones})[1 + ('x' || left(replace(id::text, '-', ''), 6))::bit(24)::int % 5])"
        )
        with self._unchecked():
            self.connection.execute(_STORIES, [readers, days])
            self.connection.execute(_JOBS)
            self.connection.execute(_DELIVERIES)
        self.connection.execute("analyze")

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        """Rows that are right anyway are written without asking triggers, and without waiting for the disk."""
        with self.connection.transaction():
            self.connection.execute(
                "set local session_replication_role = replica; set local synchronous_commit = off"
            )
            yield


def _id(what: str, number: int) -> str:
    return str(UUID(md5(f"{what}{number}".encode()).hexdigest()))
