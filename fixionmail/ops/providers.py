"""Whether the providers of mail and stories take our keys: asked by requests that change and cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parseaddr

import httpx

from fixionmail.errors import MailError, UnreachableError
from fixionmail.mail.resend import Resend, SendingDomain
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.settings import Settings

SECONDS = 5.0
_SEND_ONLY = "restricted_api_key"
_ENDPOINTS = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}


def mail(settings: Settings) -> Iterator[Finding]:
    """The mail provider's key and the sender's domain; nothing while mail goes to the outbox."""
    if settings.resend_api_key is None:
        return
    key, url = settings.resend_api_key.get_secret_value(), settings.resend_api_url.get_secret_value()
    try:
        with Resend(
            api_key=key, url=url, connect_timeout=SECONDS, read_timeout=SECONDS, total_timeout=SECONDS
        ) as api:
            domains = api.domains()
    except UnreachableError as error:
        yield _away("mail-provider-unreachable", str(error), "RESEND_API_URL", 17)
    except MailError as error:
        yield (
            _send_only(str(error))
            if _SEND_ONLY in str(error)
            else _refused("mail-refused", str(error), "RESEND_API_KEY", 17)
        )
    else:
        yield from _domain(settings, domains)


def _domain(settings: Settings, domains: tuple[SendingDomain, ...]) -> Iterator[Finding]:
    name = parseaddr(settings.email_from)[1].rpartition("@")[2].lower()
    status = next((domain.status for domain in domains if domain.name.lower() == name), None)
    if status != "verified":
        words = f"It is {status}." if status else "The account does not have it."
        yield Finding(
            kind="mail-domain",
            harm=Harm.LATE,
            title=f"The domain {name} of EMAIL_FROM is not verified",
            cause=f"{words} Resend takes mail only from a verified domain.",
            evidence=tuple(f"{domain.name}: {domain.status}" for domain in domains[:5]),
            subjects=(name,),
            cures=(Cure(label="verify it, or send from another", command="https://resend.com/domains"),),
            drill=17,
        )


def _send_only(words: str) -> Finding:
    return Finding(
        kind="mail-key-send-only",
        harm=Harm.NOTE,
        title="The mail key may only send",
        cause=f"{words} Mail goes out; what became of an uncertain one cannot be asked, nor whether the domain is "
        "verified.",
        subjects=("RESEND_API_KEY",),
        cures=(Cure(label="use a key with full access", command="https://resend.com/api-keys"),),
        drill=17,
    )


def stories(settings: Settings) -> Iterator[Finding]:
    """The story provider's key, asked for its list of models; nothing for the offline writer."""
    name = settings.story_provider
    key = {"anthropic": settings.anthropic_api_key, "openai": settings.openai_api_key}.get(name)
    if name not in _ENDPOINTS:
        return
    setting = f"{name.upper()}_API_KEY"
    if key is None:
        yield _refused(
            "story-key-missing", f"STORY_PROVIDER is {name}, and {setting} is not set.", setting, 23
        )
        return
    base = {"anthropic": settings.anthropic_base_url, "openai": settings.openai_base_url}[name]
    secret = key.get_secret_value()
    path = "/v1/models" if name == "anthropic" else "/models"
    headers = (
        {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        if name == "anthropic"
        else {"authorization": f"Bearer {secret}"}
    )
    url = (base.get_secret_value() if base else _ENDPOINTS[name]).rstrip("/") + path
    try:
        status = httpx.get(url, headers=headers, timeout=SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield _away(
            "story-provider-unreachable",
            f"{name} does not answer: {type(error).__name__}.",
            f"{name.upper()}_BASE_URL",
            23,
        )
        return
    if status in (401, 403):
        yield _refused(
            "story-key-refused", f"{name} answers {status}: it does not take the key.", setting, 23
        )
    elif status == 429 or status >= 500:
        yield _away("story-provider-overloaded", f"{name} answers {status}.", "", 23)


def _refused(kind: str, words: str, setting: str, drill: int) -> Finding:
    return Finding(
        kind=kind,
        harm=Harm.LATE,
        title=f"{setting} is not taken",
        cause=words,
        subjects=(setting,),
        cures=(Cure(label=f"correct {setting}", command=f"{setting}=<key>"),),
        drill=drill,
    )


def _away(kind: str, words: str, setting: str, drill: int) -> Finding:
    return Finding(
        kind=kind,
        harm=Harm.RISK,
        title="The mail provider cannot be asked" if drill == 17 else "The story provider cannot be asked",
        cause=words,
        subjects=(kind,),
        cures=(
            Cure(label="wait", automatic="work is tried again with growing pauses"),
            *((Cure(label=f"check {setting}", command=f"{setting}=<url>"),) if setting else ()),
        ),
        drill=drill,
    )
