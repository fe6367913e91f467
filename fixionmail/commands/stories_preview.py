"""``fixionmail stories preview``: write one story by hand and see it grow. Nobody is mailed."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands.output import AsJson, clean, print_facts, print_json, print_table

if TYPE_CHECKING:
    from fixionmail.models.stories import Brief, Story
    from fixionmail.settings import Settings
    from fixionmail.store import Store
    from fixionmail.stories.preview import Preview


def preview(
    email: Annotated[
        str | None, typer.Option(metavar="WHO", help="Write for this subscriber: address or id.")
    ] = None,
    bible: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write after this TOML or JSON file: genre, setting, character, ..."
        ),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Show it in the browser, as its mail would look.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write one story and show it with its cost and what the gates say. Exit code 1 when it could not be mailed."""
    from fixionmail.errors import InputError
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store
    from fixionmail.stories import writer_for
    from fixionmail.stories.preview import write_preview

    if (email is None) == (bible is None):
        raise InputError("Say for whom: --email WHO, or --bible FILE.")
    settings = load_settings()
    writer = writer_for(settings)
    with open_store(settings, max_connections=1) as store, _screen(as_json) as screen:
        brief = _from_file(bible) if bible else _of_subscriber(store, email or "")
        done = write_preview(brief, writer, screen.desk(store, settings))
    if as_json:
        print_json(_document(done))
    else:
        _tell(done)
    if open_ and done.story:
        _show_in_browser(done.story, brief, settings)
    raise typer.Exit(0 if done.is_good else 1)


class _Screen:
    """Where progress goes: standard error, so that standard output stays a story or a document."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._step = ""
        self._percent = -1

    def desk(self, store: Store, settings: Settings) -> Any:
        from fixionmail.stories.preview import PreviewDesk
        from fixionmail.stories.shared_desk import limits_of

        return PreviewDesk(store.writing, limits_of(settings), on_progress=self.progress, on_text=self.text)

    def progress(self, step: str, percent: int) -> None:
        if self._is_silent or (step, percent // 5) == (self._step, self._percent // 5):
            return
        if step != self._step:
            typer.echo(f"\n{'' if self._step == '' else chr(10)}[{percent:3} %] {step}", err=True)
        self._step, self._percent = step, percent

    def text(self, step: str, piece: str) -> None:
        if not self._is_silent:
            typer.echo(_readable(piece), nl=False, err=True)
            sys.stderr.flush()


@contextmanager
def _screen(as_json: bool) -> Iterator[_Screen]:
    screen = _Screen(is_silent=as_json or not sys.stderr.isatty())
    yield screen
    screen.text("", "\n\n")


def _readable(piece: str) -> str:
    """A piece of a model's text without anything that steers a terminal."""
    return "".join(c for c in piece if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def _of_subscriber(store: Store, who: str) -> Brief:
    from datetime import UTC, datetime

    from uuid_utils.compat import uuid7

    from fixionmail.subscribers import service

    subscriber = service.find(store, who)
    brief = store.writing.brief(subscriber.user_id, job_id=uuid7(), local_date=datetime.now(UTC).date())
    if brief is None:
        raise service.UnknownSubscriberError(who)
    return brief


def _from_file(file: Path) -> Brief:
    from datetime import UTC, datetime

    from uuid_utils.compat import uuid7

    from fixionmail.stories.preview import read_bible
    from fixionmail.subscribers.sign_up import check_preference

    return read_bible(file, preview_id=uuid7(), local_date=datetime.now(UTC).date(), check=check_preference)


def _document(done: Preview) -> dict[str, Any]:
    return {
        "good": done.is_good,
        "error": done.error,
        "story": done.story and asdict(done.story),
        "gates": [asdict(result) for result in done.gates],
        "requests": [asdict(asked) for asked in done.requests],
        "cost_usd": str(_known_cost(done)),
        "unknown_costs": _unknown_costs(done),
    }


def _tell(done: Preview) -> None:
    if done.story:
        typer.echo(clean(done.story.title) + "\n")
        for paragraph in done.story.body.split("\n\n"):
            typer.echo(clean(paragraph) + "\n")
        print_facts(_facts(done, done.story))
    if done.requests:
        print_table(
            ("step", "model", "outcome", "tokens in, out", "USD", "answer"),
            (
                (
                    asked.step,
                    asked.model,
                    asked.end.outcome,
                    f"{asked.end.usage.input_tokens}, {asked.end.usage.output_tokens}"
                    if asked.end.usage
                    else "unknown",
                    "unknown" if asked.end.cost_usd is None else f"{asked.end.cost_usd:.6f}",
                    asked.end.error,
                )
                for asked in done.requests
            ),
        )
    if done.gates:
        print_table(("gate", "result"), ((result.gate, result.problem or "passed") for result in done.gates))
    if done.error:
        typer.echo(f"No story: {clean(done.error)}", err=True)


def _facts(done: Preview, story: Story) -> Iterator[tuple[str, str]]:
    yield "writer", story.writer
    if story.fallback_from:
        yield "instead of", story.fallback_from
    if story.plot:
        yield "plot", story.plot
    unknown = _unknown_costs(done)
    yield (
        "cost",
        f"{_known_cost(done):f} USD" + (f", and {unknown} requests of unknown cost" if unknown else ""),
    )


def _known_cost(done: Preview) -> Decimal:
    return sum((asked.end.cost_usd for asked in done.requests if asked.end.cost_usd is not None), Decimal(0))


def _unknown_costs(done: Preview) -> int:
    return sum(asked.end.cost_usd is None for asked in done.requests)


def _show_in_browser(story: Story, brief: Brief, settings: Settings) -> None:
    """Write the mail's HTML into the home folder and open it."""
    import webbrowser

    from fixionmail.mail.choice import sender_of
    from fixionmail.mail.render import render
    from fixionmail.models.mail import Letter

    letter = Letter(
        delivery_id=brief.job_id,
        user_id=brief.user_id,
        address="preview@example.com",
        local_date=brief.local_date,
        title=story.title,
        body=story.body,
        unsubscribe_token="preview",
    )
    file = settings.home / "previews" / f"{brief.job_id}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render(letter, sender_of(settings)).html, encoding="utf-8")
    typer.echo(f"It is in {file}.", err=True)
    webbrowser.open(file.as_uri())
