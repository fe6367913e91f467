"""The road to Supabase over HTTPS: database functions as RPC through supabase-py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from postgrest import APIError
from pydantic import SecretStr
from supabase import Client, ClientOptions, create_client

from fixionmail.errors import (
    DatabaseError,
    DatabaseOutdatedError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    FixionMailError,
)
from fixionmail.settings import Settings, load_settings
from fixionmail.store.transport import CALL_TIMEOUT_SECONDS, is_passing

_PASSING = ("PGRST000", "PGRST001", "PGRST002", "PGRST003", "429",
            "500", "502", "503", "504", "520", "521", "522", "523", "524")  # fmt: skip
_EXPIRED = ("PGRST301", "PGRST302", "PGRST303", "401")
_ABSENT = ("PGRST202", "42883", "42P01")


class RpcTransport:
    """Calls functions through Supabase's REST API. Safe to use from many threads.

    There is no user session and nothing to refresh. When the key is refused it is read again, once per call, so
    that a key rotated in the settings is taken up without a restart.

    Args:
        url: the project's URL.
        read_key: gives the service key in force.
        max_connections: connections kept to the API.
        call_seconds: how long a call may take.
    """

    name = "supabase"

    def __init__(
        self,
        url: str,
        read_key: Callable[[], str],
        max_connections: int,
        *,
        call_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._read_key = read_key
        self._http = httpx.Client(
            http2=False,
            timeout=httpx.Timeout(call_seconds, connect=3.0),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            event_hooks={"response": [self._note_status]},
        )
        self._seen = threading.local()
        self._lock = threading.Lock()
        self._key = read_key()
        self._client = self._connect()

    @classmethod
    def from_settings(
        cls, settings: Settings, max_connections: int, *, call_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> RpcTransport:
        """The transport to the settings' project; its key is read from the settings anew when it is refused."""

        def read_key() -> str:
            key = load_settings().supabase_service_key
            return (key or settings.supabase_service_key or SecretStr("")).get_secret_value()

        assert settings.supabase_url is not None
        return cls(
            settings.supabase_url.get_secret_value(), read_key, max_connections, call_seconds=call_seconds
        )

    def _connect(self) -> Client:
        options = ClientOptions(
            httpx_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
        )
        return create_client(self._url, self._key, options)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """See :class:`~fixionmail.store.transport.Transport`."""
        key = self._key
        try:
            return self._execute(function, arguments)
        except APIError as error:
            if error.code not in _EXPIRED or not self._take_up_new_key(key):
                raise _explained(error) from None
        try:
            return self._execute(function, arguments)
        except APIError as error:
            raise _explained(error) from None

    def _execute(self, function: str, arguments: Mapping[str, Any]) -> Any:
        try:
            return self._client.rpc(function, dict(arguments)).execute().data
        except httpx.HTTPError as error:
            raise DatabaseUnreachableError(
                f"Supabase at {self._url} does not answer: {str(error) or type(error).__name__}."
            ) from None
        except APIError as error:
            error.code = error.code or str(self._seen.status)  # the gateway's own refusals carry no code
            raise

    def _note_status(self, response: httpx.Response) -> None:
        self._seen.status = response.status_code

    def _take_up_new_key(self, refused: str) -> bool:
        """True when another key than ``refused`` is in force now."""
        with self._lock:
            if self._key == refused:
                self._key = self._read_key()
                if self._key != refused:
                    self._client = self._connect()
            return self._key != refused

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _explained(error: APIError) -> FixionMailError:
    code = str(error.code or "")
    text = str(error.message or "no reason given").rstrip(".")
    if code in _EXPIRED or code in ("42501", "403"):
        return DatabaseRefusedError(f"Supabase refuses the key: {text}. Check SUPABASE_SERVICE_KEY.")
    if code in _ABSENT:
        return DatabaseOutdatedError(
            f"The database lacks what this FixionMail needs ({text}): run fixionmail db migrate."
        )
    if code in _PASSING or is_passing(code):
        return DatabaseUnreachableError(f"Supabase does not answer as it should ({code}): {text}.")
    return DatabaseError(f"Supabase reports {code}: {text}")
