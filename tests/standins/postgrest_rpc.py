"""One RPC call as PostgREST makes it: found by name and argument names, in a transaction of its own."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, NoReturn

import psycopg
from psycopg import sql

from tests.standins.postgrest_errors import ApiError, from_postgres, no_connection, pool_exhausted
from tests.standins.postgrest_keys import ANON

SCHEMA = "public"
MAX_ROWS = 1000

_FIND: LiteralString = """
select p.proretset, p.provolatile <> 'v', p.prorettype = 'void'::regtype,
       t.typtype = 'c' or p.prorettype = 'record'::regtype,
       p.pronargs - p.pronargdefaults,
       coalesce(p.proargnames[1:p.pronargs], '{}'),
       array(select format_type(a.oid, null)
               from unnest(p.proargtypes::oid[]) with ordinality a(oid, n) order by n),
       (select split_part(s, '=', 2) from unnest(p.proconfig) s where s like 'statement_timeout=%%')
  from pg_catalog.pg_proc p
  join pg_catalog.pg_type t on t.oid = p.prorettype
 where p.pronamespace = %s::regnamespace and p.proname = %s and p.prokind = 'f'
"""
_BEGIN: LiteralString = """
select set_config('search_path', %s, true), set_config('statement_timeout', %s, true),
       set_config('role', %s, true), set_config('request.jwt.claims', %s, true),
       set_config('request.method', 'POST', true), set_config('request.path', %s, true),
       set_config('request.headers', %s, true)
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a request asks for and for whom. ``body`` is the JSON text exactly as it was sent."""

    function: str
    body: str
    claims: Mapping[str, Any]
    path: str
    headers: str


@dataclass(frozen=True, kw_only=True)
class Routine:
    """A database function as far as calling it goes. ``types`` holds each argument's SQL type by name."""

    returns_set: bool
    read_only: bool
    returns_void: bool
    returns_composite: bool
    required: frozenset[str]
    types: Mapping[str, str]
    statement_timeout: str | None

    def accepts(self, names: frozenset[str]) -> bool:
        """Whether a call with exactly these argument names finds this function."""
        return self.required <= names <= self.types.keys()


