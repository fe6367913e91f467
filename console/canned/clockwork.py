"""Repeatable liveliness: figures that move with time, the same at the same instant."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

NAMES = (
    "anna",
    "bilal",
    "chen",
    "dora",
    "emre",
    "fatou",
    "goran",
    "hana",
    "ines",
    "jonas",
    "kofi",
    "lena",
    "marek",
)
GENRES = ("mystery", "fantasy", "comedy", "science fiction", "adventure", "romance", "horror", "everyday")
TITLES = (
    "The Lighthouse That Kept Two Hours",
    "A Door in the Tide Table",
    "Nobody Winds the Clocks of Varna",
    "Salt for the Snow Queen",
    "The Last Tram but One",
    "What the Cartographer Left Out",
    "Eleven Umbrellas",
    "The Orchard under the Motorway",
)


def noise(*parts: object) -> float:
    """A number from 0 to 1 that belongs to these parts."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def pick(options: tuple[str, ...], *parts: object) -> str:
    """One of the options, always the same for the same parts."""
    return options[int(noise(*parts) * len(options)) % len(options)]


def wave(seconds: float, period: float, low: float, high: float, shift: float = 0.0) -> float:
    """A value that swings between ``low`` and ``high``."""
    return low + (high - low) * (0.5 + 0.5 * math.sin(2 * math.pi * (seconds / period + shift)))


def unix(now: datetime) -> float:
    """``now`` as Unix time."""
    return now.timestamp()


def at(seconds: float) -> datetime:
    """Unix time as an instant."""
    return datetime.fromtimestamp(seconds, UTC)


def job_id(number: int) -> str:
    """The id of a job, as the queue names them."""
    digest = hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-7{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
