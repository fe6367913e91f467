"""Alerts with hysteresis: told once when trouble has lasted, once when it is over."""

from __future__ import annotations

from datetime import UTC, datetime

from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.watching import Watch

NOW = datetime(2031, 5, 14, tzinfo=UTC)


def trouble(kind: str = "mail-late", harm: Harm = Harm.LATE, count: int = 1) -> Finding:
    return Finding(kind=kind, harm=harm, title="t", cause="c", count=count, cures=(Cure(label="l"),))


def told(watch: Watch, *findings: Finding, unseen: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    return [(alert.what, alert.finding.kind) for alert in watch.take(findings, NOW, unseen)]


def test_trouble_is_told_when_it_has_lasted_and_never_again_while_it_lasts() -> None:
    watch = Watch(looks=3)
    looks = [told(watch, trouble(count=n)) for n in range(6)]
    assert looks == [[], [], [("begun", "mail-late")], [], [], []]


def test_its_end_is_told_when_it_has_been_away_as_long() -> None:
    watch = Watch(looks=2)
    told(watch, trouble())
    assert told(watch, trouble()) == [("begun", "mail-late")]
    assert [told(watch), told(watch), told(watch)] == [[], [("over", "mail-late")], []]


def test_trouble_that_flickers_is_one_trouble() -> None:
    watch = Watch(looks=2)
    told(watch, trouble())
    told(watch, trouble())
    assert [told(watch), told(watch, trouble()), told(watch), told(watch, trouble())] == [[], [], [], []]


def test_what_was_never_told_ends_in_silence() -> None:
    watch = Watch(looks=2)
    assert [told(watch, trouble()), told(watch), told(watch), told(watch, trouble())] == [[], [], [], []]


def test_what_comes_back_is_told_again() -> None:
    watch = Watch(looks=1)
    assert [told(watch, trouble()), told(watch), told(watch, trouble())] == [
        [("begun", "mail-late")],
        [("over", "mail-late")],
        [("begun", "mail-late")],
    ]


def test_what_is_only_good_to_know_is_told_when_asked_for() -> None:
    note = trouble("loop-standby", Harm.NOTE)
    assert told(Watch(looks=1), note) == []
    assert told(Watch(looks=1, least=Harm.NOTE), note) == [("begun", "loop-standby")]


def test_trouble_is_not_over_because_nobody_can_see_it_any_more() -> None:
    watch, away = Watch(looks=1), frozenset({"redis", "queues"})
    told(watch, trouble("queue-unserved"))

    blind = [told(watch, trouble("redis-away"), unseen=away) for _ in range(3)]

    assert blind == [[("begun", "redis-away")], [], []]
    assert told(watch) == [("over", "queue-unserved"), ("over", "redis-away")]


def test_trouble_that_was_there_with_as_little_in_sight_is_over_once_it_is_gone() -> None:
    watch, away = Watch(looks=1), frozenset({"redis", "queues"})
    told(watch, trouble(), unseen=away)
    assert told(watch, unseen=away) == [("over", "mail-late")]
