"""`fixionmail subscribers`, as an operator meets it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fcntl import ioctl
from functools import partial
from pathlib import Path
from termios import FIONREAD
from typing import Any, TextIO

import psycopg
import pytest

from tests.acceptance.conftest import Fixionmail
from tests.commands import command, environment, run, until

HEADER = "email,timezone,delivery_time,genre,setting,character\n"
ADA = ("ada@example.com", "--timezone", "Europe/London", "--delivery-time", "7:30")
HALF_A_PAGE = 25_000
"""Characters; more than are read ahead."""
NOBODY = "postgresql://user@127.0.0.1:1/nothing"


@pytest.fixture
def fixionmail(fixionmail: Fixionmail) -> Fixionmail:
    """Run `fixionmail subscribers` on a database of its own."""
    return partial(fixionmail, "subscribers")


def csv_file(folder: Path, lines: list[str]) -> str:
    path = folder / "readers.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return str(path)


def reader(number: int) -> str:
    return f"reader{number:06d}@example.com,Europe/Berlin,08:00,mystery,,"


def count(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from users").fetchone()
    return int(row[0]) if row else 0


class TestOneSubscriber:
    def test_is_added_shown_changed_paused_resumed_and_removed(self, fixionmail: Fixionmail) -> None:
        def status(*arguments: str) -> tuple[str, Any]:
            ended = fixionmail(*arguments, "--json")
            assert ended.code == 0, ended
            return ended.json()["verdict"], ended.json()["subscriber"]

        verdict, subscriber = status("add", *ADA, "--genre", "mystery")
        assert (verdict, subscriber["status"], subscriber["delivery_time"]) == ("added", "active", "07:30")

        verdict, subscriber = status(
            "change", "ada@example.com", "--delivery-time", "09:15", "--setting", "a harbour"
        )
        assert (verdict, subscriber["delivery_time"]) == ("ok", "09:15")
        assert subscriber["story_bible"] == {"genre": "mystery", "setting": "a harbour"}

        verdict, subscriber = status("pause", "ADA@example.com", "--reason", "holiday")
        assert (verdict, subscriber["status"], subscriber["next_due_at"]) == ("ok", "paused", None)
        assert status("pause", subscriber["user_id"])[0] == "already"

        verdict, subscriber = status("resume", "ada@example.com")
        assert (verdict, subscriber["status"]) == ("ok", "active")
        assert subscriber["next_due_at"]

        assert status("remove", "ada@example.com", "--yes")[1]["status"] == "removed"
        assert status("add", *ADA)[0] == "restored"

        shown = fixionmail("show", "ada@example.com", "--json").json()
        assert shown["schema"] == 1
        assert (shown["subscriber"]["status"], shown["subscriber"]["deliveries"]) == ("active", [])

    def test_is_suppressed_with_the_reason_on_record(self, fixionmail: Fixionmail) -> None:
        fixionmail("add", *ADA)
        suppress = ("suppress", "ada@example.com", "--reason", "complained by phone")
        assert fixionmail(*suppress, "--dry-run").code == 0
        asked = fixionmail(*suppress)
        assert (asked.code, "Suppress: 1 in all? Nobody is here to ask: say --yes." in asked.err) == (2, True)
        assert fixionmail("show", "ada@example.com", "--json").json()["subscriber"]["status"] == "active"
        assert fixionmail(*suppress, "--yes", "--json").json()["outcomes"] == {"ok": 1}
        shown = fixionmail("show", "ada@example.com", "--json").json()["subscriber"]
        assert (shown["status"], shown["status_reason"]) == ("suppressed", "complained by phone")
        assert fixionmail(*suppress, "--yes", "--json").json()["outcomes"] == {"already": 1}
        assert fixionmail("suppress", "ada@example.com", "--yes").code == 2

    def test_is_told_in_words_when_the_first_story_comes(self, fixionmail: Fixionmail) -> None:
        ended = fixionmail("add", *ADA)
        assert ended.out.startswith("ada@example.com is added.\nThe next story is due 20")
        assert " 07:30 Europe/London (" in ended.out

    def test_who_is_known_is_left_alone_and_is_exit_code_1(self, fixionmail: Fixionmail) -> None:
        fixionmail("add", *ADA)
        again = fixionmail("add", *ADA, "--genre", "comedy")
        assert again.code == 1
        assert "is signed up already (active) and left as it is" in again.out

    @pytest.mark.parametrize(
        "arguments", [["show"], ["pause"], ["resume"], ["remove", "--yes"], ["change", "--genre", "x"]]
    )
    def test_who_is_unknown_is_exit_code_1_with_a_sentence(
        self, fixionmail: Fixionmail, arguments: list[str]
    ) -> None:
        ended = fixionmail(*arguments, "nobody@example.com")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == "There is no subscriber 'nobody@example.com'.\n"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["add", "ada", *ADA[1:]], "is not an address"),
            (["add", ADA[0], "--timezone", "Mars", "--delivery-time", "7:30"], "'Mars' is not a time zone"),
            (["add", ADA[0], "--timezone", "UTC", "--delivery-time", "soon"], "'soon' is not a time of day"),
            (["add", ADA[0], "--timezone", "UTC"], "--delivery-time"),
            (["change", ADA[0]], "Say what to change"),
            (["list", "--status", "asleep"], "asleep"),
        ],
    )
    def test_what_cannot_be_used_is_exit_code_2_with_what_would_be_right(
        self, fixionmail: Fixionmail, arguments: list[str], words: str
    ) -> None:
        ended = fixionmail(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.err

    def test_is_not_removed_without_a_yes_when_nobody_can_be_asked(self, fixionmail: Fixionmail) -> None:
        fixionmail("add", *ADA)
        ended = fixionmail("remove", "ada@example.com")
        assert ended.code == 2
        assert "say --yes" in ended.err
        assert fixionmail("show", "ada@example.com", "--json").json()["subscriber"]["status"] == "active"

    def test_is_shown_as_text_whatever_is_in_it(self, fixionmail: Fixionmail, database_url: str) -> None:
        hostile = "[red]\x1b]0;owned\x07[/] \u202egnp.exe"
        subscriber = fixionmail("add", *ADA, "--genre", "[/]", "--json").json()["subscriber"]
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "update users set email = %(x)s, status_reason = %(x)s, timezone = %(x)s", {"x": hostile}
            )
        seen = [
            fixionmail("show", subscriber["user_id"]),
            fixionmail("list"),
            fixionmail("remove", subscriber["user_id"], "--yes"),
            fixionmail("resume", subscriber["user_id"]),
        ]
        assert [ended.code for ended in seen] == [0, 0, 0, 1]
        for ended in seen:
            said = ended.out + ended.err
            assert "[red]]0;owned[/]" in said
            assert not {"\x1b", "\x07", "\u202e"} & set(said)


class TestLists:
    def test_say_when_there_is_more(self, fixionmail: Fixionmail, tmp_path: Path) -> None:
        fixionmail("import", csv_file(tmp_path, [reader(n) for n in range(12)]))
        ended = fixionmail("list", "--limit", "10")
        assert "reader000009@example.com" in ended.out
        assert "reader000010@example.com" not in ended.out
        assert "These are the first 10; there are more" in ended.out
        document = fixionmail("list", "--search", "READER00001", "--json").json()
        assert [s["email"] for s in document["subscribers"]] == [
            "reader000010@example.com",
            "reader000011@example.com",
        ]
        assert document["more"] is False

    def test_that_are_empty_say_so(self, fixionmail: Fixionmail) -> None:
        ended = fixionmail("list", "--status", "paused")
        assert ended.code == 0
        assert "No subscribers found." in ended.out


class TestImport:
    def test_brings_everybody_once_however_often_it_is_run(
        self, fixionmail: Fixionmail, tmp_path: Path, database_url: str
    ) -> None:
        file = csv_file(tmp_path, [reader(n) for n in range(2500)])
        first, second = fixionmail("import", file), fixionmail("import", file, "--json")
        assert (first.code, first.out) == (0, "2,500 added, 0 taken back, 0 known already, 0 bad lines.\n")
        assert second.code == 0
        assert second.json() == {
            "schema": 1,
            "finished": True,
            "added": 0,
            "restored": 0,
            "known": 2500,
            "bad": [],
        }
        assert count(database_url) == 2500

    def test_of_one_file_by_two_at_once_brings_everybody_once(
        self, fixionmail: Fixionmail, tmp_path: Path, database_url: str
    ) -> None:
        file = csv_file(tmp_path, [reader(n) for n in range(4000)])
        with ThreadPoolExecutor() as two:
            importing = [two.submit(fixionmail, "import", file, "--json") for _ in range(2)]
            results = [each.result().json() for each in importing]
        assert sum(result["added"] for result in results) == 4000
        assert sum(result["known"] for result in results) == 4000
        assert count(database_url) == 4000

    def test_names_bad_lines_with_their_reasons_and_takes_the_good_ones(
        self, fixionmail: Fixionmail, tmp_path: Path, database_url: str
    ) -> None:
        bad = [
            "nobody,UTC,08:00,,,",
            "x@example.com,[red]Mars[/],08:00,,,",
            reader(1).replace("reader", "READER"),
        ]
        ended = fixionmail("import", csv_file(tmp_path, [reader(1), *bad, reader(2)]))
        assert ended.code == 3
        assert [line.split(":")[0] for line in ended.err.splitlines()] == ["line 3", "line 4", "line 5"]
        assert "'[red]Mars[/]' is not a time zone" in ended.err
        assert "on line 2 already" in ended.err
        assert ended.out == "2 added, 0 taken back, 0 known already, 3 bad lines.\n"
        assert count(database_url) == 2

    def test_of_a_half_written_file_takes_all_but_its_end(
        self, fixionmail: Fixionmail, tmp_path: Path
    ) -> None:
        file = Path(csv_file(tmp_path, [reader(1), reader(2)]))
        file.write_bytes(file.read_bytes()[:-20] + bytes(4096))
        ended = fixionmail("import", str(file))
        assert (ended.code, ended.err) == (
            3,
            "line 3: The line holds NUL bytes: was the file written to its end?\n",
        )
        assert ended.out.startswith("1 added")

    def test_shows_so_many_bad_lines_and_json_has_all(self, fixionmail: Fixionmail, tmp_path: Path) -> None:
        file = csv_file(tmp_path, ["nobody,UTC,08:00,,,"] * 60)
        words, document = fixionmail("import", file), fixionmail("import", file, "--json")
        assert (words.code, document.code) == (2, 2)
        assert len(words.err.splitlines()) == 51
        assert words.err.endswith("... and 10 more bad lines: see --json.\n")
        assert "The file holds no subscriber that could be read." in words.out
        assert [bad["line"] for bad in document.json()["bad"]] == list(range(2, 62))

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "Line 1 must name the columns"),
            (b"ada@example.com,UTC,08:00\n", "Line 1 must name the columns"),
            (HEADER.encode("utf-16"), "save the file as UTF-8"),
        ],
    )
    def test_without_a_header_does_not_even_open_the_database(
        self, tmp_path: Path, content: bytes, words: str
    ) -> None:
        file = tmp_path / "readers.csv"
        file.write_bytes(content)
        ended = run(tmp_path, "subscribers", "import", str(file), DATABASE_URL=NOBODY)
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.err

    @pytest.mark.parametrize("name", [".", "absent.csv"])
    def test_of_what_is_no_file_is_exit_code_2(self, tmp_path: Path, name: str) -> None:
        ended = run(tmp_path, "subscribers", "import", name, DATABASE_URL=NOBODY)
        assert (ended.code, ended.out) == (2, "")
        assert f"{name} cannot be read: " in ended.err

    def test_shows_its_progress_on_a_terminal(self, tmp_path: Path, database_url: str) -> None:
        with importing(csv_file(tmp_path, [reader(n) for n in range(3000)]), tmp_path, database_url) as (
            process,
            seen,
        ):
            assert process.wait(60) == 0
        assert "importing" in seen()
        assert "%" in seen()


class TestAnInterruptedImport:
    """The file is a pipe, so that the test decides how far the import has come."""

    @pytest.fixture
    def pipe(self, tmp_path: Path) -> Path:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        return path

    def test_finishes_the_page_in_hand_and_says_how_many(
        self, tmp_path: Path, pipe: Path, database_url: str
    ) -> None:
        with importing(str(pipe), tmp_path, database_url) as (process, seen), pipe.open("w") as file:
            write(file, HEADER + page(0) + page(1)[:HALF_A_PAGE])
            process.send_signal(signal.SIGINT)
            until(lambda: "Stopping after the page in hand" in seen(), "the answer to Ctrl+C")
            file.write(page(1)[HALF_A_PAGE:] + reader(2000))
            file.flush()
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Import it again to go on." in out
        assert "2,000 added" in out
        assert count(database_url) == 2000

    def test_ends_at_once_at_the_second_ctrl_c(self, tmp_path: Path, pipe: Path, database_url: str) -> None:
        with importing(str(pipe), tmp_path, database_url) as (process, seen), pipe.open("w") as file:
            write(file, HEADER + page(0) + page(1)[:HALF_A_PAGE])
            process.send_signal(signal.SIGINT)
            until(lambda: "Stopping after the page in hand" in seen(), "the answer to Ctrl+C")
            process.send_signal(signal.SIGINT)
            process.wait(60)
        assert process.returncode == 130
        assert "Traceback" not in seen()
        assert count(database_url) == 1000


def write(pipe: TextIO, text: str) -> None:
    """Write, and wait until the other side has read it all: what it had to do with whole pages of it is done."""
    pipe.write(text)
    pipe.flush()

    def unread() -> int:
        return int.from_bytes(ioctl(pipe, FIONREAD, bytes(4)), sys.byteorder)

    until(lambda: unread() == 0, "the import to read what is there")


def page(number: int) -> str:
    return "".join(f"{reader(n)}\n" for n in range(number * 1000, (number + 1) * 1000))


@contextmanager
def importing(
    file: str, home: Path, database_url: str
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """An import whose standard error is a terminal, and what has been seen there so far."""
    terminal, theirs = pty.openpty()
    os.set_blocking(terminal, False)
    process = subprocess.Popen(
        command("subscribers", "import", file),
        env=environment(home, DATABASE_URL=database_url, TERM="xterm"),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    seen = bytearray()

    def look() -> str:
        with suppress(OSError):  # nothing new, or nobody left to write
            while more := os.read(terminal, 65_536):
                seen.extend(more)
        return seen.decode(errors="replace")

    try:
        yield process, look
    finally:
        process.kill()
        process.communicate()
        look()
        os.close(terminal)


@pytest.mark.slow
def test_a_hundred_thousand_lines_take_less_than_half_a_minute(
    fixionmail: Fixionmail, tmp_path: Path, database_url: str
) -> None:
    file = csv_file(tmp_path, [reader(n) for n in range(100_000)])
    started = time.monotonic()
    ended = fixionmail("import", file)
    seconds = time.monotonic() - started
    assert (ended.code, ended.out) == (0, "100,000 added, 0 taken back, 0 known already, 0 bad lines.\n")
    assert count(database_url) == 100_000
    assert seconds < 30
