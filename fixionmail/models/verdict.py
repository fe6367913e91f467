"""The answers of the database functions."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a database function answers; each function's own answers stand beside it in the migrations."""

    GO = "go"
    OK = "ok"
    ALREADY = "already"  # this very call was made before; nothing to do
    STALE = "stale"  # the lease has passed on; nothing was changed
    BUSY = "busy"
    LATER = "later"
    DONE = "done"
    RETRY = "retry"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"
    GONE = "gone"
    DRAFT = "draft"
    READY = "ready"
    EMPTY = "empty"
    PAUSED = "paused"
    RESEAL = "reseal"
    WINDOW = "window"
    DISSOLVED = "dissolved"
    CHANGED = "changed"  # it is no longer as the operator saw it; nothing was changed
    REFUSED = "refused"
