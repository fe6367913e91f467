"""A worker process for tests: ``python -m tests.integration.worker.process URL OPTIONS_AS_JSON``."""

from __future__ import annotations

import json
import logging
import sys

from fixionmail.jobs.worker import WorkerOptions, run_worker
from tests.integration.worker.functions import FUNCTIONS

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    url, options = sys.argv[1], json.loads(sys.argv[2])
    options["queues"] = tuple(options["queues"])
    sys.exit(run_worker(url, FUNCTIONS, WorkerOptions(**options)))