class Database:
    """Postgres behind PostgREST: a capped pool of connections, one transaction a call.

    Args:
        url: of a role that may become the token's roles.
        statement_timeout: seconds a statement may take, before a function's own setting.
        pool_size: connections at most.
        acquire_timeout: seconds a call waits for one of them.
    """

    def __init__(self, url: str, *, statement_timeout: float, pool_size: int, acquire_timeout: float) -> None:
        self._url = url
        self._statement_timeout = f"{statement_timeout * 1000:.0f}"
        self._acquire_timeout = acquire_timeout
        self._permits = threading.BoundedSemaphore(pool_size)
        self._idle: queue.LifoQueue[psycopg.Connection[Any]] = queue.LifoQueue()

    def close(self) -> None:
        """Close the idle connections; calls under way must have ended."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def run(self, call: Call) -> str | None:
        """Make the call, commit it, and return its result as JSON text; None when the function returns void.

        Raises:
            ApiError: whatever PostgREST would have answered instead.
        """
        names = _argument_names(call.body)
        with self._connection() as connection:
            try:
                with connection.transaction():
                    return self._run_in(connection, call, names)
            except psycopg.Error as error:
                raise from_postgres(error, authenticated=call.claims["role"] != ANON) from error

    def _run_in(self, connection: psycopg.Connection[Any], call: Call, names: frozenset[str]) -> str | None:
        routine = self._find(connection, call.function, names)
        if routine.read_only:
            connection.execute("set transaction read only")
        connection.execute(
            _BEGIN,
            (
                f'"{SCHEMA}", "extensions"',
                routine.statement_timeout or self._statement_timeout,
                call.claims["role"],
                json.dumps(dict(call.claims)),
                call.path,
                call.headers,
            ),
        )
        statement = _call_statement(call.function, routine, sorted(names))
        row = connection.execute(statement, (call.body,) if names else ()).fetchone()
        return None if routine.returns_void or row is None else str(row[0])

    def _find(self, connection: psycopg.Connection[Any], name: str, names: frozenset[str]) -> Routine:
        routines = [_routine(row) for row in connection.execute(_FIND, (SCHEMA, name))]
        matching = [routine for routine in routines if routine.accepts(names)]
        if not matching:
            _raise_not_found(name, sorted(names), routines)
        if len(matching) > 1:
            _raise_overloaded(name, matching)
        return matching[0]

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if not self._permits.acquire(timeout=self._acquire_timeout):
            raise pool_exhausted()
        try:
            connection = self._idle_or_new()
            try:
                yield connection
            finally:
                if not connection.closed:
                    self._idle.put(connection)
        finally:
            self._permits.release()

    def _idle_or_new(self) -> psycopg.Connection[Any]:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        try:
            return psycopg.connect(
                self._url, autocommit=True, connect_timeout=5, application_name="postgrest"
            )
        except psycopg.Error as error:
            raise no_connection(error) from error


def _routine(row: tuple[Any, ...]) -> Routine:
    returns_set, read_only, returns_void, composite, required, names, types, timeout = row
    return Routine(
        returns_set=returns_set,
        read_only=read_only,
        returns_void=returns_void,
        returns_composite=composite,
        required=frozenset(names[:required]),
        types=dict(zip(names, types, strict=False)),
        statement_timeout=timeout,
    )


def _argument_names(body: str) -> frozenset[str]:
    try:
        arguments = json.loads(body or "{}", parse_constant=_refuse_constant)
    except ValueError:
        raise ApiError(status=400, code="PGRST102", message="Empty or invalid json") from None
    if not isinstance(arguments, dict):
        raise ApiError(status=400, code="PGRST102", message="All object keys must match")
    return frozenset(arguments)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _call_statement(function: str, routine: Routine, names: list[str]) -> sql.Composed:
    """The statement that calls ``function``; its one parameter, when there are names, is the JSON body."""
    call = _function_call(function, names)
    if routine.returns_composite:
        source = sql.SQL("select pgrst_call.* from {}lateral {} pgrst_call")
        aggregate = "json_agg(_postgrest_t)"
    else:
        source = sql.SQL("select pgrst_call.pgrst_scalar from {}lateral (select {} pgrst_scalar) pgrst_call")
        aggregate = "json_agg(_postgrest_t.pgrst_scalar)"
    body = f"coalesce({aggregate}, '[]')" if routine.returns_set else f"coalesce({aggregate}->0, 'null')"
    return sql.SQL(
        "with pgrst_source as ({}) select {}::text from (select * from pgrst_source limit {}) _postgrest_t"
    ).format(
        source.format(_arguments(routine, names), call),
        sql.SQL(body),
        sql.Literal(MAX_ROWS),
    )


def _function_call(function: str, names: list[str]) -> sql.Composed:
    pairs = [
        sql.SQL("{} := pgrst_body.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in names
    ]
    return sql.SQL("{}({})").format(sql.Identifier(SCHEMA, function), sql.SQL(", ").join(pairs))


def _arguments(routine: Routine, names: list[str]) -> sql.Composable:
    if not names:
        return sql.SQL("")
    typed = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(routine.types[name])) for name in names]
    return sql.SQL(
        "(select %s::json as json_data) pgrst_payload,"
        " lateral (select {} from json_to_record(pgrst_payload.json_data) as _({}) limit 1) pgrst_body, "
    ).format(sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(typed))


def _raise_not_found(name: str, names: list[str], routines: list[Routine]) -> NoReturn:
    function = f"{SCHEMA}.{name}"
    given = f"({', '.join(names)})" if names else " without parameters"
    searched = f" with parameter{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else given
    hint = (
        f"Perhaps you meant to call the function {function}({', '.join(sorted(routines[0].types))})"
        if routines
        else None
    )
    raise ApiError(
        status=404,
        code="PGRST202",
        message=f"Could not find the function {function}{given} in the schema cache",
        details=f"Searched for the function {function}{searched} or with a single unnamed json/jsonb "
        "parameter, but no matches were found in the schema cache.",
        hint=hint,
    )


def _raise_overloaded(name: str, routines: list[Routine]) -> NoReturn:
    candidates = [
        f"{SCHEMA}.{name}({', '.join(f'{arg} => {type_}' for arg, type_ in routine.types.items())})"
        for routine in routines
    ]
    raise ApiError(
        status=300,
        code="PGRST203",
        message=f"Could not choose the best candidate function between: {', '.join(candidates)}",
        hint="Try renaming the parameters or the function itself in the database so function overloading"
        " can be resolved",
    )
