"""``fixionmail subscribers``: who gets stories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands import subscribers_import
from fixionmail.commands.acting import DryRun, act
from fixionmail.commands.output import AsJson, clean, moment, print_facts, print_json, print_table
from fixionmail.commands.session import Yes, confirm, opened_store, opened_to_look

if TYPE_CHECKING:
    from fixionmail.models.subscribers import Subscriber
    from fixionmail.subscribers.service import Changed

app = typer.Typer(help="Who gets stories: sign up, look, change, pause, remove.", no_args_is_help=True)
app.command("import")(subscribers_import.import_file)

DELIVERIES_SHOWN = 10

Who = Annotated[str, typer.Argument(metavar="WHO", help="E-mail address or id.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Kept with the subscriber and in the audit log.")]
Timezone = Annotated[
    str, typer.Option(metavar="ZONE", help="IANA name, like Europe/Berlin.", show_default=False)
]
DeliveryTime = Annotated[
    str,
    typer.Option(metavar="HH:MM", help="When stories arrive, on the subscriber's clock.", show_default=False),
]
Genre = Annotated[str | None, typer.Option(metavar="TEXT", help="What kind of stories.")]
Setting = Annotated[str | None, typer.Option(metavar="TEXT", help="Where they take place.")]
Character = Annotated[str | None, typer.Option(metavar="TEXT", help="Who is in them.")]
Intensity = Annotated[
    str | None, typer.Option(metavar="1-5", help="How fierce they are: 1 is gentle, 3 is usual.")
]
Length = Annotated[
    str | None, typer.Option(metavar="WORDS", help="How long they are: 300 to 3000, usually 900.")
]
Language = Annotated[str | None, typer.Option(metavar="NAME", help="English, German, French, ...")]


class State(StrEnum):
    """What a subscriber's status can be."""

    ACTIVE = "active"
    PAUSED = "paused"
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    REMOVED = "removed"


@app.command()
def add(
    email: Annotated[str, typer.Argument(help="E-mail address.", show_default=False)],
    timezone: Timezone,
    delivery_time: DeliveryTime,
    genre: Genre = None,
    setting: Setting = None,
    character: Character = None,
    intensity: Intensity = None,
    length: Length = None,
    language: Language = None,
    as_json: AsJson = False,
) -> None:
    """Sign somebody up, or take a removed one back. Exit code 1 when they are signed up already."""
    from fixionmail.subscribers import service
    from fixionmail.subscribers.sign_up import sign_up

    wanted = sign_up(
        email=email,
        timezone=timezone,
        delivery_time=delivery_time,
        preferences=_preferences(genre, setting, character, intensity, length, language),
    )
    with opened_store() as store:
        (answer,) = service.add(store, [wanted], datetime.now(UTC))
        subscriber = service.find(store, wanted.email)
    words = {
        "added": "is added",
        "restored": "is taken back",
        "known": f"is signed up already ({subscriber.status}) and left as it is: see fixionmail subscribers change",
    }
    _tell(subscriber, answer, words[answer], as_json)
    raise typer.Exit(1 if answer == "known" else 0)


