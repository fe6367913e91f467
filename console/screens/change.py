"""A change, from its preview over the operator's word to its outcome. Nothing is done before Enter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.figures import whole
from console.marks import ACCENT_STYLE, BAD_STYLE, GOOD, OK_STYLE, QUIET_STYLE, WARN, WARN_STYLE, bar
from console.screens.base import console_of
from console.text import plain, safe
from console.widgets.line import Line
from fixionmail.ops.views.findings import Preview, Progress

SAMPLES = 5
BAR = 40
COMMAND_CELLS = 120
"""So much of a command is shown that the keys below it stay on the screen."""
TINY_ROWS = 20
GROUP = "change"


class Phase(Enum):
    """Where the change is."""

    LOOKING = "looking"
    NAMING = "naming"
    ASKING = "asking"
    RUNNING = "running"
    ENDED = "ended"


class ChangeScreen(ModalScreen[bool]):
    """Dismissed with True when something was changed.

    Args:
        action: the operation's name.
        targets: what it is meant for.
        words: what the operator was offered, as the title; empty: the operation's name.
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "leave", "leave", show=False),
        Binding("enter", "go_on", "go on", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]

    def __init__(self, action: str, targets: tuple[str, ...], words: str = "") -> None:
        super().__init__()
        self.of, self.targets = action, targets
        self.title_words = words or action.replace("-", " ")
        self.phase = Phase.LOOKING
        self.preview: Preview | None = None
        self.progress: Progress | None = None
        self.words = ""
        self.begun = False

    def compose(self) -> ComposeResult:
        """The preview, the lines to fill in, and the keys."""
        with Vertical(classes="dialog change") as box:
            box.border_title = Content(_title(self.title_words))
            with VerticalScroll(id="change-body", can_focus=False):
                yield Static("", id="change-text", markup=False)
            yield Line(id="change-detail", compact=True, classes="-hidden")
            yield Line(id="change-name", compact=True, classes="-hidden")
            words = "why (goes into the audit log), may stay empty"
            yield Line(id="change-reason", compact=True, classes="-hidden", placeholder=words)
            yield Static("", id="change-keys", markup=False)

    def on_mount(self) -> None:
        """Ask what it would touch."""
        self._draw()
        self._look("", self._failed)

    def on_resize(self, event: events.Resize) -> None:
        """The keys stay on the smallest screen: there the preview is scrolled."""
        self.set_class(event.size.height < TINY_ROWS, "-tiny")

    def _look(self, detail: str, failed: Callable[[str], None]) -> None:
        app = console_of(self)
        app.ask(GROUP, lambda: app.deck.preview(self.of, self.targets, detail), self._previewed, failed)

    @property
    def name_needed(self) -> str:
        """What has to be typed first: a remote environment's name, before something destructive."""
        target = console_of(self).deck.target
        destructive = self.preview is not None and self.preview.destructive
        return target.environment if target.remote and destructive else ""

    def _previewed(self, preview: Preview) -> None:
        self.preview, self.words = preview, ""
        self._hide_lines()
        if not preview.count:
            self.phase, self.words = Phase.ENDED, "There is nothing that this would change."
        elif preview.asks and not preview.detail:
            self.phase = Phase.NAMING
            self._open_line("#change-detail", preview.asks)
        else:
            self.phase = Phase.ASKING
            self._open_line("#change-reason")
            if self.name_needed:
                self.query_one(".dialog").add_class("-named")
                self._open_line("#change-name", f"type {safe(self.name_needed)} to go on")
        self._draw()

    def _open_line(self, selector: str, words: str = "") -> None:
        line = self.query_one(selector, Input)
        line.placeholder = words or line.placeholder
        line.remove_class("-hidden")
        line.focus()

    def _misnamed(self, words: str) -> None:
        """What was given cannot be it: it is asked for again."""
        self.phase, self.words = Phase.NAMING, words
        self._draw()

    def _failed(self, words: str) -> None:
        self.phase, self.words = Phase.ENDED, words
        self._hide_lines()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_go_on()

    def action_go_on(self) -> None:
        """Do it; go on with it; or close what has ended."""
        if self.phase is Phase.NAMING:
            self._name_detail()
        elif self.phase is Phase.ASKING:
            self._confirm()
        elif self.phase is Phase.ENDED:
            if self._unfinished:
                self._run()
            else:
                self.dismiss(self.begun)

    def action_scroll(self, by: int) -> None:
        """Read what there is no room for."""
        self.query_one("#change-body").scroll_relative(y=by * 3, animate=False)

    def action_leave(self) -> None:
        """Close without doing it; stop what runs."""
        app = console_of(self)
        if self.phase is Phase.RUNNING:
            app.drop(GROUP)
            self.phase, self.words = Phase.ENDED, "Stopped. What is done stays done."
            self._draw()
        else:
            app.drop(GROUP)
            self.dismiss(self.begun)

    @property
    def _unfinished(self) -> bool:
        return self.progress is not None and not self.progress.finished and bool(self.progress.cursor)

    def _name_detail(self) -> None:
        detail = self.query_one("#change-detail", Input).value.strip()
        if detail:
            self.phase, self.words = Phase.LOOKING, ""
            self._look(detail, self._misnamed)
        elif self.preview:
            self._misnamed(f"This needs {self.preview.asks}.")

    def _confirm(self) -> None:
        name = self.query_one("#change-name", Input)
        if self.name_needed and name.value.strip() != self.name_needed:
            self.words = f"That is not the name of this environment ({safe(self.name_needed)})."
            name.focus()
            self._draw()
            return
        self._run()

    def _run(self) -> None:
        app, preview = console_of(self), self.preview
        assert preview is not None
        reason = self.query_one("#change-reason", Input).value.strip()
        cursor = self.progress.cursor if self.progress else ""
        self.phase, self.words, self.begun = Phase.RUNNING, "", True
        self._hide_lines()
        self._draw()
        app.ask_all(
            GROUP, lambda: app.deck.run(preview, self.targets, reason, cursor), self._progressed, self._ended
        )

    def _progressed(self, progress: Progress) -> None:
        self.progress = progress
        self._draw()

    def _ended(self, words: str) -> None:
        self.phase, self.words = Phase.ENDED, words
        self._draw()

    def _hide_lines(self) -> None:
        for line in self.query(Input):
            line.add_class("-hidden")
        self.set_focus(None)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self.query_one("#change-text", Static).update(self._text())
        self.query_one("#change-keys", Static).update(self._keys())
        if self.words or self.progress is not None:  # what is new stands at the end
            self.query_one("#change-body").scroll_end(animate=False)

    def _text(self) -> Content:
        if self.preview is None and self.phase is Phase.LOOKING:
            return Content.styled("Looking at what this would touch …", QUIET_STYLE)
        parts = self._preview_lines() if self.preview else []
        if self.progress is not None:
            assert self.preview is not None
            parts += ["", *_progress_lines(self.preview, self.progress)]
        elif self.phase is Phase.RUNNING:
            parts += ["", Content.styled("Beginning …", QUIET_STYLE)]
        if self.words:
            parts += ["", Content.assemble((f"{WARN} ", WARN_STYLE), plain(self.words))]
        return Content("\n").join(parts[1:] if parts[:1] == [""] else parts)

    def _preview_lines(self) -> list[Content | str]:
        preview = self.preview
        assert preview is not None
        lines: list[Content | str] = [
            Content.assemble((f"{whole(preview.count)} ", "bold"), _about(preview.count)),
            *(self._sample(sample, preview.count) for sample in preview.samples[:SAMPLES]),
        ]
        if preview.count > SAMPLES:
            lines.append(Content.styled(f"  · and {whole(preview.count - SAMPLES)} more", QUIET_STYLE))
        lines += [Content.assemble((f"{WARN} ", WARN_STYLE), plain(w, WARN_STYLE)) for w in preview.warnings]
        if preview.detail:
            lines.append(
                Content.assemble((f"{safe(preview.asks)}: ", QUIET_STYLE), plain(preview.detail, "bold"))
            )
        if preview.command and (preview.detail or not preview.asks):
            lines += [
                "",
                Content.assemble(
                    ("$ ", QUIET_STYLE),
                    plain(preview.command, "$calm").truncate(COMMAND_CELLS, ellipsis=True),
                ),
            ]
        return lines

    def _sample(self, sample: str, count: int) -> Content:
        """One of few in full, one of many on its line."""
        line = Content.assemble("  · ", plain(sample))
        width = self.query_one("#change-text", Static).content_size.width
        return line if count <= 2 or not width else line.truncate(width, ellipsis=True)

    def _keys(self) -> Content:
        keys = {
            Phase.LOOKING: (("esc", "leave"),),
            Phase.NAMING: (("⏎", "go on"), ("esc", "leave everything as it is")),
            Phase.ASKING: (("⏎", "do it"), ("esc", "leave everything as it is")),
            Phase.RUNNING: (("esc", "stop"),),
            Phase.ENDED: (("⏎", "go on where it stopped"), ("esc", "close"))
            if self._unfinished
            else (("⏎", "close"),),
        }[self.phase]
        return Content("   ").join(
            Content.assemble((key, f"bold {ACCENT_STYLE}"), (f" {words}", QUIET_STYLE)) for key, words in keys
        )


