"""A server that belongs to a folder: who starts it, who shares it, who stops it, and what a crash leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import psutil
import pytest

from fixionmail.engine import LOCALHOST, Engine, free_port
from fixionmail.errors import EngineError
from fixionmail.processes.handles import BundledServer
from fixionmail.program import lock_holder
from tests.standins.engine_user import EngineUser, eventually, has_ended
from tests.standins.idle_server import IdleServer


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "a home" / "idle"
    yield folder
    engine_of(folder).stop()


def engine_of(folder: Path, habit: str = "punctual", **seconds: float) -> Engine:
    return Engine(folder, IdleServer(folder=folder, habit=habit), **seconds)


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines())


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: has_ended(pid))


def listener(port: int = 0) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((LOCALHOST, port))
    taken.listen()
    return taken


class TestSharing:
    def test_the_first_user_starts_the_server_and_the_last_stops_it(self, folder: Path) -> None:
        engine = engine_of(folder)
        with engine.use() as first:
            with engine.use() as second:
                assert second == first
            assert engine.running() == first
        assert engine.running() is None
        assert has_ended(first.pid)
        assert starts(folder) == 1

    def test_a_user_in_another_process_counts(self, folder: Path) -> None:
        engine = engine_of(folder)
        with EngineUser("idle", folder.parent) as other:
            port = other.url()
            with engine.use() as running:
                assert str(running.port) == port
            assert engine.running() == running
        assert engine.running() is None

    def test_processes_that_come_at_the_same_moment_start_one_server(self, folder: Path) -> None:
        with EngineUser("idle", folder.parent) as one, EngineUser("idle", folder.parent) as two:
            assert one.url() == two.url()
        assert starts(folder) == 1
        assert engine_of(folder).running() is None

    def test_threads_that_come_and_go_at_the_same_moment_never_find_it_stopped(self, folder: Path) -> None:
        def come_and_go(_: int) -> None:
            with engine_of(folder).use() as running:
                socket.create_connection((LOCALHOST, running.port)).close()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(come_and_go, range(24)))
        assert engine_of(folder).running() is None

    def test_an_error_of_the_user_is_the_users_own_and_the_server_stops(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError), engine_of(folder).use():
            raise FileNotFoundError("nothing to do with the engine")
        assert engine_of(folder).running() is None

    def test_the_server_listens_where_it_did_last_time(self, folder: Path) -> None:
        with engine_of(folder).use() as first:
            pass
        with engine_of(folder).use() as second:
            assert second.port == first.port


class TestCrashes:
    def test_a_server_whose_users_were_killed_is_found_again_and_stopped_by_the_next(
        self, folder: Path
    ) -> None:
        engine = engine_of(folder)
        with EngineUser("idle", folder.parent) as user:
            port = user.url()
            user.signal(signal.SIGKILL)
            user.leave()
        with engine.use() as running:
            assert str(running.port) == port
        assert engine.running() is None
        assert starts(folder) == 1

    def test_a_killed_server_is_started_again_where_it_was(self, folder: Path) -> None:
        engine = engine_of(folder)
        with engine.use() as first:
            kill(first.pid)
            assert engine.running() is None
            with engine.use() as second:
                assert (second.port, second.pid) != (first.port, first.pid)
                assert second.port == first.port

    def test_a_server_that_is_just_dying_is_replaced(self, folder: Path) -> None:
        engine = engine_of(folder)
        dying = engine.start()
        (folder / "port").write_text(f"{free_port()}\n")  # it no longer answers, and is gone a moment later
        end = Timer(0.2, kill, [dying.pid])
        end.start()
        with engine.use() as running:
            assert running.pid != dying.pid
        end.join()

    def test_a_server_left_half_started_is_replaced(self, folder: Path) -> None:
        with EngineUser("idle", folder.parent, environment={"IDLE_HABIT": "mute"}) as starter:
            eventually(lambda: lock_holder(folder / "server.lock"))
            starter.signal(signal.SIGKILL)
            starter.leave()
        assert engine_of(folder).running() is None
        with engine_of(folder).use() as running:
            assert engine_of(folder).running() == running
        assert starts(folder) == 2

    def test_what_a_reboot_leaves_behind_is_no_running_server(self, folder: Path) -> None:
        with engine_of(folder).use() as running:
            pass
        assert (folder / "port").read_text() == f"{running.port}\n"
        assert engine_of(folder).running() is None
        assert engine_of(folder).stop() is False

    def test_ctrl_c_ends_the_user_and_then_the_server(self, folder: Path) -> None:
        with EngineUser("idle", folder.parent) as bystander, EngineUser("idle", folder.parent) as user:
            assert user.url() == bystander.url()
            user.signal(signal.SIGINT)
            user.leave()
            assert engine_of(folder).running() is not None
            bystander.signal(signal.SIGINT)
            bystander.leave()
        assert engine_of(folder).running() is None

    @pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.04])
    def test_ctrl_c_at_any_moment_of_starting_leaves_nothing_running(
        self, folder: Path, delay: float
    ) -> None:
        with EngineUser("idle", folder.parent) as starter:
            eventually(lambda: (folder / "server.log").exists())
            time.sleep(delay)
            starter.signal(signal.SIGINT)
            starter.leave()
        time.sleep(0.2)  # long enough for a launcher that nobody has heard of to take the lock
        assert lock_holder(folder / "server.lock") is None

    def test_ctrl_c_while_starting_leaves_nothing_running(self, folder: Path) -> None:
        with EngineUser("idle", folder.parent, environment={"IDLE_HABIT": "mute"}) as starter:
            eventually(lambda: lock_holder(folder / "server.lock"))
            starter.signal(signal.SIGINT)
            starter.leave()
        assert lock_holder(folder / "server.lock") is None


class TestDetached:
    def test_it_stays_when_its_users_leave_and_ends_when_stopped(self, folder: Path) -> None:
        engine = engine_of(folder)
        started = engine.start()
        with engine.use() as running:
            assert running == started
        assert engine.running() == started
        assert engine.stop() is True
        assert engine.running() is None
        assert engine.stop() is False

    def test_a_server_in_use_can_be_told_to_stay(self, folder: Path) -> None:
        engine = engine_of(folder)
        with engine.use() as running:
            engine.start()
        assert engine.running() == running

    def test_a_later_start_by_a_user_does_not_stay(self, folder: Path) -> None:
        engine = engine_of(folder)
        kill(engine.start().pid)
        with engine.use():
            pass
        assert engine.running() is None

    def test_a_second_start_on_another_port_is_refused_in_words(self, folder: Path) -> None:
        engine = engine_of(folder)
        running = engine.start()
        with pytest.raises(EngineError, match=f"already runs on port {running.port}"):
            engine.start(free_port())
        assert engine.running() == running


class TestPorts:
    def test_a_port_taken_meanwhile_is_exchanged_for_another(self, folder: Path) -> None:
        with engine_of(folder).use() as first:
            pass
        with listener(first.port), engine_of(folder).use() as second:
            assert second.port != first.port

    def test_a_port_that_was_asked_for_is_never_exchanged(self, folder: Path) -> None:
        with listener() as taken:
            port = taken.getsockname()[1]
            with pytest.raises(EngineError, match=rf"cannot start on port {port}.*Address already in use"):
                engine_of(folder).start(port)


class TestBadServers:
    def test_one_that_ends_while_starting_is_quoted(self, folder: Path) -> None:
        with pytest.raises(
            EngineError, match=r"ended while starting.*FATAL: the data is from another planet"
        ) as told:
            engine_of(folder, "doomed").start()
        assert str(folder) in str(told.value)

    def test_one_that_never_gets_ready_is_given_up_and_stopped(self, folder: Path) -> None:
        engine = engine_of(folder, "mute", start_seconds=0.5)
        with pytest.raises(EngineError, match=r"was not ready after 0\.5 s"):
            engine.start()
        assert lock_holder(folder / "server.lock") is None

    def test_one_that_does_not_stop_is_named_with_its_process(self, folder: Path) -> None:
        engine = engine_of(folder, "stubborn", stop_seconds=0.2)
        running = engine.start()
        with pytest.raises(EngineError, match=rf"\(process {running.pid}\) did not stop within 0.2 s"):
            engine.stop()
        kill(running.pid)

    def test_one_that_does_not_stop_is_killed_by_whoever_supervises_it(self, folder: Path) -> None:
        engine = engine_of(folder, "stubborn", stop_seconds=0.2)
        running = engine.start()
        supervised = BundledServer(engine)
        eventually(lambda: supervised.identity() is not None)
        supervised.ask_to_stop()
        eventually(lambda: has_ended(running.pid))
        eventually(lambda: supervised.end() == "stopped")

    def test_one_that_does_not_answer_is_not_handed_out(self, folder: Path) -> None:
        engine = engine_of(folder)
        running = engine.start()
        (folder / "port").write_text(f"{free_port()}\n")
        with pytest.raises(EngineError, match="does not answer"):
            engine.start()
        assert engine.running() is not None
        assert psutil.pid_exists(running.pid)


class TestFootprint:
    def test_looking_writes_nothing(self, folder: Path) -> None:
        assert engine_of(folder).running() is None
        assert engine_of(folder).stop() is False
        assert not folder.parent.exists()

    def test_nobody_else_can_list_the_folder_or_read_its_log(self, folder: Path) -> None:
        engine_of(folder).start()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711
        assert stat.S_IMODE((folder / "server.log").stat().st_mode) == 0o600

    def test_the_server_is_told_no_settings_and_no_keys(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESEND_API_KEY", "re_secret")
        server = psutil.Process(engine_of(folder).start().pid)
        assert "RESEND_API_KEY" not in server.environ()

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("a file where the folder should be")
        with pytest.raises(EngineError, match=r"cannot keep its files in .*home"):
            engine_of(tmp_path / "home" / "idle").start()
