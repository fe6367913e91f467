"""A deployment to be hurt: our processes, a Redis, a Postgres and a mail provider, each started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis import Redis

from fixionmail.errors import EngineError
from fixionmail.processes import redis as local_redis
from fixionmail.store import embedded, migrations
from tests.commands import command
from tests.standins.resend import ResendStandIn

KINDS = {"scheduler": 2, "delivery": 2, "worker": 3}
API_KEY = "re_chaos"
RATE_LIMIT = 100
"""Requests a second that the provider allows while all is well."""
RESTART_SECONDS = 1.0
STOP_SECONDS = 40.0


@dataclass
class Service:
    """One of our processes. Whoever supervises it starts it again a second after it has died."""

    kind: str
    number: int
    process: subprocess.Popen[bytes] | None = None
    dead_since: float | None = None
    starts: int = 0

    @property
    def name(self) -> str:
        """Like ``worker-2``."""
        return f"{self.kind}-{self.number}"


@dataclass
class Deployment:
    """Everything, in one home."""

    home: Path
    provider: ResendStandIn
    exits: ExitStack
    check_seconds: float
    services: list[Service] = field(default_factory=list)
    database_url: str = ""
    redis_url: str = ""

    def start(self) -> None:
        """Start servers and processes."""
        os.environ["FIXIONMAIL_POSTGRES_OPTIONS"] = "fsync=off"
        self.database_url = self.exits.enter_context(embedded.embedded_postgres(self.home))
        migrations.migrate(self.database_url)
        self.redis_url = local_redis.start(self.home).url
        self.exits.callback(local_redis.stop, self.home)
        self.services = [Service(kind, n + 1) for kind, copies in KINDS.items() for n in range(copies)]
        self.exits.callback(self.stop)
        self.tend()

    def tend(self) -> None:
        """Start again what has died."""
        now = time.monotonic()
        for service in self.services:
            if service.process is not None and service.process.poll() is None:
                continue
            service.dead_since = service.dead_since or now
            if service.process is None or now - service.dead_since >= RESTART_SECONDS:
                service.process, service.dead_since = self._spawn(service), None
                service.starts += 1

    def revive_postgres(self) -> None:
        """Start Postgres again on its old port, unless it is up."""
        if embedded.running_url(self.home) is None:
            self.exits.enter_context(embedded.embedded_postgres(self.home))

    def revive_redis(self) -> None:
        """Start Redis again on its old port, unless it is up."""
        if local_redis.running_url(self.home) is None:
            local_redis.start(self.home)

    def postgres(self) -> psutil.Process | None:
        """The postmaster."""
        pid_file = self.home / "postgres" / "data" / "postmaster.pid"
        try:
            return psutil.Process(int(pid_file.read_text().split()[0]))
        except (OSError, ValueError, psutil.Error):
            return None

    def redis_process(self) -> psutil.Process | None:
        """The Redis server."""
        try:
            return psutil.Process(local_redis.start(self.home).pid)
        except (psutil.Error, EngineError):
            return None

    def redis(self) -> Redis:
        """A client."""
        return Redis.from_url(self.redis_url, socket_timeout=2, socket_connect_timeout=2)

    def stop(self) -> None:
        """Stop our processes: asked, then killed."""
        alive = [s.process for s in self.services if s.process is not None and s.process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        give_up_at = time.monotonic() + STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.1, give_up_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        logs = self.home / "logs"
        logs.mkdir(exist_ok=True)
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "HOME", "PYTHONPATH")},
            "FIXIONMAIL_HOME": str(self.home),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "RESEND_API_KEY": API_KEY,
            "RESEND_API_URL": self.provider.url,
            "EMAIL_FROM": "FixionMail <stories@example.com>",
            "CHECK_INTERVAL_SECONDS": str(self.check_seconds),
            "WORKER_CONCURRENCY": "20",
        }
        with (logs / f"{service.name}.log").open("ab") as log:
            return subprocess.Popen(
                command("run", service.kind),
                env=environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextmanager
def deployed(home: Path, seed: int, check_seconds: float) -> Iterator[Deployment]:
    """A running deployment whose loops look for work that often; nothing of it runs afterwards."""
    with (
        ExitStack() as exits,
        ResendStandIn(
            api_key=API_KEY, ledger_file=home / "ledger.jsonl", rate_limit=RATE_LIMIT, seed=seed
        ) as provider,
    ):
        deployment = Deployment(home, provider, exits, check_seconds)
        with exits:
            deployment.start()
            yield deployment
