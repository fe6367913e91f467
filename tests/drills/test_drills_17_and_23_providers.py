"""Drills 17 and 23: whether the providers take our keys, asked before a story is late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fixionmail.ops import providers
from fixionmail.ops.views.findings import Finding
from fixionmail.settings import Settings
from tests.standins.resend import ResendStandIn


@pytest.fixture(scope="module")
def resend() -> Iterator[ResendStandIn]:
    with ResendStandIn(domains=["example.com"]) as running:
        yield running


def mail(resend: ResendStandIn, **settings: Any) -> list[Finding]:
    wanted = {
        "resend_api_key": resend.api_key,
        "resend_api_url": resend.url,
        "email_from": "FixionMail <stories@example.com>",
        **settings,
    }
    return list(providers.mail(Settings.model_validate(wanted)))


class TestMail:
    def test_a_good_key_and_a_verified_domain_are_fine(self, resend: ResendStandIn) -> None:
        assert mail(resend) == []

    def test_a_wrong_key_is_named_in_the_providers_words_and_not_shown(self, resend: ResendStandIn) -> None:
        (finding,) = mail(resend, resend_api_key="re_wr0ng")
        assert (finding.kind, finding.drill, finding.subjects) == ("mail-refused", 17, ("RESEND_API_KEY",))
        assert "Resend answered 4" in finding.cause
        assert "re_wr0ng" not in repr(finding)

    def test_a_key_that_may_only_send_is_good_to_know(self, resend: ResendStandIn) -> None:
        (finding,) = mail(resend, resend_api_key=resend.sending_key)
        assert (finding.kind, finding.harm.name) == ("mail-key-send-only", "NOTE")

    def test_a_domain_that_the_account_does_not_have_is_named(self, resend: ResendStandIn) -> None:
        (finding,) = mail(resend, email_from="a@elsewhere.org")
        assert (finding.kind, finding.subjects) == ("mail-domain", ("elsewhere.org",))
        assert finding.evidence == ("example.com: verified",)

    def test_one_that_does_not_answer_is_told_from_one_that_refuses(self, resend: ResendStandIn) -> None:
        (finding,) = mail(resend, resend_api_url="http://127.0.0.1:1")
        assert finding.kind == "mail-provider-unreachable"

    def test_the_outbox_needs_no_key(self) -> None:
        assert list(providers.mail(Settings.model_validate({"resend_api_key": None}))) == []


@contextmanager
def model_provider(status: int) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """An address that answers each request with ``status``, and what was asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


class TestStories:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (200, None),
            (401, "story-key-refused"),
            (403, "story-key-refused"),
            (429, "story-provider-overloaded"),
            (529, "story-provider-overloaded"),
        ],
    )
    @pytest.mark.parametrize("name", ["anthropic", "openai"])
    def test_the_key_is_tried_by_a_request_that_costs_nothing(
        self, name: str, status: int, kind: str | None
    ) -> None:
        with model_provider(status) as (url, asked):
            found = self.found(name, url)
        assert [finding.kind for finding in found] == ([kind] if kind else [])
        assert all(finding.drill == 23 and "s3cret" not in repr(finding) for finding in found)
        ((path, headers),) = asked
        assert path.endswith("/models")
        assert "s3cret" in headers.get("x-api-key", "") + headers.get("authorization", "")

    def test_a_provider_without_a_key_is_named(self) -> None:
        (finding,) = providers.stories(Settings.model_validate({"story_provider": "openai"}))
        assert (finding.kind, finding.subjects) == ("story-key-missing", ("OPENAI_API_KEY",))

    def test_one_that_does_not_answer_is_named(self) -> None:
        (finding,) = self.found("anthropic", "http://127.0.0.1:1")
        assert finding.kind == "story-provider-unreachable"

    def found(self, name: str, url: str) -> list[Finding]:
        values = {"story_provider": name, f"{name}_api_key": "s3cret", f"{name}_base_url": url}
        return list(providers.stories(Settings.model_validate(values)))
