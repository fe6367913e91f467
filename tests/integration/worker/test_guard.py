"""A newer rq must not change unnoticed under the parts this worker mirrors or overrides.

When a test here fails, read what changed in rq, adapt ``fixionmail/jobs/worker`` (the scripts first), run the
keyspace comparison, and only then write the new digest.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from rq import command, executions, job, registry, results, suspension, worker_registration
from rq.job_lifecycle import record_job_failure
from rq.queue import Queue
from rq.worker import BaseWorker

MIRRORED: dict[Callable[..., Any], str] = {
    executions.Execution.create: "b167074a0d209e85",
    executions.Execution.save: "27a9a8461d65ee04",
    executions.Execution.delete: "8c36e0625109f83b",
    executions.Execution.serialize: "6ebaef2afef46bd7",
    executions.Execution.heartbeat: "d5b2cc74931f91b9",
    executions.ExecutionRegistry.add: "0ee58742c13a130e",
    executions.prepare_execution: "e8d5a964e2a10d0c",
    executions.cleanup_execution: "629fe089b5bf9776",
    BaseWorker.__init__: "86f83bb69582aebb",
    BaseWorker.prepare_job_execution: "d08dd32962e3f82a",
    BaseWorker.handle_job_success: "9dda7c7d3ca18ee6",
    BaseWorker.handle_job_failure: "7432afe53b9f84ec",
    BaseWorker.serialize: "219368b12c2d438b",
    BaseWorker.register_birth: "4690ab4f7b74ffb2",
    BaseWorker.register_death: "cb2b0be150213a99",
    BaseWorker.heartbeat: "63b1089fd146d19c",
    BaseWorker.maintain_heartbeats: "b73451c9b97f7247",
    BaseWorker.run_maintenance_tasks: "3d8a446b5354fce3",
    BaseWorker.clean_registries: "e2c9790c8156c72c",
    job.Job.prepare_for_execution: "4e8e0eca634da20b",
    job.Job.cleanup: "16734aeb1eeab579",
    job.Job.delete: "1a15005871aa9579",
    job.Job.retry: "4a0f7cec2323d8a5",
    job.Job.get_retry_interval: "c339cc6fc527e4b2",
    job.Job.to_dict: "9e1a56a9cd4b57e5",
    job.Job.restore: "859daf950a3ede0b",
    job.Job._handle_success: "35b96f8229b6053d",
    job.Job._handle_failure: "3b947507f2023ef9",
    job.Job.perform: "c8f482e08e17d34c",
    job.Job.success_callback.fget: "6d23cf7db33ece09",
    job.Job.failure_callback.fget: "0bccbb92ea7d8764",
    job.Job.stopped_callback.fget: "39852cf148dc2028",
    job.Job.send_webhooks: "1c525171cc2b0467",
    record_job_failure: "74724fe15e442a4e",
    registry.BaseRegistry.add: "2ae9a477b803b7db",
    registry.FailedJobRegistry.add: "f8d6dd39b765af14",
    registry.StartedJobRegistry.cleanup: "c5cd78c27fc023d6",
    registry.StartedJobRegistry.add_execution: "058aeccefc8e8ea8",
    results.Result.save: "1433b6a45f0a3cfd",
    results.Result.serialize: "fe329712c924adf8",
    Queue._enqueue_async_job: "3c3efebb37300756",
    Queue._prepare_for_queue: "cd8e2a0821239b02",
    Queue._persist_job: "2e7cc7271d3636b9",
    Queue.schedule_job: "2596db5209e04324",
    Queue.enqueue_dependents: "0c796031d3c9d159",
    suspension.is_suspended: "59141c583188a10f",
    suspension.suspend: "38c07847ddb762c0",
    worker_registration.register: "757bc1c839a259c8",
    worker_registration.unregister: "14ac140534797a2e",
    command.send_command: "cfd1a12457641570",
    command.handle_command: "8b5094484df45d3b",
    command.send_stop_job_command: "1c944c461d5926b4",
    command.send_stop_execution_command: "581031fade5a47ae",
}


def digest(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize("function", MIRRORED, ids=lambda function: function.__qualname__)
def test_a_mirrored_function_of_rq_is_unchanged(function: Callable[..., Any]) -> None:
    assert digest(function) == MIRRORED[function]
