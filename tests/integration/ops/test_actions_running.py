"""How any action is run: previewed, in chunks, at a rate, ended and gone on with, on record, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from fixionmail.errors import InputError, RedisUnreachableError
from fixionmail.ops import actions
from fixionmail.ops.actions import ACTIONS, Hands
from fixionmail.ops.views.findings import Cure
from fixionmail.store import Store
from tests.contract.store.world import World
from tests.integration.ops.acting import ORDER, act
from tests.integration.worker.servers import RedisServer, free_port


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    """A Redis alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


def failed(redis: Any, count: int) -> list[str]:
    ids = [f"j-{n}" for n in range(count)]
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hset(f"rq:job:{job_id}", mapping={"status": "failed", "origin": "reports"})
            pipeline.zadd("rq:failed:reports", {job_id: 1})
        pipeline.execute()
    return ids


def on_file(hands: Hands) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hands.audit_file.read_text().splitlines()]


def test_a_preview_counts_shows_some_and_changes_nothing(redis: Any, hands: Hands) -> None:
    ids = failed(redis, 30)
    before = {key: redis.dump(key) for key in redis.scan_iter()}

    previewed = actions.preview(hands, "requeue", [*ids, *ids, "nobody"])

    assert (previewed.count, len(previewed.samples), previewed.destructive) == (31, 10, False)
    assert previewed.samples[0] == "j-0: failed in reports, without a description"
    assert previewed.command == f"fixionmail jobs requeue {' '.join(ids[:20])} …"
    assert {key: redis.dump(key) for key in redis.scan_iter()} == before


def test_the_same_command_is_safe_to_paste_whatever_an_id_contains(hands: Hands) -> None:
    command = actions.preview(hands, "delete", ("a; rm -rf ~", "$(id)")).command
    assert command == "fixionmail jobs delete 'a; rm -rf ~' '$(id)'"


def test_an_id_that_looks_like_an_option_is_an_id_in_the_command(hands: Hands) -> None:
    command = actions.preview(hands, "delete", ("--all-matching=state:failed",)).command
    assert command == "fixionmail jobs delete -- --all-matching=state:failed"


def test_a_cure_has_the_command_of_its_action_which_can_be_pasted_however_many_it_is_about() -> None:
    ids = tuple(f"j-{n}" for n in range(25))
    few, many = (Cure(label="", action="requeue", targets=each) for each in (ids[:2], ids))

    assert (actions.command_of(few), actions.unnamed(few)) == ("fixionmail jobs requeue j-0 j-1", 0)
    assert actions.command_of(many) == f"fixionmail jobs requeue {' '.join(ids[:20])}"
    assert actions.unnamed(many) == 5


@pytest.mark.parametrize(
    ("cure", "command"),
    [
        (Cure(label="", action="repair-duplicates", targets=("a",) * 25), "fixionmail db repair"),
        (
            Cure(label="", action="resolve-sent", targets=("a",)),
            "fixionmail deliveries resolve a --sent='<id>' --reason='<why>'",
        ),
        (Cure(label="", action="rering"), "fixionmail jobs rering"),
        (Cure(label="", action="resume-workers", command="rq resume"), "rq resume"),
        (Cure(label="wait", automatic="by itself"), ""),
    ],
)
def test_what_is_to_be_typed_for_a_cure(cure: Cure, command: str) -> None:
    assert (actions.command_of(cure), actions.unnamed(cure)) == (command, 0)


def test_a_run_goes_on_only_while_it_is_asked_for_more_and_can_be_gone_on_with(
    redis: Any, hands: Hands
) -> None:
    previewed = actions.preview(hands, "requeue", failed(redis, 1000))
    steps = actions.run(hands, previewed, ORDER)
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]

    assert 0 < first.done < 1000
    assert (first.total, first.finished) == (1000, False)
    assert redis.llen("rq:queue:reports") == first.done

    *_, last = actions.run(hands, previewed, ORDER, cursor=first.cursor)

    assert (last.done, last.finished) == (1000, True)
    assert last.outcomes == {"done": 1000 - first.done}
    assert redis.llen("rq:queue:reports") == 1000
    assert [row["result"]["outcomes"] for row in on_file(hands)] == [
        {"done": first.done},
        {"done": 1000 - first.done},
    ]


def test_a_run_that_starts_again_from_the_beginning_does_nothing_twice(redis: Any, hands: Hands) -> None:
    previewed = actions.preview(hands, "requeue", failed(redis, 500))
    steps = actions.run(hands, previewed, ORDER)
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]

    *_, last = actions.run(hands, previewed, ORDER)

    assert last.outcomes == {"moved on": first.done, "done": 500 - first.done}
    assert redis.llen("rq:queue:reports") == 500


