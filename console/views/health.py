"""View 8: every check of the doctor, live, and the two servers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive

from console.feed import CheckRow
from console.figures import brief, plural, short, since, size, span, whole
from console.marks import BAD, BAD_STYLE, BUSY, GOOD, IDLE, OK_STYLE, QUIET_STYLE, WARN, WARN_STYLE, bar
from console.messages import CommandsWanted, DoctorWanted
from console.sections import UNKNOWN, Shown
from console.text import fit, plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.panel import Drawn
from console.widgets.table import Column, Row, Table
from fixionmail.ops.views.database import DatabaseView
from fixionmail.ops.views.redis import ClientCost, RedisView

COLUMNS = (
    Column(name="", width=1),
    Column(name="check", width=18, grow=26),
    Column(name="result", least=20),
    Column(name="fix", least=16, rank=1),
    Column(name="age", width=5, right=True, rank=2),
)
COST_COLUMNS = (
    Column(name="Redis client", least=18),
    Column(name="links", width=5, right=True, rank=2),
    Column(name="commands", width=8, right=True, rank=1),
    Column(name="a minute", width=8, right=True),
    Column(name="a month", width=8, right=True),
)
AGAIN_SECONDS = 60.0
"""While it is looked at, the doctor examines so often; with it, who sends how many commands is counted."""
DEEP_SECONDS = 600.0
"""What takes long or asks others is examined on coming here when it was last so long ago, and with ``r``."""
_STATES = {
    "ok": (GOOD, OK_STYLE),
    "note": (BUSY, QUIET_STYLE),
    "risk": (WARN, WARN_STYLE),
    "bad": (BAD, BAD_STYLE),
    "skipped": (IDLE, QUIET_STYLE),
}
_ORDER = ("bad", "risk", "note", "skipped", "ok")
SKEW_SECONDS = 2.0


def check_rows(checks: Sequence[CheckRow], now: datetime | None) -> tuple[Row, ...]:
    """A row for each check and finding, trouble first."""
    ordered = sorted(checks, key=lambda check: _ORDER.index(check.state))
    return tuple(
        Row(
            key=check.key,
            cells=(
                Content.styled(*_STATES[check.state]),
                plain(check.name, "bold"),
                plain(check.words, _STATES[check.state][1] if check.state in ("bad", "risk") else ""),
                plain(check.fix, QUIET_STYLE),
                Content.styled(brief(since(check.at, now)) if check.at and now else "–", QUIET_STYLE),
            ),
        )
        for check in ordered
    )


def cost_rows(costs: Sequence[ClientCost]) -> tuple[Row, ...]:
    """A row for each client, who costs most first."""
    return tuple(
        Row(
            key=cost.name,
            cells=(
                plain(cost.name),
                Content.styled("–" if cost.connections is None else whole(cost.connections), QUIET_STYLE),
                Content(short(cost.commands)),
                Content(_known(cost.per_minute)),
                Content(_known(cost.per_month)),
            ),
        )
        for cost in costs
    )


def _known(rate: float | None) -> str:
    """A rate, or a dash while it has been counted for too short a time."""
    return "–" if rate is None else short(rate)


Fact = tuple[str, Content]


class Facts(Drawn):
    """Names and values, a line each."""

    facts: reactive[tuple[Fact, ...]] = reactive((), repaint=False)

    def watch_facts(self) -> None:
        self.redraw()

    def lines(self, width: int) -> list[Content]:
        """One line a fact."""
        return [
            fit(Content.assemble((f"{name:<12}" if name else "", QUIET_STYLE), value), width)
            for name, value in self.facts
        ]


def redis_facts(seen: RedisView) -> tuple[Fact, ...]:
    """What there is to say of the Redis server."""
    part = seen.used_memory / seen.max_memory if seen.max_memory else 0.0
    full = f" of {size(seen.max_memory)}" if seen.max_memory else ", no limit"
    risky = seen.eviction_policy != "noeviction"
    return (
        ("server", plain(f"{seen.flavour} {seen.version}, {seen.role}, up {span(seen.uptime_seconds)}")),
        ("answers in", Content(f"{seen.round_trip_seconds * 1000:.1f} ms")),
        ("memory", Content.assemble(bar(part, 16), f"  {size(seen.used_memory)}{full}")),
        ("policy", plain(seen.eviction_policy, WARN_STYLE if risky else "")),
        ("persistence", plain(seen.persistence)),
        ("load", Content(f"{whole(seen.commands_per_second)} commands/s, {whole(seen.clients)} clients")),
        ("keys", plain(f"{whole(seen.keys)}, RQ layout {seen.rq_layout}")),
        ("clock", _skew(seen.clock_skew_seconds)),
    )


def database_facts(seen: DatabaseView) -> tuple[Fact, ...]:
    """What there is to say of the database server."""
    part = seen.connections / seen.max_connections if seen.max_connections else 0.0
    missing = ", ".join(safe(name) for name in seen.missing_migrations)
    return (
        ("server", plain(f"Postgres {seen.version} over {seen.road}")),
        ("answers in", Content(f"{seen.round_trip_seconds * 1000:.1f} ms")),
        ("connections", Content.assemble(bar(part, 16), f"  {seen.connections} of {seen.max_connections}")),
        ("size", Content(size(seen.size_bytes))),
        ("subscribers", Content(whole(seen.subscribers))),
        ("migrations", Content.styled(f"missing: {missing}", BAD_STYLE) if missing else Content("all there")),
        ("clock", _skew(seen.clock_skew_seconds)),
    )


def unseen(section: Shown[Any]) -> tuple[Fact, ...]:
    """What stands in the place of facts where there are none."""
    return (("", section.nothing("")),)


def _skew(seconds: float) -> Content:
    apart = abs(seconds) > SKEW_SECONDS
    return Content.styled(f"{seconds:+.1f} s from ours", BAD_STYLE if apart else "")


class Health(View):
    """The checks, and what the servers say of themselves."""

    redis: reactive[Shown[RedisView]] = reactive(Shown())
    database: reactive[Shown[DatabaseView]] = reactive(Shown())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#checks"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._checks: dict[str, CheckRow] = {}
        self._fresh: dict[str, CheckRow] = {}
        """What the examination under way has told so far."""
        self._asking = False
        self._asked_at = self._deep_at = float("-inf")
        """In monotonic seconds."""

    def compose(self) -> ComposeResult:
        """Checks above, servers below."""
        yield Heading("Doctor", id="head-doctor")
        yield Table(*COLUMNS, empty="asking …", id="checks")
        with Horizontal(id="servers"):
            with Vertical():
                yield Heading("Redis", id="head-redis")
                yield Facts(id="redis-facts")
            with Vertical():
                yield Heading("Postgres", id="head-database")
                yield Facts(id="database-facts")
        yield Heading("Who sends Redis how many commands", id="head-costs")
        yield Table(*COST_COLUMNS, empty="looking …", fitted=True, id="costs")

    def shown(self) -> None:
        """Examine, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._deep_at >= DEEP_SECONDS:
            self._ask(deep=True)
        else:
            self.looked()

    def looked(self) -> None:
        """Examine again now and then, never while an examination is under way, nor while nobody looks."""
        if not self._asking and time.monotonic() - self._asked_at >= AGAIN_SECONDS:
            self._ask(deep=False)
        self._draw()

    def do(self, command_id: str) -> bool:
        """With a refresh, examine everything again."""
        if command_id == "refresh":
            self._ask(deep=True)
        return False

    def _ask(self, *, deep: bool) -> None:
        self._fresh, self._asking, self._asked_at = {}, True, time.monotonic()
        if deep:
            self._deep_at = self._asked_at
        self.post_message(DoctorWanted(deep))
        self.post_message(CommandsWanted())

    def watch_redis(self) -> None:
        self.query_one("#head-redis", Heading).tell(self.redis)
        seen = self.redis.value
        self.query_one("#redis-facts", Facts).facts = redis_facts(seen) if seen else unseen(self.redis)

    def watch_database(self) -> None:
        self.query_one("#head-database", Heading).tell(self.database)
        seen = self.database.value
        facts = database_facts(seen) if seen else unseen(self.database)
        self.query_one("#database-facts", Facts).facts = facts

    def add_check(self, check: CheckRow) -> None:
        """A check has ended."""
        self._fresh[check.key] = self._checks[check.key] = check
        self._draw()

    def end_checks(self, error: str = "") -> None:
        """All have ended; what those that were examined no longer find is gone, what was left out stays."""
        self._asking, examined = False, {check.of for check in self._fresh.values()}
        self._checks = {
            key: check
            for key, check in self._checks.items()
            if key in self._fresh or check.of not in examined
        }
        self._draw()
        if error:
            self.query_one("#head-doctor", Heading).tell(Shown(error=error))

    def set_costs(self, costs: tuple[ClientCost, ...]) -> None:
        """Who sends how many commands has come."""
        self.query_one("#costs", Table).rows = cost_rows(costs)
        total = sum(cost.per_month or 0 for cost in costs)
        sent = f"{short(total)} a month at this rate · " if total else ""
        note = f"{sent}of others the server counts, what their scripts do included" if costs else "no Redis"
        self.query_one("#head-costs", Heading).tell(Shown(), note)

    def set_costs_error(self, words: str) -> None:
        """It could not be read."""
        self.query_one("#costs", Table).set_empty(UNKNOWN)
        self.query_one("#head-costs", Heading).tell(Shown(error=words))

    def _draw(self) -> None:
        self.query_one("#checks", Table).rows = check_rows(tuple(self._checks.values()), self.moment)
        bad = sum(check.state in ("bad", "risk") for check in self._checks.values())
        words = plural(len(self._checks), "check") + (
            f", {short(bad)} need{'s' if bad == 1 else ''} a look" if bad else ", all fine"
        )
        ending = " · asking …" if self._asking else f" · again every {brief(AGAIN_SECONDS)}, r examines all"
        self.query_one("#head-doctor", Heading).tell(Shown(), words + ending)

    def copied(self) -> str:
        """The fix of the chosen check."""
        check = self._checks.get(self.query_one("#checks", Table).key)
        return check.fix if check else ""

    def command_line(self) -> str:
        """The command that shows the same."""
        return self.copied() or "fixionmail doctor"
