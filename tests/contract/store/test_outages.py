"""What goes wrong between us and the database: told in words, tried again where that helps, never done twice."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psutil
import psycopg
import pytest
from uuid_utils.compat import uuid7

from fixionmail.errors import (
    DatabaseError,
    DatabaseOutdatedError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    FixionMailError,
)
from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from fixionmail.store.rpc import RpcTransport
from fixionmail.store.transport import Transport
from tests.contract.store.world import TODAY, World
from tests.postgres import PostgresServer, url_of
from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn

_FAILS: LiteralString = """
create function fails_v1(p_code text) returns jsonb language plpgsql as $$
begin
  raise exception using errcode = p_code, message = 'it went wrong';
end $$;
grant execute on function fails_v1 to service_role
"""


@pytest.fixture(scope="module")
def failing_database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database whose one function fails as it is told to."""
    with postgres_server.migrated_database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_FAILS)
        yield url


@pytest.fixture
def api(shared_database: str, connection: psycopg.Connection[Any]) -> Iterator[PostgrestStandIn]:
    """The suite's database behind an API that can be spoilt."""
    with PostgrestStandIn(shared_database, statement_timeout=0.3) as running:
        yield running


@pytest.fixture
def api_store(api: PostgrestStandIn) -> Iterator[Store]:
    store = Store.over(RpcTransport(api.url, lambda: api.service_key, 2), patience_seconds=5)
    yield store
    store.close()


class TestReachingPostgres:
    def test_a_wrong_password_is_refused_in_words_that_do_not_repeat_it(self, shared_database: str) -> None:
        with pytest.raises(
            DatabaseRefusedError, match=r"password authentication failed.* Check DATABASE_URL\."
        ) as told:
            DirectTransport(url_of(shared_database, user="postgres", password="S3cret-guess"), 1)
        assert "S3cret-guess" not in str(told.value)

    def test_an_unknown_database_is_named(self, shared_database: str) -> None:
        with pytest.raises(
            DatabaseRefusedError, match=r'database "nowhere" does not exist\. Check DATABASE_URL\.'
        ):
            DirectTransport(url_of(shared_database, database="nowhere"), 1)

    def test_where_nobody_listens_it_is_said_at_once_and_without_the_password(self) -> None:
        started = time.monotonic()
        with pytest.raises(DatabaseUnreachableError, match="does not answer") as told:
            DirectTransport(f"postgresql://postgres:S3cret@127.0.0.1:{silent_port()}/x", 1)
        assert time.monotonic() - started < 5
        assert "S3cret" not in str(told.value)


