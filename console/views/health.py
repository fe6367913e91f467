"""View 8: every check of the doctor, live, and the two servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive

from console.feed import CheckRow
from console.figures import plural, short, size, span, whole
from console.marks import BAD, BAD_STYLE, BUSY, GOOD, IDLE, OK_STYLE, QUIET_STYLE, WARN, WARN_STYLE, bar
from console.messages import DoctorWanted
from console.sections import Shown
from console.text import fit, plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.panel import Drawn
from console.widgets.table import Column, Row, Table
from fixionmail.ops.views.database import DatabaseView
from fixionmail.ops.views.redis import RedisView

COLUMNS = (
    Column(name="", width=1),
    Column(name="check", width=18, grow=26),
    Column(name="result", least=20),
    Column(name="fix", least=16, rank=1),
)
_STATES = {
    "ok": (GOOD, OK_STYLE),
    "note": (BUSY, QUIET_STYLE),
    "risk": (WARN, WARN_STYLE),
    "bad": (BAD, BAD_STYLE),
    "skipped": (IDLE, QUIET_STYLE),
}
_ORDER = ("bad", "risk", "note", "skipped", "ok")
SKEW_SECONDS = 2.0


def check_rows(checks: Sequence[CheckRow]) -> tuple[Row, ...]:
    """A row for each check, trouble first."""
    ordered = sorted(checks, key=lambda check: _ORDER.index(check.state))
    return tuple(
        Row(
            key=check.name,
            cells=(
                Content.styled(*_STATES[check.state]),
                plain(check.name, "bold"),
                plain(check.words, _STATES[check.state][1] if check.state in ("bad", "risk") else ""),
                plain(check.fix, QUIET_STYLE),
            ),
        )
        for check in ordered
    )


Fact = tuple[str, Content]


class Facts(Drawn):
    """Names and values, a line each."""

    facts: reactive[tuple[Fact, ...]] = reactive((), layout=True)

    def lines(self, width: int) -> list[Content]:
        """One line a fact."""
        return [
            fit(Content.assemble((f"{name:<12}", QUIET_STYLE), value), width) for name, value in self.facts
        ] or [Content.styled("looking …", QUIET_STYLE)]


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

    def shown(self) -> None:
        """Ask the doctor; that takes longer than a look, and is not done again before ``r``."""
        self.post_message(DoctorWanted())

    def do(self, command_id: str) -> bool:
        """With a refresh, ask the doctor again."""
        if command_id == "refresh":
            self.post_message(DoctorWanted())
        return False

    def watch_redis(self) -> None:
        self.query_one("#head-redis", Heading).tell(self.redis)
        if self.redis.value is not None:
            self.query_one("#redis-facts", Facts).facts = redis_facts(self.redis.value)

    def watch_database(self) -> None:
        self.query_one("#head-database", Heading).tell(self.database)
        if self.database.value is not None:
            self.query_one("#database-facts", Facts).facts = database_facts(self.database.value)

    def add_check(self, check: CheckRow) -> None:
        """A check has ended."""
        self._checks[check.name] = check
        self._draw(asking=True)

    def end_checks(self, names: frozenset[str], error: str = "") -> None:
        """All have ended; those that were not among them are gone."""
        self._checks = {name: check for name, check in self._checks.items() if name in names}
        self._draw(asking=False)
        if error:
            self.query_one("#head-doctor", Heading).tell(Shown(error=error))

    def _draw(self, *, asking: bool) -> None:
        self.query_one("#checks", Table).rows = check_rows(tuple(self._checks.values()))
        bad = sum(check.state in ("bad", "risk") for check in self._checks.values())
        words = plural(len(self._checks), "check") + (f", {short(bad)} need a look" if bad else ", all fine")
        self.query_one("#head-doctor", Heading).tell(Shown(), words + (" · asking …" if asking else ""))

    def copied(self) -> str:
        """The fix of the chosen check."""
        check = self._checks.get(self.query_one("#checks", Table).key)
        return check.fix if check else ""

    def command_line(self) -> str:
        """The command that shows the same."""
        return self.copied() or "fixionmail doctor"
