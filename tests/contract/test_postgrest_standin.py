"""The stand-in for Supabase's data API, as the real supabase-py client meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from postgrest.exceptions import APIError
from supabase import Client, ClientOptions, create_client

from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn

_SCHEMA = """
do $$
declare v_role text;
begin
    foreach v_role in array array['anon', 'service_role'] loop
        if not exists (select from pg_roles where rolname = v_role) then
            execute format('create role %I', v_role);
        end if;
    end loop;
exception when duplicate_object or unique_violation then null;
end $$;
grant usage on schema public to anon, service_role;
create table marks (n bigint primary key, note text);
grant select, insert on marks to service_role;

create function add_mark(p_n bigint, p_note text default 'none') returns jsonb language plpgsql as $$
begin
    insert into marks values (p_n, p_note);
    return jsonb_build_object('n', p_n, 'note', p_note);
end $$;
create function describe(p_value jsonb) returns text language sql as $$ select jsonb_typeof(p_value) $$;
create function bytes_of(p_bytes bytea) returns bytea language sql as $$ select p_bytes $$;
create function whoami() returns jsonb language sql as $$
    select jsonb_build_object('role', current_user, 'claim', current_setting('request.jwt.claims')::jsonb->>'role',
                              'timeout', current_setting('statement_timeout')) $$;
create function numbers(p_count int) returns setof int language sql as $$ select generate_series(1, p_count) $$;
create function pairs(p_count int) returns table (n int, square int) language sql as $$
    select i, i * i from generate_series(1, p_count) i $$;
create function one_pair(out n int, out square int) language sql as $$ select 3, 9 $$;
create function nothing() returns void language sql as $$ select $$;
create function answer_null() returns jsonb language sql as $$ select null::jsonb $$;
create function sneaky_write() returns void language plpgsql stable as $$ begin perform add_mark(77); end $$;
create function slow(p_seconds float) returns void language sql as $$ select pg_sleep(p_seconds) $$;
create function slow_allowed() returns text language sql set statement_timeout = '5s' as $$
    select 'done' from pg_sleep(0.4) $$;
create function fail_with(p_code text, p_message text) returns void language plpgsql as $$
begin
    raise exception using errcode = p_code, message = p_message, detail = 'the detail', hint = 'the hint';
