"""One process without Redis is the whole of FixionMail: it plans, writes, sends, hears what became of it, and stops."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import httpx
import psycopg
import pytest

from fixionmail.models.subscribers import NewSubscriber
from fixionmail.store import Store
from tests.commands import run, running, until
from tests.contract.store.world import World, new_subscriber
from tests.integration.worker.servers import free_port
from tests.standins.resend import ResendStandIn
from tests.standins.resend_webhooks import WebhookPlan

READERS = 30
FATES = {
    "bounced@example.com": ("email.sent", "email.bounced"),
    "angry@example.com": ("email.complained", "email.delivered", "email.sent"),
    "failed@example.com": ("email.failed", "email.sent"),
}
OUTCOME = {
    "bounced@example.com": ("bounced", "suppressed"),
    "angry@example.com": ("complained", "suppressed"),
    "failed@example.com": ("failed", "active"),
}


@dataclass(frozen=True)
class Deployment:
    """A running process, the provider it sends through, and a look into its database."""

    process: Popen[str]
    url: str
    resend: ResendStandIn
    world: World


@pytest.fixture
def deployment(database_url: str, direct_store: Store, tmp_path: Path) -> Iterator[Deployment]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    plan = WebhookPlan(url=f"{url}/webhooks/resend", delay=(0.0, 1.5), twice=0.4)
    with ExitStack() as stack:
        resend = stack.enter_context(ResendStandIn(keep_bodies=True, webhooks=plan, seed=11))
        for address, events in FATES.items():
            resend.set_fate(address, events)
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        process = stack.enter_context(
            running(
                tmp_path,
                *("run", "web"),
                DATABASE_URL=database_url,
                ENABLE_REDIS_QUEUE="false",
                PORT=str(port),
                APP_BASE_URL=url,
                EMAIL_FROM="FixionMail <stories@example.com>",
                RESEND_API_KEY=resend.api_key,
                RESEND_API_URL=resend.url,
                RESEND_WEBHOOK_SECRET=resend.webhooks.secret,
                CHECK_INTERVAL_SECONDS="1",
            )
        )
        yield Deployment(process, url, resend, World(direct_store, connection))


def test_one_process_sends_every_story_once_and_believes_late_doubled_and_disordered_events(
    deployment: Deployment,
) -> None:
    world, resend = deployment.world, deployment.resend
    addresses = [*FATES, *(f"reader{number}@example.com" for number in range(READERS - len(FATES)))]
    world.store.subscribers.add([due_now(address) for address in addresses])
    until(lambda: len(resend.ledger) == READERS, "every story to be sent")
    until(lambda: resend.webhooks.wait_until_idle(1), "every event to be told")

    assert Counter(mail.to[0] for mail in resend.ledger.mails()) == Counter(addresses)
    wanted = {address: list(OUTCOME.get(address, ("delivered", "active"))) for address in addresses}
    until(
        lambda: states(world) == wanted,
        "what was told to be believed, also of mails that were not settled yet",
    )
    assert world.audit("sent twice") == []


def due_now(address: str) -> NewSubscriber:
    """A reader whose story was due when the minute began, whatever time it is."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    reader = new_subscriber(address, timezone="UTC", local_date=minute.date(), due_at=minute)
    return replace(reader, delivery_time=f"{minute:%H:%M}")


def states(world: World) -> dict[str, list[str]]:
    """The states of each reader's delivery and subscription, by address."""
    return dict(
        world.connection.execute(
            "select u.email, array[d.state, u.status] from scheduled_deliveries d join users u on u.id = d.user_id"
        )
    )


def test_the_link_in_a_mail_that_was_sent_unsubscribes_its_reader(deployment: Deployment) -> None:
    world, resend = deployment.world, deployment.resend
    world.store.subscribers.add([due_now("one@example.com")])
    (mail,) = until(lambda: resend.ledger.mails(), "the story to be sent")
    link = re.fullmatch("<(.+)>", mail.headers["List-Unsubscribe"])
    assert link is not None
    assert link[1] in (mail.text or "")

    answer = httpx.post(link[1], data={"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    assert world.column("select status from users") == ["unsubscribed"]


def test_it_stops_when_it_is_told_to(deployment: Deployment) -> None:
    until(lambda: _serves(deployment.url), "the service to serve")
    deployment.process.send_signal(signal.SIGTERM)
    assert deployment.process.wait(60) == 0
    assert deployment.world.column("select kind from heartbeats") == []
    assert deployment.world.column("select holder from leases where holder is not null") == []


def test_it_says_in_words_that_its_port_is_taken(
    deployment: Deployment, tmp_path: Path, database_url: str
) -> None:
    until(lambda: _serves(deployment.url), "the service to serve")
    port = str(httpx.URL(deployment.url).port)
    ended = run(tmp_path, "run", "web", DATABASE_URL=database_url, ENABLE_REDIS_QUEUE="false", PORT=port)
    assert ended.code == 2
    assert f"PORT {port} cannot be listened on: Address already in use." in ended.err


def _serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
