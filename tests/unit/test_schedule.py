"""When a story is due: in every zone there is, on every date there is, and on some there are not."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fixionmail.schedule import (
    GRACE,
    MIN_GAP,
    WINDOW,
    Due,
    first_due,
    instant,
    occurrences,
    parse_time,
    zone,
)

HOUR = timedelta(hours=1)
NOT_ZONES = {"localtime", "Factory", "posixrules"}  # files beside the zones on some systems
ZONES = sorted(
    name for name in zoneinfo.available_timezones() - NOT_ZONES if not name.startswith(("posix/", "right/"))
)
MOVED_CLOCKS = [  # changes of half an hour, at midnight, before midnight, across the date line, in Ramadan
    "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "America/Nuuk", "Pacific/Apia", "Pacific/Fakaofo",
    "Africa/Casablanca", "America/Sao_Paulo", "Africa/Cairo", "Antarctica/Troll", "America/New_York", "Europe/Lisbon",
]  # fmt: skip

names = st.one_of(st.sampled_from(MOVED_CLOCKS), st.sampled_from(ZONES))
clock_times = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))
days = st.dates(date(1971, 1, 1), date(2100, 1, 1))


@lru_cache(maxsize=4096)
def changes(name: str, year: int) -> list[date]:
    """The days of a year after which the clocks of a zone go differently."""
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in range(366)]
    offsets = [noon.astimezone(ZoneInfo(name)).utcoffset() for noon in noons]
    return [
        noon.date()
        for noon, before, after in zip(noons, offsets, offsets[1:], strict=False)
        if before != after
    ]


@st.composite
def places(draw: st.DrawFn) -> tuple[str, date]:
    """A zone and a date, in most cases close to a change of its clocks."""
    name = draw(names)
    near = changes(name, draw(st.integers(1971, 2040)))
    if not near:
        return name, draw(days)
    return name, draw(st.sampled_from(near)) - timedelta(days=draw(st.integers(0, 6)))


moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
thorough = settings(max_examples=200, deadline=None, database=None)


def stories(
    name: str, at: time, day: date, count: int = 8, *, last_due_at: datetime | None = None
) -> list[Due]:
    """The first stories of somebody in a zone."""
    dues = occurrences(timezone=name, delivery_time=f"{at:%H:%M}", from_date=day, last_due_at=last_due_at)
    return list(islice(dues, count))


def wall(moment: datetime, name: str) -> datetime:
    """What the clocks in a zone show then."""
    return moment.astimezone(ZoneInfo(name)).replace(tzinfo=None)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


class TestEverywhereAndAlways:
    @thorough
    @given(places(), clock_times)
    def test_there_is_at_most_one_story_for_a_local_date(self, place: tuple[str, date], at: time) -> None:
        name, day = place
        dates = [due.local_date for due in stories(name, at, day)]
        assert dates == sorted(set(dates))
        assert dates[0] >= day

    @thorough
    @given(places(), clock_times)
    def test_each_is_due_later_than_the_one_before(self, place: tuple[str, date], at: time) -> None:
        name, day = place
        for earlier, later in pairwise(stories(name, at, day)):
            assert earlier.due_at + MIN_GAP <= later.due_at

    @thorough
    @given(places(), clock_times)
    def test_none_is_early(self, place: tuple[str, date], at: time) -> None:
        name, day = place
        for due in stories(name, at, day):
            assert wall(due.due_at, name) >= datetime.combine(due.local_date, at)

    @thorough
    @given(places(), clock_times)
    def test_each_is_due_when_the_clocks_first_show_the_time_or_have_just_skipped_it(
        self, place: tuple[str, date], at: time
    ) -> None:
        name, day = place
        for due in stories(name, at, day):
            wanted = datetime.combine(due.local_date, at)
            shown = wall(due.due_at, name)
            before = [wall(due.due_at - step * HOUR / 6, name) for step in range(1, 6 * 25)]
            if shown == wanted:
                assert wanted not in before, "the clocks showed it before"
            else:
                assert all(moment < wanted for moment in before[5 * 6 :]), "it had come before"
                assert wanted not in [wall(due.due_at + step * HOUR / 6, name) for step in range(6 * 25)]

    @thorough
    @given(places(), clock_times)
    def test_a_date_is_left_out_only_when_it_does_not_exist(self, place: tuple[str, date], at: time) -> None:
        name, day = place
        told = {due.local_date for due in stories(name, at, day)}
        first_days = {day + timedelta(days=n) for n in range(8)}
        for missing in first_days - told:
            start = datetime.combine(missing, time(), tzinfo=UTC) - 24 * HOUR
            assert all(wall(start + n * HOUR, name).date() != missing for n in range(72))

    @thorough
    @given(names, clock_times, names, clock_times, moments)
    def test_who_moves_gets_no_two_within_twelve_hours(
        self, name: str, at: time, new_name: str, new_at: time, last_due_at: datetime
    ) -> None:
        last_date = wall(last_due_at, name).date()
        moved = stories(new_name, new_at, last_date + timedelta(days=1), last_due_at=last_due_at)
        for earlier, later in pairwise([last_due_at, *(due.due_at for due in moved)]):
            assert later - earlier >= MIN_GAP
        assert all(wall(due.due_at, new_name) >= datetime.combine(due.local_date, new_at) for due in moved)
        assert moved[0].due_at - last_due_at <= timedelta(days=4)

    @thorough
    @given(places(), clock_times)
    def test_each_may_be_sent_for_six_hours_at_least_and_never_beyond_the_keys_life(
        self, place: tuple[str, date], at: time
    ) -> None:
        name, day = place
        for due in stories(name, at, day):
            assert due.due_at + GRACE <= due.send_until <= due.due_at + WINDOW
            if due.due_at + GRACE < due.send_until < due.due_at + WINDOW:
                assert wall(due.send_until, name).date() > due.local_date
                assert wall(due.send_until - timedelta(seconds=1), name).date() <= due.local_date

    @thorough
    @given(names, clock_times, moments)
    def test_the_first_story_of_who_joins_now_lies_ahead_and_not_far(
        self, name: str, at: time, now: datetime
    ) -> None:
        due = first_due(timezone=name, delivery_time=f"{at:%H:%M}", now=now)
        assert now <= due.due_at <= now + 50 * HOUR

    @thorough
    @given(names, clock_times, moments, st.integers(-40, 40))
    def test_the_first_story_of_who_comes_back_is_for_a_later_date_and_half_a_day_after_the_last(
        self, name: str, at: time, now: datetime, hours_ago: int
    ) -> None:
        last_due_at = now - hours_ago * HOUR
        last_date = wall(last_due_at, name).date()
        due = first_due(
            timezone=name,
            delivery_time=f"{at:%H:%M}",
            now=now,
            last_local_date=last_date,
            last_due_at=last_due_at,
        )
        assert due.local_date > last_date
        assert due.due_at >= max(now, last_due_at + MIN_GAP)


class TestClocksGoingForward:
    def test_a_skipped_time_is_shifted_by_the_gap(self) -> None:
        at = instant(date(2025, 3, 30), time(2, 30), ZoneInfo("Europe/Berlin"))
        assert at == utc(2025, 3, 30, 1, 30)  # 03:30 by the new time

    def test_by_half_an_hour_on_lord_howe(self) -> None:
        at = instant(date(2025, 10, 5), time(2, 15), ZoneInfo("Australia/Lord_Howe"))
        assert at == utc(2025, 10, 4, 15, 45)  # 02:45 by the new time

    def test_at_midnight_the_date_still_has_its_story(self) -> None:
        at = instant(date(2025, 3, 9), time(0, 0), ZoneInfo("America/Havana"))
        assert at == utc(2025, 3, 9, 5, 0)  # 01:00: the day began there

    def test_before_midnight_in_nuuk_the_story_comes_half_an_hour_after_it(self) -> None:
        saturday, sunday = stories("America/Nuuk", time(23, 30), date(2024, 3, 30), 2)
        assert (saturday.local_date, saturday.due_at) == (date(2024, 3, 30), utc(2024, 3, 31, 1, 30))
        assert wall(saturday.due_at, "America/Nuuk") == datetime(2024, 3, 31, 0, 30)
        assert (sunday.local_date, wall(sunday.due_at, "America/Nuuk")) == (
            date(2024, 3, 31),
            datetime(2024, 3, 31, 23, 30),
        )


class TestClocksGoingBack:
    def test_of_a_time_that_comes_twice_the_first_is_meant(self) -> None:
        at = instant(date(2025, 10, 26), time(2, 30), ZoneInfo("Europe/Berlin"))
        assert at == utc(2025, 10, 26, 0, 30)

    def test_by_half_an_hour_on_lord_howe(self) -> None:
        at = instant(date(2025, 4, 6), time(1, 45), ZoneInfo("Australia/Lord_Howe"))
        assert at == utc(2025, 4, 5, 14, 45)

    def test_the_second_time_brings_no_second_story(self) -> None:
        first, second = stories("Europe/Berlin", time(2, 30), date(2025, 10, 26), 2)
        assert second.due_at - first.due_at == 25 * HOUR


class TestDatesThatDoNotExist:
    def test_are_left_out(self) -> None:
        told = stories("Pacific/Apia", time(8), date(2011, 12, 28), 4)
        assert [due.local_date.day for due in told] == [28, 29, 31, 1]
        assert told[2].due_at - told[1].due_at == 24 * HOUR

    @pytest.mark.parametrize("at", [time(0, 0), time(12, 0), time(23, 59)])
    def test_have_no_instant_at_any_time(self, at: time) -> None:
        assert instant(date(2011, 12, 30), at, ZoneInfo("Pacific/Apia")) is None

    def test_end_the_day_before_them(self) -> None:
        (last,) = stories("Pacific/Apia", time(8), date(2011, 12, 29), 1)
        assert last.send_until == utc(2011, 12, 30, 10, 0)  # 24:00 on the 29th, 00:00 on the 31st


class TestHowLongItMayBeSent:
    @pytest.mark.parametrize(
        ("at", "hours"),
        [(time(8), 16), (time(17), 7), (time(18), 6), (time(23), 6), (time(0), 23), (time(0, 30), 23)],
    )
    def test_until_midnight_or_six_hours_but_never_beyond_23_hours(self, at: time, hours: int) -> None:
        (due,) = stories("Europe/Berlin", at, date(2025, 6, 1), 1)
        assert due.send_until - due.due_at == hours * HOUR


class TestMoving:
    def test_east_at_noon_there_is_one_story_that_day_and_the_next_on_time(self) -> None:
        last = utc(2025, 6, 1, 12)  # 08:00 in New York
        (tomorrow,) = stories("Asia/Tokyo", time(8), date(2025, 6, 2), 1, last_due_at=last)
        # 08:00 on the 2nd in Tokyo is only 11 hours away: an hour later then
        assert (tomorrow.local_date, tomorrow.due_at) == (date(2025, 6, 2), last + MIN_GAP)

    def test_a_story_put_off_beyond_its_date_is_left_out(self) -> None:
        last = utc(2025, 6, 1, 14)  # 23:00 on the 1st in Tokyo
        (first,) = stories("Asia/Tokyo", time(1), date(2025, 6, 1), 1, last_due_at=last)
        assert (first.local_date, first.due_at) == (date(2025, 6, 2), last + MIN_GAP)

    def test_west_the_next_story_is_for_the_next_date(self) -> None:
        due = first_due(
            timezone="America/New_York",
            delivery_time="08:00",
            now=utc(2025, 6, 2, 0),  # still the 1st in New York
            last_local_date=date(2025, 6, 2),
            last_due_at=utc(2025, 6, 1, 23),  # 08:00 on the 2nd in Tokyo
        )
        assert (due.local_date, due.due_at) == (date(2025, 6, 3), utc(2025, 6, 3, 12))


class TestJoining:
    def test_before_todays_time_the_first_story_comes_today(self) -> None:
        due = first_due(timezone="Europe/Berlin", delivery_time="08:00", now=utc(2025, 6, 1, 5, 59))
        assert due.due_at == utc(2025, 6, 1, 6)

    def test_at_the_very_moment_it_comes_now(self) -> None:
        due = first_due(timezone="Europe/Berlin", delivery_time="08:00", now=utc(2025, 6, 1, 6))
        assert due.due_at == utc(2025, 6, 1, 6)

    def test_after_todays_time_it_comes_tomorrow(self) -> None:
        due = first_due(timezone="Europe/Berlin", delivery_time="08:00", now=utc(2025, 6, 1, 6, 1))
        assert (due.local_date, due.due_at) == (date(2025, 6, 2), utc(2025, 6, 2, 6))


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "name",
        ["", " ", "Mars/Olympus", "Europe", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000, "\ud800"],
    )
    def test_an_unknown_zone_is_none_and_counts_as_utc(self, name: str) -> None:
        assert zone(name) is None
        assert stories(name, time(9), date(2025, 6, 1), 1)[0].due_at == utc(2025, 6, 1, 9)

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.text())
    def test_no_text_at_all_is_more_than_an_unknown_zone(self, name: str) -> None:
        assume(name not in ZONES)
        zone(name)

    @pytest.mark.parametrize(
        "text", ["", "8", "24:00", "08:60", "8 o'clock", "-8:00", "08:00:00:00", "08.00"]
    )
    def test_an_unreadable_time_is_none_and_counts_as_eight(self, text: str) -> None:
        assert parse_time(text) is None
        due = next(occurrences(timezone="UTC", delivery_time=text, from_date=date(2025, 6, 1)))
        assert due.due_at == utc(2025, 6, 1, 8)

    @pytest.mark.parametrize(
        ("text", "read"),
        [("08:00", time(8)), ("8:05", time(8, 5)), (" 23:59 ", time(23, 59)), ("00:00:30", time(0))],
    )
    def test_a_time_is_hours_and_minutes(self, text: str, read: time) -> None:
        assert parse_time(text) == read
