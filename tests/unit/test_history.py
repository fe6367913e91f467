"""The history on this machine: what is kept, how finely, and for how long."""

from __future__ import annotations

import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

from console.canned import CannedDeck
from fixionmail.ops.history import FILE_NAME, GRAINS, History, grain_for, series_of
from fixionmail.ops.views.snapshot import Snapshot

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600, 86_400


def look(at: float) -> Snapshot:
    return CannedDeck(now=lambda: datetime.fromtimestamp(at, UTC), step_seconds=0).look()


def recorded(home: Path, *moments: float) -> History:
    """A history with a look at each of these moments, written to the disk."""
    history = History(home, look(NOON).target)
    for at in moments:
        history.record(look(at))
    history.close()
    return history


def kept(history: History, series: str, seconds: int, now: float) -> list[float]:
    """The samples of a series that there are, oldest first, as fine as they are kept."""
    points = seconds // grain_for(seconds).seconds
    curve = history.curves(seconds, points, now).get(series, ())
    return [value for value in curve if value is not None]


def test_looks_within_ten_seconds_are_one_sample_of_their_mean(tmp_path: Path) -> None:
    history = recorded(tmp_path, NOON, NOON + 4, NOON + 8)

    (value,) = kept(history, "waiting", HOUR, NOON + 10)

    assert value == sum(series_of(look(NOON + s))["waiting"] for s in (0, 4, 8)) / 3


def test_samples_survive_a_restart(tmp_path: Path) -> None:
    recorded(tmp_path, NOON)

    again = recorded(tmp_path, NOON + 20)

    curve = again.curves(HOUR, HOUR // 10, NOON + 30)["done"]
    assert [value is not None for value in curve[-3:]] == [True, False, True]


def test_a_curve_ends_now_and_has_no_value_where_nobody_looked(tmp_path: Path) -> None:
    history = recorded(tmp_path, NOON - 3000, NOON - 10)

    curve = history.curves(HOUR, 6, NOON)["waiting"]

    assert [value is not None for value in curve] == [False, True, False, False, False, True]


def test_the_further_back_the_coarser_the_samples(tmp_path: Path) -> None:
    history = recorded(tmp_path, *(NOON + 10 * n for n in range(12)))

    assert len(kept(history, "waiting", 6 * HOUR, NOON + 120)) == 12
    assert len(kept(history, "waiting", 7 * DAY, NOON + 120)) == 2
    assert len(kept(history, "waiting", 365 * DAY, NOON + 120)) == 1


def test_old_samples_are_dropped_from_the_disk(tmp_path: Path) -> None:
    recorded(tmp_path, NOON, NOON + 8 * DAY)

    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        oldest = dict(connection.execute("select grain, min(slot) * grain from samples group by grain"))
    connection.close()

    assert oldest[10] == NOON + 8 * DAY
    assert oldest[60] == NOON + 8 * DAY
    assert oldest[3600] == NOON


def test_every_span_asked_for_has_a_grain_that_reaches_so_far() -> None:
    assert [grain_for(span).seconds for span in (60, 6 * HOUR, 6 * HOUR + 1, 7 * DAY, 400 * DAY)] == [
        10,
        10,
        60,
        60,
        3600,
    ]
    assert [grain.kept for grain in GRAINS] == sorted(grain.kept for grain in GRAINS)


def test_two_deployments_do_not_mix_in_one_home(tmp_path: Path) -> None:
    recorded(tmp_path, NOON)
    other = History(tmp_path, CannedDeck(remote=True).target)
    other.close()

    assert other.curves(HOUR, 10, NOON + 1) == {}


def test_recording_does_not_wait_for_a_locked_file(tmp_path: Path) -> None:
    recorded(tmp_path, NOON)
    with sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None) as stranger:
        stranger.execute("begin exclusive")
        history = History(tmp_path, look(NOON).target)
        looks = [look(NOON + second) for second in range(200)]
        began = time.perf_counter()
        for seen in looks:
            history.record(seen)
        took = time.perf_counter() - began
        stranger.execute("rollback")
    stranger.close()
    history.close()

    assert took < 1.0


def test_a_home_that_cannot_be_written_has_no_history_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file", look(NOON).target)
    history.record(look(NOON))
    history.close()

    assert history.curves(HOUR, 10, NOON) == {}
    assert os.listdir(tmp_path) == ["file"]
