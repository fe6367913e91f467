"""Keeping claims on story jobs alive while they are worked on, from one thread for the whole process."""

from __future__ import annotations

import threading
from types import TracebackType
from uuid import UUID

import structlog

from fixionmail.errors import FixionMailError, StaleTokenError
from fixionmail.models.jobs import Claim
from fixionmail.models.stories import Brief
from fixionmail.models.verdict import Verdict
from fixionmail.store import Store

LEASE_SECONDS = 60.0
EXTEND_EVERY_SECONDS = 20.0

_log = structlog.get_logger("fixionmail.claims")


class HeldClaim:
    """A claim of ours. Leaving its context ends the keeping; the outcome is recorded by whoever works on it."""

    def __init__(self, keeper: ClaimKeeper, job_id: UUID, claim: Claim, brief: Brief) -> None:
        self.job_id = job_id
        self.token = claim.token
        self.attempt = claim.attempt
        self.brief = brief
        self.steps = claim.steps
        self.step = "claimed"
        self.percent = 0
        self.lost = False
        self._keeper = keeper

    def __enter__(self) -> HeldClaim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.drop(self)

    def report(self, step: str, percent: int) -> None:
        """Say how far the work is; goes out with the next extension.

        Raises:
            StaleTokenError: the claim has passed to somebody else; stop working.
        """
        self.step, self.percent = step, percent
        if self.lost:
            raise StaleTokenError(f"The claim on story job {self.job_id} has passed on.")

    def fail(self, error: str, *, retry_seconds: float | None) -> None:
        """Put the end of this attempt on record; an outage leaves it to the lease, which then lapses."""
        try:
            self._keeper.store.jobs.fail(
                self.job_id, token=self.token, error=error, retry_seconds=retry_seconds
            )
        except FixionMailError as failure:
            _log.warning(
                "the failed attempt could not be recorded", job=str(self.job_id), reason=str(failure)
            )

    def postpone(self, reason: str, *, wait_seconds: float) -> None:
        """Hand the job back for a while; an outage leaves it to the lease, which then lapses."""
        try:
            self._keeper.store.jobs.postpone(
                self.job_id, token=self.token, wait_seconds=wait_seconds, reason=reason
            )
        except FixionMailError as failure:
            _log.warning("the job could not be postponed", job=str(self.job_id), reason=str(failure))


class ClaimKeeper:
    """Extends all claims of this process every twenty seconds, and hands them back when it closes."""

    def __init__(self, store: Store, *, extend_every_seconds: float = EXTEND_EVERY_SECONDS) -> None:
        self.store = store
        self._extend_every = extend_every_seconds
        self._held: set[HeldClaim] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="claims", daemon=True)
        self._thread.start()

    def claim(self, job_id: UUID, *, holder: str, charge: int) -> HeldClaim | None:
        """Take a job; None when there is nothing to do for us: done, taken, not yet due, cancelled, gone."""
        claim = self.store.jobs.claim(job_id, holder=holder, lease_seconds=LEASE_SECONDS, charge=charge)
        if claim.verdict is not Verdict.GO or claim.brief is None:
            return None
        held = HeldClaim(self, job_id, claim, claim.brief)
        with self._lock:
            self._held.add(held)
        return held

    def drop(self, claim: HeldClaim) -> None:
        """Stop keeping a claim."""
        with self._lock:
            self._held.discard(claim)

    def close(self) -> None:
        """Hand back what is still held, so that others take it at once and not when the lease lapses."""
        self._closing.set()
        self._thread.join()
        for claim in self._snapshot():
            try:
                self.store.jobs.release(claim.job_id, token=claim.token)
            except FixionMailError as error:
                _log.warning("a story job could not be handed back", job=str(claim.job_id), reason=str(error))

    def _snapshot(self) -> list[HeldClaim]:
        with self._lock:
            return list(self._held)

    def _keep(self) -> None:
        while not self._closing.wait(self._extend_every):
            if held := self._snapshot():
                self._extend(held)

    def _extend(self, held: list[HeldClaim]) -> None:
        claims = [(claim.job_id, claim.token, claim.step, claim.percent) for claim in held]
        try:
            stale = self.store.jobs.extend_all(claims, lease_seconds=LEASE_SECONDS)
        except FixionMailError as error:
            # The lease is longer than one missed turn; the next tries again.
            _log.warning("claims could not be extended", claims=len(held), reason=str(error))
            return
        for claim in held:
            if claim.job_id in stale:
                claim.lost = True
