"""Settings: read from the environment and `.env`, checked at once, explained in words, secrets never shown."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fixionmail.errors import SettingsError


def _url_of(schemes: tuple[str, ...], example: str) -> AfterValidator:
    """A check that a (secret) URL has one of the schemes and a host; ``unix`` needs a path instead."""

    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        try:
            parts = urlsplit(text)
            is_cut = (
                "@" in parts.path + parts.fragment
            )  # the password's own / or # ends what is taken for the host
            has_host = bool(parts.hostname or (parts.scheme == "unix" and parts.path))
            has_place = is_cut or (has_host and parts.port != 0)
        except ValueError:  # its own words would repeat the URL, password included
            raise ValueError(f"needs a host and a port number, like {example}") from None
        if parts.scheme not in schemes:
            raise ValueError(f"must start with {' or '.join(f'{s}://' for s in schemes)}, like {example}")
        if is_cut:
            raise ValueError("has a / or # in its password: write them as %2F and %23")
        if not has_place:
            raise ValueError(f"needs a host and a port number, like {example}")
        return SecretStr(text)

    return AfterValidator(check)


_REDIS_OPTIONS = {
    *(
        "client_name",
        "db",
        "health_check_interval",
        "max_connections",
        "password",
        "protocol",
        "retry_on_timeout",
    ),
    *("socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout", "username"),
}
_TLS_OPTIONS = {
    *("ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname"),
    *("ssl_ciphers", "ssl_keyfile", "ssl_min_version", "ssl_password"),
}
_LONGEST_TIMEOUT = 86_400
MASK = "••••••"
"""Stands where people would see a secret."""


def _redis_options(value: SecretStr) -> SecretStr:
    """Refuse options behind the ``?`` that the client would fail on later, or that would change its answers."""
    parts = urlsplit(value.get_secret_value())
    options = parse_qs(parts.query)
    known = _REDIS_OPTIONS | (_TLS_OPTIONS if parts.scheme == "rediss" else set())
    if not known.issuperset(options):  # which one is not said: it may be a piece of a password
        names = ", ".join(sorted(known))
        raise ValueError(
            f"has an option behind its ? that cannot be used with {parts.scheme}://: known are {names}"
        )
    wrong = [name for name, texts in options.items() if not _redis_takes(parts.scheme, name, texts[0])]
    if wrong:
        raise ValueError(f"has a value behind its ? that cannot be used: that of {', '.join(wrong)}")
    return value


def _redis_takes(scheme: str, name: str, text: str) -> bool:
    """Whether the client can use this value of an option; asked of itself, as it alone knows."""
    import ssl

    from redis import ConnectionPool, RedisError

    try:
        pool = ConnectionPool.from_url(f"{scheme}://host/?{urlencode({name: text})}")
        pool.make_connection()
        if name == "ssl_min_version":
            ssl.TLSVersion(int(text))
        return not name.endswith("_timeout") or 0 < pool.connection_kwargs[name] <= _LONGEST_TIMEOUT
    except (TypeError, ValueError, RedisError):
        return False


def _service_key(value: SecretStr) -> SecretStr:
    """Refuse the keys that Supabase hands to browsers: they may call none of our functions."""
    key = value.get_secret_value()
    if key.startswith("sb_publishable_") or _jwt_role(key) in ("anon", "authenticated"):
        raise ValueError(
            "is a key for browsers; take the service_role key or an sb_secret_ key from Project Settings > API keys"
        )
    return value


def _jwt_role(key: str) -> str | None:
    try:
        payload = key.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return None
    return claims.get("role") if isinstance(claims, dict) else None


def _sender(value: str) -> str:
    if "@" not in value or any(c in value for c in "\r\n\0"):
        raise ValueError("must be an address like stories@example.com or FixionMail <stories@example.com>")
    return value


RedisUrl = Annotated[
    SecretStr,
    _url_of(("redis", "rediss", "unix"), "rediss://default:password@host:6379"),
    AfterValidator(_redis_options),
]
PostgresUrl = Annotated[
    SecretStr, _url_of(("postgresql", "postgres"), "postgresql://user:password@host:5432/postgres")
]
HttpUrl = Annotated[SecretStr, _url_of(("https", "http"), "https://example.com")]


class ServiceType(StrEnum):
    """What one Railway service runs."""

    WEB = "web"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    DELIVERY = "delivery"


class Settings(BaseSettings):
    """Everything that can be set, with its default. The names are the environment's, in lower case."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_file_encoding="utf-8",
    )

    enable_redis_queue: bool | None = Field(
        None,
        description="true: RQ workers do the work, Redis rings for them. false: the loops do it themselves "
        "(fallback). Unset: true when a Redis is named",
    )
    redis_url: RedisUrl | None = Field(None, description="Redis, e.g. rediss://default:…@….upstash.io:6379")
    database_url: PostgresUrl | None = Field(
        None,
        description="Postgres; unset, with SUPABASE_URL unset too: a bundled Postgres in FIXIONMAIL_HOME",
    )
    supabase_url: HttpUrl | None = Field(
        None, description="Supabase project, used over HTTPS when DATABASE_URL is unset"
    )
    supabase_service_key: Annotated[SecretStr, AfterValidator(_service_key)] | None = Field(
        None, description="the service_role key (JWT) or an sb_secret_ key"
    )
    resend_api_key: SecretStr | None = Field(
        None, description="Resend; unset: mail goes to the local outbox in FIXIONMAIL_HOME/outbox"
    )
    resend_api_url: HttpUrl = Field(SecretStr("https://api.resend.com"), description="where Resend's API is")
    resend_webhook_secret: SecretStr | None = Field(
        None, description="signing secret of Resend's webhooks, whsec_…"
    )
    email_from: Annotated[str, AfterValidator(_sender)] = Field(
        "FixionMail <stories@localhost>", description="sender of the stories; must be set with RESEND_API_KEY"
    )
    app_base_url: HttpUrl = Field(
        SecretStr("http://localhost:8080"),
        description="public address of the web service, for unsubscribe links",
    )
    anthropic_api_key: SecretStr | None = Field(None, description="for STORY_PROVIDER=anthropic")
    anthropic_base_url: HttpUrl | None = Field(
        None, description="another endpoint that speaks Anthropic's API"
    )
    openai_api_key: SecretStr | None = Field(None, description="for STORY_PROVIDER=openai")
    openai_base_url: HttpUrl | None = Field(None, description="any OpenAI-compatible endpoint")
    story_provider: Literal["anthropic", "openai", "offline"] = Field(
        "offline", description="who writes the stories"
    )
    story_model: str | None = Field(None, description="the provider's model; unset: a sensible one")
    story_fallback_provider: Literal["anthropic", "openai", "offline"] | None = Field(
        None, description="who writes a story when STORY_PROVIDER cannot"
    )
    story_fallback_model: str | None = Field(None, description="its model; unset: a sensible one")
    story_concurrency: int = Field(
        50, ge=1, le=5000, description="requests to one provider under way at once, in the whole deployment"
    )
    story_requests_per_minute: float = Field(
        300, gt=0, le=1_000_000, description="requests to one provider, in the whole deployment"
    )
    story_daily_budget_usd: Decimal | None = Field(
        None,
        ge=0,
        description="writing pauses when a UTC day's requests have cost this much; unset: no limit",
    )
    story_prices: Path | None = Field(
        None, description="TOML file with models' prices that differ from the built-in ones"
    )
    scheduler_paused: bool = Field(False, description="true: nothing new is planned")
    service_type: ServiceType | None = Field(
        None, description="what `fixionmail run` without a name starts (Railway)"
    )
    port: int = Field(8080, ge=1, le=65535, description="port of the web service")
    forwarded_allow_ips: str | None = Field(
        None,
        description="addresses or networks of proxies whose X-Forwarded-For is believed, with commas; unset: none",
    )
    generation_lead_minutes: int = Field(
        30, ge=0, le=720, description="how long before its delivery a story is begun"
    )
    check_interval_seconds: float = Field(60, ge=1, le=300, description="how often the loops look for work")
    story_job_timeout_seconds: int = Field(900, ge=10, le=7200, description="limit of one story")
    email_job_timeout_seconds: int = Field(120, ge=75, le=3600, description="limit of one round of mail")
    worker_concurrency: int = Field(50, ge=1, le=5000, description="jobs one worker runs at a time")
    enable_credit_system: bool = Field(False, description="true: each story costs its subscriber one credit")
    fixionmail_home: Path = Field(
        Path(".fixionmail"), description="folder of everything kept on this machine"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")

    @property
    def home(self) -> Path:
        """FIXIONMAIL_HOME as an absolute path."""
        return self.fixionmail_home.expanduser().absolute()

    @property
    def queue_wanted(self) -> bool:
        """True when RQ workers are to do the work: asked for, or a Redis is named."""
        return self.redis_url is not None if self.enable_redis_queue is None else self.enable_redis_queue

    def redis_target(self) -> str | None:
        """The Redis to use, or None for fallback mode.

        Raises:
            SettingsError: queue mode is asked for, and no Redis is named.
        """
        if not self.queue_wanted:
            return None
        if self.redis_url is None:
            raise SettingsError(
                "ENABLE_REDIS_QUEUE is true, but REDIS_URL is not set. Set REDIS_URL (for example "
                "rediss://default:password@host:6379), or ENABLE_REDIS_QUEUE=false to work without Redis."
            )
        return self.redis_url.get_secret_value()


def checked_redis_url(url: str) -> str:
    """``url``, checked as REDIS_URL is.

    Raises:
        SettingsError: what is wrong with it, without repeating it.
    """
    try:
        return TypeAdapter(RedisUrl).validate_python(SecretStr(url)).get_secret_value()
    except ValidationError as error:
        raise SettingsError(str(error.errors(include_url=False)[0]["ctx"]["error"])) from None


def load_settings(env_file: Path = Path(".env")) -> Settings:
    """Read the settings; the environment wins over ``env_file``.

    Raises:
        SettingsError: one sentence for each setting that is wrong.
    """
    try:
        settings = Settings(_env_file=env_file if env_file.is_file() else None)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_in_words(dict(e)) for e in error.errors(include_url=False))) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{env_file} is not a UTF-8 text file.") from None
    if settings.supabase_url and not settings.supabase_service_key and not settings.database_url:
        raise SettingsError(
            "SUPABASE_URL is set, but SUPABASE_SERVICE_KEY is not: set the project's service_role key."
        )
    if settings.supabase_service_key and not settings.supabase_url and not settings.database_url:
        raise SettingsError(
            "SUPABASE_SERVICE_KEY is set, but SUPABASE_URL is not: set https://<project>.supabase.co."
        )
    return settings


