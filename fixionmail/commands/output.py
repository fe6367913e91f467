"""What commands print. Text from outside is hostile: shown as it is, never as markup or terminal control."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

SCHEMA = 1
"""Of all JSON output; grows when a field changes its meaning."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: colours, cursor movements, new lines
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which make a line read as another one
    "\ud800-\udfff]"  # bytes that were no text
)


def clean(text: str) -> str:
    """``text`` on one line, without anything that steers a terminal."""
    return _UNSAFE.sub("", re.sub(r"\s+", " ", text))


def moment(instant: datetime | None) -> str:
    """In UTC, to the minute; nothing when there is none."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}" if instant else ""


def plain(text: str, style: str = "") -> Text:
    """``text`` as a cell or line that rich shows literally."""
    from rich.text import Text

    return Text(clean(text), style=style)


def console() -> Console:
    """Standard output for tables; what it is given as a string is shown literally."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def print_json(document: Mapping[str, Any], *, on_one_line: bool = False) -> None:
    """Print one JSON document with its ``schema``, in ASCII."""
    indent = None if on_one_line else 2
    typer.echo(json.dumps({"schema": SCHEMA, **document}, indent=indent, default=_as_json))


def _as_json(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)  # a datetime is a date


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(plain(name), plain(value))
    console().print(table)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; long cells are folded, never cut."""
    console().print(table(columns, rows))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; long cells are folded, never cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(plain(cell) for cell in row))
    return made
