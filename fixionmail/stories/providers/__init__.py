"""The writers that can be named in ``STORY_PROVIDER``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fixionmail.errors import SettingsError
from fixionmail.stories.writer import Writer


def _offline() -> Writer:
    from fixionmail.stories.providers.offline import OfflineWriter

    return OfflineWriter()


_WRITERS: Mapping[str, Callable[[], Writer]] = MappingProxyType({"offline": _offline})


def writer_for(name: str) -> Writer:
    """The writer with this name.

    Raises:
        SettingsError: there is no such writer.
    """
    make = _WRITERS.get(name)
    if make is None:
        raise SettingsError(
            f"STORY_PROVIDER is {name!r}, which no writer answers to; use one of: {', '.join(_WRITERS)}."
        )
    return make()
