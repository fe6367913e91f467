"""Requests to language models, and the stories that came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fixionmail.models.operations import LineRow
from fixionmail.models.stories import (
    Admission,
    Brief,
    RequestCount,
    RequestEnd,
    SpendingRow,
    StoryRecord,
    StoryRequest,
    Usage,
    WritingOutlook,
    WrittenStory,
)
from fixionmail.models.verdict import Verdict
from fixionmail.store.jobs import read_brief
from fixionmail.store.transport import Caller, instant


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What holds for one provider in the whole deployment. ``budget_usd``: a UTC day's, of all providers together."""

    line: str
    requests_per_second: float
    concurrency: int
    budget_usd: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request that somebody wants to make. Without a job it is asked for by hand."""

    request_id: UUID
    step: str
    percent: int
    model: str
    at_most_usd: Decimal | None
    job_id: UUID | None = None
    token: int | None = None


@dataclass(frozen=True)
class Writing:
    """Database functions of ``015_story_requests.sql`` and ``016_story_bibles.sql``."""

    _call: Caller

    def admit(self, ask: Ask, limits: Limits, *, lease_seconds: float, max_wait_seconds: float) -> Admission:
        """Ask to make a request; see :class:`~fixionmail.models.stories.Admission`."""
        row = self._call(
            "admit_story_request_v1",
            request=ask.request_id,
            line=limits.line,
            rate=limits.requests_per_second,
            most=limits.concurrency,
            lease_s=lease_seconds,
            max_wait_s=max_wait_seconds,
            job=ask.job_id,
            token=ask.token,
            step=ask.step,
            percent=ask.percent,
            model=ask.model,
            at_most_usd=_text(ask.at_most_usd),
            budget_usd=_text(limits.budget_usd),
        )
        return Admission(
            verdict=Verdict(row["verdict"]),
            wait_seconds=row.get("wait_s", 0.0),
            reason=row.get("reason") or "",
            line=row.get("line", ""),
        )

    def settle(
        self,
        ask: Ask,
        limits: Limits,
        end: RequestEnd,
        *,
        writer: str,
        keep: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Record what a request came to, and keep the step's result: OK, ALREADY, STALE (not kept) or GONE."""
        row = self._call(
            "settle_story_request_v1",
            request=ask.request_id,
            token=ask.token,
            rate=limits.requests_per_second,
            outcome=end.outcome,
            error=end.error or None,
            input_tokens=end.usage and end.usage.input_tokens,
            cached_tokens=end.usage and end.usage.cached_tokens,
            output_tokens=end.usage and end.usage.output_tokens,
            cost_usd=_text(end.cost_usd),
            pause_s=end.pause_seconds,
            slower=end.slower,
            writer=writer,
            keep=keep,
        )
        return Verdict(row["verdict"])

    def outlook(self) -> WritingOutlook:
        """Lines, today's spending and how the last hour's requests ended."""
        row = self._call("writing_outlook_v1")
        return WritingOutlook(
            now=datetime.fromisoformat(row["now"]),
            lines=tuple(
                LineRow(
                    name=line["name"],
                    rate=line["rate"],
                    paused_until=instant(line["paused_until"]),
                    paused_reason=line["paused_reason"] or "",
                )
                for line in row["lines"]
            ),
            open=row["open"],
            today=tuple(_spending(today) for today in row["today"]),
            last_hour=tuple(
                RequestCount(
                    line=r["line"], outcome=r["outcome"], count=r["n"], last_error=r["last_error"] or ""
                )
                for r in row["last_hour"]
            ),
        )

    def brief(self, user_id: UUID, *, job_id: UUID, local_date: date) -> Brief | None:
        """What a story for this subscriber would be written from, under an id and date of the caller's."""
        row = self._call("preview_brief_v1", user=user_id)
        if row is None:
            return None
        return read_brief({**row, "job_id": str(job_id), "local_date": local_date.isoformat()})

    def list(self, *, user_id: UUID | None, before: UUID | None, limit: int) -> tuple[WrittenStory, ...]:
        """Stories newest first, behind the story ``before``; of one subscriber or of all."""
        rows = self._call("list_stories_v1", user=user_id, before=before, limit=limit)
        return tuple(_story(row) for row in rows)

    def show(self, any_id: UUID) -> StoryRecord | None:
        """One story by its id, its job's or its delivery's."""
        row = self._call("show_story_v1", id=any_id)
        if row is None:
            return None
        return StoryRecord(
            story=_story(row),
            body=row["body"],
            plot=row["plot"],
            names=tuple(row["names"]),
            requests=tuple(_request(step) for step in row["steps"]),
        )

    def rewrite(self, story_id: UUID, *, by: str, host: str, reason: str) -> tuple[Verdict, str]:
        """Have a story written anew whose mail nobody has begun: OK, ALREADY, CHANGED, REFUSED (why) or GONE."""
        row = self._call("rewrite_story_v1", seen=story_id, by=by, host=host, reason=reason)
        return Verdict(row["verdict"]), row.get("reason") or ""


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _usage(row: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=row["input_tokens"] or 0,
        cached_tokens=row["cached_tokens"] or 0,
        output_tokens=row["output_tokens"] or 0,
    )


def _spending(row: Mapping[str, Any]) -> SpendingRow:
    return SpendingRow(
        line=row["line"],
        model=row["model"],
        requests=row["requests"],
        unknown=row["unknown"],
        usage=_usage(row),
        cost_usd=Decimal(row["cost_usd"]),
        at_most_usd=Decimal(row["at_most_usd"]),
    )


def _story(row: Mapping[str, Any]) -> WrittenStory:
    return WrittenStory(
        story_id=UUID(row["story_id"]),
        job_id=UUID(row["job_id"]),
        user_id=UUID(row["user_id"]),
        email=row["email"],
        local_date=date.fromisoformat(row["local_date"]),
        title=row["title"],
        writer=row["writer"],
        fallback_from=row["fallback_from"] or "",
        created_at=datetime.fromisoformat(row["created_at"]),
        delivery_id=UUID(row["delivery_id"]) if row["delivery_id"] else None,
        delivery_state=row["delivery_state"] or "",
        requests=row["requests"],
        unknown=row["unknown"],
        usage=_usage(row),
        cost_usd=Decimal(row["cost_usd"]),
    )


def _request(row: Mapping[str, Any]) -> StoryRequest:
    return StoryRequest(
        step=row["step"],
        line=row["line"],
        model=row["model"],
        outcome=row["outcome"],
        error=row["error"] or "",
        begun_at=datetime.fromisoformat(row["begun_at"]),
        ended_at=instant(row["ended_at"]),
        usage=_usage(row),
        cost_usd=_amount(row["cost_usd"]),
    )
