"""What both kinds of endpoint have in common: reading a streamed answer in time, and putting failures into words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import httpx2

from fixionmail import deadline
from fixionmail.models.stories import Usage
from fixionmail.stories.model import NOTHING_BILLED, Failure, ModelError

MOST_CHARACTERS = 60_000
"""Of one answer: three times the longest story there is. A model that does not stop is stopped."""
LONGEST_WAIT_SECONDS = 3_600.0
"""However long a provider asks us to wait, we ask again after this."""


class Reading:
    """The text of one answer as it arrives. Ends with the time of the work that it belongs to."""

    def __init__(self, provider: str, on_text: Callable[[str], None]) -> None:
        self._provider = provider
        self._on_text = on_text
        self._pieces: list[str] = []
        self._length = 0

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """Take in a piece.

        Raises:
            ModelError: it is far more than anybody asked for.
            DeadlineExceededError: the time of the work is over.
        """
        deadline.check()
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length > MOST_CHARACTERS:
            raise ModelError(
                Failure.BAD_ANSWER,
                f"{self._provider} did not stop after {MOST_CHARACTERS} characters; the rest was not read.",
            )
        self._on_text(piece)


class HasResponse(Protocol):
    """A stream of either SDK."""

    response: httpx2.Response


def hold_to(stream: HasResponse, ends_at: float) -> None:
    """Let the stream end at ``ends_at``, however lively it is: no idle timeout strikes one that only says ping."""
    stream.response.stream = _LimitedBytes(stream.response.stream, ends_at)


class _LimitedBytes(httpx2.SyncByteStream):
    def __init__(self, bytes_: object, ends_at: float) -> None:
        assert isinstance(bytes_, httpx2.SyncByteStream)
        self._bytes = bytes_
        self._ends_at = ends_at

    def __iter__(self) -> Iterator[bytes]:
        for part in self._bytes:
            if time.monotonic() > self._ends_at:
                raise httpx2.ReadTimeout("the answer was not complete in time")
            yield part

    def close(self) -> None:
        self._bytes.close()


def status_failure(provider: str, status: int, headers: Mapping[str, str], words: str) -> ModelError:
    """What an error status means; nothing of such a request is billed."""
    failure = _failure(status, words)
    return ModelError(
        failure,
        f"{provider} answered {status}: {_sentence(words)}",
        wait_seconds=retry_after(headers),
        usage=NOTHING_BILLED,
    )


def _sentence(words: str) -> str:
    return (" ".join(words.split())[:300].rstrip(".") or "nothing more") + "."


def _failure(status: int, words: str) -> Failure:
    if status == 402 or "credit balance" in words or "insufficient_quota" in words:
        return Failure.QUOTA
    known = {
        401: Failure.UNAUTHORIZED,
        403: Failure.UNAUTHORIZED,
        404: Failure.NOT_FOUND,
        408: Failure.OUTAGE,
        429: Failure.RATE_LIMITED,
        503: Failure.OVERLOADED,
        529: Failure.OVERLOADED,
    }
    return known.get(status, Failure.OUTAGE if status >= 500 else Failure.REJECTED)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a provider asks us to wait, if it does so in a way that can be read."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return min(seconds, LONGEST_WAIT_SECONDS)
    return None


def broken_off(provider: str, error: Exception) -> ModelError:
    """An answer, or its lack, that the network is the reason for."""
    cause = error.__cause__ if isinstance(error.__cause__, httpx2.HTTPError) else error
    word = f"{cause or 'no word'} ({type(cause).__name__})"
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return ModelError(Failure.UNREACHABLE, f"{provider} cannot be reached: {word}.", usage=NOTHING_BILLED)
    if isinstance(cause, httpx2.TimeoutException):
        return ModelError(Failure.TIMED_OUT, f"{provider} took too long: {word}.")
    return ModelError(Failure.CUT, f"{provider}'s answer broke off: {word}.")


def declined(provider: str, words: str, usage: Usage | None) -> ModelError:
    """The model, or a filter before it, would not."""
    return ModelError(Failure.REFUSED, f"{provider} declined: {_sentence(words)}", usage=usage)


def truncated(provider: str, max_tokens: int, usage: Usage | None) -> ModelError:
    """The limit of tokens ended the answer."""
    return ModelError(
        Failure.TRUNCATED, f"{provider}'s answer was cut at its limit of {max_tokens} tokens.", usage=usage
    )
