"""Counting the commands that clients send, which is what a hosted Redis bills."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from redis import Redis

from fixionmail.jobs.worker.connections import connect

_END = "the end of this count"


def sent_commands(url: str, action: Callable[[], object]) -> list[str]:
    """The commands clients send while ``action`` runs; what scripts do inside the server is not among them."""
    names: list[str] = []
    with (
        Redis.from_url(url, socket_timeout=None) as watcher,
        connect(url) as marker,
        watcher.monitor() as stream,
    ):
        marker.execute_command("PING")
        thread = threading.Thread(target=_collect, args=(stream, names))
        thread.start()
        action()
        marker.execute_command("ECHO", _END)
        thread.join()
    assert names[-1] == "ECHO"
    return names[names.index("PING") + 1 : -1]  # before it, the marker may have to say its password


def _collect(stream: Any, names: list[str]) -> None:
    for event in stream.listen():
        if event["client_type"] != "lua":
            names.append(event["command"].split()[0])
        if _END in event["command"]:
            return
