"""What a whole idle deployment asks of Redis: worker, both loops and web, nothing due, projected to a month.

python -m tests.benchmarks.idle [--minutes 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from fixionmail.engine import free_port
from fixionmail.processes.redis import embedded_redis
from fixionmail.store import migrations
from fixionmail.store.embedded import embedded_postgres
from tests.commands import command, environment
from tests.integration.worker.monitor import sent_commands

KINDS = ("worker", "scheduler", "delivery", "web")
SETTLED_SECONDS = 20.0
"""Starting up is not idling."""
HOURS = 30 * 24
HOURLY = 22
"""Commands of rq's own maintenance, which an idle worker runs once an hour: more than a short look may see."""


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    counted = _commands(minutes * 60)
    total = sum(counted.values())
    month = round(total * 60 / minutes * HOURS + HOURLY * HOURS)
    sys.stdout.write(f"{total} commands in {minutes:g} minutes: {dict(counted)}\n")
    sys.stdout.write(f"a month of 30 days, with rq's hourly maintenance: {month:,}\n")


def _commands(seconds: float) -> Counter[str]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database_url = stack.enter_context(embedded_postgres(home))
        redis_url = stack.enter_context(embedded_redis(home))
        migrations.migrate(database_url)
        settings = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(free_port()),
            "LOG_LEVEL": "warning",
        }
        for kind in KINDS:
            process = subprocess.Popen(command("run", kind), env=environment(home, **settings))
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
        time.sleep(SETTLED_SECONDS)
        return Counter(sent_commands(redis_url, lambda: time.sleep(seconds)))


if __name__ == "__main__":
    main()
