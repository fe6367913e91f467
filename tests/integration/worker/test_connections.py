"""How the worker connects."""

from __future__ import annotations

import pytest
from redis.connection import SSLConnection, UnixDomainSocketConnection

from fixionmail.jobs.worker.connections import connect
from tests.integration.worker.servers import RedisServer


def test_a_rediss_url_makes_a_tls_client_that_checks_certificates() -> None:
    client = connect("rediss://default:secret@example.upstash.io:6379")
    connection = client.connection_pool.make_connection()
    assert isinstance(connection, SSLConnection)
    assert connection.check_hostname
    assert (connection.host, connection.port, connection.password) == ("example.upstash.io", 6379, "secret")


def test_a_unix_socket_can_be_named() -> None:
    connection = connect("unix:///run/redis.sock").connection_pool.make_connection()
    assert isinstance(connection, UnixDomainSocketConnection)


def test_a_connection_costs_no_command_of_its_own(shared_server: RedisServer) -> None:
    first = connect(shared_server.url)
    before = first.info("stats")["total_commands_processed"]
    second = connect(shared_server.url)
    second.execute_command("PING")
    assert (
        first.info("stats")["total_commands_processed"] == before + 2
    )  # the PING, and the first INFO itself
    first.close()
    second.close()


@pytest.mark.parametrize("timeout", [10.0, 315.0])
def test_commands_are_never_sent_twice_by_the_client(timeout: float) -> None:
    connection = connect("redis://127.0.0.1", reply_timeout=timeout).connection_pool.make_connection()
    assert connection.retry.get_retries() == 0
    assert connection.socket_timeout == timeout
    assert connection.socket_keepalive