def _progress_lines(preview: Preview, progress: Progress) -> list[Content | str]:
    part = progress.done / progress.total if progress.total else 1.0
    words: Counter[str] = Counter()
    for outcome, count in progress.outcomes.items():
        words[_word(outcome)] += count
    counts = "  ".join(f"{safe(word)} {whole(count)}" for word, count in words.items())
    line = Content.assemble(bar(part, BAR, OK_STYLE), f" {whole(progress.done)} of {whole(progress.total)}")
    mark = Content.styled(f"{GOOD} ", OK_STYLE) if progress.finished else Content("")
    told = [said for target in progress.details if (said := _told(preview, *target))]
    return [line, Content.assemble(mark, counts), *told[:SAMPLES]]


def _word(outcome: str) -> str:
    """``done`` of ``done: and what came of it``."""
    return outcome.partition(":")[0]


def _told(preview: Preview, key: str, outcome: str) -> Content:
    """What there is to say of one target: why not, or what came of it; often nothing."""
    if preview.is_done(outcome):
        return plain(outcome.partition(":")[2].strip())
    return plain(f"{key}: {outcome}", BAD_STYLE)


def _title(words: str) -> str:
    plain_words = safe(words)
    return plain_words[:1].upper() + plain_words[1:]


def _about(count: int) -> str:
    return "is touched:" if count == 1 else "are touched:"