class TestReachingSupabase:
    def test_where_nobody_listens_it_is_said_in_words(self) -> None:
        key = "sb_secret_S3cret"
        url = f"http://127.0.0.1:{silent_port()}"
        with closing(Store.over(RpcTransport(url, lambda: key, 1), patience_seconds=0)) as store:
            with pytest.raises(DatabaseUnreachableError, match=f"Supabase at {url} does not answer") as told:
                store.operations.waiting_jobs()
            assert "S3cret" not in str(told.value)

    def test_an_error_page_is_tried_again(self, api: PostgrestStandIn, api_store: Store) -> None:
        api.faults.add(Fault.BAD_STATUS, status=502, times=2)
        assert api_store.operations.waiting_jobs() == ()
        assert api.faults.struck() == {Fault.BAD_STATUS: 2}

    def test_error_pages_without_end_are_an_outage(self, api: PostgrestStandIn) -> None:
        api.faults.add(Fault.BAD_STATUS, status=503, times=None)
        with (
            closing(
                Store.over(RpcTransport(api.url, lambda: api.service_key, 1), patience_seconds=0.3)
            ) as store,
            pytest.raises(DatabaseUnreachableError, match="503"),
        ):
            store.operations.waiting_jobs()
        assert api.faults.struck()[Fault.BAD_STATUS] > 1

    @pytest.mark.parametrize(
        "fault", [Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.TRUNCATED_REPLY, Fault.BAD_STATUS_AFTER]
    )
    def test_a_broken_call_is_made_again(self, api: PostgrestStandIn, api_store: Store, fault: Fault) -> None:
        api.faults.add(fault)
        view = api_store.leases.acquire(name="scheduler", holder="a", ttl_seconds=30, info={})
        assert (view.held, view.fence) == (True, 1)
        assert api.faults.struck() == {fault: 1}

    def test_a_key_that_has_expired_is_read_again(self, api: PostgrestStandIn) -> None:
        keys = [api.keys.issue("service_role", seconds=60), api.keys.issue("service_role", seconds=86_400)]
        with closing(Store.over(RpcTransport(api.url, lambda: keys.pop(0), 1))) as store:
            store.operations.waiting_jobs()
            api.clock.advance(3_600)
            store.operations.waiting_jobs()
        assert keys == []

    @pytest.mark.parametrize("kind", ["service_key", "secret_key"])
    def test_a_key_that_was_replaced_is_read_again(self, api: PostgrestStandIn, kind: str) -> None:
        with closing(Store.over(RpcTransport(api.url, lambda: getattr(api, kind), 1))) as store:
            store.operations.waiting_jobs()
            api.rotate_keys()
            store.operations.waiting_jobs()

    def test_when_there_is_no_other_key_the_refusal_is_said_in_words(self, api: PostgrestStandIn) -> None:
        key = api.service_key
        with closing(Store.over(RpcTransport(api.url, lambda: key, 1))) as store:
            api.rotate_keys()
            with pytest.raises(DatabaseRefusedError, match=r"Invalid API key\. Check SUPABASE_SERVICE_KEY"):
                store.operations.waiting_jobs()

    def test_a_statement_that_takes_too_long_is_an_outage(
        self, api: PostgrestStandIn, shared_database: str
    ) -> None:
        with (
            psycopg.connect(shared_database) as other,
            closing(
                Store.over(RpcTransport(api.url, lambda: api.service_key, 1), patience_seconds=0)
            ) as store,
        ):
            other.execute("lock table leases")
            with pytest.raises(DatabaseUnreachableError, match="statement timeout"):
                store.leases.acquire(name="scheduler", holder="a", ttl_seconds=30, info={})


class TestWhatTheDatabaseReports:
    @pytest.fixture(params=["postgres", "supabase"])
    def transport(self, request: pytest.FixtureRequest, failing_database: str) -> Iterator[Transport]:
        if request.param == "postgres":
            with closing(DirectTransport(failing_database, 1)) as direct:
                yield direct
        else:
            with (
                PostgrestStandIn(failing_database) as api,
                closing(RpcTransport(api.url, lambda: api.service_key, 1)) as rpc,
            ):
                yield rpc

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("40001", DatabaseUnreachableError),  # serialization failure
            ("40P01", DatabaseUnreachableError),  # deadlock
            ("53100", DatabaseUnreachableError),  # disk full
            ("53300", DatabaseUnreachableError),  # too many connections
            ("55P03", DatabaseUnreachableError),  # lock not available
            ("57014", DatabaseUnreachableError),  # statement timeout
            ("57P01", DatabaseUnreachableError),  # shutdown
            ("42501", DatabaseRefusedError),
            ("42883", DatabaseOutdatedError),  # a function that a function calls
            ("42P01", DatabaseOutdatedError),
            ("23505", DatabaseError),
            ("22P02", DatabaseError),
            ("P0001", DatabaseError),
            ("FM001", DatabaseError),
        ],
    )
    def test_each_code_is_the_right_kind_of_error(
        self, transport: Transport, code: str, error: type[FixionMailError]
    ) -> None:
        with pytest.raises(FixionMailError, match="it went wrong") as told:
            transport.call("fails_v1", {"p_code": code})
        assert type(told.value) is error

    @pytest.mark.parametrize("call", [("nothing_v1", {}), ("fails_v1", {"p_renamed": "x"}), ("fails_v1", {})])
    def test_a_function_that_is_missing_or_takes_other_arguments_asks_for_migrations(
        self, transport: Transport, call: tuple[str, dict[str, Any]]
    ) -> None:
        with pytest.raises(DatabaseOutdatedError, match="fixionmail db migrate"):
            transport.call(*call)


