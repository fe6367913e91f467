"""`fixionmail` itself, `config` and `db`, as a person or a script meets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from fixionmail.store.migrations import known_migrations, migrate
from tests.commands import Ended, command, environment, run
from tests.standins.postgrest import PostgrestStandIn

NAMES = [migration.name for migration in known_migrations()]
HEAVY = {
    "rq",
    "redis",
    "textual",
    "supabase",
    "psycopg",
    "pydantic",
    "fastapi",
    "anthropic",
    "openai",
    "httpx",
}
NOBODY = "postgresql://user:geheim@127.0.0.1:1/nothing"


class TestTheProgram:
    def test_help_is_there_without_loading_anything_heavy(self, tmp_path: Path) -> None:
        program = (
            "import sys; sys.argv = ['fixionmail', '--help']\n"
            "import cli\n"
            "try: cli.main()\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print('LOADED', *sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        said, _, loaded = done.stdout.partition("LOADED")
        assert "subscribers" in said
        assert HEAVY.isdisjoint(loaded.split())

    def test_says_its_version(self, tmp_path: Path) -> None:
        assert run(tmp_path, "--version").out.startswith("FixionMail 0.")

    @pytest.mark.parametrize(
        "arguments", [["nonsense"], ["db", "nonsense"], ["config", "--nonsense"], ["subscribers", "show"]]
    )
    def test_a_wrong_command_line_is_a_usage_error(self, tmp_path: Path, arguments: list[str]) -> None:
        ended = run(tmp_path, *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "Usage: fixionmail" in ended.err

    @pytest.mark.parametrize("group", [[], ["db"], ["subscribers"]])
    def test_a_group_alone_shows_its_help(self, tmp_path: Path, group: list[str]) -> None:
        ended = run(tmp_path, *group)
        assert ended.code == 2
        assert "Commands" in ended.out + ended.err

    def test_a_wrong_setting_is_named_and_is_exit_code_2(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "config", PORT="http")
        assert (ended.code, ended.out, ended.err) == (2, "", "PORT must be a number.\n")

    def test_a_database_that_does_not_answer_is_exit_code_4_without_the_password(
        self, tmp_path: Path
    ) -> None:
        ended = run(tmp_path, "subscribers", "list", DATABASE_URL=NOBODY)
        assert (ended.code, ended.out) == (4, "")
        assert "127.0.0.1:1/nothing does not answer" in ended.err
        assert "geheim" not in ended.err
        assert "Traceback" not in ended.err

    def test_an_argument_that_is_no_text_is_refused_in_words(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [*map(str.encode, command("subscribers", "show")), b"\xff"],
            env=environment(tmp_path, LANG="C.UTF-8"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("An argument holds bytes that are not text")

    def test_a_reader_who_leaves_early_is_no_error(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            command("config"),
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        with process.stderr:
            assert process.stderr.read() == ""
        process.wait()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
    @pytest.mark.parametrize("arguments", [["config"], ["config", "--json"], ["--help"]])
    def test_a_full_disk_under_its_output_is_a_sentence(self, tmp_path: Path, arguments: list[str]) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command(*arguments), env=environment(tmp_path), stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 1
        assert done.stderr == "The operating system refuses: [Errno 28] No space left on device.\n"

    def test_a_closed_output_is_no_error(self, tmp_path: Path) -> None:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *command("config", "--json")],
            env=environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_terminal_without_the_characters_gets_question_marks(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "config", RESEND_API_KEY="re_x", PYTHONIOENCODING="ascii")
        assert ended.code == 0
        assert "??????" in ended.out


class TestConfig:
    def test_shows_every_setting_with_its_source_and_no_secret(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("LOG_LEVEL=debug\n")
        ended = run(tmp_path, "config", "--json", DATABASE_URL="postgresql://user:geheim@host/db")
        document = ended.json()
        settings = {setting["name"]: setting for setting in document["settings"]}
        assert (ended.code, document["schema"]) == (0, 1)
        assert settings["LOG_LEVEL"]["value"] == "debug"
        assert settings["LOG_LEVEL"]["source"] == ".env"
        assert settings["DATABASE_URL"]["value"] == "postgresql://user:••••••@host/db"
        assert settings["DATABASE_URL"]["source"] == "environment"
        assert settings["REDIS_URL"] == {
            "name": "REDIS_URL",
            "value": None,
            "source": "default",
            "description": settings["REDIS_URL"]["description"],
        }
        assert "geheim" not in ended.out

    def test_shows_values_as_they_are_and_not_as_markup_or_terminal_control(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "config", EMAIL_FROM="[red]\x1b[31mX[/] <x@example.com>")
        assert ended.code == 0
        assert "[red][31mX[/]" in ended.out
        assert "\x1b" not in ended.out


class TestDatabase:
    def test_migrate_names_what_it_applied_and_then_has_nothing_to_do(
        self, tmp_path: Path, empty_database: str
    ) -> None:
        first = run(tmp_path, "db", "migrate", DATABASE_URL=empty_database)
        assert (first.code, first.out.splitlines()) == (0, [f"applied {name}" for name in NAMES])
        second = run(tmp_path, "db", "migrate", DATABASE_URL=empty_database)
        assert (second.code, second.out) == (0, "Nothing to do: the database has all migrations.\n")
        assert run(tmp_path, "db", "migrate", "--json", DATABASE_URL=empty_database).json() == {
            "schema": 1,
            "applied": [],
        }

    def test_status_finds_what_is_missing(self, tmp_path: Path, empty_database: str) -> None:
        ended = run(tmp_path, "db", "status", "--json", DATABASE_URL=empty_database)
        assert ended.code == 1
        assert ended.json() == {"schema": 1, "applied": [], "missing": NAMES, "unknown": [], "changed": []}

    def test_status_is_content_with_a_database_that_has_everything(
        self, tmp_path: Path, database_url: str
    ) -> None:
        ended = run(tmp_path, "db", "status", DATABASE_URL=database_url)
        assert ended.code == 0
        assert [line.split() for line in ended.out.splitlines() if "0" in line] == [
            [name, "applied"] for name in NAMES
        ]

    def test_status_tells_unknown_and_changed_migrations(self, tmp_path: Path, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute("insert into fixionmail_migrations values (999, '999_of_tomorrow', 'x')")
            connection.execute("update fixionmail_migrations set checksum = 'other' where version = 2")
        ended = run(tmp_path, "db", "status", "--json", DATABASE_URL=database_url)
        assert ended.code == 1
        assert (ended.json()["unknown"], ended.json()["changed"]) == (["999_of_tomorrow"], [NAMES[1]])
        words = run(tmp_path, "db", "status", DATABASE_URL=database_url).out
        assert "unknown: applied by a newer FixionMail" in words

    @pytest.mark.parametrize(
        "arguments", [["db", "migrate"], ["db", "migrate", "--sql"], ["subscribers", "list"]]
    )
    def test_a_database_from_a_newer_version_is_left_alone(
        self, tmp_path: Path, database_url: str, arguments: list[str]
    ) -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute("insert into fixionmail_migrations values (999, '999_of_tomorrow', 'x')")
        ended = run(tmp_path, *arguments, DATABASE_URL=database_url)
        assert (ended.code, ended.out) == (1, "")
        assert "another FixionMail" in ended.err or "newer FixionMail" in ended.err

    def test_a_database_without_migrations_names_the_cure(self, tmp_path: Path, empty_database: str) -> None:
        ended = run(tmp_path, "subscribers", "list", DATABASE_URL=empty_database)
        assert (ended.code, ended.out) == (1, "")
        assert "run fixionmail db migrate" in ended.err

    def test_the_script_does_what_migrate_does(self, tmp_path: Path, empty_database: str) -> None:
        script = run(tmp_path, "db", "migrate", "--sql", DATABASE_URL=empty_database)
        assert script.code == 0
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute(script.out.encode())
        assert run(tmp_path, "db", "status", DATABASE_URL=empty_database).code == 0
        assert migrate(empty_database) == ()
        again = run(tmp_path, "db", "migrate", "--sql", DATABASE_URL=empty_database)
        assert again.out == "-- Nothing to do: the database has all migrations.\n"

    def test_a_script_run_twice_changes_nothing_the_second_time(
        self, tmp_path: Path, empty_database: str
    ) -> None:
        script = run(tmp_path, "db", "migrate", "--sql", DATABASE_URL=empty_database).out.encode()
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute(script)
        with psycopg.connect(empty_database, autocommit=True) as connection, pytest.raises(psycopg.Error):
            connection.execute(script)
        assert run(tmp_path, "db", "status", DATABASE_URL=empty_database).code == 0

    def test_the_bundled_one_is_migrated_too(self, tmp_path: Path) -> None:
        assert run(tmp_path, "db", "migrate").out.splitlines() == [f"applied {name}" for name in NAMES]
        assert run(tmp_path, "db", "status").code == 0


class TestSupabaseWithoutDatabaseUrl:
    def test_migrate_says_what_is_needed_instead(self, tmp_path: Path, empty_database: str) -> None:
        with PostgrestStandIn(empty_database) as api:
            ended = run(tmp_path, "db", "migrate", SUPABASE_URL=api.url, SUPABASE_SERVICE_KEY=api.service_key)
        assert (ended.code, ended.out) == (2, "")
        assert "DATABASE_URL" in ended.err
        assert "fixionmail db migrate --sql" in ended.err

    def test_the_script_for_its_editor_leads_to_a_database_that_works(
        self, tmp_path: Path, supabase_database: str
    ) -> None:
        with PostgrestStandIn(supabase_database) as api:

            def fixionmail(*arguments: str) -> Ended:
                return run(tmp_path, *arguments, SUPABASE_URL=api.url, SUPABASE_SERVICE_KEY=api.service_key)

            assert fixionmail("db", "status", "--json").json()["missing"] == NAMES
            script = fixionmail("db", "migrate", "--sql").out
            with psycopg.connect(supabase_database, autocommit=True) as connection:
                connection.execute(script.encode())
            status = fixionmail("db", "status", "--json")
            assert (status.code, status.json()["applied"]) == (0, NAMES)
            assert fixionmail("subscribers", "list").code == 0


@pytest.fixture
def supabase_database(empty_database: str) -> str:
    """A database as Supabase makes it: the roles are there, our tables are not."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for role in ("anon", "authenticated", "service_role"):
            found = connection.execute("select from pg_roles where rolname = %s", [role]).fetchone()
            if found is None:
                connection.execute(f"create role {role}".encode())
    return empty_database
