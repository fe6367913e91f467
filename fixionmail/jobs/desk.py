"""The desk at which a worker writes the story of a job it holds."""

from __future__ import annotations

from collections.abc import Mapping

from fixionmail.jobs.claims import HeldClaim
from fixionmail.store.writing import Limits, Writing
from fixionmail.stories.shared_desk import SharedDesk


class JobDesk(SharedDesk):
    """Progress shows on the job; finished steps are stored with it and survive this process."""

    def __init__(self, writing: Writing, limits: Mapping[str, Limits], claim: HeldClaim) -> None:
        super().__init__(writing, limits, claim.steps)
        self.job_id, self.token = claim.job_id, claim.token
        self._claim = claim

    def report(self, step: str, percent: int) -> None:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        self._claim.report(step, percent)
