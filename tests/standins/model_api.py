"""What the stand-ins for language-model APIs have in common: faults, the ledger, and serving over HTTP."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Self

from tests.standins import control
from tests.standins.clock import Clock
from tests.standins.faults import FaultPlan, FaultRule
from tests.standins.novelist import Novelist, step_of
from tests.standins.server import ConnectionCutError, HttpServer, Reply, Request, json_reply, wait_for_signal

PIECE = 120
HUGE_CHARACTERS = 200_000


class ModelFault(StrEnum):
    """What goes wrong with a request."""

    SLOW = "slow"  # ``seconds`` between the first and the second piece
    CUT = "cut"  # the connection is reset in the middle of the text
    CUT_BEFORE_END = "cut_before_end"  # all of the text, and then the stream just ends
    ERROR_MIDWAY = "error_midway"  # the stream says in the middle that the provider is overloaded
    UNAUTHORIZED = "unauthorized"  # 401
    RATE_LIMITED = "rate_limited"  # 429, retry-after of ``seconds``
    OVERLOADED = "overloaded"  # 529
    OUTAGE = "outage"  # 500
    REFUSAL = "refusal"  # as the API says it
    REFUSAL_IN_WORDS = "refusal_in_words"  # as a text like any other
    TRUNCATED = "truncated"  # ended by max_tokens
    INVALID_JSON = "invalid_json"  # where JSON was asked for
    EMPTY = "empty"
    HUGE = "huge"  # 200,000 characters


REQUEST_FAULTS = (
    ModelFault.UNAUTHORIZED,
    ModelFault.RATE_LIMITED,
    ModelFault.OVERLOADED,
    ModelFault.OUTAGE,
)
"""Answered with a status instead of a stream; not billed."""
UNTOLD_FAULTS = (ModelFault.CUT, ModelFault.CUT_BEFORE_END, ModelFault.ERROR_MIDWAY, ModelFault.HUGE)
"""Billed, and the client is not told how much."""


class ApiError(Exception):
    """A request that this API refuses."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.headers = headers or {}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as the API understands it."""

    model: str
    material: str
    rules: str
    max_tokens: int
    wants_json: bool


@dataclass(kw_only=True)
class Entry:
    """One request in the ledger. ``told``: the client was told these tokens."""

    step: str
    model: str
    material: str
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    told: bool = False
    begun_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Script:
    """What is streamed. ``ending``: how the API says that it has ended; ``fault``: what goes wrong on the way."""

    call: Call
    text: str
    entry: Entry
    ending: str
    rule: FaultRule | None
    stopping: threading.Event

    @property
    def fault(self) -> str:
        """The fault's name, or nothing."""
        return str(self.rule.fault) if self.rule else ""

    def pieces(self) -> Iterator[str]:
        """The text, piece by piece, until a fault strikes.

        Raises:
            ConnectionCutError: it is cut here.
        """
        half = len(self.text) // 2
        for at in range(0, len(self.text), PIECE):
            piece = self.text[at : at + PIECE]
            self.entry.output_tokens += tokens(piece)
            yield piece
            if self.fault == ModelFault.SLOW and at == 0 and self.rule:
                self.stopping.wait(self.rule.seconds)
            if self.fault == ModelFault.CUT and at >= half:
                raise ConnectionCutError


