"""The local outbox: proper ``.eml`` files, each once, whole or not at all, whatever happens to who writes them."""

from __future__ import annotations

import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fixionmail.errors import MailError
from fixionmail.mail.mime import message_text
from fixionmail.mail.outbox import Outbox
from fixionmail.mail.render import Mail, Sender, render, request_body
from fixionmail.models.mail import MailAnswer, Outcome
from tests.unit.mail.letters import SENDER, hostile_text, letter, mails
from tests.unit.mail.outbox_user import OutboxUser, Request

NOW = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
POINTS = ("outbox staged", "outbox key used", "outbox mail delivered")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox", now=lambda: NOW)


def request(sent: Sequence[Mail], key: str = "key-1") -> Request:
    return Request(key=key, body=request_body(sent), count=len(sent))


def send(outbox: Outbox, wanted: Request) -> MailAnswer:
    return outbox.send(key=wanted.key, body=wanted.body, count=wanted.count)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.eml"))


def parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=modern)


def body_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return cast(str, part.get_content()).replace("\r\n", "\n")


def recipients(folder: Path) -> Counter[str]:
    """Mails per recipient; every file that can be seen must be whole."""
    counted: Counter[str] = Counter()
    for file in files(folder):
        raw = file.read_bytes()
        mail = parsed(raw)
        assert raw.endswith(f"--{mail.get_boundary()}--\r\n".encode()), file
        counted[str(mail["To"])] += 1
    return counted


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_same_ids_and_writes_nothing(outbox: Outbox, tmp_path: Path) -> None:
    first = send(outbox, request(mails(1)))
    written = {file: file.stat().st_mtime_ns for file in files(tmp_path / "outbox")}

    again = send(Outbox(tmp_path / "outbox", now=lambda: NOW), request(mails(1)))

    assert first.outcome is Outcome.ACCEPTED
    assert again == first
    assert {file: file.stat().st_mtime_ns for file in files(tmp_path / "outbox")} == written
    assert len(written) == 1


def test_a_mail_that_somebody_has_read_and_deleted_is_not_written_again(
    outbox: Outbox, tmp_path: Path
) -> None:
    send(outbox, request(mails(1)))
    files(tmp_path / "outbox")[0].unlink()

    assert send(outbox, request(mails(1))).outcome is Outcome.ACCEPTED
    assert files(tmp_path / "outbox") == []


def test_the_same_key_with_another_request_is_a_conflict(outbox: Outbox, tmp_path: Path) -> None:
    send(outbox, request(mails(1)))

    answer = send(outbox, request([render(letter(7), SENDER)]))

    assert (answer.outcome, answer.ids) == (Outcome.KEY_CONFLICT, ())
    assert "idempotency key" in answer.error
    assert list(recipients(tmp_path / "outbox")) == ["reader0@example.com"]


def test_the_same_mail_under_two_keys_shows_as_two_files(outbox: Outbox, tmp_path: Path) -> None:
    first, second = (send(outbox, request(mails(1), key)) for key in ("a", "b"))

    assert first.ids != second.ids
    assert recipients(tmp_path / "outbox") == {"reader0@example.com": 2}


def test_a_batch_is_one_mail_per_member_with_ids_in_their_order(outbox: Outbox, tmp_path: Path) -> None:
    answer = send(outbox, request(mails(100)))

    assert recipients(tmp_path / "outbox") == {f"reader{n}@example.com": 1 for n in range(100)}
    ids = {str(mail["To"]): str(mail["Message-ID"]) for mail in map(parsed, contents(tmp_path / "outbox"))}
    assert [ids[f"reader{n}@example.com"] for n in range(100)] == [f"<{i}@example.com>" for i in answer.ids]


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in files(folder)]


# ---- what the files say ----------------------------------------------------------------------------------------------


def test_a_file_reads_back_as_the_mail_that_was_sent(outbox: Outbox, tmp_path: Path) -> None:
    mail = mails(1)[0]
    answer = send(outbox, request([mail]))

    (raw,) = contents(tmp_path / "outbox")
    read = parsed(raw)
    assert read["Subject"] == mail.subject == "The Lamplighter’s Last Winter"
    assert read["From"] == "FixionMail <stories@example.com>"
    assert read["To"] == "reader0@example.com"
    assert read["Date"].datetime == NOW
    assert read["Message-ID"] == f"<{answer.ids[0]}@example.com>"
    assert read["List-Unsubscribe"] == "<https://fixion.example.com/unsubscribe/tok-1>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["X-FixionMail-Delivery"] == mail.headers["X-FixionMail-Delivery"]
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert body_of(read, "plain").strip() == mail.text.strip()
    assert body_of(read, "html").strip() == mail.html.strip()
    assert not any(part.defects for part in read.walk())


