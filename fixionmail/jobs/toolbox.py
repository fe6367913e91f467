"""Puts together what the task functions work with, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from fixionmail.jobs.claims import ClaimKeeper
from fixionmail.jobs.names import SEND_MAIL, WRITE_STORY
from fixionmail.jobs.tasks import Tools, send_mail, write_story
from fixionmail.jobs.worker.payload import Functions
from fixionmail.mail.choice import mail_line, open_mailer, sender_of
from fixionmail.mail.pacing import SlotClock
from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.stories import writer_for
from fixionmail.stories.shared_desk import limits_of


@contextmanager
def open_functions(settings: Settings, store: Store, ring_mail: Callable[[int], None]) -> Iterator[Functions]:
    """The task functions by their dotted names, ready to run; claims still held at the end are handed back."""
    with ExitStack() as stack:
        mailer = stack.enter_context(open_mailer(settings))
        keeper = ClaimKeeper(store)
        stack.callback(keeper.close)
        tools = Tools(
            store=store,
            keeper=keeper,
            writer=writer_for(settings),
            limits=limits_of(settings),
            line=mail_line(settings, store),
            mailer=mailer,
            sender=sender_of(settings),
            story_seconds=settings.story_job_timeout_seconds,
            charge=1 if settings.enable_credit_system else 0,
            clock=SlotClock(),
            ring_mail=ring_mail,
        )
        yield {WRITE_STORY: partial(write_story, tools), SEND_MAIL: partial(send_mail, tools)}
