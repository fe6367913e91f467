"""``/unsubscribe/{token}``: RFC 8058 for mail clients, a plain page for people, nothing for guessers."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from fixionmail.models.verdict import Verdict
from fixionmail.web.rates import MOST_CLIENTS, Rates
from tests.web.conftest import Web

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def reader(web: Web) -> UUID:
    (user,) = web.world.subscribe()
    return user


def path(user: object) -> str:
    return f"/unsubscribe/token-{user}"


def status(web: Web, user: UUID) -> str:
    return str(web.world.row("users", user)["status"])


class TestTheLinkInAMail:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_changes_nothing_when_a_scanner_opens_it(self, web: Web, reader: UUID, method: str) -> None:
        web.client.request(method, path(reader))
        assert status(web, reader) == "active"

    def test_shows_a_form_that_works_without_scripts(self, web: Web, reader: UUID) -> None:
        page = web.get(path(reader))
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<script" not in page.text
        assert '<form method="post">' in page.text

    def test_says_nothing_about_the_reader(self, web: Web, reader: UUID) -> None:
        page = web.get(path(reader)).text
        assert "@" not in page.partition("</style>")[2]
        assert str(reader) not in page

    def test_is_not_kept_indexed_framed_or_passed_on(self, web: Web, reader: UUID) -> None:
        headers = web.get(path(reader)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-robots-tag"] == "noindex"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]

    def test_allows_its_own_style_and_no_other(self, web: Web, reader: UUID) -> None:
        import base64
        import hashlib

        page = web.get(path(reader))
        style = re.search("<style>(.*)</style>", page.text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]


class TestOneClick:
    def test_unsubscribes(self, web: Web, reader: UUID) -> None:
        answer = web.post(path(reader), data=ONE_CLICK)
        assert answer.status_code == 200
        assert status(web, reader) == "unsubscribed"

    def test_as_multipart_unsubscribes(self, web: Web, reader: UUID) -> None:
        web.post(path(reader), files={"List-Unsubscribe": (None, "One-Click")})
        assert status(web, reader) == "unsubscribed"

    def test_twice_is_as_good_as_once(self, web: Web, reader: UUID) -> None:
        pages = [web.post(path(reader), data=ONE_CLICK) for _ in range(2)]
        assert pages[0].text == pages[1].text
        assert pages[1].status_code == 200

    def test_is_effective_before_the_next_mail_is_made(self, web: Web) -> None:
        (delivery,) = web.world.deliveries()
        user = web.world.row("scheduled_deliveries", delivery)["user_id"]
        web.post(path(user), data=ONE_CLICK)
        assert web.world.open().verdict is Verdict.EMPTY
        assert web.world.state("scheduled_deliveries", delivery) == "cancelled"

    def test_with_another_content_type_does_nothing(self, web: Web, reader: UUID) -> None:
        assert web.post(path(reader), json=ONE_CLICK).status_code == 415
        assert status(web, reader) == "active"

    def test_of_ten_megabytes_does_nothing(self, web: Web, reader: UUID) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = web.post(path(reader), content=b"x" * 10_000_000, headers=headers)
        assert answer.status_code == 413
        assert status(web, reader) == "active"


class TestATokenOfALongGoneReader:
    @pytest.mark.parametrize("gone", ["unsubscribed", "suppressed", "removed"])
    def test_is_answered_as_any_other_and_changes_nothing(self, web: Web, reader: UUID, gone: str) -> None:
        usual = web.get(path(reader)).text, web.post(path(reader)).text
        web.world.change("update users set status = %s where id = %s", gone, reader)
        before = web.world.row("users", reader)
        assert (web.get(path(reader)).text, web.post(path(reader), data=ONE_CLICK).text) == usual
        assert web.world.row("users", reader) == before


class TestATokenThatNobodyHas:
    @pytest.mark.parametrize(
        "token",
        ["x", "token-", "x" * 5000, "%00", "%F0%9F%A6%8A", "..%2f..%2fetc", "'--", "%3Cscript%3E"],
        ids=lambda token: token[:20],
    )
    def test_is_a_plain_page_and_a_404(self, web: Web, token: str) -> None:
        for answer in (web.get(f"/unsubscribe/{token}"), web.post(f"/unsubscribe/{token}")):
            assert answer.status_code == 404
            assert "token" not in answer.text
            assert "script" not in answer.text.partition("</style>")[2]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_is_answered_as_slowly_as_one_that_somebody_has(
        self, web: Web, reader: UUID, method: str
    ) -> None:
        known = _median(lambda: web.client.request(method, path(reader)))
        unknown = _median(lambda: web.client.request(method, path("nobody")))
        assert min(known, unknown) >= 0.1
        assert abs(known - unknown) < 0.05

    def test_cannot_be_guessed_at_speed(self) -> None:
        rates, now = Rates(10, 60, lambda: now), 0.0
        assert [rates.allow("a") for _ in range(61)] == [True] * 60 + [False]
        assert rates.allow("b")
        now = 0.1
        assert [rates.allow("a"), rates.allow("a")] == [True, False]

    def test_leaves_no_more_than_a_bounded_memory_of_who_asked(self) -> None:
        rates = Rates(10, 60)
        for client in range(MOST_CLIENTS + 100):
            rates.allow(str(client))
        assert len(rates._buckets) == MOST_CLIENTS


def _median(ask: Callable[[], httpx.Response]) -> float:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
