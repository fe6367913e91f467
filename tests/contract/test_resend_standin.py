"""The stand-in for Resend keeps the rules Resend documents."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.standins import openapi, resend_ledger
from tests.standins.faults import Fault
from tests.standins.resend import ResendStandIn
from tests.standins.resend_webhooks import WebhookPlan, signature
from tests.standins.server import HttpServer, Reply, Request


def email(**changes: Any) -> dict[str, Any]:
    """A mail that is fine but for ``changes``; None takes a field out."""
    fields = {
        "from": "FixionMail <stories@example.com>",
        "to": ["ada@reader.test"],
        "subject": "A story",
        "html": "<p>Once</p>",
        "text": "Once",
        "tags": [{"name": "delivery", "value": "d1"}, {"name": "local_date", "value": "2026-03-29"}],
        "headers": {"List-Unsubscribe": "<https://example.com/u/1>"},
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


@pytest.fixture
def server() -> Iterator[ResendStandIn]:
    with ResendStandIn() as running:
        yield running


@pytest.fixture
def http(server: ResendStandIn) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=10, verify=False) as client:
        yield client


def _post(http: httpx.Client, body: object, key: str | None = None) -> httpx.Response:
    path = "/emails/batch" if isinstance(body, list) else "/emails"
    return http.post(path, json=body, headers={} if key is None else {"idempotency-key": key})


def _refusal(reply: httpx.Response) -> tuple[int, str]:
    fields = reply.json()
    assert fields.keys() == {"statusCode", "name", "message"}
    assert fields["statusCode"] == reply.status_code
    return reply.status_code, fields["name"]


class TestSending:
    def test_one_mail_is_answered_with_its_id_and_put_in_the_ledger(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        answer = _post(http, email(), "k").json()
        openapi.check_answer("POST", "/emails", answer)
        [mail] = server.ledger.mails()
        assert mail.id == answer["id"]
        assert (mail.to, mail.subject, mail.key) == (["ada@reader.test"], "A story", "k")
        assert mail.headers == {"List-Unsubscribe": "<https://example.com/u/1>"}
        assert server.ledger.mails_per("ada@reader.test", "2026-03-29") == 1

    def test_a_batch_is_answered_with_ids_by_position(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        answer = _post(http, [email(to=f"r{n}@reader.test") for n in range(100)]).json()
        openapi.check_answer("POST", "/emails/batch", answer)
        assert [item["id"] for item in answer["data"]] == [mail.id for mail in server.ledger.mails()]
        assert [mail.to for mail in server.ledger.mails()] == [[f"r{n}@reader.test"] for n in range(100)]

    def test_without_a_date_tag_the_ledger_counts_by_utc_day(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        _post(http, email(tags=None))
        _post(http, email(tags=None, to="ADA@reader.test"))
        [(address, _), number] = next(iter(server.ledger.duplicates().items()))
        assert (address, number) == ("ada@reader.test", 2)

    def test_the_ledgers_file_can_be_read_by_somebody_else(self, tmp_path: Path) -> None:
        file = tmp_path / "ledger.jsonl"
        with ResendStandIn(ledger_file=file) as server:
            headers = {"authorization": f"Bearer {server.api_key}"}
            httpx.post(
                f"{server.url}/emails/batch", json=[email(), email(to="b@reader.test")], headers=headers
            )
        mails = resend_ledger.read_file(file)
        assert [mail.id for mail in mails] == [mail.id for mail in server.ledger.mails()]
        assert resend_ledger.count(mails) == server.ledger.counts()


class TestReading:
    def test_a_mail_can_be_read_back_with_its_state(self, server: ResendStandIn, http: httpx.Client) -> None:
        email_id = _post(http, email()).json()["id"]
        fields = http.get(f"/emails/{email_id}").json()
        openapi.check_answer("GET", f"/emails/{email_id}", fields)
        assert (fields["id"], fields["last_event"]) == (email_id, "delivered")

    def test_an_unknown_mail_is_not_found(self, http: httpx.Client) -> None:
        assert _refusal(http.get("/emails/nobody")) == (404, "not_found")

    def test_mails_are_listed_from_new_to_old_in_pages(self, http: httpx.Client) -> None:
        ids = [_post(http, email()).json()["id"] for _ in range(5)]
        first = http.get("/emails", params={"limit": 2}).json()
        openapi.check_answer("GET", "/emails", first)
        assert ([item["id"] for item in first["data"]], first["has_more"]) == ([ids[4], ids[3]], True)
        rest = http.get("/emails", params={"after": ids[3]}).json()
        assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids[2], ids[1], ids[0]], False)
        newer = http.get("/emails", params={"before": ids[2], "limit": 1}).json()
        assert ([item["id"] for item in newer["data"]], newer["has_more"]) == ([ids[3]], True)

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"after": "nobody"}])
    def test_a_page_that_cannot_be_is_refused(self, http: httpx.Client, query: dict[str, Any]) -> None:
        assert _refusal(http.get("/emails", params=query)) == (400, "validation_error")

    def test_the_verified_domains_are_listed(self, http: httpx.Client) -> None:
        answer = http.get("/domains").json()
        openapi.check_answer("GET", "/domains", answer)
        assert [(item["name"], item["status"]) for item in answer["data"]] == [("example.com", "verified")]

    @pytest.mark.parametrize(
        ("method", "path", "refusal"),
        [
            ("GET", "/v2/emails", (404, "not_found")),
            ("DELETE", "/emails", (405, "method_not_allowed")),
        ],
    )
    def test_other_endpoints_are_refused(
        self, http: httpx.Client, method: str, path: str, refusal: tuple[int, str]
    ) -> None:
        assert _refusal(http.request(method, path)) == refusal


class TestKeys:
    @pytest.mark.parametrize(
        ("authorization", "refusal"),
        [
            (None, (401, "missing_api_key")),
            ("Basic abc", (401, "missing_api_key")),
            ("Bearer re_wrong", (403, "invalid_api_key")),
        ],
    )
    def test_without_the_right_key_nothing_is_sent(
        self, server: ResendStandIn, authorization: str | None, refusal: tuple[int, str]
    ) -> None:
        headers = {} if authorization is None else {"authorization": authorization}
        assert _refusal(httpx.post(f"{server.url}/emails", json=email(), headers=headers)) == refusal
        assert len(server.ledger) == 0

    def test_a_sending_key_sends_and_reads_nothing(self, server: ResendStandIn) -> None:
        headers = {"authorization": f"Bearer {server.sending_key}"}
        assert httpx.post(f"{server.url}/emails", json=email(), headers=headers).status_code == 200
        assert _refusal(httpx.get(f"{server.url}/domains", headers=headers)) == (401, "restricted_api_key")

    def test_a_replaced_key_is_worthless(self, server: ResendStandIn, http: httpx.Client) -> None:
        server.api_key = "re_another"
        assert _refusal(_post(http, email())) == (403, "invalid_api_key")


class TestIdempotency:
    @pytest.mark.parametrize("body", [email(), [email(), email(to="b@reader.test")]], ids=["one", "batch"])
    def test_the_same_request_is_answered_the_same_and_sends_nothing(
        self, server: ResendStandIn, http: httpx.Client, body: object
    ) -> None:
        first = _post(http, body, "k").json()
        sent = len(server.ledger)
        assert _post(http, body, "k").json() == first
        assert len(server.ledger) == sent

    def test_another_body_under_the_same_key_is_a_conflict(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        _post(http, email(), "k")
        assert _refusal(_post(http, email(subject="Another"), "k")) == (409, "invalid_idempotent_request")
        assert _refusal(_post(http, [email()], "k")) == (409, "invalid_idempotent_request")
        assert len(server.ledger) == 1

    def test_a_key_whose_first_request_is_in_progress_is_a_conflict(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        server.faults.add(Fault.SLOW_REQUEST, seconds=60)
        with pytest.raises(httpx.ReadTimeout):
            http.post("/emails", json=email(), headers={"idempotency-key": "k"}, timeout=0.1)
        assert _refusal(_post(http, email(), "k")) == (409, "concurrent_idempotent_requests")

    def test_a_request_given_up_by_its_client_is_still_carried_out(self, server: ResendStandIn) -> None:
        server.faults.add(Fault.SLOW_REQUEST, seconds=0.2)
        headers = {"authorization": f"Bearer {server.api_key}", "idempotency-key": "k"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/emails", json=email(), headers=headers, timeout=0.05)
        server.close()
        assert len(server.ledger) == 1

    def test_after_24_hours_the_same_key_sends_again(self, server: ResendStandIn, http: httpx.Client) -> None:
        first = _post(http, email(), "k").json()
        server.clock.advance(24 * 3600 - 1)
        assert _post(http, email(), "k").json() == first
        server.clock.advance(2)
        assert _post(http, email(), "k").json() != first
        assert len(server.ledger) == 2

    def test_a_refused_request_leaves_its_key_free(self, server: ResendStandIn, http: httpx.Client) -> None:
        assert _post(http, email(to=None), "k").status_code == 422
        assert _post(http, email(), "k").status_code == 200

    @pytest.mark.parametrize("key", ["", "x" * 257])
    def test_a_key_too_short_or_long_is_refused(self, http: httpx.Client, key: str) -> None:
        assert _refusal(_post(http, email(), key)) == (400, "invalid_idempotency_key")

    def test_of_many_requests_at_once_only_one_sends(self, server: ResendStandIn, http: httpx.Client) -> None:
        threads = [threading.Thread(target=_post, args=(http, [email()] * 20, "k")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.ledger) == 20


_REFUSED: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "no from": ({"from": None}, (422, "missing_required_field")),
    "no to": ({"to": None}, (422, "missing_required_field")),
    "no subject": ({"subject": None}, (422, "missing_required_field")),
    "no body": ({"html": None, "text": None}, (422, "missing_required_field")),
    "to is a number": ({"to": 5}, (422, "validation_error")),
    "to is empty": ({"to": []}, (422, "validation_error")),
    "to is 51": ({"to": [f"r{n}@reader.test" for n in range(51)]}, (422, "validation_error")),
    "to holds a number": ({"to": [5]}, (422, "validation_error")),
    "to is no address": ({"to": "ada"}, (422, "validation_error")),
    "to has two at signs": ({"to": "a@b@reader.test"}, (422, "validation_error")),
    "to has a line break": ({"to": "ada@reader.test\nBcc: eve@reader.test"}, (422, "validation_error")),
    "to is not ascii": ({"to": "ädä@reader.test"}, (422, "validation_error")),
    "to is 255 characters": ({"to": "a@" + ".".join(["x" * 62] * 4) + ".com"}, (422, "validation_error")),
    "from is no address": ({"from": "FixionMail"}, (422, "validation_error")),
    "from has a line break": ({"from": "Fix\nion <a@example.com>"}, (422, "validation_error")),
    "from is not verified": ({"from": "a@elsewhere.test"}, (403, "validation_error")),
    "subject is a number": ({"subject": 5}, (422, "validation_error")),
    "subject has a line break": ({"subject": "A\nB"}, (422, "validation_error")),
    "html is a list": ({"html": ["x"]}, (422, "validation_error")),
    "headers is a list": ({"headers": []}, (422, "validation_error")),
    "a header is a number": ({"headers": {"X-A": 1}}, (422, "validation_error")),
    "a header breaks the line": ({"headers": {"X-A": "1\r\nBcc: x"}}, (422, "validation_error")),
    "a header name has a space": ({"headers": {"X A": "1"}}, (422, "validation_error")),
    "tags is an object": ({"tags": {}}, (422, "validation_error")),
    "a tag has a dot": ({"tags": [{"name": "a", "value": "b.c"}]}, (422, "validation_error")),
    "a tag is too long": ({"tags": [{"name": "a", "value": "b" * 257}]}, (422, "validation_error")),
    "a tag has no value": ({"tags": [{"name": "a"}]}, (422, "validation_error")),
    "an unknown field": ({"subjekt": "x"}, (422, "validation_error")),
}


class TestRules:
    @pytest.mark.parametrize(("changes", "refusal"), _REFUSED.values(), ids=_REFUSED.keys())
    def test_a_wrong_mail_is_refused(
        self, server: ResendStandIn, http: httpx.Client, changes: dict[str, Any], refusal: tuple[int, str]
    ) -> None:
        assert _refusal(_post(http, email(**changes))) == refusal
        assert len(server.ledger) == 0

    @pytest.mark.parametrize("changes", [changes for changes, _ in _REFUSED.values()], ids=_REFUSED.keys())
    def test_one_wrong_mail_spoils_its_whole_batch(
        self, server: ResendStandIn, http: httpx.Client, changes: dict[str, Any]
    ) -> None:
        assert _post(http, [email(), email(**changes), email()]).status_code in (403, 422)
        assert len(server.ledger) == 0

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"to": "Ada Lovelace <ada@reader.test>"},
            {"to": [f"r{n}@reader.test" for n in range(50)]},
            {"reply_to": "help@example.com", "cc": ["c@reader.test"], "bcc": "b@reader.test"},
            {"html": None},
            {"subject": "\u202e \U0001f4da " + "x" * 10_000},
            {"from": "stories@EXAMPLE.com"},
        ],
        ids=["plain", "named", "fifty", "copies", "text only", "long subject", "upper-case domain"],
    )
    def test_what_it_takes_the_api_description_allows(
        self, http: httpx.Client, changes: dict[str, Any]
    ) -> None:
        assert openapi.allows_email(email(**changes))
        assert _post(http, email(**changes)).status_code == 200

    def test_everything_the_api_description_forbids_is_among_the_refusals_tested(self) -> None:
        forbidden = {
            name for name, (changes, _) in _REFUSED.items() if not openapi.allows_email(email(**changes))
        }
        assert forbidden >= {"no from", "no to", "no subject", "to is a number", "to is empty", "to is 51"}
        assert forbidden >= {
            "subject is a number",
            "html is a list",
            "headers is a list",
            "tags is an object",
        }

    @pytest.mark.parametrize("body", [[], [email()] * 101, [5], {"data": []}, "text"], ids=str)
    def test_a_batch_of_the_wrong_shape_is_refused(self, http: httpx.Client, body: object) -> None:
        assert _refusal(http.post("/emails/batch", json=body)) == (400, "validation_error")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
    def test_one_mail_that_is_no_object_is_refused(self, http: httpx.Client, body: bytes) -> None:
        assert _refusal(http.post("/emails", content=body)) == (400, "validation_error")

    @pytest.mark.parametrize("name", ["attachments", "scheduled_at"])
    def test_a_batch_takes_neither_attachments_nor_schedules(self, http: httpx.Client, name: str) -> None:
        assert _refusal(_post(http, [email(**{name: "x"})])) == (422, "validation_error")

    def test_a_recipient_on_the_list_spoils_the_whole_batch(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        server.refuse("Bad@reader.test")
        assert _refusal(_post(http, [email(), email(to="bad@READER.test")])) == (422, "validation_error")
        assert len(server.ledger) == 0


class TestLimits:
    def test_one_request_too_many_in_a_second_is_429_with_the_wait(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        server.rate.limit = 3
        replies = [_post(http, email()) for _ in range(3)]
        assert [reply.headers["ratelimit-remaining"] for reply in replies] == ["2", "1", "0"]
        one_more = _post(http, email())
        assert _refusal(one_more) == (429, "rate_limit_exceeded")
        assert one_more.headers["ratelimit-limit"] == "3"
        assert one_more.headers["retry-after"] == one_more.headers["ratelimit-reset"] == "1"
        server.clock.advance(1)
        assert _post(http, email()).status_code == 200
        assert len(server.ledger) == 4
        assert server.busiest_second() == 4

    @pytest.mark.parametrize(("period", "until_reset"), [("daily", 86_400), ("monthly", 31 * 86_400)])
    def test_a_quota_is_counted_in_mails_and_ends_with_its_period(
        self, server: ResendStandIn, http: httpx.Client, period: str, until_reset: int
    ) -> None:
        setattr(server.quotas, period, 4)
        reply = _post(http, [email()] * 3)
        assert reply.headers[f"x-resend-{period}-quota"] == "3"
        assert _refusal(_post(http, [email()] * 2)) == (429, f"{period}_quota_exceeded")
        assert _post(http, email()).status_code == 200
        assert len(server.ledger) == 4
        server.clock.advance(until_reset)
        assert _post(http, email()).status_code == 200

    def test_a_replay_costs_no_quota(self, server: ResendStandIn, http: httpx.Client) -> None:
        server.quotas.daily = 1
        assert [_post(http, email(), "k").status_code for _ in range(3)] == [200, 200, 200]


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "sent"), [(Fault.LOST_REQUEST, 0), (Fault.LOST_REPLY, 1), (Fault.TRUNCATED_REPLY, 1)]
    )
    def test_a_cut_connection_tells_nothing_and_the_retry_sends_at_most_once(
        self, server: ResendStandIn, http: httpx.Client, fault: Fault, sent: int
    ) -> None:
        server.faults.add(fault)
        with pytest.raises(httpx.TransportError):
            _post(http, email(), "k")
        assert len(server.ledger) == sent
        assert _post(http, email(), "k").status_code == 200
        assert len(server.ledger) == 1

    @pytest.mark.parametrize("status", [500, 502, 503])
    @pytest.mark.parametrize(("fault", "sent"), [(Fault.BAD_STATUS, 0), (Fault.BAD_STATUS_AFTER, 1)])
    def test_an_outage_may_come_before_or_after_sending(
        self, server: ResendStandIn, http: httpx.Client, fault: Fault, sent: int, status: int
    ) -> None:
        server.faults.add(fault, status=status)
        assert _post(http, email(), "k").status_code == status
        assert len(server.ledger) == sent

    def test_a_wrong_count_lacks_one_id_and_the_replay_has_them_all(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        server.faults.add(Fault.WRONG_COUNT)
        assert len(_post(http, [email()] * 3, "k").json()["data"]) == 2
        assert len(_post(http, [email()] * 3, "k").json()["data"]) == 3
        assert len(server.ledger) == 3

    def test_random_faults_follow_their_seed(self) -> None:
        def struck(seed: int) -> list[int]:
            with ResendStandIn(seed=seed) as server:
                server.faults.add(Fault.BAD_STATUS, rate=0.5, times=None)
                headers = {"authorization": f"Bearer {server.api_key}"}
                with httpx.Client(base_url=server.url, headers=headers) as http:
                    return [http.get("/domains").status_code for _ in range(20)]

        assert struck(1) == struck(1)
        assert struck(1) != struck(2)
        assert set(struck(1)) == {200, 502}


class _Inbox:
    """Receives webhooks, refusing the first ``refusals`` of them."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.got: list[Request] = []
        self.refusals = refusals

    def __call__(self, request: Request) -> Reply:
        self.got.append(request)
        return Reply(status=500 if len(self.got) <= self.refusals else 204)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.got]


