"""What widgets tell the screen. Widgets do no I/O: they ask with a message, and the answer comes as data."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class JobsWanted(Message):
    """A page of jobs: of this filter, from this cursor on."""

    query: str
    cursor: str = ""


@dataclass
class FailuresWanted(Message):
    """The failures by fingerprint."""


@dataclass
class DeliveriesWanted(Message):
    """A page of a tab of deliveries; the tab ``duplicates`` is the duplicate check."""

    tab: str
    cursor: str = ""


@dataclass
class ProcessesWanted(Message):
    """The processes of this machine."""


@dataclass
class LogWanted(Message):
    """More of a process's log."""

    name: str
    position: str


@dataclass
class AuditWanted(Message):
    """An audit, or the end of the one that runs."""

    ended: bool = False


@dataclass
class DoctorWanted(Message):
    """The checks, now; ``deep``: also those that take long or ask others."""

    deep: bool = False


@dataclass
class CommandsWanted(Message):
    """Who sends Redis how many commands."""


@dataclass
class HistoryWanted(Message):
    """What was kept of the last so many seconds."""

    seconds: int


@dataclass
class JobOpened(Message):
    """Show this job."""

    job_id: str


@dataclass
class DeliveryOpened(Message):
    """Show this delivery."""

    delivery_id: str


@dataclass
class JobsFiltered(Message):
    """Show the jobs that match."""

    query: str


@dataclass
class FindingOpened(Message):
    """Show this finding, with its evidence and cures."""

    key: str


@dataclass
class FilterChanged(Message):
    """The filter line holds this now; ``done`` when it was sent."""

    text: str
    done: bool = False
