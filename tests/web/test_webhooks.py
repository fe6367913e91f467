"""``POST /webhooks/resend``: only the provider is believed, and whatever it says, in whatever order, ends right."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from fixionmail.web.webhooks import event_of
from tests.standins.resend_webhooks import new_secret
from tests.web.conftest import Web


def event(kind: str, delivery: UUID, **data: Any) -> dict[str, Any]:
    tags = {"delivery": str(delivery)}
    data = {"email_id": f"id-{delivery}", "tags": tags, **data}
    return {"type": kind, "created_at": "2031-05-14T08:00:00.000Z", "data": data}


def bounce(kind: str) -> dict[str, str]:
    return {"type": kind, "subType": "General", "message": "550 no\x1b[31m such\nuser"}


def state(web: Web, delivery: UUID) -> str:
    return web.world.state("scheduled_deliveries", delivery)


def status(web: Web, delivery: UUID) -> str:
    user = web.world.row("scheduled_deliveries", delivery)["user_id"]
    return str(web.world.row("users", user)["status"])


@pytest.fixture
def sent(web: Web) -> UUID:
    _, (delivery,) = web.world.sent()
    return delivery


class TestASignedEvent:
    def test_is_taken_in(self, web: Web, sent: UUID) -> None:
        answer = web.tell(event("email.delivered", sent))
        assert (answer.status_code, answer.json()) == (200, {"verdict": "ok"})
        assert state(web, sent) == "delivered"

    def test_that_comes_twice_is_taken_in_once(self, web: Web, sent: UUID) -> None:
        body = event("email.delivered", sent)
        assert web.tell(body, message_id=f"msg_{sent}").json() == {"verdict": "ok"}
        answer = web.tell(body, message_id=f"msg_{sent}")
        assert (answer.status_code, answer.json()) == (200, {"verdict": "already"})

    def test_of_a_permanent_bounce_suppresses_the_subscriber(self, web: Web, sent: UUID) -> None:
        web.tell(event("email.bounced", sent, bounce=bounce("Permanent")))
        assert (state(web, sent), status(web, sent)) == ("bounced", "suppressed")
        assert web.world.row("scheduled_deliveries", sent)["reason"] == "550 no[31m such user"

    def test_of_a_passing_bounce_spares_the_subscriber(self, web: Web, sent: UUID) -> None:
        web.tell(event("email.bounced", sent, bounce=bounce("Transient")))
        assert (state(web, sent), status(web, sent)) == ("bounced", "active")

    @pytest.mark.parametrize("kind", ["email.complained", "email.suppressed"])
    def test_of_a_complaint_suppresses_the_subscriber(self, web: Web, sent: UUID, kind: str) -> None:
        web.tell(event(kind, sent))
        assert status(web, sent) == "suppressed"

    def test_about_a_mail_that_is_not_ours_is_answered_so_that_it_does_not_come_again(self, web: Web) -> None:
        answer = web.tell(event("email.delivered", uuid4()))
        assert (answer.status_code, answer.json()) == (200, {"verdict": "unknown"})

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "contact.created", "data": {"id": "1"}},
            {"type": "email.sent", "data": []},
            {},
            {"data": {}},
        ],
        ids=["another", "without mail", "empty", "without type"],
    )
    def test_that_is_not_about_a_mail_is_ignored(self, web: Web, body: dict[str, Any]) -> None:
        answer = web.tell(body)
        assert (answer.status_code, answer.json()) == (200, {"verdict": "ignored"})

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b"[" * 100_000], ids=lambda body: repr(body[:8])
    )
    def test_that_is_not_json_is_a_400_or_was_never_signed(self, web: Web, body: bytes) -> None:
        assert web.tell(body).status_code == (401 if body == b"\xff\xfe" else 400)


class TestAnEventThatIsNotTheProviders:
    @pytest.fixture
    def refused(self, web: Web, sent: UUID) -> Any:
        def check(answer: httpx.Response) -> None:
            assert (answer.status_code, answer.json()) == (401, {"error": "the signature does not fit"})
            assert state(web, sent) == "sent"

        return check

    def test_forged_with_another_secret_is_refused(self, web: Web, sent: UUID, refused: Any) -> None:
        refused(web.tell(event("email.bounced", sent), secret=new_secret()))

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_replayed_or_from_the_future_is_refused(
        self, web: Web, sent: UUID, refused: Any, minutes: int
    ) -> None:
        refused(web.tell(event("email.bounced", sent), at=time.time() + minutes * 60))

    def test_altered_on_the_way_is_refused(self, web: Web, sent: UUID, refused: Any) -> None:
        body = json.dumps(event("email.delivered", sent)).encode()
        headers = web.signed(body)
        altered = body.replace(b"delivered", b"bounced")
        refused(web.post("/webhooks/resend", content=altered, headers=headers))

    def test_with_the_signature_of_another_message_is_refused(
        self, web: Web, sent: UUID, refused: Any
    ) -> None:
        refused(web.tell(event("email.bounced", sent), headers={"svix-id": "msg_other"}))

    @pytest.mark.parametrize(
        "headers",
        [
            {"svix-signature": ""},
            {"svix-signature": "v1"},
            {"svix-signature": "v1,@@@"},
            {"svix-signature": "v1a,AAAA v2,BBBB"},
            {"svix-signature": "v1," + "A" * 8000},
            {"svix-timestamp": ""},
            {"svix-timestamp": "nan"},
            {"svix-timestamp": "1e400"},
            {"svix-timestamp": "yesterday"},
            {"svix-id": ""},
        ],
        ids=lambda headers: str(headers)[:40],
    )
    def test_with_headers_that_cannot_be_read_is_refused(
        self, web: Web, sent: UUID, refused: Any, headers: dict[str, str]
    ) -> None:
        refused(web.tell(event("email.bounced", sent), headers=headers))

    def test_without_a_signature_is_refused(self, web: Web, sent: UUID, refused: Any) -> None:
        refused(web.post("/webhooks/resend", json=event("email.bounced", sent)))

    def test_of_ten_megabytes_is_refused_before_it_is_read(self, web: Web) -> None:
        answer = web.post(
            "/webhooks/resend", content=b"x" * 10_000_000, headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()) == (413, {"error": "the request is too large"})

    def test_of_ten_megabytes_without_a_length_is_cut_off(self, web: Web) -> None:
        def pieces() -> Any:
            for _ in range(160):
                yield b"x" * 65_536

        answer = web.post("/webhooks/resend", content=pieces(), headers={"content-type": "application/json"})
        assert answer.status_code == 413

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_of_another_content_type_is_a_415(self, web: Web, sent: UUID, kind: str) -> None:
        answer = web.tell(event("email.bounced", sent), headers={"content-type": kind})
        assert answer.status_code == 415

    def test_fetched_with_get_is_a_405(self, web: Web) -> None:
        assert web.get("/webhooks/resend").status_code == 405


class TestReading:
    def test_takes_tags_as_an_object_or_as_a_list(self) -> None:
        delivery = uuid4()
        as_list = event("email.sent", delivery, tags=[{"name": "delivery", "value": str(delivery)}, "?"])
        for body in (as_list, event("email.sent", delivery)):
            read = event_of("msg", json.dumps(body).encode())
            assert read is not None
            assert read.delivery_id == delivery

    @pytest.mark.parametrize("tags", [None, [], "x", {"delivery": "1"}, {"delivery": None}, [{"name": []}]])
    def test_bears_tags_that_name_no_delivery(self, tags: object) -> None:
        read = event_of("msg", json.dumps(event("email.sent", uuid4(), tags=tags)).encode())
        assert read is not None
        assert read.delivery_id is None

    def test_keeps_long_words_short(self) -> None:
        body = event("email.bounced", uuid4(), bounce={"message": "x" * 10_000})
        read = event_of("msg", json.dumps(body).encode())
        assert read is not None
        assert len(read.detail) == 300

    def test_understands_what_the_published_library_signs(self, web: Web, sent: UUID) -> None:
        from datetime import UTC, datetime

        body = json.dumps(event("email.delivered", sent))
        now = datetime.now(UTC)
        signed = Webhook(web.secret).sign("msg_lib", now, body)
        headers = {
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": signed,
            "svix-id": "msg_lib",
        }
        assert web.tell(body.encode(), headers=headers).status_code == 200