@pytest.mark.parametrize("cursor", ["later", "-1", "11"])
def test_a_cursor_of_something_else_is_refused(redis: Any, hands: Hands, cursor: str) -> None:
    previewed = actions.preview(hands, "requeue", failed(redis, 10))
    with pytest.raises(InputError, match="is no place to go on from"):
        list(actions.run(hands, previewed, ORDER, cursor=cursor))
    assert redis.llen("rq:queue:reports") == 0


def test_a_rate_is_kept_and_nothing_is_waited_for_at_the_end(redis: Any, hands: Hands) -> None:
    previewed = actions.preview(hands, "requeue", failed(redis, 50))
    waits: list[float] = []
    steps = list(actions.run(hands, previewed, ORDER, rate=25, pause=waits.append))
    assert [step.done for step in steps] == [25, 50]
    assert waits == [1.0]


def test_an_empty_choice_ends_at_once(hands: Hands) -> None:
    (step,) = actions.run(hands, actions.preview(hands, "requeue"), ORDER)
    assert (step.done, step.total, step.finished) == (0, 0, True)


def test_an_unknown_action_is_named_with_those_there_are(hands: Hands) -> None:
    with pytest.raises(InputError, match="There is no action 'explode'; there are requeue"):
        actions.preview(hands, "explode")


def test_every_command_of_an_action_is_one_that_exists() -> None:
    from typer.main import get_command

    from cli import app

    for action in ACTIONS.values():
        words = [word for word in action.command.split()[1:] if not word.startswith(("{", "-"))]
        command: Any = get_command(app)
        for word in words:
            assert word in command.commands, f"{action.name}: {action.command}"
            command = command.commands[word]


def test_a_read_only_deployment_shows_and_refuses(redis: Any, server: RedisServer) -> None:
    ids = failed(redis, 3)
    with closing(Hands(redis_url=server.url, read_only=True)) as hands:
        previewed = actions.preview(hands, "requeue", ids)
        assert previewed.count == 3
        with pytest.raises(InputError, match="read-only"):
            list(actions.run(hands, previewed, ORDER))
    assert redis.llen("rq:queue:reports") == 0


def test_without_a_database_an_action_is_on_record_in_a_file(redis: Any, hands: Hands) -> None:
    ids = failed(redis, 25)
    act(hands, "requeue", *ids, "nobody")
    (row,) = on_file(hands)
    assert {name: row[name] for name in ("actor", "host", "action", "reason")} == {
        "actor": "ada",
        "host": "here",
        "action": "requeue",
        "reason": "a test",
    }
    assert row["target"] == f"{' '.join(ids[:20])} and 6 more"
    assert row["result"] == {"outcomes": {"done": 25, "gone": 1}, "done": 26, "of": 26, "perhaps": []}


def test_with_a_database_an_action_is_on_record_there(
    redis: Any, server: RedisServer, direct_store: Store, database_url: str
) -> None:
    ids = failed(redis, 2)
    with closing(Hands(redis_url=server.url, store=lambda: direct_store)) as hands:
        act(hands, "requeue", *ids)
    with psycopg.connect(database_url, autocommit=True) as connection:
        (row,) = World(direct_store, connection).audit()
    assert (row["actor"], row["host"], row["action"], row["target"], row["reason"]) == (
        "ada",
        "here",
        "requeue",
        "j-0 j-1",
        "a test",
    )
    assert row["result"]["outcomes"] == {"done": 2}


def test_what_a_dying_redis_leaves_open_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    server.start()
    try:
        with closing(Hands(redis_url=server.url)) as hands:
            with Redis.from_url(server.url) as client:
                ids = failed(client, 600)
            steps = actions.run(hands, actions.preview(hands, "requeue", ids), ORDER)
            first = next(steps)
            server.kill()
            with pytest.raises(RedisUnreachableError):
                next(steps)
            (row,) = on_file(hands)
    finally:
        server.kill()
    assert row["result"]["done"] == first.done
    assert row["result"]["perhaps"][0] == ids[first.done]


def test_a_redis_that_is_away_is_told_in_words(tmp_path: Path) -> None:
    with (
        closing(Hands(redis_url=f"redis://127.0.0.1:{free_port()}")) as hands,
        pytest.raises(RedisUnreachableError, match="Nothing listens at"),
    ):
        actions.preview(hands, "requeue", ("a",))


def test_no_redis_and_no_database_are_told_apart(redis: Redis, hands: Hands) -> None:
    with closing(Hands(redis_url=None)) as nothing, pytest.raises(InputError, match="There is no Redis"):
        actions.preview(nothing, "requeue", ("a",))
    with pytest.raises(InputError, match="No database is set"):
        actions.preview(hands, "retry-delivery", ("00000000-0000-0000-0000-000000000000",))
