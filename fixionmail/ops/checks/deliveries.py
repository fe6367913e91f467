"""Mail and stories: what is late, what nobody is sure of, and what a provider refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from fixionmail.models.operations import Witness, is_story_line
from fixionmail.ops.checks.scene import LATE_AFTER, Scene, many, span
from fixionmail.ops.views.database import DeliveriesView, LineView
from fixionmail.ops.views.findings import Cure, Finding, Harm

_KEY_WORDS = re.compile(r"api.?key|authentication|unauthorized|permission|\b40[13]\b", re.IGNORECASE)
_QUOTA_WORDS = re.compile(r"quota|rate.?limit|too many|\b429\b", re.IGNORECASE)
_OVERLOAD_WORDS = re.compile(r"overload|rate.?limit|timed? ?out|unavailable|\b(429|5\d\d)\b", re.IGNORECASE)


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about deliveries and the stories for them."""
    deliveries = scene.deliveries
    if deliveries is None:
        return
    yield from _uncertain(scene, deliveries)
    yield from _stuck(scene, deliveries)
    yield from _rejected(scene, deliveries)
    yield from _missed(deliveries)
    standing = [line for line in deliveries.lines if line.paused_reason and not is_story_line(line.name)]
    for line in standing:
        yield _standing_line(scene, line)
    yield from _late(scene, deliveries, explained=bool(standing or deliveries.switches))
    yield from _failing(scene, deliveries)
    yield from _poison(scene, deliveries)


def _uncertain(scene: Scene, deliveries: DeliveriesView) -> Iterator[Finding]:
    if deliveries.uncertain:
        witnesses = deliveries.witnesses.get("uncertain", ())
        ids = _subjects(witnesses)
        yield Finding(
            kind="delivery-uncertain",
            harm=Harm.LOST,
            title=f"{many(deliveries.uncertain, 'mail')} may or may not have gone out",
            cause="The provider gave no definite answer before the idempotency key ran out, or has sent another mail "
            "under it, as after a restored backup. Sending again could mail twice, so nothing is sent until somebody "
            "has looked.",
            evidence=_details(witnesses),
            subjects=ids,
            count=deliveries.uncertain,
            since=_first(witnesses),
            cures=(
                Cure(
                    label="ask the provider, and record what it says",
                    action="resolve-delivery",
                    targets=ids,
                    command=f"fixionmail deliveries resolve --from-provider {' '.join(ids)}",
                ),
                Cure(label="record as not sent, if you know", action="resolve-not-sent", targets=ids),
                *(
                    (Cure(label="record as sent, by the provider's id", action="resolve-sent", targets=ids),)
                    if len(ids) == 1
                    else ()
                ),
            ),
            drill=14,
        )


def _stuck(scene: Scene, deliveries: DeliveriesView) -> Iterator[Finding]:
    witnesses = deliveries.witnesses.get("stuck", ())
    if witnesses:
        yield Finding(
            kind="delivery-stuck",
            harm=Harm.LATE,
            title=f"{many(len(witnesses), 'mail')}{' or more' if len(witnesses) >= 5 else ''} stuck in sending",
            cause="The sender died or had no definite answer. The same bytes go out again under the same key, which "
            "the provider recognises for 24 hours, until the answer is definite.",
            evidence=tuple(f"{witness.detail}, since {scene.ago(witness.at)}" for witness in witnesses),
            subjects=_subjects(witnesses),
            count=len(witnesses),
            since=_first(witnesses),
            cures=(
                Cure(
                    label="wait",
                    automatic="tried again with growing pauses; uncertain when 23 hours have gone by",
                ),
                Cure(
                    label="ask the provider what became of it",
                    action="resolve-delivery",
                    targets=_subjects(witnesses),
                ),
            ),
            drill=14,
        )


def _rejected(scene: Scene, deliveries: DeliveriesView) -> Iterator[Finding]:
    witnesses = deliveries.witnesses.get("rejected", ())
    if witnesses:
        subscribers = _subjects(witnesses)
        yield Finding(
            kind="address-rejected",
            harm=Harm.LOST,
            title=f"The provider rejected {many(len(witnesses), 'address').replace('addresss', 'addresses')}",
            cause="It named the mail itself as the fault, alone in its request. The others of its batch went out.",
            evidence=_details(witnesses),
            subjects=subscribers,
            count=len(witnesses),
            since=_first(witnesses),
            cures=(Cure(label="suppress the subscriber", action="suppress", targets=subscribers),),
            drill=19,
        )


def _missed(deliveries: DeliveriesView) -> Iterator[Finding]:
    missed, written = deliveries.states.get("missed", 0), deliveries.witnesses.get("missed", ())
    if missed:
        yield Finding(
            kind="delivery-missed",
            harm=Harm.LOST,
            title=f"{many(missed, 'story')} of today {'was' if missed == 1 else 'were'} missed",
            cause="They were not written or not sent while they were worth sending. Each has its reason on record.",
            evidence=(
                f"{missed:,} of {sum(deliveries.states.values()):,} deliveries of the day",
                *_details(written),
            ),
            subjects=("missed",),
            count=missed,
            cures=(
                *(
                    (
                        Cure(
                            label="send what was written after all",
                            action="retry-delivery",
                            targets=_subjects(written),
                        ),
                    )
                    if written
                    else ()
                ),
                Cure(
                    label="look at them, and retry what is still wanted",
                    command="fixionmail deliveries list --state missed",
                ),
            ),
        )


