"""A deployment that only pretends, for ``fixionmail console --demo``, for pictures and for tests."""

from console.canned.deck import CannedDeck

__all__ = ["CannedDeck"]