class TestWebhooks:
    def test_signatures_follow_the_standard_webhooks_scheme(self) -> None:
        # The example of the Standard Webhooks specification.
        signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
        )
        assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @pytest.mark.parametrize(
        "fate",
        [
            ["email.sent", "email.delivered"],
            ["email.sent", "email.delivery_delayed", "email.bounced"],
            ["email.sent", "email.delivered", "email.complained"],
            ["email.failed"],
        ],
        ids=lambda fate: fate[-1],
    )
    def test_a_mails_fate_is_told_signed_and_as_described(
        self, server: ResendStandIn, http: httpx.Client, fate: list[str]
    ) -> None:
        inbox = _Inbox()
        with HttpServer(inbox) as receiver:
            server.webhooks.plan = WebhookPlan(url=receiver.url)
            server.set_fate("ada@reader.test", fate)
            email_id = _post(http, email()).json()["id"]
            assert server.webhooks.wait_until_idle(5)
        assert [event["type"] for event in inbox.events()] == fate
        for request, event in zip(inbox.got, inbox.events(), strict=True):
            openapi.check_event(event)
            assert event["data"]["email_id"] == email_id
            assert event["data"]["tags"] == {"delivery": "d1", "local_date": "2026-03-29"}
            stamp = int(request.headers["svix-timestamp"])
            signed = signature(server.webhooks.secret, request.headers["svix-id"], stamp, request.body)
            assert request.headers["svix-signature"] == signed

    def test_events_come_twice_with_the_same_id_when_asked_to(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        inbox = _Inbox()
        with HttpServer(inbox) as receiver:
            server.webhooks.plan = WebhookPlan(url=receiver.url, twice=1.0)
            _post(http, email())
            assert server.webhooks.wait_until_idle(5)
        ids = [request.headers["svix-id"] for request in inbox.got]
        assert len(ids) == 4
        assert len(set(ids)) == 2

    def test_late_events_wait_for_the_clock_and_come_out_of_order(self, http: httpx.Client) -> None:
        inbox = _Inbox()
        with HttpServer(inbox) as receiver:
            plan = WebhookPlan(url=receiver.url, delay=(60.0, 3600.0))
            with ResendStandIn(webhooks=plan, seed=3) as server:
                headers = {"authorization": f"Bearer {server.api_key}"}
                httpx.post(f"{server.url}/emails/batch", json=[email()] * 5, headers=headers)
                assert not inbox.got
                server.clock.advance(3600)
                assert server.webhooks.wait_until_idle(5)
        told = [(event["data"]["email_id"], event["type"]) for event in inbox.events()]
        in_order = [
            (mail.id, f"email.{kind}") for mail in server.ledger.mails() for kind in ("sent", "delivered")
        ]
        assert sorted(told) == sorted(in_order)
        assert told != in_order

    def test_an_event_that_is_not_taken_is_posted_again(
        self, server: ResendStandIn, http: httpx.Client
    ) -> None:
        inbox = _Inbox(refusals=1)
        with HttpServer(inbox) as receiver:
            server.webhooks.plan = WebhookPlan(url=receiver.url)
            server.set_fate("ada@reader.test", ["email.bounced"])
            _post(http, email())
            server.clock.advance(10)
            assert server.webhooks.wait_until_idle(5)
        assert len({request.headers["svix-id"] for request in inbox.got}) == 1
        assert server.webhooks.delivered == 1


def test_it_runs_as_a_process_of_its_own_and_is_controlled_over_http(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-m", "tests.standins.resend", "--ledger", str(ledger), "--rate-limit", "50"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        headers = {"authorization": f"Bearer {started['api_key']}"}
        with httpx.Client(base_url=started["url"], headers=headers) as http:

            def control(name: str, **fields: Any) -> None:
                http.post(f"/_control/{name}", json=fields).raise_for_status()

            first = _post(http, email(), "k").json()
            control("clock", advance=25 * 3600)
            assert _post(http, email(), "k").json() != first
            control("refuse", addresses=["bad@reader.test"])
            assert _post(http, email(to="bad@reader.test")).status_code == 422
            control("faults", fault="bad_status", status=503, match="/domains")
            assert http.get("/domains").status_code == 503
            control("fate", address="ada@reader.test", events=["email.bounced"])
            control("event", email_id=first["id"], type="email.complained")
            assert http.get(f"/emails/{first['id']}").json()["last_event"] == "complained"
            control("webhooks", url=None)
            control("limits", daily_quota=2)
            assert "ratelimit-limit" not in http.get("/domains").headers
            control("key", api_key="re_new")
            assert http.get("/domains").status_code == 403
            summary = http.get("/_control/summary").json()
            assert summary["mails"] == 2
            assert summary["duplicates"] == [{"address": "ada@reader.test", "date": "2026-03-29", "mails": 2}]
            assert summary["faults"] == {"bad_status": 1}
            assert http.get("/_control/ledger").json()[0]["id"] == first["id"]
        process.kill()
    assert len(resend_ledger.read_file(ledger)) == 2