@app.command("list")
def list_(
    status: Annotated[State | None, typer.Option(help="Only these; without it all but the removed.")] = None,
    search: Annotated[str | None, typer.Option(help="Only addresses that contain this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List subscribers in the order of their addresses."""
    from fixionmail.subscribers import service

    with opened_to_look() as store:
        found = list(islice(service.listed(store, status=status, search=search), limit + 1))
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"subscribers": [_as_json(subscriber) for subscriber in shown], "more": more})
        return
    print_table(
        ("address", "status", "zone", "at", "next story (UTC)"), (_row(subscriber) for subscriber in shown)
    )
    if more:
        typer.echo(f"These are the first {limit}; there are more: --limit, --search.")
    elif not shown:
        typer.echo("No subscribers found.")


@app.command()
def show(who: Who, as_json: AsJson = False) -> None:
    """Show one subscriber with the last deliveries."""
    from fixionmail.subscribers import service

    with opened_to_look() as store:
        subscriber = service.find(store, who, deliveries=DELIVERIES_SHOWN)
    if as_json:
        print_json({"subscriber": _as_json(subscriber, deliveries=True)})
        return
    print_facts(_facts(subscriber))
    if subscriber.deliveries:
        print_table(
            ("date", "state", "sent (UTC)", "title", "reason"),
            (
                (str(past.local_date), past.state, moment(past.sent_at), past.title, past.reason)
                for past in subscriber.deliveries
            ),
        )


@app.command()
def pause(who: Who, reason: Reason = None, as_json: AsJson = False) -> None:
    """Stop somebody's mail until they are resumed. What has not left yet is withdrawn."""
    from fixionmail.subscribers import service

    with opened_store() as store:
        changed = service.pause(store, who, reason=reason, operator=service.Operator.of_this_process())
    _tell_change(changed, "is paused", as_json)


@app.command()
def resume(
    who: Who,
    reason: Reason = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Also somebody who unsubscribed or was suppressed, at their own wish."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send somebody stories again, from their next delivery time on."""
    from fixionmail.subscribers import service

    with opened_store() as store:
        changed = service.resume(
            store,
            who,
            reason=reason,
            operator=service.Operator.of_this_process(),
            now=datetime.now(UTC),
            at_their_wish=yes,
        )
    _tell_change(changed, "is active", as_json)


@app.command()
def suppress(
    whom: Annotated[
        list[str], typer.Argument(metavar="WHO...", help="E-mail addresses or ids.", show_default=False)
    ],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Kept with them and in the audit log.", show_default=False)
    ],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send nothing more to addresses that must not be written to. What has not left yet is withdrawn."""
    act("suppress", whom, reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def remove(
    who: Who,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop somebody's mail for good. Their history is kept, and add takes them back."""
    from fixionmail.subscribers import service

    with opened_store() as store:
        subscriber = service.find(store, who)
        if not yes:
            confirm(f"Remove {clean(subscriber.email)} ({subscriber.status})?")
        changed = service.remove(
            store, str(subscriber.user_id), reason=reason, operator=service.Operator.of_this_process()
        )
    _tell_change(changed, "is removed", as_json)


@app.command()
def change(
    who: Who,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="IANA name, like Europe/Berlin.")
    ] = None,
    delivery_time: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="When stories arrive, on the subscriber's clock.")
    ] = None,
    genre: Genre = None,
    setting: Setting = None,
    character: Character = None,
    intensity: Intensity = None,
    length: Length = None,
    language: Language = None,
    as_json: AsJson = False,
) -> None:
    """Change when and what somebody gets; an empty text ("") takes a preference back."""
    from fixionmail.subscribers import service
    from fixionmail.subscribers.sign_up import check_delivery_time, check_preference, check_timezone

    wanted = {
        name: check_preference(name, text)
        for name, text in _preferences(genre, setting, character, intensity, length, language).items()
    }
    with opened_store() as store:
        changed = service.change(
            store,
            who,
            timezone=None if timezone is None else check_timezone(timezone),
            delivery_time=None if delivery_time is None else check_delivery_time(delivery_time),
            story_bible=wanted,
            now=datetime.now(UTC),
        )
    _tell_change(changed, "is changed", as_json)


def _preferences(*texts: str | None) -> dict[str, str]:
    """Those that were named; ``texts`` are in the order of the known ones."""
    from fixionmail.subscribers.sign_up import PREFERENCES

    return {name: text for name, text in zip(PREFERENCES, texts, strict=True) if text is not None}


def _tell_change(changed: Changed, words: str, as_json: bool) -> None:
    verdict = "already" if changed.already else "ok"
    _tell(changed.subscriber, verdict, f"{words} already" if changed.already else words, as_json)


def _tell(subscriber: Subscriber, verdict: str, words: str, as_json: bool) -> None:
    if as_json:
        print_json({"verdict": verdict, "subscriber": _as_json(subscriber)})
        return
    typer.echo(f"{clean(subscriber.email)} {words}.")
    if subscriber.next_due_at is not None:
        typer.echo(f"The next story is due {_on_their_clock(subscriber)}.")


def _as_json(subscriber: Subscriber, *, deliveries: bool = False) -> Mapping[str, Any]:
    fields = asdict(subscriber)
    if not deliveries:
        del fields["deliveries"]
    return fields


def _row(subscriber: Subscriber) -> tuple[str, ...]:
    return (
        subscriber.email,
        subscriber.status,
        subscriber.timezone,
        subscriber.delivery_time,
        moment(subscriber.next_due_at),
    )


def _facts(subscriber: Subscriber) -> Iterator[tuple[str, str]]:
    yield "address", subscriber.email
    yield "id", str(subscriber.user_id)
    reason = subscriber.status_reason
    yield "status", f"{subscriber.status} ({reason})" if reason else subscriber.status
    yield "delivery", f"{subscriber.delivery_time} {subscriber.timezone}"
    yield "next story", _on_their_clock(subscriber) if subscriber.next_due_at else "none"
    yield "last story", str(subscriber.last_local_date or "none yet")
    for name, text in sorted(subscriber.story_bible.items()):
        if text:
            yield name, text
    yield "since", moment(subscriber.created_at)


def _on_their_clock(subscriber: Subscriber) -> str:
    """The next story's time, on the subscriber's clock and in UTC."""
    from fixionmail.schedule import DEFAULT_TIMEZONE, zone

    assert subscriber.next_due_at is not None
    name = subscriber.timezone if zone(subscriber.timezone) else DEFAULT_TIMEZONE
    local = subscriber.next_due_at.astimezone(zone(name))
    return f"{local:%Y-%m-%d %H:%M} {name} ({moment(subscriber.next_due_at)} UTC)"
