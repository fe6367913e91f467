"""The errors FixionMail raises. Each carries a sentence that a person can act on, and never a secret."""

from __future__ import annotations


class FixionMailError(Exception):
    """Something FixionMail can explain. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class SettingsError(FixionMailError):
    """A setting is missing or wrong; the message names it and says what would be right."""

    exit_code = 2


class InputError(FixionMailError):
    """What the user typed or handed over cannot be used as it is."""

    exit_code = 2


class UnreachableError(FixionMailError):
    """A server that is needed does not answer. Trying again later may work."""

    exit_code = 4


class DatabaseUnreachableError(UnreachableError):
    """Postgres or Supabase does not answer, or went away in the middle of a call."""


class RedisUnreachableError(UnreachableError):
    """Redis does not answer, or answers that it cannot serve."""


class DatabaseRefusedError(FixionMailError):
    """The database answered and said no: wrong password or key, missing privilege."""

    exit_code = 2


class DatabaseOutdatedError(FixionMailError):
    """A table or function is absent: migrations are missing. The cure is ``fixionmail db migrate``."""


class DatabaseNewerError(FixionMailError):
    """The database was migrated by a newer FixionMail than this one."""


class DatabaseError(FixionMailError):
    """The database reported an error that is neither an outage nor a refusal; a defect or bad data."""


class EngineError(FixionMailError):
    """A bundled server (Postgres, Valkey) could not be started or stopped."""


class DeadlineExceededError(FixionMailError):
    """The time allowed for a piece of work is over; whatever it produces now is refused."""


class StaleTokenError(FixionMailError):
    """The lease behind this work has passed to somebody else: its result is refused, nothing was changed."""


class StoryError(FixionMailError):
    """A story could not be written in this attempt; the message says what the writer answered."""


class UnfitStoryError(StoryError):
    """A model answered, again and again, with texts that cannot be mailed; the message says why."""


class PostponedError(FixionMailError):
    """It is not the time for this work, for a reason that is not its own.

    Attributes:
        wait_seconds: look again after this long.
        line: what stands still: the line to a provider, or ``stories``, when the budget holds everything.
    """

    def __init__(self, reason: str, *, wait_seconds: float, line: str) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.line = line


class MailError(FixionMailError):
    """A mail cannot be made or handed over as asked."""
