"""The rows themselves: duplicates, what keeps them away, and subscribers that cannot be served as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from zoneinfo import available_timezones

from fixionmail.models.deliveries import DuplicateFinding
from fixionmail.ops.checks.scene import Scene, many
from fixionmail.ops.views.database import DeliveriesView
from fixionmail.ops.views.findings import Cure, Finding, Harm

_REPAIR = "repair-duplicates"
_SECOND_MAILS = {
    "same_story": ("duplicate-story", "One story was mailed more than once"),
    "same_date": ("duplicate-date", "Somebody was mailed twice for one date"),
    "accepted_twice": ("accepted-twice", "The provider took one mail twice"),
    "sent_without_id": ("sent-without-id", "Mails count as sent without the provider's id"),
    "two_leaders": ("two-leaders", "Two processes lead one loop"),
}
_CAUSES = {
    "same_story": "The constraint that forbids it is not in force.",
    "same_date": "The constraint that forbids it is not in force.",
    "accepted_twice": "A batch went out under a second key after it had under the first, as after a restored backup.",
    "sent_without_id": "Nothing proves that they went out, and the provider's events cannot be matched to them.",
    "two_leaders": "The database's lease does not hold: two databases, or a restored one. Fencing still refuses what "
    "the older one does.",
}

_NEEDED = {"one_daily_delivery": "no story can be handed in", "users_email_key": "nobody can be added"}
"""What cannot be done at all without a protection."""


def check(scene: Scene) -> Iterator[Finding]:
    """Everything that is wrong with what the database holds."""
    deliveries = scene.deliveries
    if deliveries is not None:
        yield from duplicates(deliveries.duplicates)
        yield from _subscribers(deliveries)
        yield from _orphans(deliveries)


def duplicates(found: tuple[DuplicateFinding, ...]) -> Iterator[Finding]:
    """Second mails, and what could hide one, as findings."""
    yield from _second_mails(found)
    yield from _constraints([row for row in found if row.kind == "constraint"])
    yield from _addresses([row for row in found if row.kind == "same_address"])


def _second_mails(found: tuple[DuplicateFinding, ...]) -> Iterator[Finding]:
    for kind, (name, title) in _SECOND_MAILS.items():
        rows = [row for row in found if row.kind == kind]
        if rows:
            repairable = kind in ("same_story", "same_date")
            yield Finding(
                kind=name,
                harm=Harm.TWICE,
                title=title,
                cause=_CAUSES[kind],
                evidence=tuple(_in_words(row) for row in rows[:10]),
                subjects=tuple(row.subject for row in rows),
                count=len(rows),
                cures=(
                    Cure(label="keep the first of each, set the others aside", action=_REPAIR)
                    if repairable
                    else Cure(label="see them", command="fixionmail deliveries duplicates"),
                ),
                drill=12 if kind == "two_leaders" else 15,
            )


def _constraints(missing: Sequence[DuplicateFinding]) -> Iterator[Finding]:
    if missing:
        names = tuple(row.subject for row in missing)
        stopped = [what for name, what in _NEEDED.items() if name in names]
        yield Finding(
            kind="constraint-missing",
            harm=Harm.LATE if stopped else Harm.RISK,
            title=f"{many(len(missing), 'protection')} against second mails gone",
            cause="Somebody dropped or changed it, or a restore left it out. Until it is back, "
            + (" and ".join(stopped) or "only the code stands between a reader and a second mail")
            + ".",
            evidence=tuple(f"{row.subject}: {row.detail}" for row in missing),
            subjects=names,
            count=len(missing),
            cures=(Cure(label="set it up again", action=_REPAIR, targets=names),),
            drill=15,
        )


def _addresses(addresses: Sequence[DuplicateFinding]) -> Iterator[Finding]:
    if addresses:
        yield Finding(
            kind="subscriber-twice",
            harm=Harm.TWICE,
            title=f"{many(len(addresses), 'address').replace('addresss', 'addresses')} with two subscribers",
            cause="Each gets a story a day: whoever reads there gets two.",
            evidence=tuple(f"{row.subject}: {row.detail}" for row in addresses[:10]),
            subjects=tuple(row.subject for row in addresses),
            count=len(addresses),
            cures=(Cure(label="keep the first, remove the other", action="repair-users"),),
            drill=26,
        )


def _in_words(row: DuplicateFinding) -> str:
    ids = ", ".join(map(str, row.delivery_ids))
    return f"{row.subject}: {row.detail}" + (f" (deliveries {ids})" if len(row.delivery_ids) > 1 else "")


def _subscribers(deliveries: DeliveriesView) -> Iterator[Finding]:
    for kind, name, what, falls_back, option, like in (
        ("zone", "zone-unknown", "an unknown time zone", "UTC", "--timezone", "Europe/Berlin"),
        ("time", "time-unreadable", "an unreadable time", "08:00", "--delivery-time", "07:30"),
    ):
        witnesses = deliveries.witnesses.get(kind, ())
        if witnesses:
            address, _, given = witnesses[0].detail.partition(": ")
            wanted = _zone_like(given) if kind == "zone" else "<value>"
            yield Finding(
                kind=name,
                harm=Harm.RISK,
                title=f"{many(len(witnesses), 'subscriber')}{' or more' if len(witnesses) >= 5 else ''} with {what}",
                cause=f"Their stories go out by {falls_back} instead, which is the wrong moment for them.",
                evidence=tuple(witness.detail for witness in witnesses),
                subjects=tuple(witness.subject for witness in witnesses),
                count=len(witnesses),
                cures=(
                    Cure(
                        label=f"correct it, like {like}",
                        command=f"fixionmail subscribers change {address} {option} {wanted}",
                    ),
                ),
                drill=22,
            )


@cache
def _zone_like(given: str) -> str:
    """The known zone that was probably meant, or a place to write one."""
    places = {zone.casefold(): zone for zone in sorted(available_timezones())}
    wanted = given.strip().casefold().replace(" ", "_")
    city = [zone for place, zone in places.items() if place.rpartition("/")[2] == wanted.rpartition("/")[2]]
    alike = get_close_matches(wanted, places, n=1, cutoff=0.75)
    return places[alike[0]] if alike else city[0] if city else "<value>"


def _orphans(deliveries: DeliveriesView) -> Iterator[Finding]:
    witnesses = deliveries.witnesses.get("orphan", ())
    if witnesses:
        yield Finding(
            kind="job-orphaned",
            harm=Harm.COST,
            title=f"{many(len(witnesses), 'job')} without a subscriber",
            cause="The subscriber's row was deleted past the rules of the database: there is nobody to write for.",
            evidence=tuple(f"{witness.subject}: {witness.detail}" for witness in witnesses),
            subjects=tuple(witness.subject for witness in witnesses),
            count=len(witnesses),
            cures=(Cure(label="cancel them", action="repair-users"),),
            drill=26,
        )
