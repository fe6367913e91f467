"""`fixionmail demo`: the whole of it, in processes of its own, down to the mails in the outbox."""

from __future__ import annotations

import signal
from collections import Counter
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from fixionmail.processes.redis import running_url
from tests.commands import processes_of, run, running, until


def mails_in(outbox: Path) -> list[EmailMessage]:
    return [
        cast(EmailMessage, message_from_bytes(file.read_bytes(), policy=modern))
        for file in outbox.glob("*.eml")
    ]


def demo(home: Path, *arguments: str) -> dict[str, Any]:
    ended = run(home, "demo", "--json", *arguments, timeout=110)
    assert ended.code == 0, ended
    return cast(dict[str, Any], ended.json())


@pytest.mark.parametrize("mode", ["queue", "fallback"])
def test_two_hundred_readers_get_one_proper_mail_each_and_nothing_is_left_running(
    tmp_path: Path, mode: str
) -> None:
    result = demo(tmp_path, "--subscribers", "200", "--mode", mode)

    home = next((tmp_path / "demo").glob("*"))
    assert until(lambda: not processes_of(home), "all processes to end")
    assert {key: result[key] for key in ("subscribers", "stories", "sent", "duplicates", "mode")} == {
        "subscribers": 200,
        "stories": 200,
        "sent": 200,
        "duplicates": 0,
        "mode": mode,
    }
    mails = mails_in(Path(result["outbox"]))
    recipients = Counter(str(mail["To"]) for mail in mails)
    assert len(recipients) == 200
    assert set(recipients.values()) == {1}
    assert len({str(mail["X-FixionMail-Delivery"]) for mail in mails}) == 200
    for mail in mails:
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert text is not None
        assert html is not None
        assert mail["Subject"]
        assert str(mail["Subject"]).split()[0] in text.get_content()
        assert 600 <= len(text.get_content().split()) <= 1400


def test_two_of_every_process_side_by_side_send_nothing_twice(tmp_path: Path) -> None:
    result = demo(tmp_path, "--subscribers", "60", "--copies", "2")

    assert (result["sent"], result["duplicates"]) == (60, 0)


def test_a_flushed_redis_costs_a_tick_and_no_mail(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--json", "--subscribers", "200") as process:
        home = until(lambda: next(iter((tmp_path / "demo").glob("*")), None), "the demo's home")
        url = until(lambda: running_url(home), "its Redis")
        client = redis.Redis.from_url(url)
        until(lambda: next(client.scan_iter("rq:job:*"), None), "jobs in Redis")
        client.flushall()
        client.close()
        assert process.wait(100) == 0
    assert set(Counter(str(mail["To"]) for mail in mails_in(home / "outbox")).values()) == {1}


def test_ctrl_c_stops_a_demo_and_everything_it_started(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--subscribers", "5000") as process:
        home = until(lambda: next(iter((tmp_path / "demo").glob("*")), None), "the demo's home")
        until(lambda: len(processes_of(home)) >= 5, "its servers and processes")
        process.send_signal(signal.SIGINT)
        assert process.wait(50) == 130
    assert until(lambda: not processes_of(home), "all processes to end")
