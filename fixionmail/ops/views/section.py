"""A part of a snapshot that succeeded, or failed with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Section(Generic[T]):
    """One part of a snapshot: its value, or why there is none. Exactly one of the three is meant.

    ``error``: one line in words, without secrets. ``absent``: why it is not there by design, such as "no database
    is set"; then there is neither value nor error.
    """

    value: T | None = None
    error: str = ""
    absent: str = ""
    error_type: str = ""
    """The class of the error, such as ``DatabaseRefusedError``."""

    @property
    def ok(self) -> bool:
        """There is a value."""
        return self.value is not None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which deployment is looked at. Addresses are without passwords."""

    redis: str
    """``host:port/db``, or empty when no Redis is used."""
    database: str
    """``host/name``, or empty when there is none."""
    environment: str
    """``local``, or the name an operator has to type before destructive work on a remote deployment."""
    remote: bool
    key_prefix: str = "rq"
    read_only: bool = False
    mail: str = ""
    """Where mail goes, in words; empty without a database."""
