"""What our Resend client makes of every answer, and that all it asks for is in Resend's API description."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fixionmail import deadline
from fixionmail.errors import DeadlineExceededError, MailError, UnreachableError
from fixionmail.mail.resend import Resend
from fixionmail.models.mail import MailAnswer, Outcome
from tests.standins import openapi
from tests.standins.faults import Fault
from tests.standins.resend import ResendStandIn
from tests.standins.server import HttpServer, Reply, Request, json_reply


@pytest.fixture
def server() -> Iterator[ResendStandIn]:
    with ResendStandIn() as running:
        yield running


@pytest.fixture
def client(server: ResendStandIn) -> Iterator[Resend]:
    with Resend(api_key=server.api_key, url=server.url) as running:
        yield running


@contextmanager
def answering(reply: Callable[[Request], Reply], **options: Any) -> Iterator[Resend]:
    """A client of a server that answers as told."""
    with HttpServer(reply) as running, Resend(api_key="re_secret", url=running.url, **options) as client:
        yield client


def _fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "from": "FixionMail <stories@example.com>",
        "to": "ada@reader.test",
        "subject": "S",
        "text": "T",
    }
    return fields | changes


def _body(count: int, **changes: Any) -> bytes:
    return json.dumps(_fields(**changes) if count == 1 else [_fields(**changes)] * count).encode()


def _send(client: Resend, *, count: int = 1, key: str = "fm/b/1", **changes: Any) -> MailAnswer:
    return client.send(key=key, body=_body(count, **changes), count=count)


def _refuse(status: int, name: str, headers: dict[str, str] | None = None) -> Callable[[Request], Reply]:
    body = {"statusCode": status, "name": name, "message": "In a few\nwords"}
    return lambda _: json_reply(status, body, headers)


class TestAccepted:
    @pytest.mark.parametrize("count", [1, 2, 100])
    def test_the_ids_come_in_the_order_of_the_mails(
        self, server: ResendStandIn, client: Resend, count: int
    ) -> None:
        server.rate.limit = 7
        answer = _send(client, count=count)
        ids = tuple(mail.id for mail in server.ledger.mails())
        assert answer == MailAnswer(outcome=Outcome.ACCEPTED, ids=ids, status=200, rate_limit=7.0)
        assert len(ids) == count

    def test_a_batch_of_one_goes_out_as_a_batch(self, server: ResendStandIn, client: Resend) -> None:
        answer = client.send(key="k", body=json.dumps([_fields()]).encode(), count=1)
        assert answer.ids == (server.ledger.mails()[0].id,)

    def test_the_key_makes_a_repetition_harmless(self, server: ResendStandIn, client: Resend) -> None:
        assert _send(client, key="fm/x/1") == _send(client, key="fm/x/1")
        assert [mail.key for mail in server.ledger.mails()] == ["fm/x/1"]


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "outcome", "status"),
        [
            ({"to": "nobody"}, Outcome.REFUSED, 422),
            ({"text": ""}, Outcome.REFUSED, 422),
            ({"from": "a@unverified.test"}, Outcome.SENDER_REFUSED, 403),
        ],
        ids=["bad address", "missing field", "unverified domain"],
    )
    @pytest.mark.parametrize("count", [1, 3])
    def test_a_refusal_of_the_request_is_definite(
        self,
        server: ResendStandIn,
        client: Resend,
        changes: dict[str, Any],
        outcome: Outcome,
        status: int,
        count: int,
    ) -> None:
        answer = _send(client, count=count, **changes)
        assert (answer.outcome, answer.status) == (outcome, status)
        assert f"Resend answered {status}" in answer.error
        assert len(server.ledger) == 0

    def test_a_body_that_is_not_json_is_refused(self, client: Resend) -> None:
        answer = client.send(key="k", body=b"{", count=1)
        assert (answer.outcome, answer.status) == (Outcome.REFUSED, 400)

    def test_a_key_too_long_is_refused(self, client: Resend) -> None:
        assert _send(client, key="x" * 257).outcome is Outcome.REFUSED

    def test_a_wrong_key_is_ours_to_mend_and_never_shown(self, server: ResendStandIn) -> None:
        with Resend(api_key="re_wrong", url=server.url) as client:
            answer = _send(client)
        assert (answer.outcome, answer.status) == (Outcome.UNAUTHORIZED, 403)
        assert "re_wrong" not in answer.error

    @pytest.mark.parametrize(
        ("status", "name", "outcome"),
        [
            (400, "invalid_idempotency_key", Outcome.REFUSED),
            (400, "validation_error", Outcome.REFUSED),
            (401, "missing_api_key", Outcome.UNAUTHORIZED),
            (401, "restricted_api_key", Outcome.UNAUTHORIZED),
            (403, "invalid_api_key", Outcome.UNAUTHORIZED),
            (403, "validation_error", Outcome.SENDER_REFUSED),
            (404, "not_found", Outcome.UNAUTHORIZED),
            (405, "method_not_allowed", Outcome.UNAUTHORIZED),
            (409, "invalid_idempotent_request", Outcome.KEY_CONFLICT),
            (409, "concurrent_idempotent_requests", Outcome.CONCURRENT),
            (422, "invalid_attachment", Outcome.REFUSED),
            (422, "invalid_from_address", Outcome.REFUSED),
            (422, "invalid_parameter", Outcome.REFUSED),
            (422, "missing_required_field", Outcome.REFUSED),
            (429, "daily_quota_exceeded", Outcome.QUOTA),
            (429, "monthly_quota_exceeded", Outcome.QUOTA),
            (429, "rate_limit_exceeded", Outcome.RATE_LIMITED),
            (451, "security_error", Outcome.REFUSED),
            (500, "application_error", Outcome.AMBIGUOUS),
            (500, "internal_server_error", Outcome.AMBIGUOUS),
            (503, "service_unavailable", Outcome.AMBIGUOUS),
            (409, "something_new", Outcome.AMBIGUOUS),
        ],
    )
    def test_every_documented_error_is_told_apart(self, status: int, name: str, outcome: Outcome) -> None:
        with answering(_refuse(status, name)) as client:
            answer = _send(client)
        assert (answer.outcome, answer.status) == (outcome, status)
        assert answer.error == f"Resend answered {status} {name}: In a few words"

    @pytest.mark.parametrize("status", [400, 422, 500, 502, 503, 504, 520])
    def test_a_page_from_something_in_between_decides_nothing(self, status: int) -> None:
        with answering(lambda _: Reply(status=status, body=b"<html>Sorry</html>")) as client:
            assert _send(client).outcome is Outcome.AMBIGUOUS

    def test_a_redirect_is_not_followed_and_the_address_is_ours_to_mend(self) -> None:
        seen: list[Request] = []

        def redirect(request: Request) -> Reply:
            seen.append(request)
            return Reply(status=308, headers={"location": "/elsewhere"})

        with answering(redirect) as client:
            answer = _send(client)
        assert answer.outcome is Outcome.UNAUTHORIZED
        assert answer.error == "The address of Resend answered 308, and not in Resend's own words."
        assert [request.path for request in seen] == ["/emails"]


class TestConflicts:
    def test_other_bytes_under_a_used_key_are_a_conflict(self, server: ResendStandIn, client: Resend) -> None:
        _send(client)
        answer = _send(client, subject="Another")
        assert (answer.outcome, answer.status) == (Outcome.KEY_CONFLICT, 409)
        assert len(server.ledger) == 1

    def test_a_key_still_in_progress_is_to_be_waited_for(self, server: ResendStandIn) -> None:
        server.faults.add(Fault.SLOW_REQUEST, seconds=60)
        with Resend(api_key=server.api_key, url=server.url, read_timeout=0.1) as client:
            assert _send(client).outcome is Outcome.AMBIGUOUS
            assert _send(client).outcome is Outcome.CONCURRENT


class TestLimits:
    def test_a_rate_limit_says_how_long_to_wait_and_how_many_are_allowed(
        self, server: ResendStandIn, client: Resend
    ) -> None:
        server.rate.limit = 1
        _send(client, key="a")
        answer = _send(client, key="b")
        assert answer.outcome is Outcome.RATE_LIMITED
        assert (answer.wait_seconds, answer.rate_limit, answer.status) == (1.0, 1.0, 429)

    @pytest.mark.parametrize("period", ["daily", "monthly"])
    def test_a_quota_without_a_time_is_tried_again_after_an_hour(
        self, server: ResendStandIn, client: Resend, period: str
    ) -> None:
        setattr(server.quotas, period, 1)
        answer = _send(client, count=2)
        assert (answer.outcome, answer.wait_seconds) == (Outcome.QUOTA, 3600.0)
        assert f"{period}_quota_exceeded" in answer.error

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"retry-after": "17"}, 17.0),
            ({"retry-after": "0.5"}, 0.5),
            ({"retry-after": "999999999"}, 86_400.0),
            ({"retry-after": "soon", "ratelimit-reset": "3"}, 3.0),
            ({"retry-after": "-5"}, 1.0),
            ({"ratelimit-reset": "2"}, 2.0),
            ({}, 1.0),
        ],
        ids=str,
    )
    def test_the_wait_is_read_from_the_headers(self, headers: dict[str, str], wait: float) -> None:
        with answering(_refuse(429, "rate_limit_exceeded", headers)) as client:
            assert _send(client).wait_seconds == wait

    def test_a_date_to_wait_for_is_understood(self) -> None:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        with answering(_refuse(429, "daily_quota_exceeded", {"retry-after": moment})) as client:
            assert _send(client).wait_seconds == pytest.approx(100, abs=3)

    def test_an_outage_that_names_a_time_is_believed(self) -> None:
        with answering(lambda _: Reply(status=503, headers={"retry-after": "30"})) as client:
            answer = _send(client)
        assert (answer.outcome, answer.wait_seconds) == (Outcome.AMBIGUOUS, 30.0)

    @pytest.mark.parametrize(
        ("header", "rate"),
        [("10", 10.0), ("5, 5;w=1", 5.0), ("120, 120;w=60", 2.0), ("0", None), ("none", None)],
    )
    def test_the_rate_is_read_as_requests_a_second(self, header: str, rate: float | None) -> None:
        with answering(_refuse(422, "validation_error", {"ratelimit-limit": header})) as client:
            assert _send(client).rate_limit == rate


class TestAmbiguous:
    @pytest.mark.parametrize(
        ("fault", "sent"),
        [
            (Fault.LOST_REQUEST, 0),
            (Fault.LOST_REPLY, 2),
            (Fault.TRUNCATED_REPLY, 2),
            (Fault.BAD_STATUS, 0),
            (Fault.BAD_STATUS_AFTER, 2),
            (Fault.WRONG_COUNT, 2),
        ],
    )
    def test_after_a_fault_the_same_request_gets_its_ids_and_each_mail_went_once(
        self, server: ResendStandIn, client: Resend, fault: Fault, sent: int
    ) -> None:
        server.faults.add(fault)
        answer = _send(client, count=2)
        assert (answer.outcome, answer.ids) == (Outcome.AMBIGUOUS, ())
        assert answer.error
        assert len(server.ledger) == sent
        again = _send(client, count=2)
        assert (again.outcome, len(again.ids), len(server.ledger)) == (Outcome.ACCEPTED, 2, 2)

    def test_the_wrong_count_is_named(self, server: ResendStandIn, client: Resend) -> None:
        server.faults.add(Fault.WRONG_COUNT)
        assert _send(client, count=3).error == "Resend answered 200 with 2 ids for 3 mails."

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'{"data": 5}',
            b'{"data": [5, 6]}',
            b'{"data": [{"id": ""}, {"id": 7}]}',
            b'{"data": [{"id": "a"}, {"id": "a"}]}',
            b'{"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}',
            b"\xff\xfe",
        ],
    )
    def test_a_success_that_cannot_be_read_is_not_believed(self, body: bytes) -> None:
        with answering(lambda _: Reply(status=200, body=body)) as client:
            answer = _send(client, count=2)
        assert (answer.outcome, answer.ids, answer.status) == (Outcome.AMBIGUOUS, (), 200)

    def test_when_nobody_listens_the_error_says_that_nothing_was_sent(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with Resend(api_key="re_secret", url=url) as client:
                answer = _send(client)
        assert (answer.outcome, answer.status) == (Outcome.AMBIGUOUS, None)
        assert answer.error.startswith("Resend cannot be reached, nothing was sent: ")


class TestTime:
    def test_an_answer_that_does_not_come_is_given_up_after_the_read_timeout(
        self, server: ResendStandIn
    ) -> None:
        server.faults.add(Fault.SLOW_REPLY, seconds=60)
        with Resend(api_key=server.api_key, url=server.url, read_timeout=0.2) as client:
            started = time.monotonic()
            assert _send(client).outcome is Outcome.AMBIGUOUS
        assert time.monotonic() - started < 5

    def test_an_answer_that_trickles_is_given_up_after_the_total_timeout(self) -> None:
        with _trickling() as url, Resend(api_key="re_secret", url=url, total_timeout=0.3) as client:
            started = time.monotonic()
            answer = _send(client)
        assert answer.outcome is Outcome.AMBIGUOUS
        assert 0.3 <= time.monotonic() - started < 5

    def test_the_works_deadline_shortens_the_wait(self, server: ResendStandIn, client: Resend) -> None:
        server.faults.add(Fault.SLOW_REPLY, seconds=60)
        started = time.monotonic()
        with deadline.limit(0.2):
            assert _send(client).outcome is Outcome.AMBIGUOUS
        assert time.monotonic() - started < 5

    def test_without_time_left_nothing_is_sent(self, server: ResendStandIn, client: Resend) -> None:
        with deadline.limit(0.0), pytest.raises(DeadlineExceededError):
            _send(client)
        assert len(server.ledger) == 0


@contextmanager
def _trickling() -> Iterator[str]:
    """A server whose answer comes one byte every 50 ms, for ever."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not done.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


