"""The bundled Postgres under a home: real servers, real crashes, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from fixionmail.errors import EngineError, SettingsError
from fixionmail.program import lock_holder
from fixionmail.store.embedded import embedded_postgres, postgres_bin, running_url
from tests.standins.engine_user import EngineUser, eventually, has_ended
from tests.standins.ordinary_user import OrdinaryUser, ordinary_user

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can arrange this")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="about the capabilities of Linux")


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync=off")


@pytest.fixture
def new_home(tmp_path: Path) -> Path:
    return tmp_path / "a new home"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose Postgres has been used before, and is down."""
    home = tmp_path_factory.mktemp("used") / "a used home"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync=off")
        with embedded_postgres(home) as url, psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE notes (note text)")
    return home


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    with ordinary_user() as made:
        yield made


def ask(url: str, question: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def note(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO notes VALUES (%s)", [text])


def server_of(home: Path) -> psutil.Process:
    pid = lock_holder(home / "postgres" / "server.lock")
    assert pid is not None
    return psutil.Process(pid)


def data_of(home: Path) -> Path:
    return home / "postgres" / "data"


class TestANewHome:
    def test_gets_a_database_of_its_own_in_utf8_and_utc(self, new_home: Path) -> None:
        with embedded_postgres(new_home) as url:
            assert ask(url, "SELECT current_database()") == "fixionmail"
            assert ask(url, "SHOW server_encoding") == "UTF8"
            assert ask(url, "SHOW timezone") == "UTC"
            assert ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'fixionmail'").startswith("C")
            assert ask(url, "SHOW idle_in_transaction_session_timeout") == "5min"

    def test_may_lie_under_any_path(self, tmp_path: Path) -> None:
        odd = tmp_path / "with spaces" / 'für Ελένη \'n "quotes" $HOME' / ("long" * 50) / ("longer" * 40)
        with embedded_postgres(odd) as url:
            assert ask(url, "SELECT 1") == "1"

    def test_two_processes_that_come_first_at_once_share_one_server(self, new_home: Path) -> None:
        with EngineUser("postgres", new_home) as one, EngineUser("postgres", new_home) as two:
            assert one.url() == two.url()
        assert running_url(new_home) is None

    def test_whose_making_was_killed_is_made_from_the_start(self, new_home: Path) -> None:
        folder = new_home / "postgres"
        with EngineUser("postgres", new_home) as maker:
            eventually(lambda: list(folder.glob("new-*/PG_VERSION")))
            maker.signal(signal.SIGKILL)
            maker.leave()
        assert not data_of(new_home).exists()
        with embedded_postgres(new_home) as url:
            assert ask(url, "SELECT 1") == "1"

    def test_names_its_own_postgres(self, new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not DEBIAN_15.is_dir():
            pytest.skip("Debian's PostgreSQL 15 is not installed")
        monkeypatch.setenv("FIXIONMAIL_POSTGRES_BIN", str(DEBIAN_15))
        with embedded_postgres(new_home) as url:
            assert ask(url, "SHOW server_version").startswith("15.")


class TestSharing:
    def test_the_server_is_up_while_it_has_users(self, home: Path) -> None:
        assert running_url(home) is None
        with embedded_postgres(home) as first:
            with embedded_postgres(home) as second:
                assert second == first == running_url(home)
            assert ask(first, "SELECT 1") == "1"
        assert running_url(home) is None
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(first)

    def test_what_was_written_is_there_next_time(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            note(url, "kept")
        with embedded_postgres(home) as url:
            assert ask(url, "SELECT count(*) FROM notes WHERE note = 'kept'") == "1"

    def test_open_sessions_do_not_keep_it_from_stopping(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            session = psycopg.connect(url)
        assert running_url(home) is None
        session.close()

    def test_looking_creates_nothing(self, new_home: Path) -> None:
        assert running_url(new_home) is None
        assert not new_home.exists()

    def test_options_of_the_environment_are_in_force(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync=off work_mem=9MB")
        with embedded_postgres(home) as url:
            assert ask(url, "SHOW work_mem") == "9MB"
            assert ask(url, "SHOW fsync") == "off"

    def test_without_them_it_is_durable(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FIXIONMAIL_POSTGRES_OPTIONS")
        with embedded_postgres(home) as url:
            assert ask(url, "SHOW fsync") == ask(url, "SHOW synchronous_commit") == "on"


class TestCrashes:
    def test_a_killed_server_loses_nothing_committed(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            note(url, "before the crash")
            with psycopg.connect(url):
                server_of(home).kill()
                eventually(lambda: running_url(home) is None)
                with embedded_postgres(home) as again:
                    assert again == url
                    assert ask(again, "SELECT count(*) FROM notes WHERE note = 'before the crash'") == "1"

    def test_a_server_whose_users_were_killed_is_adopted_and_stopped(self, home: Path) -> None:
        with EngineUser("postgres", home) as killed:
            url = killed.url()
            killed.signal(signal.SIGKILL)
            killed.leave()
        server = server_of(home)
        with embedded_postgres(home) as found:
            assert found == url
            assert server_of(home).pid == server.pid
        assert has_ended(server.pid)

    def test_a_stale_pid_file_that_names_a_stranger_is_no_server(self, home: Path) -> None:
        with embedded_postgres(home):
            server_of(home).kill()
            eventually(lambda: running_url(home) is None)
        pid_file = data_of(home) / "postmaster.pid"
        owner = data_of(home).stat().st_uid
        with subprocess.Popen(["sleep", "60"], user=owner if AS_ROOT else None) as stranger:
            lines = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            with embedded_postgres(home) as url:
                assert ask(url, "SELECT 1") == "1"
            assert stranger.poll() is None
            stranger.kill()

    def test_a_lost_password_is_replaced(self, home: Path) -> None:
        (home / "postgres" / "password").unlink()
        with embedded_postgres(home) as url:
            assert ask(url, "SELECT 1") == "1"

    def test_a_data_folder_copied_by_root_is_given_back_to_the_server(
        self, home: Path, new_home: Path
    ) -> None:
        shutil.copytree(home, new_home)
        with embedded_postgres(new_home) as url:
            assert ask(url, "SELECT count(*) >= 0 FROM notes") == "True"


class TestSecurity:
    def test_nobody_logs_in_without_the_password(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            stranger = psycopg.conninfo.make_conninfo(url, password="guessed")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(stranger)

    def test_the_password_is_in_no_command_line_and_no_readable_file(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            password = str(psycopg.conninfo.conninfo_to_dict(url)["password"])
            assert not any(password in part for part in server_of(home).cmdline())
        assert stat.S_IMODE((home / "postgres" / "password").stat().st_mode) == 0o600
        assert password not in (home / "postgres" / "server.log").read_text()

    def test_it_listens_on_the_loopback_address_alone(self, home: Path) -> None:
        with embedded_postgres(home) as url:
            assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
            assert ask(url, "SHOW unix_socket_directories") == ""


@needs_root
class TestAsRoot:
    def test_the_server_is_another_user_and_no_folder_was_opened_for_it(self, new_home: Path) -> None:
        closed = [folder for folder in new_home.parents if stat.S_IMODE(folder.stat().st_mode) == 0o700]
        assert closed, "pytest keeps its folders to itself, which is what this is about"
        with embedded_postgres(new_home):
            assert server_of(new_home).uids().effective != 0
        assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in closed)

    @linux_only
    def test_of_roots_powers_the_server_keeps_at_most_reading(self, home: Path) -> None:
        with embedded_postgres(home):
            status = Path(f"/proc/{server_of(home).pid}/status").read_text()
        held = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith(("Cap", "NoNew")))
        cap_dac_read_search = "0000000000000004"
        assert held["CapEff"] == held["CapPrm"] == held["CapAmb"] == cap_dac_read_search
        assert held["NoNewPrivs"] == "1"

    @linux_only
    def test_where_the_kernel_refuses_the_cure_is_named(self, home: Path) -> None:
        if not shutil.which("setpriv"):
            pytest.skip("there is no setpriv")
        without = ("setpriv", "--bounding-set", "-setpcap")
        with EngineUser("postgres", home, prefix=without) as user:
            code, said = user.leave()
        assert code == 1
        assert str(data_of(home)) in said
        assert "FIXIONMAIL_HOME" in said

    @linux_only
    def test_in_a_container_without_the_power_to_read_overriding_does(self, home: Path) -> None:
        if not shutil.which("setpriv"):
            pytest.skip("there is no setpriv")
        without = ("setpriv", "--bounding-set", "-dac_read_search")
        with EngineUser("postgres", home, prefix=without) as user:
            assert user.url()

    def test_a_home_of_an_ordinary_user_is_served_as_that_user(self, user: OrdinaryUser) -> None:
        home = user.folder / "home"
        with user.use("postgres", home) as first:
            first.url()
        with embedded_postgres(home):
            assert server_of(home).uids().effective == user.uid
        with user.use("postgres", home) as again:
            assert again.url()


class TestAsAnOrdinaryUser:
    def test_it_works_and_leaves_nothing_running(self, user: OrdinaryUser) -> None:
        home = user.folder / "a home"
        with user.use("postgres", home) as process:
            assert ask(process.url(), "SELECT current_database()") == "fixionmail"
            assert server_of(home).uids().effective == user.uid
        assert running_url(home) is None

    def test_a_home_of_somebody_else_is_refused_in_words(self, user: OrdinaryUser) -> None:
        foreign = user.folder / "foreign"
        foreign.mkdir()  # of whoever runs the tests
        with user.use("postgres", foreign / "home") as process:
            code, said = process.leave()
        assert code == 1
        assert said.strip() == (
            f"Postgres cannot keep its files in {foreign}/home/postgres: Permission denied. "
            "Set FIXIONMAIL_HOME to a folder that this user may write."
        )


class TestBadSurroundings:
    def test_data_of_another_major_version_is_named_with_its_folder(self, home: Path, new_home: Path) -> None:
        shutil.copytree(home, new_home)
        (data_of(new_home) / "PG_VERSION").write_text("12\n")
        with pytest.raises(EngineError, match="made by PostgreSQL 12") as told, embedded_postgres(new_home):
            pass
        assert str(data_of(new_home)) in str(told.value)
        assert str(postgres_bin()) in str(told.value)

    def test_damaged_data_is_named_with_the_servers_own_words(self, home: Path, new_home: Path) -> None:
        shutil.copytree(home, new_home)
        (data_of(new_home) / "global" / "pg_control").unlink()
        broken = pytest.raises(EngineError, match=r"could not (find|open) .*pg_control")
        with broken as told, embedded_postgres(new_home):
            pass
        assert str(new_home) in str(told.value)

    def test_a_missing_wheel_is_named_with_the_cure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FIXIONMAIL_POSTGRES_BIN", raising=False)
        monkeypatch.setitem(sys.modules, "embedded_postgres", None)
        with pytest.raises(EngineError, match=r"pip install 'fixionmail\[embedded\]', or set DATABASE_URL"):
            postgres_bin()

    def test_a_wrong_program_folder_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FIXIONMAIL_POSTGRES_BIN", str(tmp_path))
        with pytest.raises(SettingsError, match=f"FIXIONMAIL_POSTGRES_BIN={tmp_path} holds no initdb"):
            postgres_bin()

    def test_a_wrong_option_is_named(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync")
        with (
            pytest.raises(SettingsError, match="fsync is not of the form name=value"),
            embedded_postgres(home),
        ):
            pass

    def test_an_unknown_option_is_named(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsink=off")
        unknown = pytest.raises(EngineError, match='unrecognized configuration parameter "fsink"')
        with unknown, embedded_postgres(home):
            pass

    @needs_root
    def test_a_full_disk_is_named_with_what_is_free(self, small_disk: Path) -> None:
        with (
            pytest.raises(EngineError, match="No space left on device") as told,
            embedded_postgres(small_disk),
        ):
            pass
        assert str(small_disk) in str(told.value)
        assert not data_of(small_disk).exists()

    @needs_root
    def test_a_read_only_home_is_named(self, small_disk: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(EngineError, match="Read-only file system") as told, embedded_postgres(small_disk):
            pass
        assert str(small_disk) in str(told.value)
        assert running_url(small_disk) is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this root may not mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
