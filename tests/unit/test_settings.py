"""Settings: where they come from, what is wrong with them in words, and that no secret is ever shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fixionmail.errors import SettingsError
from fixionmail.settings import Settings, load_settings, masked_url, settings_in_force

Load = Callable[..., Settings]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> Load:
    """Load the settings from this environment and nothing else."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def load_from(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings(env_file)

    return load_from


def jwt_of(role: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.signature"


def in_force(settings: Settings, env_file: Path, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {s.name: (s.shown, s.source) for s in settings_in_force(settings, env_file, environ)}


def test_everything_has_a_default_that_works_without_an_account(load: Load) -> None:
    settings = load()
    assert settings.database_url is None
    assert settings.redis_target() is None
    assert settings.story_provider == "offline"


def test_the_environment_wins_over_the_file(load: Load, env_file: Path) -> None:
    env_file.write_text("PORT=1111\nLOG_LEVEL=debug\n")
    settings = load(PORT="2222")
    assert (settings.port, settings.log_level) == (2222, "debug")


def test_an_empty_variable_is_one_that_is_not_set(load: Load) -> None:
    assert load(REDIS_URL="", PORT="").port == 8080


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "http", "PORT must be a number."),
        ("PORT", "0", "PORT must be at least 1."),
        ("PORT", "65536", "PORT must be at most 65535."),
        ("ENABLE_REDIS_QUEUE", "maybe", "ENABLE_REDIS_QUEUE must be true or false."),
        ("STORY_PROVIDER", "gpt", "STORY_PROVIDER must be one of 'anthropic', 'openai' or 'offline'."),
        ("SERVICE_TYPE", "cron", "SERVICE_TYPE must be one of 'web', 'worker', 'scheduler' or 'delivery'."),
        ("REDIS_URL", "localhost:6379", "REDIS_URL must start with redis:// or rediss:// or unix://"),
        ("REDIS_URL", "redis://", "REDIS_URL needs a host and a port number"),
        ("DATABASE_URL", "mysql://host/db", "DATABASE_URL must start with postgresql:// or postgres://"),
        ("DATABASE_URL", "postgresql://host:port/db", "DATABASE_URL needs a host and a port number"),
        ("EMAIL_FROM", "Stories", "EMAIL_FROM must be an address like"),
        ("SUPABASE_SERVICE_KEY", "sb_publishable_x", "SUPABASE_SERVICE_KEY is a key for browsers"),
        ("SUPABASE_SERVICE_KEY", jwt_of("anon"), "SUPABASE_SERVICE_KEY is a key for browsers"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    load: Load, name: str, value: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: value})
    assert words in str(caught.value)


def test_all_wrong_values_are_named_at_once(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PORT="x", LOG_LEVEL="loud")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"SUPABASE_URL": "https://x.supabase.co"}, "SUPABASE_SERVICE_KEY"),
        ({"SUPABASE_SERVICE_KEY": jwt_of("service_role")}, "SUPABASE_URL"),
    ],
)
def test_half_a_supabase_names_the_other_half(load: Load, given: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not"):
        load(**given)


def test_a_file_that_is_not_text_is_named(load: Load, env_file: Path) -> None:
    env_file.write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:geheim@host:port/db"),
        ("DATABASE_URL", "postgresql://user:geheim@[::1/db"),
        ("REDIS_URL", "https://user:geheim@host"),
        ("SUPABASE_SERVICE_KEY", "sb_publishable_geheim"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(load: Load, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: value})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "redis://h?password=geheim&geheim=1",
            "option behind its ? that cannot be used with redis://: known are",
        ),
        (
            "redis://:geheim@h?ssl_cert_reqs=none",
            "option behind its ? that cannot be used with redis://: known are",
        ),
        (
            "unix:///s?password=geheim&foo=1",
            "option behind its ? that cannot be used with unix://: known are",
        ),
        ("redis://:geheim@h?decode_responses=true", "option behind its ? that cannot be used with redis://"),
        ("redis://:geheim@h?db=abc", "value behind its ? that cannot be used: that of db."),
        (
            "redis://:geheim@h?socket_timeout=x",
            "value behind its ? that cannot be used: that of socket_timeout.",
        ),
        ("redis://:geheim@h?socket_timeout=-1", "that of socket_timeout."),
        ("redis://:geheim@h?socket_connect_timeout=nan", "that of socket_connect_timeout."),
        ("redis://:geheim@h?db=1&max_connections=-1&protocol=9", "that of max_connections, protocol."),
        ("rediss://:geheim@h?ssl_cert_reqs=geheim", "that of ssl_cert_reqs."),
        ("rediss://:geheim@h?ssl_min_version=1", "that of ssl_min_version."),
        ("unix:///s?password=geheim&socket_keepalive=1", "that of socket_keepalive."),
    ],
)
def test_an_option_in_the_url_of_redis_that_cannot_be_used_is_told_of(
    load: Load, url: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(REDIS_URL=url)
    assert "REDIS_URL has a" in str(caught.value)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h?db=2&socket_timeout=2.5&retry_on_timeout=true&client_name=fm&protocol=3",
        "rediss://h?username=u&password=p%40ss&ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem&ssl_min_version=771",
        "unix:///run/redis.sock?db=1&password=p&socket_connect_timeout=3",
    ],
)
def test_options_that_the_client_of_redis_knows_are_left_to_it(load: Load, url: str) -> None:
    assert load(REDIS_URL=url).redis_target() == url


