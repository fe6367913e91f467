"""What a leader says beside its counts."""

from __future__ import annotations

from fixionmail.jobs.dispatch import Dispatcher


def redis_note(dispatcher: Dispatcher) -> str:
    """Why the loop does the work itself although Redis is wanted; empty while Redis answers."""
    if not dispatcher.trouble:
        return ""
    return f"without Redis, whose work is done here: {dispatcher.trouble}"


def joined(*notes: str) -> str:
    """Those that say something, as one."""
    return "; ".join(note for note in notes if note)
