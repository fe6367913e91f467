"""``fixionmail watch`` beside webhooks that misbehave, and ``fixionmail health`` where nothing runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.commands import run, running, until
from tests.contract.store.world import World


@contextmanager
def webhook_without_end() -> Iterator[tuple[str, list[str]]]:
    """An address that takes every alert, and whose answers never end."""
    taken: list[str] = []
    closed = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["event"])
            self.send_response(200)
            self.end_headers()
            try:
                while not closed.wait(0.1):
                    self.wfile.write(b"more")
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/hook", taken
        finally:
            closed.set()
            server.shutdown()
            thread.join()


def test_a_webhook_whose_answer_never_ends_does_not_keep_the_next_alert(
    world: World, database_url: str, tmp_path: Path
) -> None:
    leases = world.store.leases
    leases.set_switch(name="mail_held", on=True, by="ada", host="h", reason="")
    with (
        webhook_without_end() as (url, taken),
        running(tmp_path, "watch", "--alert", url, "--every", "1", DATABASE_URL=database_url),
    ):
        until(lambda: "begun" in taken, "the first alert")
        leases.set_switch(name="mail_held", on=False, by="ada", host="h", reason="")
        until(lambda: "over" in taken, "the second alert")


@pytest.mark.parametrize("url", ["http://[::1", "http://host/\x01", "http://", "", "ftp://host/"])
def test_an_address_that_is_none_is_refused_before_anything_is_looked_at(tmp_path: Path, url: str) -> None:
    ended = run(tmp_path, "watch", "--alert", url)
    assert ended.code == 2
    assert ended.err == "--alert needs an address like https://example.com/hook.\n"


SOME_ID = "0192f0c1-2345-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    "words",
    [
        "health worker",
        "status",
        "metrics",
        "doctor",
        "deliveries list",
        f"deliveries show {SOME_ID}",
        "deliveries duplicates",
        "stories list",
        f"stories show {SOME_ID}",
        "subscribers list",
        "subscribers show ada@example.com",
        f"jobs why {SOME_ID}",
        "db status",
        "db migrate --plan",
        "db migrate --sql",
    ],
)
def test_asking_where_nothing_runs_says_what_to_start_and_starts_nothing(tmp_path: Path, words: str) -> None:
    ended = run(tmp_path, *words.split())
    assert ended.code == 4, ended
    assert words == "metrics" or "fixionmail up" in ended.out + ended.err
    assert not list(tmp_path.iterdir())
