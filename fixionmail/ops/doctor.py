"""The whole examination: every check of a snapshot, and those that take longer or ask outside. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from fixionmail.errors import FixionMailError, SettingsError
from fixionmail.ops import actions, audit, machine, providers
from fixionmail.ops.audit_database import database_side
from fixionmail.ops.checks import Machine, find
from fixionmail.ops.checks.rows import duplicates
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.target import redis_url_of
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.settings import Settings, load_settings

DUPLICATE_DAYS = 7
_OLDEST_REDIS = (6, 2)
_OLDEST_POSTGRES = 15
_FREE_COMMANDS = 500_000
"""A month, on the smallest plan of Upstash."""
_SETTING = re.compile(r"^([A-Z][A-Z0-9_]+) ")
_UNREACHABLE = (
    "database-unreachable",
    *("redis-refused", "redis-silent", "redis-unreachable", "redis-tls", "redis-stranger"),
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was examined: ``ok``, ``found`` something, ``failed`` itself, or ``skipped`` and why."""

    name: str
    state: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the examination came to; findings worst first."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    found_by: Mapping[str, str] = field(default_factory=dict)
    """Which check came upon a finding first, by the finding's key."""
    snapshot: Snapshot | None = field(repr=False, default=None)

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 something is wrong, 2 a setting is, 4 Redis or the database does not answer."""
        kinds = {finding.kind for finding in self.findings}
        if "setting-wrong" in kinds:
            return 2
        if kinds.intersection(_UNREACHABLE):
            return 4
        return int(
            any(f.harm > Harm.NOTE for f in self.findings) or any(c.state == "failed" for c in self.checks)
        )


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A cure that was used: what for, and what became of its targets, or why it could not be used."""

    finding: Finding
    cure: Cure
    outcomes: Mapping[str, int]
    error: str = ""


def fix(report: Report, settings: Settings, order: actions.Order) -> tuple[Fixed, ...]:
    """Use the cures of a report that are safe unasked: nothing is lost and nothing mailed twice by them."""
    chosen = [(f, next((c for c in f.cures if c.safe and c.action), None)) for f in report.findings]
    wanted = [(finding, cure) for finding, cure in chosen if cure is not None]
    if not wanted:
        return ()
    url = redis_url_of(settings)
    observer = Observer(redis_url=url, settings=settings)
    hands = actions.Hands(redis_url=url, store=observer.store, settings=settings)
    try:
        return tuple(_fixed(hands, finding, cure, order) for finding, cure in wanted)
    finally:
        hands.close()
        observer.close()


def _fixed(hands: actions.Hands, finding: Finding, cure: Cure, order: actions.Order) -> Fixed:
    try:
        *_, last = actions.run(hands, actions.preview(hands, cure.action, cure.targets), order)
    except FixionMailError as error:
        return Fixed(finding=finding, cure=cure, outcomes={}, error=" ".join(str(error).split()))
    return Fixed(finding=finding, cure=cure, outcomes=last.outcomes)