class TestSessionsThatEnd:
    def test_a_call_whose_session_was_ended_is_made_again(self, world: World) -> None:
        job = world.job()
        with psycopg.connect(dsn(world)) as other, ThreadPoolExecutor(1) as pool:
            other.execute("select from story_jobs for update")
            claim = pool.submit(world.claim, job)
            world.wait_for_lock_waiters(1)
            world.change("select pg_terminate_backend(%s)", *world.lock_waiters())
            other.rollback()
            assert claim.result(timeout=20).verdict is Verdict.GO
        assert world.row("story_jobs", job)["attempt"] == 1

    def test_when_every_session_was_ended_the_next_call_works(self, shared_database: str) -> None:
        with (
            closing(Store.over(DirectTransport(shared_database, 16))) as store,
            ThreadPoolExecutor(16) as pool,
        ):
            list(pool.map(lambda _: store.operations.snapshot(TODAY), range(200)))
            with psycopg.connect(shared_database, autocommit=True) as other:
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'fixionmail'"
                )
            started = time.monotonic()
            assert store.deliveries.duplicates(since=TODAY) == ()
            assert time.monotonic() - started < 3

    def test_a_server_that_takes_a_call_and_says_nothing_is_given_up(self, shared_database: str) -> None:
        with closing(DirectTransport(shared_database, 1, call_seconds=0.5)) as transport:
            store = Store.over(transport, patience_seconds=0)
            store.operations.snapshot(TODAY)  # so that there is a session
            with (
                frozen_sessions(shared_database),
                pytest.raises(DatabaseUnreachableError, match="no answer within"),
            ):
                store.operations.snapshot(TODAY)
            assert store.deliveries.duplicates(since=TODAY) == ()

    def test_an_outage_beyond_the_patience_is_reported(self, shared_database: str) -> None:
        with closing(Silent()) as transport:
            store = Store.over(transport, patience_seconds=0.3)
            started = time.monotonic()
            with pytest.raises(DatabaseUnreachableError):
                store.operations.waiting_jobs()
            assert time.monotonic() - started < 2
            assert transport.calls > 1


class TestRepliesThatAreLost:
    def test_a_whole_life_in_which_every_reply_is_lost_once_is_lived_once(self, world: World) -> None:
        forgetful = World(Store.over(Forgetful(world.store.transport)), world.connection)
        batch, token, members = forgetful.sending(3)
        assert forgetful.settle(batch, token, Outcome.REFUSED, status=422, error="bad") is Verdict.ALREADY
        while (half := forgetful.open()).verdict is Verdict.DRAFT:
            assert half.batch_id is not None
            forgetful.seal(half.batch_id, half.token, uuid7().bytes)
            token = forgetful.begin(half.batch_id).token
            ids = tuple(str(letter.delivery_id) for letter in half.letters)
            assert forgetful.settle(half.batch_id, token, Outcome.ACCEPTED, ids=ids) is Verdict.ALREADY
        assert [world.row("scheduled_deliveries", member)["provider_id"] for member in members] == list(
            map(str, members)
        )
        assert world.column("select attempt from story_jobs") == [1, 1, 1]
        assert world.value("select count(*) from stories") == 3
        assert world.value("select count(*) from users") == 3


@dataclass
class Forgetful:
    """A transport on which the first reply to each call is lost, after it took effect."""

    inner: Transport
    name: str = "forgetful"
    _made: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        answer = self.inner.call(function, arguments)
        if (function, arguments) in self._made:
            self._made.remove((function, arguments))
            return answer
        self._made.append((function, arguments))
        raise DatabaseUnreachableError("the reply was lost")

    def close(self) -> None:
        """The inner one is somebody else's."""


@dataclass
class Silent:
    """A transport on which nobody ever answers."""

    name: str = "silent"
    calls: int = 0

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.calls += 1
        raise DatabaseUnreachableError("nobody answers")

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def frozen_sessions(url: str) -> Iterator[None]:
    """Stops the processes that serve our sessions, as on a machine that hangs."""
    ours = (
        "select pid from pg_stat_activity where datname = current_database() and application_name = 'fixionmail'"
        " and state = 'idle'"
    )
    with psycopg.connect(url, autocommit=True) as other:
        processes = [psutil.Process(row[0]) for row in other.execute(ours)]
    assert processes
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def silent_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def dsn(world: World) -> str:
    """Where the world's database is, as psycopg knows it."""
    info = world.connection.info
    return f"host={info.host} port={info.port} user={info.user} password={info.password} dbname={info.dbname}"
