"""Memory of one worker with 200 stories under way: ``python -m tests.benchmarks.stories [anthropic|openai]``.

The server stands in a process of its own and writes slowly, so that all stories are under way at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from fixionmail.processes.redis import embedded_redis
from tests.faults.deployment import Deployment, deployment
from tests.postgres import running_postgres

STORIES = 200
LIMIT_MB = 300
PACE_SECONDS = 0.4
PATIENCE_SECONDS = 300.0


def main() -> int:
    """Measure, print, and fail when it is too much."""
    provider = sys.argv[1] if len(sys.argv) > 1 else "anthropic"
    server = subprocess.Popen(
        [sys.executable, "-m", f"tests.standins.{provider}", "--pace", str(PACE_SECONDS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="fixionmail-stories-") as folder,
            running_postgres() as postgres,
            embedded_redis(Path(folder)) as redis_url,
        ):
            postgres.make_template()
            with (
                postgres.migrated_database() as url,
                deployment(Path(folder) / "home", url, redis_url, **_settings(provider, told)) as made,
            ):
                return _measure(provider, made, str(told["url"]).removesuffix("/v1"))
    finally:
        server.terminate()
        server.wait()


def _settings(provider: str, told: dict[str, str]) -> dict[str, str]:
    return {
        "STORY_PROVIDER": provider,
        f"{provider.upper()}_API_KEY": told["api_key"],
        f"{provider.upper()}_BASE_URL": told["url"],
        "STORY_CONCURRENCY": str(STORIES),
        "STORY_REQUESTS_PER_MINUTE": "100000",
        "WORKER_CONCURRENCY": str(STORIES),
    }


def _measure(provider: str, made: Deployment, server_url: str) -> int:
    made.world.jobs(STORIES)
    made.pass_time(seconds=61)
    most_bytes = most_open = 0
    ends_at = time.monotonic() + PATIENCE_SECONDS
    with made.run("worker") as worker, made.run("scheduler"):
        process = psutil.Process(worker.pid)
        while time.monotonic() < ends_at and made.world.value("select count(*) from stories") < STORIES:
            most_bytes = max(most_bytes, process.memory_info().rss)
            most_open = max(
                most_open, made.world.value("select count(*) from story_requests where ended_at is null")
            )
            time.sleep(0.25)
    written = made.world.value("select count(*) from stories")
    with urllib.request.urlopen(f"{server_url}/_control/ledger") as answer:
        requests = len(json.load(answer))
    megabytes = most_bytes / 2**20
    print(
        f"{provider}: {written} of {STORIES} stories in {requests} requests, at most {most_open} under way at once; "
        f"the worker took at most {megabytes:.0f} MB (limit {LIMIT_MB})"
    )
    return 0 if written == STORIES and megabytes <= LIMIT_MB and most_open >= STORIES * 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
