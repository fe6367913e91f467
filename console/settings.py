"""The console's settings file, ``console.toml`` under FIXIONMAIL_HOME: theme and keys, checked in words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.commands import BY_ID, COMMANDS
from console.theme import THEMES
from fixionmail.errors import SettingsError

FILE_NAME = "console.toml"
_NAMES = tuple(theme.name for theme in THEMES)


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings:
    """What can be set. ``keys``: a command's id and the key it gets."""

    theme: str = "dark"
    keys: Mapping[str, str] = field(default_factory=dict)


def load(home: Path) -> ConsoleSettings:
    """Read the settings file, which need not be there.

    Raises:
        SettingsError: one sentence for each thing that is wrong.
    """
    path = home / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ConsoleSettings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}.") from None
    return parse(document, str(path))


def parse(document: Mapping[str, object], path: str) -> ConsoleSettings:
    """Check what a settings file says.

    Raises:
        SettingsError: one sentence for each thing that is wrong.
    """
    wrong = [f"{path}: nothing is called {name}; there are theme and [keys]." for name in _unknown(document)]
    theme = document.get("theme", "dark")
    if theme not in _NAMES:
        wrong.append(f"{path}: theme must be one of {', '.join(_NAMES)}.")
    keys = document.get("keys", {})
    if isinstance(keys, Mapping):
        wrong += [f"{path}: {sentence}" for sentence in _wrong_keys(keys)]
    else:
        wrong.append(f"{path}: [keys] must be a table of commands and keys.")
    if wrong:
        raise SettingsError("\n".join(wrong))
    assert isinstance(keys, Mapping)
    return ConsoleSettings(theme=str(theme), keys={str(k): str(v) for k, v in keys.items()})


def _unknown(document: Mapping[str, object]) -> list[str]:
    return sorted(set(document) - {"theme", "keys"})


def _wrong_keys(keys: Mapping[str, object]) -> list[str]:
    wrong = [f"there is no command {name}; the help (?) lists them." for name in keys if name not in BY_ID]
    wrong += [
        f'the key of {name} must be text, such as "x" or "ctrl+x".'
        for name, key in keys.items()
        if not isinstance(key, str) or not key.strip()
    ]
    if not wrong:
        wrong += _clashes({name: str(key) for name, key in keys.items()})
    return wrong


def _clashes(keys: Mapping[str, str]) -> list[str]:
    """Keys that would do two things in one place."""
    wrong = []
    for name, key in keys.items():
        changed = BY_ID[name]
        for other in COMMANDS:
            theirs = keys.get(other.id, other.key)
            meet = not changed.places or not other.places or set(changed.places) & set(other.places)
            if other.id != name and meet and set(_split(key)) & set(_split(theirs)):
                wrong.append(f"{key} would be both {name} and {other.id}.")
    return wrong


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",")]
