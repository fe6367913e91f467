"""Reading sign-ups from CSV: what is good is found, what is bad is named by its line, whatever the file holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.errors import InputError
from fixionmail.subscribers.csv_file import (
    ENCODING,
    ENCODING_ERRORS,
    MAX_LINE,
    BadLine,
    GoodLine,
    read_sign_ups,
)

HEADER = "email,timezone,delivery_time,genre\n"
ADA = "ada@example.com,Europe/London,07:30,mystery\n"
BOB = "bob@example.com,Asia/Tokyo,08:00,\n"


def read(content: str | bytes) -> list[GoodLine | BadLine]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_sign_ups(io.TextIOWrapper(io.BytesIO(raw), ENCODING, ENCODING_ERRORS)))


def good(lines: Sequence[GoodLine | BadLine]) -> dict[int, str]:
    return {line.line: line.sign_up.email for line in lines if isinstance(line, GoodLine)}


def bad(lines: Sequence[GoodLine | BadLine]) -> dict[int, str]:
    return {line.line: line.reason for line in lines if isinstance(line, BadLine)}


class TestGoodFiles:
    def test_each_line_is_a_sign_up(self) -> None:
        lines = read(HEADER + ADA + BOB)
        assert good(lines) == {2: "ada@example.com", 3: "bob@example.com"}
        assert bad(lines) == {}

    def test_columns_may_come_in_any_order_and_case_and_preferences_may_be_absent(self) -> None:
        (line,) = read("Delivery_Time, EMAIL ,timezone\n07:30,ada@example.com,UTC\n")
        assert isinstance(line, GoodLine)
        assert (line.sign_up.email, line.sign_up.delivery_time) == ("ada@example.com", "07:30")
        assert line.sign_up.story_bible == {}

    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_a_byte_order_mark_and_any_line_end_are_fine(self, mark: str, line_end: str) -> None:
        assert good(read(mark + (HEADER + ADA + BOB).replace("\n", line_end))) == {
            2: "ada@example.com",
            3: "bob@example.com",
        }

    def test_empty_lines_are_passed_over_and_counted(self) -> None:
        assert good(read(HEADER + "\n,,,\n" + ADA + "\n")) == {4: "ada@example.com"}

    def test_the_last_line_needs_no_line_end(self) -> None:
        assert good(read(HEADER + ADA.rstrip("\n"))) == {2: "ada@example.com"}

    def test_a_quoted_cell_may_hold_commas_quotation_marks_and_line_breaks(self) -> None:
        lines = read(HEADER + 'ada@example.com,UTC,07:30,"a ""quiet"",\nslow one"\n' + BOB)
        assert good(lines) == {2: "ada@example.com", 4: "bob@example.com"}
        assert isinstance(lines[0], GoodLine)
        assert lines[0].sign_up.story_bible == {"genre": 'a "quiet", slow one'}


class TestBadLines:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("nobody,UTC,08:00,", "is not an address"),
            ("bob@example.com,Mars/Base,08:00,", "is not a time zone"),
            ("bob@example.com,UTC,25:00,", "is not a time of day"),
            ("bob@example.com,UTC,08:00", "3 of 4 columns: is it cut short?"),
            (
                "bob@example.com,UTC,08:00,a,b",
                "5 of 4 columns: does a cell with a comma lack quotation marks?",
            ),
            ('bob@example.com,UTC,08:00,"mys', "A quotation mark is not closed"),
            ('bob@example.com,"UTC"x,08:00,', "something other than a comma follows it"),
            ("bob@example.com,UTC,08:00,\0\0\0", "NUL bytes"),
            ("ADA@example.com,UTC,08:00,", "ADA@example.com is on line 2 already"),
            ("bob@example.com,UTC,08:00," + "x" * 600, "600 characters"),
            ("bob@example.com,UTC,08:00," + " " * MAX_LINE + "x", "longer than"),
        ],
    )
    def test_one_costs_itself_and_nothing_else(self, line: str, words: str) -> None:
        lines = read(HEADER + ADA + line + "\n" + "eve@example.com,UTC,08:00,\n")
        assert good(lines) == {2: "ada@example.com", 4: "eve@example.com"}
        assert words in bad(lines)[3]

    def test_bytes_that_are_not_utf8_are_named_by_their_line(self) -> None:
        lines = read((HEADER + ADA).encode() + "bob@example.com,UTC,08:00,Krämer\n".encode("latin-1"))
        assert good(lines) == {2: "ada@example.com"}
        assert bad(lines) == {3: "The line is not UTF-8 text: save the file as UTF-8."}

    @pytest.mark.parametrize("cut", range(1, len(BOB.rstrip("\n"))))
    def test_a_file_cut_anywhere_in_its_last_line_gives_up_only_that_line(self, cut: int) -> None:
        lines = read(HEADER + ADA + BOB[:cut])
        assert good(lines) == {2: "ada@example.com"}
        assert list(bad(lines)) == [3]

    def test_a_tail_of_nul_bytes_as_a_crash_leaves_it_is_one_bad_line(self) -> None:
        lines = read((HEADER + ADA).encode() + bytes(10 * MAX_LINE))
        assert good(lines) == {2: "ada@example.com"}
        assert list(bad(lines)) == [3]

    def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_file(self) -> None:
        many = "".join(f"reader{n}@example.com,UTC,08:00,\n" for n in range(30))
        lines = read(HEADER + 'bob@example.com,UTC,08:00,"oh\n' + many)
        assert len(good(lines)) == 30
        assert list(bad(lines)) == [2]

    def test_an_open_quotation_mark_does_not_pair_with_that_of_a_later_line(self) -> None:
        lines = read(HEADER + 'bob@example.com,UTC,08:00,"oh\n' + ADA + 'eve@example.com,UTC,08:00,"x, y"\n')
        assert good(lines) == {3: "ada@example.com", 4: "eve@example.com"}
        assert list(bad(lines)) == [2]


class TestHeaders:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", "it is empty"),
            ("\n" + ADA, "it is empty"),
            (ADA, "it lacks email, timezone, delivery_time and reads 'ada@example.com,"),
            ("email,timezone\n", "it lacks delivery_time"),
            ("email;timezone;delivery_time\n", "it lacks"),
            ("email,timezone,delivery_time,colour\n", "it names 'colour', which FixionMail does not know"),
            ("email,timezone,delivery_time,email\n", "it names a column twice"),
            ('email,timezone,"delivery_time\n', "it lacks"),
            ("email,timezone,delivery_time\n".encode("utf-16"), "save the file as UTF-8"),
            (bytes(5000), "save the file as UTF-8"),
        ],
    )
    def test_a_wrong_one_is_refused_with_what_would_be_right(self, content: str | bytes, words: str) -> None:
        with pytest.raises(InputError) as caught:
            read(content)
        assert str(caught.value).startswith(
            "Line 1 must name the columns, separated by commas: email, timezone,"
        )
        assert words in str(caught.value)

    def test_it_is_checked_before_the_first_line_is_asked_for(self) -> None:
        with pytest.raises(InputError):
            read_sign_ups(io.StringIO("nonsense\n"))


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(genres=st.lists(cells, max_size=20))
def test_whatever_a_csv_writer_wrote_is_read_back(genres: list[str]) -> None:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(("email", "timezone", "delivery_time", "genre"))
    for number, genre in enumerate(genres):
        writer.writerow((f"reader{number}@example.com", "UTC", "08:00", genre))
    lines = read(written.getvalue())
    assert bad(lines) == {}
    read_back = [line.sign_up.story_bible.get("genre", "") for line in lines if isinstance(line, GoodLine)]
    assert read_back == [" ".join(genre.split()) for genre in genres]


@given(
    noise=st.lists(st.binary(max_size=40) | st.sampled_from([b'"', b"\n", b",", ADA.encode()]), max_size=30)
)
def test_whatever_the_file_holds_each_line_is_good_or_bad_in_order(noise: list[bytes]) -> None:
    lines = read(HEADER.encode() + b"".join(noise))
    numbers = [line.line for line in lines]
    assert numbers == sorted(set(numbers))
