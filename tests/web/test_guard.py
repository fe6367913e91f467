"""What every request passes, and what every answer carries."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import httpx
import pytest

from fixionmail.web.guard import ANY_HOST
from tests.web.conftest import PUBLIC, Web

EVERYWHERE = [
    ("GET", "/api/status"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/unsubscribe/x"),
    ("POST", "/webhooks/resend"),
    ("GET", "/nothing"),
    ("DELETE", "/healthz"),
]


def talk(web: Web, request: bytes, *, seconds: float = 5) -> bytes:
    """Send these bytes and read until the server closes, for at most ``seconds``."""
    address = (httpx.URL(web.url).host, httpx.URL(web.url).port or 80)
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_every_answer_says_how_a_browser_is_to_treat_it(web: Web, method: str, path: str) -> None:
    headers = web.client.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_no_answer_names_the_server(web: Web, method: str, path: str) -> None:
    assert "server" not in web.client.request(method, path).headers


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/", "/.env", "/unsubscribe/", "/admin"]
)
def test_there_is_no_page_about_the_service(web: Web, path: str) -> None:
    answer = web.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


@pytest.mark.parametrize("host", ["evil.example", f"{PUBLIC}.evil.example", "", "[::2]", "a@b"])
def test_another_host_is_a_421(web: Web, host: str) -> None:
    answer = web.get("/api/status", headers={"host": host})
    assert (answer.status_code, answer.json()) == (
        421,
        {"error": "this server does not answer for that host"},
    )


@pytest.mark.parametrize(
    "host", [PUBLIC, f"{PUBLIC}:443", PUBLIC.upper(), "localhost:8080", "127.0.0.1", "[::1]:1"]
)
def test_our_own_hosts_are_served(web: Web, host: str) -> None:
    assert web.get("/api/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ANY_HOST)
def test_probes_may_know_us_by_any_name(web: Web, path: str) -> None:
    assert web.get(path, headers={"host": "web.railway.internal"}).status_code == 200


@pytest.mark.parametrize("size", [17_000, 200_000])
def test_a_head_that_is_too_large_is_refused(web: Web, size: int) -> None:
    with httpx.Client(base_url=web.url) as client, suppress(httpx.TransportError):  # it may hang up on us
        assert client.get("/healthz", headers={"x-large": "a" * size}).status_code in (400, 431)
        assert client.get("/healthz?" + "a" * size).status_code in (400, 431)
    assert web.get("/healthz").text == "ok"


def test_what_is_not_http_is_refused(web: Web) -> None:
    assert talk(web, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
def test_a_head_that_never_ends_is_given_up(web: Web) -> None:
    begun = time.monotonic()
    assert talk(web, b"GET /healthz HTTP/1.1\r\nx-slow: ", seconds=30) == b""
    assert 9 < time.monotonic() - begun < 20


@pytest.mark.slow
def test_a_body_that_never_comes_is_a_408(web: Web) -> None:
    head = (
        f"POST /unsubscribe/x HTTP/1.1\r\nhost: {PUBLIC}\r\nconnection: close\r\n"
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\n"
    )
    assert talk(web, head.encode() + b"List", seconds=40).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(web: Web) -> None:
    head = f"POST /unsubscribe/x HTTP/1.1\r\nhost: {PUBLIC}\r\ncontent-length: 100\r\n\r\nList"
    for _ in range(20):
        with socket.create_connection((httpx.URL(web.url).host, httpx.URL(web.url).port or 80)) as connection:
            connection.sendall(head.encode())
    assert web.get("/healthz").text == "ok"