def _in_words(error: dict[str, Any]) -> str:
    name = str(error["loc"][0]).upper()
    context = error.get("ctx", {})
    match error["type"]:
        case "bool_parsing" | "bool_type":
            right = "must be true or false"
        case "int_parsing" | "int_from_float" | "float_parsing" | "decimal_parsing":
            right = "must be a number"
        case "greater_than_equal":
            right = f"must be at least {context['ge']}"
        case "greater_than":
            right = f"must be more than {context['gt']}"
        case "less_than_equal":
            right = f"must be at most {context['le']}"
        case "literal_error" | "enum":
            right = f"must be one of {context['expected']}"
        case "value_error":
            right = str(context["error"])
        case _:
            right = error["msg"]
    return f"{name} {right}."


@dataclass(frozen=True, kw_only=True)
class SettingInForce:
    """One setting as ``fixionmail config`` shows it."""

    name: str
    shown: str
    """The value with secrets masked; empty when unset."""
    source: Literal["environment", ".env", "default"]
    description: str


def settings_in_force(
    settings: Settings, env_file: Path = Path(".env"), environ: Mapping[str, str] = os.environ
) -> list[SettingInForce]:
    """Every setting, what it is and where it came from."""
    in_file = {k.upper() for k, v in dotenv_values(env_file).items() if v} if env_file.is_file() else set()
    in_environment = {k.upper() for k, v in environ.items() if v}

    def source(name: str) -> Literal["environment", ".env", "default"]:
        if name in in_environment:
            return "environment"
        return ".env" if name in in_file else "default"

    return [
        SettingInForce(
            name=name.upper(),
            shown=masked(getattr(settings, name)),
            source=source(name.upper()),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def masked(value: object) -> str:
    """A value as people may see it: the password in a URL and every other secret are hidden."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, SecretStr):
        return str(value)
    text = value.get_secret_value()
    return masked_url(text) if "://" in text else MASK


def masked_url(url: str) -> str:
    """``url`` without its password and query (a query may carry one, too)."""
    scheme, mark, rest = url.partition("://")
    place = rest.partition("?")[0].partition("#")[0]
    credentials, at, host = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{mark}{user}{f':{MASK}' if colon else ''}{at}{host}"


def to_type(masked: str) -> str:
    """What is shown masked as an operator types it, with a place for the secret."""
    return masked.replace(MASK, "<password>")