def _standing_line(scene: Scene, line: LineView) -> Finding:
    quota = bool(_QUOTA_WORDS.search(line.paused_reason))
    until = f"until {line.paused_until:%Y-%m-%d %H:%M:%S} UTC" if line.paused_until else ""
    waiting = scene.deliveries.due if scene.deliveries else 0
    mend = (
        Cure(label="raise the plan, if this comes often", command="https://resend.com/settings/billing")
        if quota
        else Cure(
            label="correct RESEND_API_KEY or verify the domain of EMAIL_FROM",
            command="https://resend.com/domains",
        )
    )
    opening = Cure(
        label="try again now" if quota else "try again, once the setting is right",
        action="open-line",
        targets=(line.name,),
        automatic=f"one mail is tried {until}".strip().replace("until", "at") if until else "",
    )
    return Finding(
        kind="mail-quota" if quota else "mail-refused",
        harm=Harm.LATE,
        title=f"{line.name} takes no mail: {'a limit is used up' if quota else 'it refuses us'}",
        cause=line.paused_reason,
        evidence=(f"the line stands still {until}".strip(), f"{many(waiting, 'mail')} waiting"),
        subjects=(line.name,),
        count=waiting or 1,
        cures=(opening, mend) if quota else (mend, opening),
        drill=18 if quota else 17,
    )


def _late(scene: Scene, deliveries: DeliveriesView, *, explained: bool) -> Iterator[Finding]:
    if deliveries.due and scene.older(deliveries.oldest_due_at, LATE_AFTER) and not explained:
        yield Finding(
            kind="mail-late",
            harm=Harm.LATE,
            title=f"{many(deliveries.due, 'written story')} should have left",
            cause=_why_late(scene),
            evidence=(f"the oldest was due {scene.ago(deliveries.oldest_due_at)}",),
            subjects=("emails",),
            count=deliveries.due,
            since=deliveries.oldest_due_at,
            cures=(Cure(label="ring for mail now", action="rering", targets=("emails",), safe=True),),
        )
    if scene.older(deliveries.oldest_job_due_at, LATE_AFTER):
        yield Finding(
            kind="story-late",
            harm=Harm.LATE,
            title="Stories are due that are not written",
            cause="Writing is behind: too few workers, or a provider that fails.",
            evidence=(
                f"the most urgent was due {scene.ago(deliveries.oldest_job_due_at)}",
                f"{many(deliveries.jobs_waiting, 'job')} waiting, {deliveries.jobs_running:,} running, "
                f"{deliveries.jobs_resting:,} between two attempts",
            ),
            subjects=("stories",),
            count=deliveries.jobs_waiting,
            since=deliveries.oldest_job_due_at,
            cures=(Cure(label="start another worker", action="start-process", targets=("worker",)),),
        )


def _why_late(scene: Scene) -> str:
    lines = scene.deliveries.lines if scene.deliveries else ()
    line = next((line for line in lines if not is_story_line(line.name)), None)
    if line is None:
        return "Nothing has been sent yet: no delivery loop or worker has taken it up."
    return f"They wait for their turn: {line.name} takes {line.rate:g} requests a second from us, or nobody sends."


def _failing(scene: Scene, deliveries: DeliveriesView) -> Iterator[Finding]:
    """The errors that story jobs end in; each error of the provider is a finding of its own."""
    for witness in deliveries.witnesses.get("failing", ()):
        error, count = witness.subject, int(witness.detail)
        key = bool(_KEY_WORDS.search(error))
        passing = not key and bool(_OVERLOAD_WORDS.search(error))
        yield Finding(
            kind="story-provider",
            harm=Harm.LATE if key else Harm.COST,
            title=f"{many(count, 'story')} failed: {error[:80]}",
            cause=error,
            evidence=(f"{count:,} of the last day, the latest {scene.ago(witness.at)}",),
            subjects=(error[:80],),
            count=count,
            since=witness.at,
            cures=(
                Cure(
                    label="wait", automatic="each job is tried again with growing pauses, up to eight times"
                ),
                *(
                    (Cure(label="correct the key", command="ANTHROPIC_API_KEY or OPENAI_API_KEY"),)
                    if key
                    else ()
                ),
                *(
                    (Cure(label="see what failed", command="fixionmail jobs failures"),)
                    if not key and not passing
                    else ()
                ),
            ),
            drill=23,
        )


def _poison(scene: Scene, deliveries: DeliveriesView) -> Iterator[Finding]:
    witnesses = deliveries.witnesses.get("poison", ())
    if witnesses:
        ids = tuple(f"story-{subject}" for subject in _subjects(witnesses))
        age = (
            span((scene.at - min(w.at for w in witnesses if w.at)).total_seconds()) if witnesses[0].at else ""
        )
        yield Finding(
            kind="job-poison",
            harm=Harm.LATE,
            title=f"{many(len(witnesses), 'job')} fail{'s' if len(witnesses) == 1 else ''} at every attempt",
            cause="The same job has failed three times or more: it will not get better by itself.",
            evidence=(
                *(f"{w.subject}: {w.detail}" for w in witnesses),
                *((f"planned {age} ago",) if age else ()),
            ),
            subjects=_subjects(witnesses),
            count=len(witnesses),
            since=_first(witnesses),
            cures=(
                Cure(label="see why", command=f"fixionmail jobs why {ids[0]}"),
                Cure(label="queue again when it is mended", action="requeue", targets=ids),
                Cure(label="cancel: no story is written", action="cancel", targets=ids),
            ),
            drill=10,
        )


def _subjects(witnesses: tuple[Witness, ...]) -> tuple[str, ...]:
    return tuple(witness.subject for witness in witnesses)


def _details(witnesses: tuple[Witness, ...]) -> tuple[str, ...]:
    return tuple(witness.detail for witness in witnesses)


def _first(witnesses: tuple[Witness, ...]) -> datetime | None:
    return min((witness.at for witness in witnesses if witness.at), default=None)
