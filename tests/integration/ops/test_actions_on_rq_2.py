"""What a real rq 2.12 left in Redis, changed by us as its own library has changed it."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from tests.integration.ops.acting import act
from tests.integration.worker.servers import RedisServer

DATA = Path(__file__).parents[2] / "data" / "rq-2.12"
CHANGES: dict[str, Any] = json.loads((DATA / "changes.json").read_text())
LEFTOVERS = ("rq:queue:mails:intermediate", "rq:results:")
"""rq 2 leaves a job in limbo that it cancels or deletes, and the results of one that it deletes."""
places: Callable[[Any], dict[str, Any]] = runpy.run_path(str(DATA / "record_changes.py"))["places"]


@pytest.fixture
def hands(
    old_deployment: Any, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_leaves_what_rq_2_itself_leaves_and_no_leftovers(
    old_deployment: Any, hands: Hands, reader: RedisReader, change: str
) -> None:
    ids, leaves = CHANGES[change]["ids"], CHANGES[change]["leaves"]
    assert act(hands, change, *ids) == dict.fromkeys(ids, "done")
    assert without_leftovers(places(old_deployment)) == without_leftovers(leaves)
    if "waiting" in ids:
        assert old_deployment.lrange(LEFTOVERS[0], 0, -1) == []
        *_, last = audit(reader)
        assert last.findings == ()


def without_leftovers(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.startswith(LEFTOVERS)}


def test_the_running_job_of_a_worker_of_rq_2_is_left_alone_by_every_change(
    old_deployment: Any, hands: Hands
) -> None:
    before = places(old_deployment)
    for change in CHANGES:
        assert act(hands, change, "first") == {"first": "running"}
    assert places(old_deployment) == before


def test_workers_of_rq_2_are_suspended_and_resumed_by_the_key_that_they_look_at(
    old_deployment: Any, hands: Hands
) -> None:
    act(hands, "suspend-workers")
    assert old_deployment.get("rq:suspended") == b"1"
    act(hands, "resume-workers")
    assert old_deployment.exists("rq:suspended") == 0


def test_a_job_is_stopped_by_what_its_worker_of_rq_2_hears(old_deployment: Any, hands: Hands) -> None:
    heard = old_deployment.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("rq:pubsub:busy-worker")
    heard.get_message(timeout=1)
    assert act(hands, "stop-job", "first") == {"first": "asked"}
    message = next(filter(None, (heard.get_message(timeout=1) for _ in range(5))))
    assert json.loads(message["data"]) == {"command": "stop-job", "job_id": "first"}
    heard.close()