class TestReadingBack:
    def test_a_mail_is_found_with_its_state_and_tags(self, server: ResendStandIn, client: Resend) -> None:
        [email_id] = _send(client, tags=[{"name": "delivery", "value": "d1"}]).ids
        found = client.find(email_id)
        assert found is not None
        assert (found.id, found.to, found.subject) == (email_id, ("ada@reader.test",), "S")
        assert (found.last_event, found.tags) == ("delivered", {"delivery": "d1"})
        assert abs(found.created_at.timestamp() - server.clock.now()) < 60

    def test_a_mail_resend_does_not_know_is_none(self, client: Resend) -> None:
        assert client.find("no/such id") is None

    def test_pages_lead_through_all_mails_from_new_to_old(self, client: Resend) -> None:
        ids = _send(client, count=5).ids
        seen: list[str] = []
        after: str | None = None
        while True:
            page = client.list_mails(after=after, limit=2)
            seen += [mail.id for mail in page.mails]
            after = page.next_after
            if after is None:
                break
        assert tuple(seen) == ids[::-1]

    def test_an_account_without_mails_has_one_empty_page(self, client: Resend) -> None:
        page = client.list_mails()
        assert (page.mails, page.next_after) == ((), None)

    def test_the_domains_come_with_their_status(self, client: Resend) -> None:
        assert [(domain.name, domain.status) for domain in client.domains()] == [("example.com", "verified")]

    def test_a_key_that_may_only_send_is_told_in_words(self, server: ResendStandIn) -> None:
        with Resend(api_key=server.sending_key, url=server.url) as client:
            assert _send(client).outcome is Outcome.ACCEPTED
            with pytest.raises(MailError, match="restricted to only send emails"):
                client.domains()

    def test_a_wrong_url_is_told_in_words(self) -> None:
        with (
            answering(lambda _: Reply(status=200, body=b"<html>")) as client,
            pytest.raises(MailError, match="RESEND_API_URL"),
        ):
            client.domains()

    @pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.BAD_STATUS])
    def test_an_outage_is_unreachable(self, server: ResendStandIn, client: Resend, fault: Fault) -> None:
        server.faults.add(fault)
        with pytest.raises(UnreachableError):
            client.list_mails()


