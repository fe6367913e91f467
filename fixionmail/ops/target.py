"""Which deployment is looked at, as people may see it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fixionmail.ops.connection import place_of
from fixionmail.ops.views.section import Target
from fixionmail.processes import redis as local_redis
from fixionmail.settings import Settings


def redis_url_of(settings: Settings) -> str | None:
    """The Redis in use: the one that is named, or the running one of this home; None in fallback mode.

    Raises:
        SettingsError, EngineError: what is set cannot be used.
    """
    if settings.redis_url:
        return settings.redis_target()
    return local_redis.running_url(settings.home) if settings.enable_redis_queue is not False else None


def target_of(
    settings: Settings | None, redis_url: str | None, *, prefix: str = "rq", read_only: bool = False
) -> Target:
    """The deployment of these settings and this Redis. Without settings it is a Redis alone."""
    database = _database_url(settings) if settings else ""
    remote = [host for url in (redis_url or "", database) if (host := _host(url)) and not _is_here(host)]
    return Target(
        redis=place_of(redis_url) if redis_url else "",
        database=_database_place(settings) if settings else "",
        environment=remote[0] if remote else "local",
        remote=bool(remote),
        key_prefix=prefix,
        read_only=read_only,
        mail=where_mail_goes(settings) if settings else "",
    )


def where_mail_goes(settings: Settings) -> str:
    """In words; loud when nothing leaves this machine."""
    if settings.resend_api_key is None:
        return f"the local outbox, {settings.home / 'outbox'} (RESEND_API_KEY is not set: no mail leaves this machine)"
    return f"Resend, from {settings.email_from}"


def _database_url(settings: Settings) -> str:
    secret = settings.database_url or settings.supabase_url
    return secret.get_secret_value() if secret else ""


def _database_place(settings: Settings) -> str:
    url = _database_url(settings)
    if not url:
        return f"the bundled Postgres of {settings.home}"
    name = urlsplit(url).path.strip("/")
    return f"{_host(url)}/{name}" if name else _host(url)


def _host(url: str) -> str:
    return "" if url.startswith("unix:") else urlsplit(url).hostname or ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