class Doctor:
    """Examines one deployment; each check goes on whatever became of those before it.

    Args:
        env_file: settings beside the environment's.
        deep: also do what takes long or asks others: audit Redis, count mails anew, try the providers' keys.
    """

    def __init__(self, env_file: Path = Path(".env"), *, deep: bool = True) -> None:
        self._env_file = env_file
        self._deep = deep
        self._checks: list[Check] = []
        self._findings: dict[str, Finding] = {}
        self._found_by: dict[str, str] = {}
        self._snapshot: Snapshot | None = None
        self._out_of_sight: Mapping[str, str] = {}
        """The setting that keeps it from being looked at, of ``redis`` and ``database``."""

    def examine(self) -> Report:
        """Take every step."""
        settings = self._settings()
        self._try("machine", lambda: self._look(settings))
        if self._deep:
            self._try("mail provider", lambda: providers.mail(settings), _where_mail_goes(settings))
            self._try("story provider", lambda: providers.stories(settings), settings.story_provider)
        self._try("encryption", lambda: _in_the_open(settings))
        worst_first = sorted(self._findings.values(), key=lambda f: (-f.harm, f.kind, f.subjects))
        return Report(
            checks=tuple(self._checks),
            findings=tuple(worst_first),
            found_by=self._found_by,
            snapshot=self._snapshot,
        )

    def _settings(self) -> Settings:
        """The settings; those that are wrong are taken as if they were not set, and what they name is not looked at."""
        try:
            settings = load_settings(self._env_file)
        except SettingsError as error:
            lines = str(error).splitlines()
            self._add("settings", map(_wrong_setting, lines))
            wrong = {match[1].lower() for line in lines if (match := _SETTING.match(line))}
            defaults = {n: f.default for n, f in Settings.model_fields.items() if n in wrong}
            if "redis_url" in wrong:
                defaults["enable_redis_queue"] = (
                    False  # or this home's own Redis would be taken for the named one
                )
            # Where no setting is wrong, the file as a whole is, and the environment alone is read.
            file = self._env_file if wrong and self._env_file.is_file() else None
            settings = Settings(_env_file=file, **defaults)  # type: ignore[call-arg]
            self._out_of_sight = dict(_out_of_sight(settings, wrong))
            return settings
        self._checks.append(Check(name="settings", state="ok", words="all can be read"))
        return settings

    def _look(self, settings: Settings) -> Iterator[Finding]:
        here = machine.look(settings.home)
        try:
            url = redis_url_of(settings)
        except FixionMailError as error:
            yield _wrong_setting(str(error))
            url = None
        named = None if "database" in self._out_of_sight else settings
        observer = Observer(redis_url=url, settings=named)
        try:
            self._snapshot = observer.look()
            self._report_on(self._snapshot, here)
            if self._deep and self._snapshot.database.ok:
                self._try("second mails", lambda: _second_mails(observer), f"the last {DUPLICATE_DAYS} days")
            if self._deep and self._snapshot.redis.ok:
                side = database_side(observer) if self._snapshot.database.ok else None
                self._try("entries of Redis", lambda: _audited(observer, side), "all agree")
        finally:
            observer.close()

    def _report_on(self, seen: Snapshot, here: Machine) -> None:
        found = [*find(seen, machine=here), *_versions(seen), *_budget(seen)]
        for name, section, words in (
            ("redis", seen.redis, _redis_in_words(seen)),
            ("database", seen.database, _database_in_words(seen)),
        ):
            state = "ok" if section.ok else "failed" if section.error else "skipped"
            setting = self._out_of_sight.get(name)
            absent = f"not looked at: {setting} cannot be used as it is" if setting else section.absent
            self._checks.append(Check(name=name, state=state, words=section.error or absent or words))
        self._add("conditions", found)

    def _try(self, name: str, check: Callable[[], Iterable[Finding]], words: str = "") -> None:
        """One check, whose own failure is told of and ends nothing."""
        try:
            self._add(name, check(), words)
        except FixionMailError as error:
            self._checks.append(Check(name=name, state="failed", words=" ".join(str(error).split())))
        except Exception as error:  # a section of the report: the next check does not depend on it
            self._checks.append(
                Check(name=name, state="failed", words=f"the check itself failed: {type(error).__name__}")
            )

    def _add(self, name: str, findings: Iterable[Finding], words: str = "") -> None:
        found = 0
        for finding in findings:
            found += finding.key not in self._findings
            self._findings.setdefault(finding.key, finding)
            self._found_by.setdefault(finding.key, name)
        self._checks.append(
            Check(
                name=name,
                state="found" if found else "ok",
                words=f"{found} found" if found else words or "nothing found",
            )
        )


def _out_of_sight(settings: Settings, wrong: Set[str]) -> Iterator[tuple[str, str]]:
    """Of ``redis`` and ``database`` those that a wrong setting names, with its name."""
    if "redis_url" in wrong:
        yield "redis", "REDIS_URL"
    supabase = sorted(wrong & {"supabase_url", "supabase_service_key"})
    if "database_url" in wrong:
        yield "database", "DATABASE_URL"
    elif supabase and settings.database_url is None:
        yield "database", supabase[0].upper()


