"""`fixionmail up` and `fixionmail status`: all of it on one machine, seen from other processes and by rq's tools."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from flask import Flask

from fixionmail.demo import count_mails
from fixionmail.jobs.worker import JsonSerializer
from fixionmail.processes.redis import running_url
from tests.acceptance.readers import add_reader_due_now
from tests.commands import Ended, processes_of, run, running, until

READER = "reader@example.com"
STOP_SECONDS = 40.0


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running ``fixionmail up``, without a terminal."""

    home: Path
    process: subprocess.Popen[str]

    def said(self) -> str:
        """What it has printed."""
        return (self.home / "command.log").read_text()

    def status(self) -> Any:
        """What ``status --json`` says in another process."""
        ended = status(self.home, "--json")
        return ended.json() if ended.code == 0 else None

    def child(self, kind: str) -> psutil.Process | None:
        """The process that runs ``kind``."""
        children = psutil.Process(self.process.pid).children()
        return next((child for child in children if command_of(child)[-2:] == ["run", kind]), None)

    def redis_url(self) -> str:
        """Of its Redis."""
        url = running_url(self.home)
        assert url is not None
        return url


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def status(home: Path, *arguments: str) -> Ended:
    return run(home, "status", *arguments)


@contextmanager
def up(home: Path, **settings: str) -> Iterator[Up]:
    """Up and at work: both loops lead and have something to report."""
    with running(home, "up", CHECK_INTERVAL_SECONDS="1", **settings) as process:
        running_up = Up(home=home, process=process)
        until(lambda: process.poll() is not None or is_at_work(running_up), "it to be at work")
        assert process.poll() is None, running_up.said()
        yield running_up


def is_at_work(candidate: Up) -> bool:
    seen = candidate.status()
    return bool(seen) and all(seen["leaders"].values())


@pytest.fixture(scope="module")
def queue_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One ``up`` in queue mode, in a home with spaces and other letters, with a reader added while it runs; somebody
    else listens at its PORT."""
    home = tmp_path_factory.mktemp("up") / "Großes Heim für Füchse"
    with socket.create_server(("", 0)) as taken, up(home, PORT=str(taken.getsockname()[1])) as running_up:
        add_reader_due_now(running_up.home, READER)
        yield running_up


# ---- what a person sees ----------------------------------------------------------------------------------------------


def test_without_a_terminal_up_says_where_mail_goes_and_then_how_it_stands(queue_up: Up) -> None:
    until(lambda: "UTC  queue: " in queue_up.said(), "a line of status")

    lines = queue_up.said().splitlines()
    assert lines[0] == "Starting ..."
    assert lines[1].startswith(f"Mail goes to the local outbox, {queue_up.home / 'outbox'}")
    assert "no mail leaves this machine" in lines[1]
    assert lines[2].startswith("The web service is at http://localhost:")
    assert str(queue_up.home / "logs") in lines[3]
    assert "planned, " in lines[4]
    assert "\x1b" not in queue_up.said()


def test_the_web_service_answers_where_there_was_room_and_is_listed_with_its_port(queue_up: Up) -> None:
    url = next(line for line in queue_up.said().splitlines() if "web service" in line).split()[-1].rstrip(".")

    until(lambda: answers(f"{url}/healthz"), "the web service to answer")

    listed = run(queue_up.home, "processes", "list", "--json").json()["processes"]
    (web,) = [process for process in listed if process["kind"] == "web"]
    assert (web["state"], url) == ("running", f"http://localhost:{web['port']}")
    assert web["pid"] == pid_of(queue_up, "web")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_status_shows_mode_queues_worker_leaders_and_where_mail_goes(queue_up: Up) -> None:
    until(lambda: queue_up.status()["workers"], "the worker to report itself")

    def look_after_a_tick_of_each() -> Any:
        seen = queue_up.status()
        return seen if all(leader["last_tick_at"] for leader in seen["leaders"].values()) else None

    seen = until(look_after_a_tick_of_each, "both loops to report a tick")
    assert (seen["schema"], seen["mode"], seen["redis"]) == (1, "queue", "ok")
    assert set(seen["queues"]) == {"emails", "stories"}
    (worker,) = [worker for worker in seen["workers"] if psutil.pid_exists(worker["pid"])]
    assert worker["pid"] == pid_of(queue_up, "worker")
    assert worker["queues"] == ["emails", "stories"]
    for loop in ("scheduler", "delivery"):
        assert f":{pid_of(queue_up, loop)}:" in seen["leaders"][loop]["holder"]
        assert seen["leaders"][loop]["next_tick_at"]
        assert not seen["leaders"][loop]["error"]
    assert "no mail leaves this machine" in seen["mail"]
    assert seen["switches"] == []


def test_status_for_a_person_says_the_same(queue_up: Up) -> None:
    until(lambda: queue_up.status()["workers"], "the worker to report itself")

    def words_when_the_story_is_done() -> str:
        seen = status(queue_up.home)
        assert seen.code == 0
        words = " ".join(seen.out.split())
        return words if "queue stories 0 waiting, 0 running" in words else ""

    words = until(words_when_the_story_is_done, "the queue to be empty")
    assert "mode queue since" in words
    assert f"pid {pid_of(queue_up, 'worker')} on" in words
    assert f"scheduler pid {pid_of(queue_up, 'scheduler')} on" in words
    assert f"delivery pid {pid_of(queue_up, 'delivery')} on" in words
    assert "RESEND_API_KEY is not set" in words
    assert "nobody leads" not in words


def pid_of(running_up: Up, kind: str) -> int:
    child = running_up.child(kind)
    assert child is not None
    return child.pid


def test_status_of_a_home_where_nothing_runs_is_exit_code_4_and_a_sentence(tmp_path: Path) -> None:
    seen = status(tmp_path, "--json")

    assert (seen.code, seen.out) == (4, "")
    assert seen.err == (f"Nothing runs in {tmp_path}: start it with fixionmail up, or set DATABASE_URL.\n")
    assert list(tmp_path.iterdir()) == []


# ---- rq's own tools --------------------------------------------------------------------------------------------------


def test_rq_info_shows_the_queues_and_the_worker(queue_up: Up) -> None:
    rq = [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", queue_up.redis_url()]

    def shown() -> str:
        return subprocess.run(rq, capture_output=True, text=True, timeout=30, check=True).stdout

    # A queue is listed once something was in it, as rq's own are.
    said = until(lambda: "queue stories 0" in (said := shown()) and said, "the queue with its job done")
    (worker,) = [line for line in said.splitlines() if f" {pid_of(queue_up, 'worker')}) " in line]
    assert "idle emails, stories. jobs: " in worker


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # rq-dashboard never closes its connection
def test_rq_dashboard_shows_the_queues_the_jobs_and_the_worker(queue_up: Up) -> None:
    client = dashboard(queue_up.redis_url())

    def listeners() -> list[list[str]]:
        workers = client.get("/0/data/workers.json").get_json()["workers"]
        return [worker["queues"] for worker in workers]

    until(lambda: ["emails", "stories"] in listeners(), "the worker in the dashboard")
    until(lambda: finished_stories(client), "a finished story in the dashboard")
    queues = client.get("/0/data/queues.json").get_json()["queues"]
    assert "stories" in {queue["name"] for queue in queues}
    (job, *_) = finished_stories(client)
    assert client.get(f"/0/view/job/{job['id']}").status_code == 200


def dashboard(url: str) -> Any:
    """A test client of rq-dashboard's pages."""
    from rq_dashboard import default_settings, web  # type: ignore[import-untyped]

    app = Flask(__name__)
    app.config.from_object(default_settings)
    app.config["RQ_DASHBOARD_REDIS_URL"] = url
    web.setup_rq_connection(app)
    web.config.serializer = JsonSerializer  # what its --serializer option does
    app.register_blueprint(web.blueprint)
    return app.test_client()


