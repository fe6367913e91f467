"""What operators change: one registry of actions, each with a preview, run in chunks, on record.

Nothing is changed that has moved on since the operator saw it; every target gets an outcome of its own.
"""

from __future__ import annotations

from fixionmail.ops.actions.action import Action, Order
from fixionmail.ops.actions.command_line import command_of, unnamed
from fixionmail.ops.actions.hands import Hands
from fixionmail.ops.actions.registry import ACTIONS, action
from fixionmail.ops.actions.running import preview, run

__all__ = ["ACTIONS", "Action", "Hands", "Order", "action", "command_of", "preview", "run", "unnamed"]
