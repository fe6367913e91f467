"""One trouble in full: cause, evidence, and every cure with its key."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.commands import BY_ID, CURE_KEYS, bindings, key_of
from console.screens.base import console_of, keys_of
from console.widgets.trouble import finding_text
from fixionmail.ops.views.findings import Finding


def cure_keys(screen: ModalScreen[Any]) -> list[str]:
    """The keys of cures, as the operator has set them."""
    return [key_of(BY_ID[f"cure-{n}"], keys_of(screen)) for n in range(1, len(CURE_KEYS) + 1)]


class FindingScreen(ModalScreen[None]):
    """A box above the views."""

    BINDINGS: ClassVar[list[Any]] = bindings()
    place = "finding"

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding

    def compose(self) -> ComposeResult:
        """Cause, evidence, cures."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = Content("Trouble")
            box.border_subtitle = "esc closes   Y copies the command"
            moment = console_of(self).main.moment
            yield Static(finding_text(self.finding, moment, cure_keys(self)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Cures, copying and closing."""
        if action != "command":
            return True
        command_id = str(parameters[0])
        return command_id.startswith("cure-") or command_id in (
            "back",
            "quit",
            "copy-id",
            "copy-command",
            "open",
        )

    def action_command(self, command_id: str) -> None:
        """Cure, copy or close."""
        app = console_of(self)
        if command_id.startswith("cure-"):
            cures = [cure for cure in self.finding.cures if cure.action]
            number = int(command_id.removeprefix("cure-"))
            if number <= len(cures):
                cure = cures[number - 1]
                self.dismiss()
                app.call_later(app.cure, cure)
        elif command_id.startswith("copy"):
            commands = [cure.command for cure in self.finding.cures if cure.command]
            text = (
                ",".join(self.finding.subjects)
                if command_id == "copy-id"
                else next(iter(commands), "fixionmail doctor")
            )
            app.copy_to_clipboard(text)
            app.notify_text(f"Copied: {text}")
        else:
            self.dismiss()