class TestRequests:
    def test_every_request_is_in_the_api_description(self) -> None:
        seen: list[Request] = []

        def record(request: Request) -> Reply:
            seen.append(request)
            return json_reply(404, {"statusCode": 404, "name": "not_found", "message": "Email not found"})

        tags = [{"name": "delivery", "value": "d1"}]
        with answering(record) as client:
            _send(client, tags=tags, headers={"X-A": "1"}, html="<p>T</p>")
            _send(client, count=100, key="x" * 256)
            client.find("4ef9a417-02e9-4d39-ad75-9611e0fcc33c")
            client.list_mails()
            client.list_mails(after="4ef9a417-02e9-4d39-ad75-9611e0fcc33c", limit=7)
            client.domains()
        assert [f"{request.method} {request.path}" for request in seen] == [
            "POST /emails",
            "POST /emails/batch",
            "GET /emails/4ef9a417-02e9-4d39-ad75-9611e0fcc33c",
            "GET /emails",
            "GET /emails",
            "GET /domains",
        ]
        for request in seen:
            openapi.check_request(request)
        assert (seen[0].headers["idempotency-key"], seen[0].body) == (
            "fm/b/1",
            _body(1, tags=tags, headers={"X-A": "1"}, html="<p>T</p>"),
        )

    def test_connections_are_reused_by_many_threads(self, server: ResendStandIn, client: Resend) -> None:
        def send_ten(thread: int) -> None:
            for number in range(10):
                assert _send(client, key=f"{thread}/{number}").outcome is Outcome.ACCEPTED

        threads = [threading.Thread(target=send_ten, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.ledger) == 40
        assert 1 <= server.connections_accepted <= 4

    def test_the_key_never_appears_in_an_error_that_repeats_it(self) -> None:
        def echo(request: Request) -> Reply:
            message = f"Bad header: {request.headers['authorization']}"
            return json_reply(401, {"statusCode": 401, "name": "missing_api_key", "message": message})

        with answering(echo) as client:
            assert _send(client).error == "Resend answered 401 missing_api_key: Bad header: Bearer ***"
            with pytest.raises(MailError) as raised:
                client.domains()
        assert "re_secret" not in str(raised.value)
