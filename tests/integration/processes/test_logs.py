"""Logs stay within bounds while their writers go on, and are read without loss, repetition or much memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.processes.logs import LINE_BYTES, READ_BYTES, LogReader, last_lines, put_away
from fixionmail.processes.supervisor import supervising
from tests.commands import until
from tests.integration.processes.programs import fleet_of, pid_of
from tests.standins.supervisor import HURRIED


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker-1.log"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with supervising(tmp_path, HURRIED):
        yield tmp_path


def write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def files_of(log: Path) -> list[str]:
    return sorted(file.name for file in log.parent.iterdir())


class TestPuttingAway:
    def test_a_small_log_is_left_as_it_is(self, log: Path) -> None:
        write(log, "12345")
        assert put_away(log, larger_than=5, keep=2) is False
        assert files_of(log) == ["worker-1.log"]

    def test_a_writer_that_knows_nothing_goes_on_in_the_emptied_log(self, log: Path) -> None:
        with log.open("ab", buffering=0) as writer:
            writer.write(b"before\n")
            assert put_away(log, larger_than=1, keep=2) is True
            writer.write(b"after\n")
        assert (log.read_text(), log.with_name("worker-1.log.1").read_text()) == ("after\n", "before\n")

    def test_so_many_are_kept_and_the_oldest_goes(self, log: Path) -> None:
        for number in range(5):
            write(log, f"{number}\n")
            put_away(log, larger_than=1, keep=2)
        assert files_of(log) == ["worker-1.log", "worker-1.log.1", "worker-1.log.2"]
        assert log.with_name("worker-1.log.1").read_text() == "4\n"
        assert log.with_name("worker-1.log.2").read_text() == "3\n"

    def test_a_log_that_is_not_there_is_no_trouble(self, log: Path) -> None:
        assert put_away(log, larger_than=1, keep=2) is False

    def test_a_chatty_process_fills_no_disk(self, home: Path) -> None:
        source = "i = 0\nwhile True:\n    print('chatter', i, flush=True); i += 1"
        fleet = fleet_of(home, source)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")
        log = home / "logs" / "worker-1.log"
        oldest = log.with_name(f"worker-1.log.{HURRIED.logs_kept}")
        until(oldest.exists, "its log to be put away often enough")
        before = oldest.stat().st_ino
        until(lambda: oldest.stat().st_ino != before, "it to be put away again")

        assert pid_of(fleet, "worker-1") == pid
        assert len(list(log.parent.glob("worker-1.log*"))) <= HURRIED.logs_kept + 2
        assert log.read_text().startswith("chatter") or not log.read_text()


class TestReading:
    def test_the_end_of_a_log(self, log: Path) -> None:
        write(log, "one\ntwo\nthree\n")
        assert last_lines(log, 2) == ["two", "three"]
        assert last_lines(log, 0) == []

    def test_a_log_that_is_not_there_has_no_lines(self, log: Path) -> None:
        reader = LogReader(log)
        assert reader.tail(3) == []
        write(log, "now\n")
        assert reader.news() == ["now"]

    def test_of_a_large_log_a_little_is_read(self, log: Path) -> None:
        with log.open("w") as file:
            for number in range(400_000):
                file.write(f"line {number}\n")
        lines = last_lines(log, 1_000_000)
        assert lines[-1] == "line 399999"
        assert sum(map(len, lines)) <= READ_BYTES

    def test_a_log_that_was_just_put_away_still_has_its_last_lines(self, log: Path) -> None:
        write(log, "one\ntwo\n")
        put_away(log, larger_than=1, keep=2)
        write(log, "three\n")
        assert last_lines(log, 2) == ["two", "three"]

    def test_a_line_without_an_end_is_cut_into_pieces(self, log: Path) -> None:
        reader = LogReader(log)
        write(log, "x" * (3 * LINE_BYTES))
        pieces = reader.news()
        assert "".join(pieces) == "x" * (3 * LINE_BYTES)
        assert max(map(len, pieces)) <= LINE_BYTES

    def test_half_a_line_waits_for_its_other_half(self, log: Path) -> None:
        reader = LogReader(log)
        write(log, "half a")
        assert reader.news() == []
        write(log, " line\n")
        assert reader.news() == ["half a line"]

    def test_bytes_that_are_no_text_are_shown_as_such(self, log: Path) -> None:
        log.write_bytes(b"\xff\xfe kettle\n")
        assert last_lines(log, 1) == ["�� kettle"]

    def test_a_follower_misses_nothing_when_the_log_is_put_away_before_it_has_read_all(
        self, log: Path
    ) -> None:
        write(log, "read\n")
        reader = LogReader(log)
        assert reader.tail(1) == ["read"]
        write(log, "not yet read\n")
        put_away(log, larger_than=1, keep=2)
        write(log, "a longer line than all that was there before, so that size alone says nothing\n")

        assert reader.news() + reader.news() == [
            "not yet read",
            "a longer line than all that was there before, so that size alone says nothing",
        ]

    @given(st.lists(st.sampled_from(["write", "put away", "read"]), max_size=40))
    def test_a_follower_reads_every_line_once_and_in_order(self, deeds: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "worker-1.log"
            reader, written, read = LogReader(log), 0, []
            for deed in [*deeds, *["read"] * 45]:
                if deed == "write":
                    write(log, f"{written}\n")
                    written += 1
                elif deed == "put away":
                    put_away(log, larger_than=0, keep=50)
                else:
                    read += reader.news()
            assert read == [str(number) for number in range(written)]