def test_a_wish_for_the_queue_without_a_redis_is_an_error_in_words(load: Load) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        load(ENABLE_REDIS_QUEUE="true").redis_target()


def test_a_named_redis_is_used_unless_the_queue_is_switched_off(load: Load) -> None:
    assert load(REDIS_URL="redis://host:6379").redis_target() == "redis://host:6379"
    assert load(ENABLE_REDIS_QUEUE="false").redis_target() is None


def test_settings_in_force_say_where_each_value_came_from(load: Load, env_file: Path) -> None:
    env_file.write_text("LOG_LEVEL=debug\nPORT=1\n")
    environ = {"PORT": "2"}
    shown = in_force(load(**environ), env_file, environ)
    assert shown["PORT"] == ("2", "environment")
    assert shown["LOG_LEVEL"] == ("debug", ".env")
    assert shown["CHECK_INTERVAL_SECONDS"] == ("60.0", "default")
    assert shown["REDIS_URL"] == ("", "default")


def test_every_setting_is_in_force_and_described(load: Load, env_file: Path) -> None:
    listed = settings_in_force(load(), env_file, {})
    assert {setting.name for setting in listed} == {name.upper() for name in Settings.model_fields}
    assert all(setting.description for setting in listed)


def test_no_secret_is_shown_nor_in_any_text_of_the_settings(load: Load, env_file: Path) -> None:
    environ = {
        "DATABASE_URL": "postgresql://user:geheim@host:5432/db?password=geheim",
        "REDIS_URL": "rediss://default:geheim@host:6379",
        "SUPABASE_SERVICE_KEY": "sb_secret_geheim",
        "RESEND_API_KEY": "re_geheim",
        "RESEND_WEBHOOK_SECRET": "whsec_geheim",
        "ANTHROPIC_API_KEY": "sk-geheim",
        "OPENAI_API_KEY": "sk-geheim",
    }
    settings = load(**environ)
    shown = in_force(settings, env_file, environ)
    assert "geheim" not in str(shown)
    assert "geheim" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert shown["DATABASE_URL"][0] == "postgresql://user:••••••@host:5432/db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:geheim@host:6379/0", "redis://:••••••@host:6379/0"),
        ("redis://host:6379", "redis://host:6379"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("postgresql://user:p%40ss@host/db", "postgresql://user:••••••@host/db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_a_password_in_the_query_is_not_shown_either() -> None:
    assert "geheim" not in masked_url("unix:///run/redis.sock?password=geheim")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim@ex℀mple.com/db",
        "postgresql://user:12/geheim@host/db",
        "postgresql://user:12#geheim@host/db",
        "postgresql://user:geheim@host:port/db",
        "postgres//user:geheim@host/db",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(load: Load, url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        load(DATABASE_URL=url)
    assert "geheim" not in str(caught.value)
    assert "12" not in str(caught.value)


@pytest.mark.parametrize("password", ["12/geheim", "12#geheim", "ge/heim", "/"])
def test_a_password_with_a_slash_or_hash_is_told_how_to_be_written(load: Load, password: str) -> None:
    with pytest.raises(SettingsError, match="write them as %2F and %23"):
        load(DATABASE_URL=f"postgresql://user:{password}@host/db")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:geheim@host:6379/0?password=geheim", "redis://:••••••@host:6379/0"),
        ("postgresql://user:ge@heim@host/db#geheim", "postgresql://user:••••••@host/db"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("https://example.com", "https://example.com"),
    ],
)
def test_a_masked_url_keeps_the_place_and_hides_the_rest(url: str, shown: str) -> None:
    assert masked_url(url) == shown
