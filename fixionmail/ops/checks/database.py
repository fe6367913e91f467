"""The database: does it answer, is it ours, and is it up to date?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fixionmail.ops.checks.redis import skew
from fixionmail.ops.checks.scene import SKEW_SECONDS, Scene
from fixionmail.ops.views.database import DatabaseView
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.settings import to_type

_SLOW_SECONDS = 1.0
_POSTGRES = re.compile(r"postgres(?:ql)?://\S+")
_CROWDED = 0.9
_MIGRATE = Cure(label="migrate", action="migrate", command="fixionmail db migrate")
_KINDS = {
    # class of the error -> kind, title, drill, cures
    "DatabaseRefusedError": (
        "database-refused",
        "The database refuses us",
        20,
        (),  # the setting that it was reached by: see _correct
    ),
    "DatabaseError": (
        "database-strange",
        "The database is not as this FixionMail made it",
        16,
        (Cure(label="see what differs", command="fixionmail db status"),),
    ),
    "UnreachableError": (
        "database-unreachable",
        "The bundled database does not run",
        20,
        (Cure(label="start everything here", action="start-everything", command="fixionmail up"),),
    ),
    "DatabaseOutdatedError": ("migration-missing", "The database lacks migrations", 16, (_MIGRATE,)),
    "DatabaseNewerError": (
        "database-newer",
        "The database belongs to a newer FixionMail",
        24,
        (Cure(label="update this one", command="pip install --upgrade fixionmail"),),
    ),
}
_AWAY = (
    "database-unreachable",
    "The database does not answer",
    20,
    (Cure(label="wait for it", automatic="everything tries again by itself and goes on where it was"),),
)


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about the server itself."""
    section = scene.now.database
    if section.error:
        kind, title, drill, cures = _KINDS.get(section.error_type, _AWAY)
        if kind == "database-refused":
            cures = (_correct(section.error),)
        yield Finding(
            kind=kind,
            harm=Harm.LATE,
            title=title,
            cause=section.error,
            evidence=(scene.now.target.database,) if scene.now.target.database else (),
            subjects=(scene.now.target.database,),
            cures=cures,
            drill=drill,
        )
    if section.value is not None:
        yield from _fitness(section.value)


def _correct(error: str) -> Cure:
    """The setting by which the database was reached; the error names its address without the secret."""
    address = _POSTGRES.search(error)
    if address is None:
        return Cure(
            label="correct SUPABASE_URL and SUPABASE_SERVICE_KEY, here and where processes run",
            command="SUPABASE_SERVICE_KEY=<the project's service_role key>",
        )
    return Cure(
        label="correct DATABASE_URL, here and where processes run",
        command=f"DATABASE_URL={to_type(address[0])}",
    )


def _fitness(database: DatabaseView) -> Iterator[Finding]:
    if database.missing_migrations:
        yield Finding(
            kind="migration-missing",
            harm=Harm.LATE,
            title="The database lacks migrations",
            cause=f"This FixionMail needs {', '.join(database.missing_migrations)}: its functions are not there.",
            evidence=database.missing_migrations,
            subjects=database.missing_migrations,
            count=len(database.missing_migrations),
            cures=(_MIGRATE,),
            drill=16,
        )
    if abs(database.clock_skew_seconds) > SKEW_SECONDS:
        yield skew("Postgres", database.clock_skew_seconds)
    if database.round_trip_seconds > _SLOW_SECONDS:
        yield Finding(
            kind="database-slow",
            harm=Harm.RISK,
            title=f"The database takes {database.round_trip_seconds:.1f} s for one look",
            cause="It is far away or overloaded, or an old transaction keeps it from cleaning up.",
            evidence=(f"{database.connections} of {database.max_connections} connections",),
            cures=(Cure(label="look for old transactions", command="select * from pg_stat_activity"),),
            drill=20,
        )
    if database.connections >= _CROWDED * database.max_connections:
        yield Finding(
            kind="database-crowded",
            harm=Harm.RISK,
            title="The database is nearly out of connections",
            cause="New processes will be refused: too many of them, or some that do not give theirs back.",
            evidence=(f"{database.connections} of {database.max_connections}",),
            cures=(Cure(label="use a pooler, or fewer processes", command="DATABASE_URL=<the pooler's>"),),
            drill=20,
        )