def test_a_file_is_named_after_its_day_its_reader_and_its_delivery(outbox: Outbox, tmp_path: Path) -> None:
    mail = render(letter(1, address="o'brien+x/y@example.com"), SENDER)
    send(outbox, request([mail]))

    (file,) = files(tmp_path / "outbox")
    assert file.name.startswith(f"2026-11-24_o_brien+x_y@example.com_{mail.tags['delivery'][-12:]}-")


def test_the_longest_address_still_makes_a_file_name(outbox: Outbox, tmp_path: Path) -> None:
    address = f"{'a' * 64}@{'.'.join(['b' * 60] * 3)}.com"
    assert send(outbox, request([render(letter(address=address), SENDER)])).outcome is Outcome.ACCEPTED
    assert recipients(tmp_path / "outbox") == {address: 1}


@pytest.mark.parametrize(
    "title",
    [
        "Plain",
        "Ein Käfer im Öl – naïve façade",
        "长夜" * 60,
        "🦊" * 50,
        "=?utf-8?q?not_this?=",
        "ASCII and nothing else, " * 40,
        "One long word of ASCII" + "x" * 900,
        "a" * 38 + "é" + "🦊" * 3,
    ],
    ids=["plain", "accents", "chinese", "emoji", "encoded-looking", "ascii", "long-word", "parted"],
)
def test_any_subject_reads_back_in_lines_that_may_be_sent(outbox: Outbox, tmp_path: Path, title: str) -> None:
    mail = render(letter(title=title), SENDER)
    send(outbox, request([mail]))

    (raw,) = contents(tmp_path / "outbox")
    assert parsed(raw)["Subject"] == mail.subject
    assert_within_limits(raw)


@given(name=st.text(max_size=100), text=hostile_text, html=hostile_text, subject=hostile_text)
@example(name="𝐀" * 10, text="", html="", subject="")
@settings(max_examples=100, deadline=None)
def test_whatever_a_mail_holds_its_file_is_within_the_limits_and_keeps_it(
    name: str, text: str, html: str, subject: str
) -> None:
    name = "".join(filter(str.isprintable, name)).translate(dict.fromkeys(map(ord, '<>"\\'))).strip()
    text, html, subject = (encodable(value) for value in (text, html, subject))
    subject = " ".join(subject.split())
    raw = message_text(
        message_id="0b8f3c2e-1d5a-5f0e-9a77-3a9b8c1d2e3f",
        sender=Sender(address=f"{name} <stories@example.com>", base_url="https://example.com").address,
        recipients=["reader@example.com"],
        subject=subject,
        sent_at=NOW,
        headers={"X-FixionMail-Delivery": "1"},
        text=text * 9,
        html=html * 9,
    )

    assert_within_limits(raw)
    read = parsed(raw)
    assert str(make_header(decode_header(message_from_bytes(raw)["Subject"]))) == subject
    assert read["From"].addresses[0].addr_spec == "stories@example.com"
    # Without spaces: Python 3.11 keeps the one between two encoded words, which belongs to neither (RFC 2047, 6.2).
    assert "".join(read["From"].addresses[0].display_name.split()) == "".join(name.split())
    assert body_of(read, "plain") == text * 9
    assert body_of(read, "html") == html * 9


def encodable(value: str) -> str:
    """Text as ``render`` lets it into a mail: characters of UTF-8, and line feeds as the only line ends."""
    return re.sub(r"[\r\x00-\x09\x0b-\x1f\ud800-\udfff]", "", value)


def assert_within_limits(raw: bytes) -> None:
    """RFC 5322, 2.1.1 and 2.3; RFC 2047, section 2."""
    assert raw.endswith(b"\r\n")
    lines = raw.split(b"\r\n")
    assert not [line for line in lines if b"\r" in line or b"\n" in line]
    assert max(map(len, lines)) <= 998
    head = lines[: lines.index(b"")]
    assert b"".join(head).isascii()
    encoded = [line for line in head if b"=?utf-8?" in line]
    assert max(map(len, encoded), default=0) <= 76


