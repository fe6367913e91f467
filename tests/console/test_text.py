"""Foreign text: whatever it holds, it is shown, as text, in the room it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.content import Content
from textual.widgets import Input

from console.canned import CannedDeck
from console.commands import VIEWS
from console.feed import CheckRow, DeliveryList, Duplicate, LogTail, ProcessRow
from console.text import LONGEST_LINE, MOST_LINES, beside, fit, plain, safe, safe_lines, typed
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.findings import Cure, Finding, Preview
from fixionmail.ops.views.jobs import FailureGroup, JobDetail, JobPage, TimelineEvent
from fixionmail.ops.views.redis import ClientCost
from fixionmail.ops.views.section import Section
from fixionmail.ops.views.snapshot import Snapshot
from tests.console.stage import LARGE, NOON, SMALL, Stage, play

HOSTILE = (
    "[/]",
    "[red",
    '{"a": [true]}',
    "[bold]x[/bold] [@click=app.exit]y[/]",
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "line\nbreak\r\ttab",
    "\u202egnp.exe\u2066",
    "العربية עברית",
    "👩\u200d🚀🇩🇪👍🏽\ufe0f",
    "z\u0335\u0321a\u0334\u0322l\u0338g\u0337o\u0336",
    "\ud800 half a pair",
    "x" * 10_000,
)


@given(st.text())
def test_safe_text_is_one_line_without_anything_that_steers(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    assert len(shown) <= LONGEST_LINE


@given(st.text(), st.integers(0, 60), st.booleans())
def test_a_cell_has_exactly_the_width_it_was_given(text: str, width: int, right: bool) -> None:
    assert fit(plain(text), width, right=right).cell_length == width


@given(st.text(), st.text(max_size=9), st.integers(24, 80))
def test_two_texts_on_a_line_fill_it_exactly(left: str, right: str, width: int) -> None:
    assert beside(plain(left), plain(right), width).cell_length == width


@given(st.text())
def test_safe_lines_keep_to_their_bounds(text: str) -> None:
    lines = safe_lines(text)
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= MOST_LINES + 1


def test_a_text_that_is_cut_says_so() -> None:
    assert safe_lines("a\n" * (MOST_LINES + 5))[-1] == "… 5 more lines"


def test_markup_is_text() -> None:
    assert plain("[bold]x[/]").plain == "[bold]x[/]"
    assert isinstance(plain("[/]"), Content)


@given(st.text())
def test_what_is_pasted_into_a_line_keeps_what_can_be_seen_and_nothing_else(text: str) -> None:
    kept = typed(text)
    assert kept.isprintable()
    assert typed(kept) == kept
    assert len(kept) <= LONGEST_LINE


def test_spaces_and_letters_are_typed_as_they_are() -> None:
    assert typed(" state:failed  é日 ") == " state:failed  é日 "
    assert typed("re_7\n\u200b\x1b") == "re_7 "


def test_hostile_text_that_is_pasted_into_the_filter_line_steers_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "slash")
        line = stage.app.screen.query_one("#filter-input", Input)
        for text in HOSTILE:
            line.value = ""
            line.post_message(events.Paste(text))
            await stage.settle()
            assert text.isspace() or line.value
            _require_harmless(stage.screen_text())

    play(scene, size=SMALL)


class Hostile(CannedDeck):
    """A deployment in which every text is the same hostile one."""

    text = ""

    def look(self) -> Snapshot:
        seen, text = super().look(), self.text
        queues = tuple(replace(q, name=text + q.name) for q in seen.queues.value or ())
        workers = tuple(
            replace(
                w,
                name=text + w.name,
                host=text,
                queues=(text,),
                version=text,
                executions=tuple(replace(run, job_id=text, function=text, step=text) for run in w.executions),
            )
            for w in seen.workers.value or ()
        )
        loops = tuple(replace(each, note=text, counts={text: 1}) for each in seen.loops.value or ())
        assert seen.redis.value is not None
        assert seen.mode.value is not None
        return replace(
            seen,
            target=replace(seen.target, environment=text, redis=text, database=text),
            queues=Section(value=queues),
            workers=Section(value=workers),
            loops=Section(value=loops),
            mode=Section(value=replace(seen.mode.value, mode="fallback", reason=text)),
            redis=Section(value=replace(seen.redis.value, version=text, eviction_policy=text)),
            database=Section(error=text),
            funnel=Section(absent=text),
        )

    def findings(self, snapshot: Snapshot, previous: Snapshot | None) -> tuple[Finding, ...]:
        cures = (Cure(label=self.text, action="requeue", targets=(self.text,), command=self.text),)
        return tuple(
            replace(f, title=self.text, cause=self.text, evidence=(self.text,), cures=cures)
            for f in super().findings(snapshot, previous)
        )

    def jobs(self, query: str, cursor: str) -> Iterator[JobPage]:
        for page in super().jobs(query, cursor):
            rows = tuple(
                replace(row, job_id=f"{n}{self.text}", queue=self.text, function=self.text, summary=self.text)
                for n, row in enumerate(page.rows)
            )
            yield replace(page, rows=rows, note=self.text)

    def job(self, job_id: str) -> JobDetail:
        text = self.text
        return replace(
            super().job(job_id),
            job_id=text,
            queue=text,
            function=text,
            payload=text,
            error=text,
            meta={text: text},
            timeline=(TimelineEvent(at=NOON, what=text),),
            attempts=(text,),
            story_job={text: text},
            why=(text,),
        )

    def job_log(self, job_id: str) -> tuple[str, ...]:
        return (self.text,)

    def failures(self) -> Iterator[tuple[FailureGroup, ...]]:
        for groups in super().failures():
            yield tuple(
                replace(g, error=self.text, queues={self.text: 1}, functions={self.text: 1}) for g in groups
            )

    def deliveries(self, tab: str, cursor: str) -> DeliveryList:
        found = super().deliveries(tab, cursor)
        return replace(
            found,
            rows=tuple(replace(r, subscriber=self.text, title=self.text, note=self.text) for r in found.rows),
        )

    def delivery(self, delivery_id: str) -> DeliveryDetail:
        text = self.text
        return replace(
            super().delivery(delivery_id),
            subscriber=text,
            facts={text: text},
            timeline=(TimelineEvent(at=NOON, what=text),),
            evidence=(text,),
            advice=text,
        )

    def duplicates(self) -> tuple[Duplicate, ...]:
        return (Duplicate(kind=self.text, subject=self.text, detail=self.text, delivery_ids=(self.text,)),)

    def doctor(self, deep: bool) -> Iterator[CheckRow]:
        yield CheckRow(name=self.text, state="bad", words=self.text, fix=self.text)

    def commands(self) -> tuple[ClientCost, ...]:
        return (ClientCost(name=self.text, connections=1, commands=1, per_minute=1.0),)

    def processes(self) -> tuple[ProcessRow, ...]:
        return (
            ProcessRow(name=self.text, kind="worker", state=self.text, last_end=self.text, about=self.text),
        )

    def log(self, name: str, position: str) -> LogTail:
        return LogTail(lines=(self.text, f"error {self.text}"), position="1")

    def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
        return replace(
            super().preview(action, targets, detail),
            samples=(self.text,),
            warnings=(self.text,),
            command=self.text,
        )


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_every_view_and_dialog_shows_hostile_text_and_lives(text: str, size: tuple[int, int]) -> None:
    deck = Hostile(now=lambda: NOON, step_seconds=0.0)
    deck.text = text

    async def scene(stage: Stage) -> None:
        for number in range(1, len(VIEWS) + 1):
            await stage.press(str(number))
            _require_harmless(stage.screen_text())
        await stage.press("5", "t", "t", "t", "t")
        for keys in (("2", "enter"), ("5", "t", "enter"), ("w",), ("F",)):
            await stage.press(*keys)
            _require_harmless(stage.screen_text())
            await stage.press("escape")
        assert stage.app.is_running

    play(scene, deck, size=size)


def _require_harmless(screen: str) -> None:
    assert all(line.isprintable() for line in screen.splitlines())
