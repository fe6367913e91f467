"""Imports a CSV file page by page: each page is one transaction, so stopping between pages leaves nothing half done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from fixionmail.store import Store
from fixionmail.subscribers import service
from fixionmail.subscribers.csv_file import BadLine, GoodLine

PAGE = 1000
"""Lines in one call of the database; a fraction of a second of work."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of some lines. ``known``: subscribers already, left as they are."""

    added: int = 0
    restored: int = 0
    known: int = 0
    bad: tuple[BadLine, ...] = ()

    @property
    def good(self) -> int:
        """Lines whose subscriber is in the database now."""
        return self.added + self.restored + self.known

    def __add__(self, other: Imported) -> Imported:
        return Imported(
            added=self.added + other.added,
            restored=self.restored + other.restored,
            known=self.known + other.known,
            bad=self.bad + other.bad,
        )


def import_pages(
    store: Store, lines: Iterable[GoodLine | BadLine], now: datetime, page: int = PAGE
) -> Iterator[Imported]:
    """Add the good lines; one result for each page that is done. Safe to run again, from any point.

    Raises:
        FixionMailError: the database cannot be used; the pages before stay.
    """
    rest = iter(lines)
    while taken := list(islice(rest, page)):
        good = [line.sign_up for line in taken if isinstance(line, GoodLine)]
        answers = service.add(store, good, now) if good else []
        yield Imported(
            added=answers.count("added"),
            restored=answers.count("restored"),
            known=answers.count("known"),
            bad=tuple(line for line in taken if isinstance(line, BadLine)),
        )