class ModelStandIn:
    """A running stand-in; a context manager that stops it. Subclasses speak one protocol.

    Args:
        api_key: the only key that is good.
        models: those there are.
        rate_limit: requests that may be under way at once; more are answered 429. None: no limit.
        pace: seconds between two pieces of a text.
        seed: for everything random.
        port: TCP port on 127.0.0.1; 0 picks a free one.
    """

    path = ""
    defaults: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        api_key: str = "sk-standin",
        models: tuple[str, ...] = (),
        rate_limit: int | None = None,
        pace: float = 0.0,
        seed: int | None = None,
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.models = models or self.defaults
        self.rate_limit = rate_limit
        self.pace = pace
        self.faults = FaultPlan(seed=seed)
        self.ledger: list[Entry] = []
        self.refused: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._novelist = Novelist()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = HttpServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return self._server.url

    def entries(self, step: str | None = None) -> list[Entry]:
        """The requests so far that were understood; of one step or all."""
        with self._lock:
            return [entry for entry in self.ledger if step in (None, entry.step)]

    def close(self) -> None:
        """Stop, and end what is under way."""
        self._stopping.set()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # One protocol

    def check(self, request: Request) -> Call:
        """Read and check a request. Raises ApiError."""
        raise NotImplementedError

    def error_reply(self, error: ApiError) -> Reply:
        """An error as this API words it."""
        raise NotImplementedError

    def events(self, script: Script) -> Iterator[bytes]:
        """The answer as server-sent events."""
        raise NotImplementedError

    def authorize(self, request: Request) -> None:
        """Raises ApiError when the key is not good."""
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if given != self.api_key:
            raise ApiError(401, "authentication_error", "invalid x-api-key")

    # Serving

    def _answer(self, request: Request) -> Reply:
        if request.path.startswith(control.PREFIX):
            return self._control(request)
        try:
            return self._stream(request)
        except ApiError as error:
            with self._lock:
                self.refused.append(f"{error.status} {error.message}")
            return self.error_reply(error)

    def _stream(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", self.path):
            raise ApiError(404, "not_found_error", f"no such route: {request.method} {request.path}")
        self.authorize(request)
        call = self.check(request)
        step = step_of(call.material, wants_plan=call.wants_json)
        rule = self.faults.take(step)
        entry = Entry(
            step=step, model=call.model, material=call.material, fault=str(rule.fault) if rule else ""
        )
        with self._lock:
            self.ledger.append(entry)
        self._strike(rule)
        if self.rate_limit is not None and self._at_once >= self.rate_limit:
            entry.fault = ModelFault.RATE_LIMITED
            raise ApiError(429, "rate_limit_error", "Too many requests", {"retry-after": "1"})
        entry.input_tokens = tokens(call.rules + call.material)
        return Reply(
            status=200,
            headers={"content-type": "text/event-stream; charset=utf-8", "request-id": "req_standin"},
            stream=self._counted(self._script(call, entry, rule), entry),
        )

    def _strike(self, rule: FaultRule | None) -> None:
        match rule and rule.fault:
            case ModelFault.UNAUTHORIZED:
                raise ApiError(401, "authentication_error", f"invalid key {self.api_key}")
            case ModelFault.RATE_LIMITED:
                raise ApiError(
                    429,
                    "rate_limit_error",
                    "Too many requests",
                    {"retry-after": f"{rule.seconds:g}"},  # type: ignore[union-attr]
                )
            case ModelFault.OVERLOADED:
                raise ApiError(529, "overloaded_error", "Overloaded", {"retry-after": "1"})
            case ModelFault.OUTAGE:
                raise ApiError(500, "api_error", "Internal server error")

    def _script(self, call: Call, entry: Entry, rule: FaultRule | None) -> Script:
        text = self._novelist.answer(call.material, wants_plan=call.wants_json)
        ending = "end"
        match rule and rule.fault:
            case ModelFault.REFUSAL:
                text, ending = "", "refusal"
            case ModelFault.REFUSAL_IN_WORDS:
                text = "I'm sorry, but I can't help with writing this story."
            case ModelFault.TRUNCATED:
                text, ending = text[: len(text) // 3], "max_tokens"
            case ModelFault.INVALID_JSON:
                text = text[: len(text) // 2]
            case ModelFault.EMPTY:
                text = ""
            case ModelFault.HUGE:
                text = (text * (1 + HUGE_CHARACTERS // len(text)))[:HUGE_CHARACTERS]
        return Script(call=call, text=text, entry=entry, ending=ending, rule=rule, stopping=self._stopping)

    def _counted(self, script: Script, entry: Entry) -> Iterator[bytes]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            for event in self.events(script):
                yield event
                if self.pace:
                    self._stopping.wait(self.pace)
        finally:
            with self._lock:
                self._at_once -= 1
                entry.ended_at = time.monotonic()

    def _control(self, request: Request) -> Reply:
        match request.method, request.path.removeprefix(control.PREFIX):
            case "GET", "ledger":
                return json_reply(200, [asdict(entry) for entry in self.entries()])
            case "POST", "faults":
                fields = json.loads(request.body)
                self.faults.add(ModelFault(fields.pop("fault")), **fields)  # type: ignore[arg-type]
                return json_reply(200, {"ok": True})
        return control.answer(request, self.faults, Clock())


def tokens(text: str) -> int:
    """How many tokens a text has here."""
    return (len(text) + 3) // 4


def serve(make: Callable[..., ModelStandIn], description: str, url_path: str) -> None:
    """Serve until interrupted; prints one line of JSON with URL and key."""
    import argparse

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="sk-standin")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two pieces of a text")
    parser.add_argument("--at-once", type=int, help="requests under way at once; default: no limit")
    parser.add_argument("--fault", action="append", choices=[str(f) for f in ModelFault], default=[])
    parser.add_argument(
        "--fault-rate", type=float, default=0.2, help="share of requests that each fault strikes"
    )
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    with make(
        api_key=options.key,
        pace=options.pace,
        rate_limit=options.at_once,
        seed=options.seed,
        port=options.port,
    ) as server:
        for name in options.fault:
            server.faults.add(ModelFault(name), times=None, rate=options.fault_rate, seconds=1.0)  # type: ignore[arg-type]
        sys.stdout.write(json.dumps({"url": server.url + url_path, "api_key": server.api_key}) + "\n")
        sys.stdout.flush()
        wait_for_signal()