def test_a_line_too_long_for_mail_is_encoded_and_reads_back(outbox: Outbox) -> None:
    html = "<p>" + "Löwenzahn and trailing space " * 400 + "</p> \n<p>=3D.</p>\n"
    raw = message_text(
        message_id="id-1",
        sender="stories@example.com",
        recipients=["reader@example.com"],
        subject="Long",
        sent_at=NOW,
        headers={},
        text="short",
        html=html,
    )
    assert_within_limits(raw)
    assert body_of(parsed(raw), "html") == html


def test_a_story_that_holds_its_own_boundary_does_not_end_early() -> None:
    text = "--part_id-1\n--part_id-1--\n"
    raw = message_text(
        message_id="id-1",
        sender="stories@example.com",
        recipients=["reader@example.com"],
        subject="Boundary",
        sent_at=NOW,
        headers={},
        text=text,
        html="<p>--part_id-1_</p>",
    )
    assert body_of(parsed(raw), "plain") == text


@given(title=hostile_text, body=hostile_text)
@settings(max_examples=25, deadline=None)
def test_any_story_that_makes_a_mail_makes_a_file(title: str, body: str) -> None:
    try:
        mail = render(letter(title=title, body=body), SENDER)
    except MailError:
        return
    with tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as folder:
        answer = send(Outbox(Path(folder), now=lambda: NOW), request([mail]))
        assert answer.outcome is Outcome.ACCEPTED
        (raw,) = contents(Path(folder))
    assert_within_limits(raw)
    assert parsed(raw)["X-FixionMail-Delivery"] == mail.headers["X-FixionMail-Delivery"]
    assert body_of(parsed(raw), "plain").strip() == mail.text.strip()


# ---- crashes and company ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
def test_who_is_killed_while_sending_is_finished_by_the_next_who_asks(tmp_path: Path, point: str) -> None:
    wanted = request(mails(3))
    victim = OutboxUser(tmp_path, [wanted], fault=f"kill {point}")
    victim.begin()
    assert victim.answers() == []
    assert victim.code == -signal.SIGKILL
    expected_before = 1 if point == "outbox mail delivered" else 0
    assert recipients(tmp_path).total() == expected_before

    successor = OutboxUser(tmp_path, [wanted, wanted])
    successor.begin()
    first, again = successor.answers()

    assert first.outcome is Outcome.ACCEPTED
    assert again == first == send(Outbox(tmp_path / "elsewhere", now=lambda: NOW), wanted)
    assert recipients(tmp_path) == {f"reader{n}@example.com": 1 for n in range(3)}


def test_two_processes_that_send_the_same_at_once_write_each_mail_once_and_whole(tmp_path: Path) -> None:
    wanted = [request(mails(5), f"key-{number}") for number in range(40)]
    both = [OutboxUser(tmp_path, wanted) for _ in range(2)]
    for user in both:
        user.begin()
    while recipients(tmp_path).total() < 200:  # while they write: every file that can be seen is whole
        assert all(user.is_running for user in both)
    one, other = (user.answers() for user in both)

    assert one == other
    assert {answer.outcome for answer in one} == {Outcome.ACCEPTED}
    assert recipients(tmp_path) == {f"reader{n}@example.com": 40 for n in range(5)}


def test_two_requests_that_race_for_one_key_leave_one_winner(tmp_path: Path) -> None:
    keys = [f"key-{number}" for number in range(40)]
    one = OutboxUser(
        tmp_path, [request([render(letter(1, address="a@example.com"), SENDER)], k) for k in keys]
    )
    other = OutboxUser(
        tmp_path, [request([render(letter(2, address="b@example.com"), SENDER)], k) for k in keys]
    )
    for user in (one, other):
        user.begin()

    outcomes = list(zip(*([a.outcome for a in user.answers()] for user in (one, other)), strict=True))

    assert all(sorted(pair) == [Outcome.ACCEPTED, Outcome.KEY_CONFLICT] for pair in outcomes)
    won = Counter(pair.index(Outcome.ACCEPTED) for pair in outcomes)
    assert recipients(tmp_path) == +Counter({"a@example.com": won[0], "b@example.com": won[1]})


