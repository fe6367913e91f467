"""A strict stand-in for Supabase's data API: PostgREST's RPC rules in front of a real Postgres.

It follows PostgREST 14: role from the key, one transaction a request, functions found by name and argument
names, arguments through ``json_to_record``, functions that are not volatile in a read-only transaction, sets
cut at 1,000 rows, errors and HTTP statuses as documented. Only ``POST /rest/v1/rpc/<function>`` is served.

Started by hand, it prints one line of JSON with its URL and keys::

    python -m tests.standins.postgrest --database-url postgresql://...
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from typing import Self

from tests.standins import control
from tests.standins.clock import Clock
from tests.standins.faults import Fault, FaultPlan, FaultRule
from tests.standins.postgrest_errors import ApiError
from tests.standins.postgrest_keys import GatewayError, Keys
from tests.standins.postgrest_rpc import Call, Database
from tests.standins.server import ConnectionCutError, HttpServer, Reply, Request, json_reply, wait_for_signal

_RPC = "/rest/v1/rpc/"


class PostgrestStandIn:
    """A running stand-in; a context manager that stops it.

    Args:
        database_url: of a role that may become ``service_role`` and ``anon``.
        statement_timeout: seconds a statement may take, as Supabase sets it.
        pool_size: connections to Postgres at most.
        acquire_timeout: seconds a request waits for a connection before it is answered 504.
        port: TCP port on 127.0.0.1; 0 picks a free one.
    """

    def __init__(
        self,
        database_url: str,
        *,
        statement_timeout: float = 8.0,
        pool_size: int = 10,
        acquire_timeout: float = 10.0,
        port: int = 0,
    ) -> None:
        self.clock = Clock()
        self.faults = FaultPlan()
        self.keys = Keys(self.clock)
        self._stopping = threading.Event()
        self._database = Database(
            database_url,
            statement_timeout=statement_timeout,
            pool_size=pool_size,
            acquire_timeout=acquire_timeout,
        )
        self._server = HttpServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """What SUPABASE_URL is set to."""
        return self._server.url

    @property
    def service_key(self) -> str:
        """The legacy key (a JWT) of service_role."""
        return self.keys.current.service_key

    @property
    def anon_key(self) -> str:
        """The legacy key (a JWT) of anon."""
        return self.keys.current.anon_key

    @property
    def secret_key(self) -> str:
        """The new-style key (``sb_secret_…``) of service_role."""
        return self.keys.current.secret_key

    @property
    def publishable_key(self) -> str:
        """The new-style key (``sb_publishable_…``) of anon."""
        return self.keys.current.publishable_key

    def rotate_keys(self) -> None:
        """Replace all keys: from now on the old ones are answered 401."""
        self.keys.rotate()

    def close(self) -> None:
        """Stop serving and let go of the database."""
        self._stopping.set()
        self._server.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply:
        if request.path.startswith(control.PREFIX):
            return control.answer(request, self.faults, self.clock)
        function = request.path.removeprefix(_RPC)
        rule = self.faults.take(function)
        if rule is None:
            return self._serve(request, function)
        return self._spoil(rule, request, function)

    def _spoil(self, rule: FaultRule, request: Request, function: str) -> Reply:
        match rule.fault:
            case Fault.LOST_REQUEST:
                raise ConnectionCutError
            case Fault.BAD_STATUS:
                return _gateway_page(rule.status)
            case Fault.SLOW_REQUEST:
                self._stopping.wait(rule.seconds)
        reply = self._serve(request, function)
        match rule.fault:
            case Fault.LOST_REPLY:
                raise ConnectionCutError
            case Fault.BAD_STATUS_AFTER:
                return _gateway_page(rule.status)
            case Fault.SLOW_REPLY:
                self._stopping.wait(rule.seconds)
            case Fault.TRUNCATED_REPLY:
                return Reply(
                    status=reply.status,
                    body=reply.body,
                    headers=reply.headers,
                    sent_bytes=len(reply.body) // 2,
                )
        return reply

    def _serve(self, request: Request, function: str) -> Reply:
        try:
            return self._serve_rpc(request, function)
        except GatewayError as error:
            return json_reply(401, error.body)
        except ApiError as error:
            return _error_reply(error)

    def _serve_rpc(self, request: Request, function: str) -> Reply:
        claims = self.keys.claims_of(request.headers)
        if not request.path.startswith(_RPC):
            raise ApiError(status=404, code="PGRST125", message="Invalid path specified in request URL")
        if request.method != "POST":
            raise ApiError(
                status=405, code="PGRST101", message=f"Cannot use the {request.method} method on RPC"
            )
        headers = json.dumps({name.lower(): value for name, value in request.headers.items()})
        call = Call(
            function=function,
            body=request.body.decode(),
            claims=claims,
            path=request.path.removeprefix("/rest/v1"),
            headers=headers,
        )
        result = self._database.run(call)
        if result is None:
            return Reply(status=204)
        return Reply(
            status=200, body=result.encode(), headers={"content-type": "application/json; charset=utf-8"}
        )


def _error_reply(error: ApiError) -> Reply:
    headers = {"proxy-status": f"PostgREST; error={error.code}"}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return json_reply(error.status, error.body(), headers)


def _gateway_page(status: int) -> Reply:
    page = f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"
    return Reply(status=status, body=page.encode(), headers={"content-type": "text/html"})


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        description="A stand-in for Supabase's RPC endpoint in front of a Postgres."
    )
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--statement-timeout", type=float, default=8.0, help="seconds")
    parser.add_argument("--pool-size", type=int, default=10)
    options = parser.parse_args()
    with PostgrestStandIn(
        options.database_url,
        statement_timeout=options.statement_timeout,
        pool_size=options.pool_size,
        port=options.port,
    ) as server:
        keys = server.keys.current
        line = {
            "url": server.url,
            "service_key": keys.service_key,
            "anon_key": keys.anon_key,
            "secret_key": keys.secret_key,
            "publishable_key": keys.publishable_key,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        wait_for_signal()


if __name__ == "__main__":
    main()
