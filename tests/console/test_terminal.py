"""However the console ends or is set aside, the terminal is as it was: for the shell that comes back, and its user."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.commands import command, environment, until
from tests.console.terminal import Screen, terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
MODES = ("alternate_on", "mouse_any_flag", "keypad_cursor_flag", "cursor_flag")
AS_IT_WAS = ["0", "0", "0", "1"]
"""The main screen, no mouse, no keypad, a cursor."""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Screen]:
    """A shell in which the console runs on the deployment that pretends."""
    settings = [f"{name}={value}" for name, value in environment(tmp_path).items()]
    program = ["env", "-i", *settings, "TERM=xterm-256color", "PS1=prompt$ ", "bash", "--norc", "--noprofile"]
    with terminal(program) as screen:
        screen.until(r"prompt\$")
        screen.press(shlex.join(command("console", "--demo")), "Enter")
        screen.until("every 2s")
        yield screen


def console_of(screen: Screen) -> psutil.Process:
    """The console's process."""
    (pane,) = screen.tells("pane_pid")
    return next(child for child in psutil.Process(int(pane)).children() if "console" in child.cmdline())


def require_sane(screen: Screen, ending: str = "") -> None:
    """The shell is there, the terminal's modes are as they were, and what is typed is seen and does what it says."""
    until(lambda: screen.tells(*MODES) == AS_IT_WAS, f"the modes {MODES} to be {AS_IT_WAS}")
    screen.press("clear", "Enter")
    screen.press("stty -a | tr ';' '\\n' | tr -s ' \\n' ' '", "Enter")
    modes = " ".join(screen.until(r"-?icanon").split())
    for mode in ("icanon", "isig", "echo", "icrnl", "opost", "onlcr"):
        assert f" {mode} " in f" {modes} ", mode
    screen.press(f"echo it is {ending or 'well'}", "Enter")
    screen.until(rf"(?m)^it is {ending or 'well'}")


def test_the_console_uses_modes_that_would_be_missed(shell: Screen) -> None:
    assert shell.tells("alternate_on", "mouse_any_flag") == ["1", "1"]


def test_after_q_the_shell_is_as_it_was(shell: Screen) -> None:
    shell.press("q")
    require_sane(shell)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_after_a_signal_the_shell_is_as_it_was(shell: Screen, number: signal.Signals) -> None:
    process = console_of(shell)
    process.send_signal(number)
    process.wait(60)
    require_sane(shell)


def test_after_ctrl_z_the_shell_is_as_it_was_and_fg_brings_the_console_back(shell: Screen) -> None:
    process = console_of(shell)
    shell.press("2", "C-z")
    until(lambda: process.status() == psutil.STATUS_STOPPED, "the console to stop")
    require_sane(shell, "set aside")
    shell.press("fg", "Enter")
    shell.until(r"(?s)2 Jobs.*in all")
    assert shell.tells("alternate_on") == ["1"]
    shell.press("8")
    shell.until("Who sends Redis how many commands")
    shell.press("q", "q")
    require_sane(shell)


def test_a_terminal_that_is_closed_ends_the_console(shell: Screen) -> None:
    process = console_of(shell)
    shell.tmux("kill-server")
    with suppress(psutil.NoSuchProcess):
        process.wait(60)
    assert not psutil.pid_exists(process.pid) or process.status() == psutil.STATUS_ZOMBIE


def test_a_terminal_that_is_resized_is_filled_at_every_size(shell: Screen) -> None:
    for columns, rows in ((80, 24), (30, 8), (200, 60), (120, 36)):
        shell.resize(columns, rows)
        until(lambda: fills(shell, columns, rows), f"{columns}x{rows} to be filled")  # noqa: B023 - at once


def fills(screen: Screen, columns: int, rows: int) -> bool:
    """The head is as wide as the terminal, and the last line holds the keys."""
    lines = screen.text().splitlines()
    return len(lines) == rows and len(lines[0]) >= columns - 2 and "help" in lines[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_terminal_that_takes_nothing_any_more_does_not_keep_the_console(
    tmp_path: Path, number: signal.Signals
) -> None:
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        command("console", "--demo"),
        env={**environment(tmp_path), "TERM": "xterm-256color"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    try:
        until(lambda: select.select([outside], [], [], 0)[0] != [], "it draws, and nobody reads that")
        for key in b"12345678" * 8:
            os.write(outside, bytes([key]))
            time.sleep(0.02)  # each is a screen more that nobody takes
        process.send_signal(number)
        assert process.wait(60) in (0, 128 + number)
    finally:
        process.kill()
        process.wait()
        os.close(outside)
        os.close(inside)