def test_what_the_dead_left_staged_is_cleared_away_but_not_what_is_being_staged(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, now=lambda: NOW)
    send(outbox, request(mails(1)))
    abandoned, fresh = tmp_path / ".staging" / "abandoned", tmp_path / ".staging" / "fresh"
    for folder in (abandoned, fresh):
        folder.mkdir()
        (folder / "half.eml").touch()
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, (two_hours_ago, two_hours_ago))

    send(Outbox(tmp_path, now=lambda: NOW), request(mails(1), "key-2"))

    assert [entry.name for entry in (tmp_path / ".staging").iterdir()] == ["fresh"]


# ---- a folder that cannot be written ---------------------------------------------------------------------------------


def assert_held_up(answer: MailAnswer, outcome: Outcome, folder: Path) -> None:
    assert (answer.outcome, answer.ids) == (outcome, ())
    assert str(folder) in answer.error
    assert answer.wait_seconds


def test_a_file_in_the_place_of_the_folder_is_an_answer_and_no_mail_until_it_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.write_text("in the way")
    outbox = Outbox(folder, now=lambda: NOW)

    assert_held_up(send(outbox, request(mails(2))), Outcome.RATE_LIMITED, folder)

    folder.unlink()
    assert send(outbox, request(mails(2))).outcome is Outcome.ACCEPTED
    assert recipients(folder).total() == 2


def test_a_folder_removed_while_the_outbox_is_in_use_is_made_again(outbox: Outbox, tmp_path: Path) -> None:
    send(outbox, request(mails(1), "before"))
    shutil.rmtree(tmp_path / "outbox")

    answers = [send(outbox, request(mails(2), "after")).outcome for _ in range(2)]

    assert answers[-1] is Outcome.ACCEPTED
    assert recipients(tmp_path / "outbox").total() == 2


def test_something_in_the_way_of_a_mail_leaves_it_open_and_the_next_try_delivers(tmp_path: Path) -> None:
    wanted = request(mails(2))
    expected = send(Outbox(tmp_path / "elsewhere", now=lambda: NOW), wanted)
    in_the_way = tmp_path / "outbox" / files(tmp_path / "elsewhere")[0].name
    in_the_way.mkdir(parents=True)
    outbox = Outbox(tmp_path / "outbox", now=lambda: NOW)

    assert_held_up(send(outbox, wanted), Outcome.AMBIGUOUS, tmp_path / "outbox")

    in_the_way.rmdir()
    assert send(outbox, wanted) == expected
    assert recipients(tmp_path / "outbox").total() == 2


def test_a_folder_that_may_not_be_written_is_an_answer_until_it_may() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as name,
        as_ordinary_user(Path(name)) as home,
    ):
        home.chmod(0o500)
        outbox = Outbox(home / "outbox", now=lambda: NOW)
        answer = send(outbox, request(mails(1)))
        assert_held_up(answer, Outcome.RATE_LIMITED, home / "outbox")
        assert "Permission denied" in answer.error

        home.chmod(0o700)
        assert send(outbox, request(mails(1))).outcome is Outcome.ACCEPTED
        assert recipients(home / "outbox").total() == 1


@contextmanager
def as_ordinary_user(folder: Path) -> Iterator[Path]:
    """Root is allowed everything: become somebody else, to whom ``folder`` belongs, for a while."""
    if os.geteuid() != 0:
        yield folder
        return
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        yield folder
    finally:
        os.seteuid(0)


def test_files_that_may_not_grow_are_an_answer_and_nothing_half_written(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, now=lambda: NOW)
    with files_of_at_most(2000):
        assert_held_up(send(outbox, request(mails(2))), Outcome.RATE_LIMITED, tmp_path)
    assert files(tmp_path) == []
    assert list((tmp_path / ".staging").iterdir()) == []

    assert send(outbox, request(mails(2))).outcome is Outcome.ACCEPTED
    assert recipients(tmp_path).total() == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_an_answer_and_no_mail_until_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"
    fill(filler)
    outbox = Outbox(small_disk / "outbox", now=lambda: NOW)

    answer = send(outbox, request(mails(10)))
    assert_held_up(answer, Outcome.RATE_LIMITED, small_disk / "outbox")
    assert "No space left" in answer.error
    assert files(small_disk / "outbox") == []

    filler.unlink()
    assert send(outbox, request(mails(10))).outcome is Outcome.ACCEPTED
    assert recipients(small_disk / "outbox").total() == 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few mails."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("this user may not mount a small disk; files that may not grow are tested anyway")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(file: Path) -> None:
    """Leave room for a part of one mail only."""
    with suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    os.truncate(file, file.stat().st_size - 4096)
