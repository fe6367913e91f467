"""Run the deployment under random faults, let it settle, and count.

    python -m tests.chaos [--seconds 60] [--seed N] [--subscribers 1000] [--check-seconds 2]

Exit code 0: no mail lost, none sent twice. All faults are planned from the seed: the
same seed hurts the same victims at the same moments.
"""

from __future__ import annotations

import argparse
import logging
import random
import secrets
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from uuid_utils.compat import uuid7

from fixionmail.errors import FixionMailError
from fixionmail.models.subscribers import NewSubscriber
from fixionmail.schedule import occurrences
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from tests.chaos import faults
from tests.chaos.deployment import Deployment, deployed
from tests.chaos.verdict import Verdict, is_settled, judge, tell_story

SETTLE_SECONDS = 240.0
RECOVERY_SECONDS = 95.0
"""From the last fault until all is done: a lease, and the tick that finds it lapsed."""


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument(
        "--check-seconds",
        type=float,
        default=2,
        help="CHECK_INTERVAL_SECONDS of the processes (2: a short run then has many ticks; 60 is the default setting)",
    )
    parser.add_argument("--keep", type=Path, help="a folder to keep everything in")
    wanted = parser.parse_args()
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # Postgres dies on purpose here
    print(f"seed {wanted.seed}, {wanted.seconds:g} s of faults, {wanted.subscribers} subscribers", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = wanted.keep or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        sys.exit(run(home, wanted.seed, wanted.seconds, wanted.subscribers, wanted.check_seconds))


def run(home: Path, seed: int, seconds: float, subscribers: int, check_seconds: float) -> int:
    """One run; the exit code."""
    with deployed(home, seed, check_seconds) as deployment:
        struck = _hurt(deployment, faults.plan(seed, seconds), seconds, subscribers)
        settled_after = _settle(deployment)
        ledger = home / "ledger.jsonl"
        verdict = judge(deployment.database_url, ledger)
        for kind, n in sorted((struck + Counter(deployment.provider.faults.struck())).items()):
            print(f"{n:6}  {kind}")
        restarts = sum(service.starts - 1 for service in deployment.services)
        for problem in verdict.problems[:5]:
            print(tell_story(deployment.database_url, ledger, problem))
    return _tell(verdict, seed, settled_after, restarts, struck.total(), subscribers)


def _hurt(
    deployment: Deployment, strikes: Sequence[faults.Planned], seconds: float, subscribers: int
) -> Counter[str]:
    """Add subscribers who are due now all the time, and strike as planned."""
    store = Store.over(DirectTransport(deployment.database_url, 1, call_seconds=1), patience_seconds=0)
    started = time.monotonic()
    struck: Counter[str] = Counter()
    under_way: list[tuple[float, faults.Hurt]] = []
    to_come = deque(strikes)
    added = 0
    while (now := time.monotonic()) < started + seconds or added < subscribers:
        deployment.tend()
        under_way = _cured(under_way, now)
        while to_come and now >= started + to_come[0].at:
            planned = to_come.popleft()
            hurt = planned.strike(deployment, random.Random(planned.seed))
            struck[hurt.name] += 1
            under_way.append((now + hurt.seconds, hurt))
        wanted = min(subscribers, int(subscribers * (now - started) / seconds) + 1)
        added += _add(store, added, wanted)
        time.sleep(0.1)
    _cured(under_way, float("inf"))
    store.close()
    return struck


def _cured(under_way: list[tuple[float, faults.Hurt]], now: float) -> list[tuple[float, faults.Hurt]]:
    for ends_at, hurt in under_way:
        if now >= ends_at:
            hurt.cure()
    return [(ends_at, hurt) for ends_at, hurt in under_way if now < ends_at]


def _add(store: Store, have: int, wanted: int) -> int:
    now = datetime.now(UTC)
    at = f"{now:%H:%M}"
    due = next(occurrences(timezone="UTC", delivery_time=at, from_date=now.date()))
    rows = [
        NewSubscriber(
            user_id=uuid7(),
            email=f"reader{n}@example.com",
            timezone="UTC",
            delivery_time=at,
            story_bible={},
            unsubscribe_token=secrets.token_urlsafe(24),
            due=due,
        )
        for n in range(have, wanted)
    ]
    if not rows:
        return 0
    try:
        store.subscribers.add(rows)
    except FixionMailError:
        return 0  # the database is away: they come with the next page
    return len(rows)


def _settle(deployment: Deployment) -> float:
    """Let it recover; seconds it took, at most :data:`SETTLE_SECONDS`."""
    deployment.provider.faults.clear()
    started = time.monotonic()
    while not is_settled(deployment.database_url) and time.monotonic() < started + SETTLE_SECONDS:
        deployment.revive_postgres()
        deployment.revive_redis()
        deployment.tend()
        time.sleep(0.5)
    return time.monotonic() - started


def _tell(verdict: Verdict, seed: int, settled_after: float, restarts: int, struck: int, wanted: int) -> int:
    ends = ", ".join(f"{n} {state}" for state, n in sorted(verdict.ends.items()))
    print(f"{struck} faults, {restarts} restarts; settled {settled_after:.1f} s after the last")
    print(f"{verdict.subscribers} subscribers: {ends}; {verdict.mails} mails in the provider's ledger")
    problems = [f"{problem.address} {problem.text}" for problem in verdict.problems]
    if verdict.subscribers != wanted:
        problems.append(f"{wanted} subscribers were added, {verdict.subscribers} are known")
    if settled_after > RECOVERY_SECONDS:
        problems.append(f"not settled within {RECOVERY_SECONDS:g} s of the last fault")
    for problem in problems[:20]:
        print(f"  {problem}")
    print(f"{'FAILED' if problems else 'passed'}: {len(problems)} problems, seed {seed}")
    return 1 if problems else 0


if __name__ == "__main__":
    main()