def _wrong_setting(sentence: str) -> Finding:
    match = _SETTING.match(sentence)
    name = match[1] if match else "settings"
    return Finding(
        kind="setting-wrong",
        harm=Harm.LATE,
        title=f"{name} cannot be used as it is",
        cause=sentence,
        subjects=(name,),
        cures=(Cure(label="correct it; what is in force", command="fixionmail config"),),
        drill=3 if name == "REDIS_URL" else None,
    )


def _second_mails(observer: Observer) -> Iterator[Finding]:
    since = (datetime.now(UTC) - timedelta(days=DUPLICATE_DAYS)).date()
    yield from duplicates(observer.store().deliveries.duplicates(since=since))


def _audited(observer: Observer, database: audit.DatabaseSide | None) -> Iterator[Finding]:
    *_, last = audit.audit(observer.reader, database)
    yield from last.findings


def _versions(seen: Snapshot) -> Iterator[Finding]:
    redis, database = seen.redis.value, seen.database.value
    if redis and redis.flavour == "Redis" and _numbers(redis.version)[:2] < _OLDEST_REDIS:
        yield _too_old("Redis", redis.version, "6.2")
    if database and _numbers(database.version)[:1] < (_OLDEST_POSTGRES,):
        yield _too_old("Postgres", database.version, str(_OLDEST_POSTGRES))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _too_old(product: str, version: str, wanted: str) -> Finding:
    return Finding(
        kind="server-too-old",
        harm=Harm.RISK,
        title=f"{product} {version} is too old",
        cause=f"FixionMail is made for {product} {wanted} and newer.",
        subjects=(product,),
        cures=(Cure(label=f"update it to {wanted} or newer", command=f"{product} >= {wanted}"),),
    )


def _budget(seen: Snapshot) -> Iterator[Finding]:
    """Upstash bills each command: what the present rate comes to in a month."""
    redis = seen.redis.value
    if redis and redis.flavour == "Upstash":
        month = redis.commands_per_second * 30 * 86_400
        if month > _FREE_COMMANDS:
            yield Finding(
                kind="command-budget",
                harm=Harm.COST,
                title=f"Redis commands at this rate: {month:,} a month",
                cause=f"The smallest plan has {_FREE_COMMANDS:,}. Much of it may be other programs on this Redis.",
                evidence=(f"{redis.commands_per_second:,} a second now",),
                cures=(Cure(label="see who sends them", command="fixionmail workers list"),),
            )


def _in_the_open(settings: Settings) -> Iterator[Finding]:
    """Passwords that travel unencrypted over a network."""
    for name, secret, plain in (
        ("REDIS_URL", settings.redis_url, ("redis",)),
        ("SUPABASE_URL", settings.supabase_url, ("http",)),
        ("APP_BASE_URL", settings.app_base_url, ("http",)),
    ):
        parts = urlsplit(secret.get_secret_value()) if secret else None
        if parts and parts.scheme in plain and not _is_local(parts.hostname or ""):
            yield Finding(
                kind="unencrypted",
                harm=Harm.RISK,
                title=f"{name} is not encrypted",
                cause=f"{parts.scheme}:// to {parts.hostname} shows secrets to everybody on the way.",
                subjects=(name,),
                cures=(Cure(label="use TLS", command=f"{name}={parts.scheme}s://…"),),
            )


def _is_local(host: str) -> bool:
    return (
        host in ("localhost", "::1")
        or host.startswith("127.")
        or host.endswith((".localhost", ".internal"))
        or ("." not in host and ":" not in host)
    )


def _where_mail_goes(settings: Settings) -> str:
    return "takes the key" if settings.resend_api_key else "the local outbox: no mail leaves this machine"


def _redis_in_words(seen: Snapshot) -> str:
    redis = seen.redis.value
    if redis is None:
        return ""
    return (
        f"{redis.flavour} {redis.version} at {seen.target.redis}, {redis.round_trip_seconds * 1000:.1f} ms, "
        f"{redis.eviction_policy or 'unknown policy'}, {redis.persistence or 'unknown'} persistence"
    )


def _database_in_words(seen: Snapshot) -> str:
    database = seen.database.value
    if database is None:
        return ""
    return (
        f"Postgres {database.version} at {seen.target.database}, {database.round_trip_seconds * 1000:.1f} ms, "
        f"{database.subscribers:,} subscribers"
    )