end $$;
create function plain_raise() returns void language plpgsql as $$ begin raise exception 'I refuse'; end $$;
revoke execute on all functions in schema public from public;
grant execute on all functions in schema public to service_role;
"""


@pytest.fixture
def database(empty_database: str) -> str:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(_SCHEMA)
    return empty_database


@pytest.fixture
def server(database: str) -> Iterator[PostgrestStandIn]:
    with PostgrestStandIn(database, statement_timeout=0.3) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, verify=False) as client:
        yield client


@pytest.fixture
def service(server: PostgrestStandIn, http: httpx.Client) -> Client:
    return _client(server.url, server.service_key, http)


def _client(url: str, key: str, http: httpx.Client) -> Client:
    return create_client(url, key, ClientOptions(httpx_client=http))


def _call(client: Client, function: str, **arguments: Any) -> Any:
    return client.rpc(function, arguments).execute().data


def _error(client: Client, function: str, **arguments: Any) -> APIError:
    with pytest.raises(APIError) as raised:
        _call(client, function, **arguments)
    return raised.value


def _status(server: PostgrestStandIn, http: httpx.Client, function: str, **arguments: Any) -> int:
    headers = {"apikey": server.service_key, "authorization": f"Bearer {server.service_key}"}
    return http.post(f"{server.url}/rest/v1/rpc/{function}", json=arguments, headers=headers).status_code


def _marks(database: str) -> list[int]:
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute("select n from marks order by n")]


class TestRoles:
    def test_the_service_key_runs_as_service_role_with_its_claims(self, service: Client) -> None:
        assert _call(service, "whoami") == {
            "role": "service_role",
            "claim": "service_role",
            "timeout": "300ms",
        }

    def test_a_new_style_secret_key_runs_as_service_role(
        self, server: PostgrestStandIn, http: httpx.Client
    ) -> None:
        assert server.secret_key.startswith("sb_secret_")
        assert _call(_client(server.url, server.secret_key, http), "whoami")["role"] == "service_role"

    @pytest.mark.parametrize("kind", ["anon_key", "publishable_key"])
    def test_a_public_key_may_not_execute_a_function_of_the_service(
        self, server: PostgrestStandIn, http: httpx.Client, kind: str
    ) -> None:
        key = getattr(server, kind)
        assert _error(_client(server.url, key, http), "whoami").code == "42501"
        reply = http.post(f"{server.url}/rest/v1/rpc/whoami", headers={"apikey": key})
        assert reply.status_code == 401

    def test_a_function_forbidden_to_the_service_itself_is_403(
        self, server: PostgrestStandIn, http: httpx.Client, database: str
    ) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("revoke execute on function nothing from service_role")
        assert _status(server, http, "nothing") == 403

    def test_an_unknown_key_is_turned_away_by_the_gateway(
        self, server: PostgrestStandIn, http: httpx.Client
    ) -> None:
        error = _error(_client(server.url, "sb_secret_made_up", http), "whoami")
        assert error.message == "Invalid API key"

    def test_a_request_without_a_key_is_turned_away_by_the_gateway(
        self, server: PostgrestStandIn, http: httpx.Client
    ) -> None:
        reply = http.post(f"{server.url}/rest/v1/rpc/whoami", json={})
        assert (reply.status_code, reply.json()["message"]) == (401, "No API key found in request")

    def test_an_expired_token_is_named_as_such(self, server: PostgrestStandIn, http: httpx.Client) -> None:
        client = _client(server.url, server.keys.issue("service_role", seconds=3600), http)
        assert _call(client, "whoami")["role"] == "service_role"
        server.clock.advance(3600 + 31)
        error = _error(client, "whoami")
        assert (error.code, error.message) == ("PGRST303", "JWT expired")

    @pytest.mark.parametrize(
        ("token", "message"),
        [
            (
                jwt.encode({"role": "service_role"}, "another secret, as long as is asked for"),
                "No suitable key or wrong key type",
            ),
            ("gibberish", "Expected 3 parts in JWT; got 1"),
        ],
    )
    def test_a_token_that_cannot_be_verified_is_pgrst301(
        self, server: PostgrestStandIn, http: httpx.Client, token: str, message: str
    ) -> None:
        headers = {"apikey": server.service_key, "authorization": f"Bearer {token}"}
        reply = http.post(f"{server.url}/rest/v1/rpc/whoami", json={}, headers=headers)
        assert (reply.status_code, reply.json()["code"], reply.json()["message"]) == (
            401,
            "PGRST301",
            message,
        )

    def test_rotating_the_keys_shuts_out_the_old_ones_and_lets_in_the_new(
        self, server: PostgrestStandIn, http: httpx.Client, service: Client
    ) -> None:
        old_secret = server.secret_key
        server.rotate_keys()
        assert _error(service, "whoami").message == "Invalid API key"
        assert _error(_client(server.url, old_secret, http), "whoami").message == "Invalid API key"
        assert _call(_client(server.url, server.service_key, http), "whoami")["role"] == "service_role"


class TestArguments:
    def test_defaults_fill_what_was_left_out(self, service: Client) -> None:
        assert _call(service, "add_mark", p_n=5) == {"n": 5, "note": "none"}

    def test_numbers_beyond_53_bits_arrive_whole(self, service: Client) -> None:
        assert _call(service, "add_mark", p_n=2**60 + 1)["n"] == 2**60 + 1

    @pytest.mark.parametrize(
        "arguments", [{}, {"p_note": "x"}, {"p_n": 1, "p_other": 2}, {"P_N": 1}], ids=str
    )
    def test_missing_extra_or_misspelt_arguments_find_no_function(
        self, server: PostgrestStandIn, http: httpx.Client, service: Client, arguments: dict[str, Any]
    ) -> None:
        error = _error(service, "add_mark", **arguments)
        assert error.code == "PGRST202"
        assert error.hint == "Perhaps you meant to call the function public.add_mark(p_n, p_note)"
        assert _status(server, http, "add_mark", **arguments) == 404

    def test_an_unknown_function_is_described_in_postgrests_words(self, service: Client) -> None:
        error = _error(service, "absent", b=1, a=2)
        assert error.message == "Could not find the function public.absent(a, b) in the schema cache"
        assert error.details == (
            "Searched for the function public.absent with parameters a, b or with a single unnamed json/jsonb "
            "parameter, but no matches were found in the schema cache."
        )

    def test_a_function_with_two_candidates_is_ambiguous(self, database: str, service: Client) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("create function describe(p_value text) returns text return p_value")
        assert _error(service, "describe", p_value="x").code == "PGRST203"

    @pytest.mark.parametrize(
        ("value", "kind"), [({"a": 1}, "object"), ([1], "array"), ('{"a": 1}', "string"), (None, None)]
    )
    def test_json_keeps_its_type_and_null_becomes_sql_null(
        self, service: Client, value: object, kind: str | None
    ) -> None:
        assert _call(service, "describe", p_value=value) == kind

    def test_base64_for_a_bytea_argument_is_taken_as_its_letters(self, service: Client) -> None:
        assert _call(service, "bytes_of", p_bytes="AAE=") == "\\x" + b"AAE=".hex()

    def test_a_nul_character_is_refused_by_postgres(self, service: Client) -> None:
        assert _error(service, "add_mark", p_n=1, p_note="a\x00b").code == "22P05"

    @pytest.mark.parametrize("body", ["{", "[1]", '{"p_value": NaN}'])
    def test_a_body_that_is_not_a_json_object_is_pgrst102(
        self, server: PostgrestStandIn, http: httpx.Client, body: str
    ) -> None:
        headers = {"apikey": server.service_key, "content-type": "application/json"}
        reply = http.post(f"{server.url}/rest/v1/rpc/describe", content=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (400, "PGRST102")


class TestResults:
    def test_sets_are_cut_at_a_thousand_rows_without_a_word(self, service: Client) -> None:
        assert _call(service, "numbers", p_count=1200) == list(range(1, 1001))

    def test_a_table_comes_as_a_list_of_objects(self, service: Client) -> None:
        assert _call(service, "pairs", p_count=2) == [{"n": 1, "square": 1}, {"n": 2, "square": 4}]

    def test_an_empty_set_is_an_empty_list(self, service: Client) -> None:
        assert _call(service, "pairs", p_count=0) == []

    def test_a_single_composite_comes_as_one_object(self, service: Client) -> None:
        assert _call(service, "one_pair") == {"n": 3, "square": 9}

    def test_sql_null_comes_as_json_null(self, service: Client) -> None:
        assert _call(service, "answer_null") is None

    def test_void_is_204_without_a_body(self, server: PostgrestStandIn, http: httpx.Client) -> None:
        assert _status(server, http, "nothing") == 204

    def test_a_stable_function_cannot_write(
        self, server: PostgrestStandIn, http: httpx.Client, service: Client
    ) -> None:
        assert _error(service, "sneaky_write").code == "25006"
        assert _status(server, http, "sneaky_write") == 405


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("08006", 503),
            ("23503", 409),
            ("23505", 409),
            ("23514", 400),
            ("28P01", 403),
            ("40001", 500),
            ("40P01", 500),
            ("42501", 403),
            ("42883", 404),
            ("42P01", 404),
            ("53300", 503),
            ("53400", 500),
            ("55P03", 500),
            ("57014", 500),
            ("57P01", 503),
            ("P0002", 500),
            ("PT418", 418),
            ("XX000", 500),
            ("22023", 400),
        ],
    )
    def test_sqlstates_map_to_the_documented_status(
        self, server: PostgrestStandIn, http: httpx.Client, service: Client, code: str, status: int
    ) -> None:
        error = _error(service, "fail_with", p_code=code, p_message="what went wrong")
        assert error.json() == {
            "code": code,
            "message": "what went wrong",
            "details": "the detail",
            "hint": "the hint",
        }
        assert _status(server, http, "fail_with", p_code=code, p_message="what went wrong") == status

    def test_a_plain_raise_is_400(self, server: PostgrestStandIn, http: httpx.Client) -> None:
        assert _status(server, http, "plain_raise") == 400

    def test_a_failed_call_leaves_nothing_behind(self, service: Client, database: str) -> None:
        _call(service, "add_mark", p_n=1)
        assert _error(service, "add_mark", p_n=1).code == "23505"
        _call(service, "add_mark", p_n=2)
        assert _marks(database) == [1, 2]

    def test_a_statement_beyond_the_timeout_is_cancelled(self, service: Client) -> None:
        assert _error(service, "slow", p_seconds=5).code == "57014"

    def test_a_functions_own_timeout_wins(self, service: Client) -> None:
        assert _call(service, "slow_allowed") == "done"

    def test_without_a_free_connection_the_call_is_504(self, database: str, http: httpx.Client) -> None:
        with PostgrestStandIn(database, pool_size=1, acquire_timeout=0.05) as server:
            busy = threading.Thread(target=_status, args=(server, http, "slow"), kwargs={"p_seconds": 0.5})
            busy.start()
            with psycopg.connect(database, autocommit=True) as watcher, closing(watcher):
                while not watcher.execute(
                    "select 1 from pg_stat_activity where query like '%slow%' and state = 'active'"
                    " and pid <> pg_backend_pid() and datname = current_database()"
                ).fetchone():
                    pass
            error = _error(_client(server.url, server.service_key, http), "whoami")
            assert error.code == "PGRST003"
            busy.join()

    def test_a_database_that_is_away_is_503(self, http: httpx.Client) -> None:
        with PostgrestStandIn("postgresql://127.0.0.1:1/none") as server:
            assert _error(_client(server.url, server.service_key, http), "whoami").code == "PGRST000"

    def test_a_connection_that_died_is_503_once(
        self, server: PostgrestStandIn, service: Client, http: httpx.Client, database: str
    ) -> None:
        _call(service, "whoami")
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'postgrest' and datname = current_database()"
            )
        assert _status(server, http, "whoami") == 503
        assert _status(server, http, "whoami") == 200


class TestFaults:
    def test_a_lost_request_changes_nothing(
        self, server: PostgrestStandIn, service: Client, database: str
    ) -> None:
        server.faults.add(Fault.LOST_REQUEST, match="add_mark")
        with pytest.raises(httpx.NetworkError):
            _call(service, "add_mark", p_n=1)
        assert _marks(database) == []

    def test_a_lost_reply_was_committed(
        self, server: PostgrestStandIn, service: Client, database: str
    ) -> None:
        server.faults.add(Fault.LOST_REPLY, match="add_mark")
        with pytest.raises(httpx.NetworkError):
            _call(service, "add_mark", p_n=1)
        assert _marks(database) == [1]

    def test_a_gateway_page_is_html(self, server: PostgrestStandIn, service: Client, database: str) -> None:
        server.faults.add(Fault.BAD_STATUS, match="add_mark", status=502)
        error = _error(service, "add_mark", p_n=1)
        assert (error.code, "<html>" in str(error.details)) == ("502", True)
        assert _marks(database) == []

    def test_a_truncated_reply_was_committed(
        self, server: PostgrestStandIn, service: Client, database: str
    ) -> None:
        server.faults.add(Fault.TRUNCATED_REPLY, match="add_mark")
        with pytest.raises(httpx.TransportError):
            _call(service, "add_mark", p_n=1)
        assert _marks(database) == [1]

    @pytest.mark.parametrize("fault", [Fault.SLOW_REQUEST, Fault.SLOW_REPLY])
    def test_a_slow_call_times_out_at_the_client(self, server: PostgrestStandIn, fault: Fault) -> None:
        server.faults.add(fault, seconds=30)
        with httpx.Client(timeout=0.2) as http, pytest.raises(httpx.ReadTimeout):
            _call(_client(server.url, server.service_key, http), "whoami")

    def test_a_fault_strikes_as_often_as_asked_and_only_where_it_matches(
        self, server: PostgrestStandIn, service: Client
    ) -> None:
        server.faults.add(Fault.BAD_STATUS, match="whoami", times=2, status=503)
        _call(service, "nothing")
        assert [_error(service, "whoami").code for _ in range(2)] == ["503", "503"]
        assert _call(service, "whoami")["role"] == "service_role"
        assert server.faults.struck() == {"bad_status": 2}


def test_it_runs_as_a_process_of_its_own_with_faults_set_over_http(database: str, http: httpx.Client) -> None:
    command = [sys.executable, "-m", "tests.standins.postgrest", "--database-url", database]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        client = _client(started["url"], started["service_key"], http)
        control = f"{started['url']}/_control/faults"
        http.post(control, json={"fault": "bad_status", "status": 503}).raise_for_status()
        assert _error(client, "whoami").code == "503"
        assert http.get(control).json() == {"bad_status": 1}
        assert _call(client, "whoami")["timeout"] == "8s"
        process.terminate()
    assert process.returncode == 0
