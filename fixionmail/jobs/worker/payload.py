"""Reading a job record: either one of our own functions with JSON arguments, or the reason why not."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DATA_LIMIT = 1_000_000
"""Bytes of JSON a job may carry; ours carry ids."""

Functions = Mapping[str, Callable[..., object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function from the allow-list and what to call it with."""

    function: Callable[..., object]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    timeout: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a job is filed as failed without anything being run or imported for it."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """The fields of a job's hash that decide how it is run; the order is that of the scripts' replies."""

    data: bytes | None
    timeout: bytes | None
    enqueued_at: bytes | None
    unsupported: Mapping[str, bytes | None]

    @classmethod
    def from_reply(cls, fields: Sequence[bytes | None]) -> JobRecord:
        data, timeout, enqueued_at, _ttl, *rest = fields
        names = (
            "success callback",
            "failure callback",
            "stopped callback",
            "webhooks",
            "repeats",
            "rate limit",
        )
        return cls(
            data=data,
            timeout=timeout,
            enqueued_at=enqueued_at,
            unsupported=dict(zip(names, rest, strict=True)),
        )

    def queued_ms(self, claimed_at: float) -> int:
        """Milliseconds the job waited in its queue; 0 when its record does not say."""
        try:
            queued_at = datetime.fromisoformat((self.enqueued_at or b"").decode()).timestamp()
        except ValueError:
            return 0
        return max(0, round((claimed_at - queued_at) * 1000))


def read_call(record: JobRecord, functions: Functions) -> Call | Refusal:
    """Match a record against the allow-list ``functions`` (dotted path -> function)."""
    for name, value in record.unsupported.items():
        if value:
            return Refusal(reason=f"The job asks for {name}, which this worker does not do.")
    try:
        name, instance, args, kwargs = json.loads(_decompress(record.data or b""))
        timeout = float(int(record.timeout or b"180"))
    except (ValueError, TypeError, RecursionError, zlib.error) as problem:
        return Refusal(reason=f"The job's payload is not the JSON this worker reads: {problem}.")
    if not isinstance(args, list) or not isinstance(kwargs, dict) or instance is not None:
        return Refusal(
            reason="The job's payload must be JSON: [function, null, [arguments], {named arguments}]."
        )
    function = functions.get(name) if isinstance(name, str) else None
    if function is None:
        return Refusal(
            reason=f"The job names {str(name)[:200]!r}, which is not a function this worker may run."
        )
    if timeout <= 0:
        return Refusal(reason=f"The job's timeout is {timeout:g} seconds; it must be more than 0.")
    return Call(function=function, args=args, kwargs=kwargs, timeout=timeout)


def _decompress(data: bytes) -> bytes:
    """rq compresses the payload; an uncompressed one is accepted, as rq does."""
    if data[:1] == b"[":
        return data
    unpacker = zlib.decompressobj()
    payload = unpacker.decompress(data, DATA_LIMIT)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it is larger than {DATA_LIMIT} bytes")
    return payload