def finished_stories(client: Any) -> list[Any]:
    answer = client.get("/0/data/jobs/stories/finished/8/asc/1.json")
    return list(answer.get_json()["jobs"]) if answer.status_code == 200 else []


# ---- what it does ----------------------------------------------------------------------------------------------------


def test_a_reader_added_while_it_runs_gets_one_mail_within_the_minute(queue_up: Up) -> None:
    outbox = queue_up.home / "outbox"
    assert until(lambda: count_mails(outbox), "the mail", 90) == {READER: 1}
    until(lambda: queue_up.status()["funnel"]["sent"] == 1, "status to show it")


def test_a_child_that_is_killed_is_started_again(queue_up: Up) -> None:
    before = pid_of(queue_up, "worker")

    psutil.Process(before).kill()

    until(lambda: (child := queue_up.child("worker")) and child.pid != before, "another worker")
    after = pid_of(queue_up, "worker")
    until(lambda: after in {worker["pid"] for worker in queue_up.status()["workers"]}, "status to show it")
    assert '"name": "worker-1", "how": "killed by SIGKILL (perhaps out of memory)"' in queue_up.said()


# ---- its end ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_all_of_it_with_0_and_leaves_nothing_running(tmp_path: Path) -> None:
    with up(tmp_path) as running_up:
        # up, four of ours, Postgres and Redis
        until(lambda: len(everything_of(tmp_path)) >= 7, "all processes to be found")
        assert stopped(running_up) == 0
    assert running_up.said().splitlines()[-1] == "Stopped."
    assert until(lambda: not everything_of(tmp_path), "all processes to end")
    assert status(tmp_path).code == 4


def test_ctrl_c_while_it_starts_ends_it_with_0_and_leaves_nothing_running(tmp_path: Path) -> None:
    with running(tmp_path, "up") as process:
        starting = Up(home=tmp_path, process=process)
        until(lambda: "Starting ..." in starting.said(), "it to start")
        assert stopped(starting) == 0
    assert "Traceback" not in starting.said()
    assert until(lambda: not everything_of(tmp_path), "all processes to end")


def test_with_queue_mode_switched_off_up_works_in_fallback(tmp_path: Path) -> None:
    with up(tmp_path, ENABLE_REDIS_QUEUE="false") as running_up:
        add_reader_due_now(tmp_path, READER)
        until(lambda: running_up.status()["funnel"]["written"] == 1, "the story, written by a loop")
        seen = running_up.status()
        assert (seen["mode"], seen["redis"]) == ("fallback", "not used")
        assert (seen["queues"], seen["workers"]) == ({}, [])
        assert running_url(tmp_path) is None
        assert running_up.child("worker") is None
        until(lambda: "UTC  fallback: " in running_up.said(), "a line of status")
        assert stopped(running_up) == 0
    assert until(lambda: not everything_of(tmp_path), "all processes to end")


def stopped(running_up: Up) -> int:
    running_up.process.send_signal(signal.SIGINT)
    return running_up.process.wait(STOP_SECONDS)


def everything_of(home: Path) -> set[int]:
    """Our processes of this home, and the servers that work inside it."""
    return {process.pid for process in processes_of(home)} | {
        process.pid for process in psutil.process_iter() if is_inside(process, home)
    }


def is_inside(process: psutil.Process, home: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(home)
    except psutil.Error:
        return False
