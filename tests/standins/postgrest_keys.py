"""Who a request speaks for: Supabase's gateway in front, then PostgREST's reading of the token.

The gateway knows keys of two kinds. A legacy key is a JWT signed with the project's secret; it goes on to
PostgREST, which checks signature and expiry. A new-style key (``sb_secret_…``, ``sb_publishable_…``) is
opaque; the gateway puts a fresh token of the right role in its place.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from tests.standins.clock import Clock
from tests.standins.postgrest_errors import ApiError

ANON = "anon"
SERVICE = "service_role"
_TEN_YEARS = 10 * 365 * 86_400
_ALLOWED_SKEW_SECONDS = 30


class GatewayError(Exception):
    """The gateway turns the request away itself (401); its body has no code."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.body = {"message": message, "hint": hint}


@dataclass(frozen=True, kw_only=True)
class KeySet:
    """The keys in force at one time."""

    jwt_secret: str
    service_key: str
    anon_key: str
    secret_key: str
    publishable_key: str


class Keys:
    """The project's keys, which can be rotated and whose tokens can expire."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._registered: set[str] = set()
        self.current = self._new_set()

    def rotate(self) -> None:
        """Replace the signing secret and every key; the old ones are worthless from now on."""
        with self._lock:
            self._registered.clear()
            self.current = self._new_set()

    def issue(self, role: str, *, seconds: float) -> str:
        """A legacy key for ``role`` that expires after ``seconds`` and that the gateway knows."""
        with self._lock:
            return self._register(self._token(self.current.jwt_secret, role, seconds))

    def claims_of(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """The claims the request is entitled to, ``role`` among them.

        Raises:
            GatewayError: the ``apikey`` header is absent or unknown.
            ApiError: PostgREST does not accept the token.
        """
        with self._lock:
            token = self._through_gateway(headers.get("apikey"), headers.get("authorization"))
            secret = self.current.jwt_secret
        return self._check_times(_decode(token, secret))

    def _through_gateway(self, key: str | None, authorization: str | None) -> str:
        if not key:
            raise GatewayError(
                "No API key found in request", "No `apikey` request header or url param was found."
            )
        if key not in self._registered:
            raise GatewayError(
                "Invalid API key", "Double check your Supabase `anon` or `service_role` API key."
            )
        if authorization and not authorization.startswith("Bearer sb_"):
            return authorization.removeprefix("Bearer ")
        if key.startswith("sb_"):
            role = SERVICE if key.startswith("sb_secret_") else ANON
            return self._token(self.current.jwt_secret, role, 60)
        return key

    def _new_set(self) -> KeySet:
        secret = secrets.token_hex(32)
        return KeySet(
            jwt_secret=secret,
            service_key=self._register(self._token(secret, SERVICE, _TEN_YEARS)),
            anon_key=self._register(self._token(secret, ANON, _TEN_YEARS)),
            secret_key=self._register("sb_secret_" + secrets.token_urlsafe(24)),
            publishable_key=self._register("sb_publishable_" + secrets.token_urlsafe(24)),
        )

    def _register(self, key: str) -> str:
        self._registered.add(key)
        return key

    def _token(self, secret: str, role: str, seconds: float) -> str:
        now = int(self._clock.now())
        claims = {
            "iss": "supabase",
            "role": role,
            "iat": now,
            "exp": now + int(seconds),
            "jti": secrets.token_hex(4),
        }
        return jwt.encode(claims, secret, algorithm="HS256")

    def _check_times(self, claims: dict[str, Any]) -> dict[str, Any]:
        now = self._clock.now()
        if "exp" in claims and claims["exp"] < now - _ALLOWED_SKEW_SECONDS:
            raise ApiError(status=401, code="PGRST303", message="JWT expired")
        if "iat" in claims and claims["iat"] > now + _ALLOWED_SKEW_SECONDS:
            raise ApiError(status=401, code="PGRST303", message="JWT issued at future")
        return {"role": ANON, **claims}


def _decode(token: str, secret: str) -> dict[str, Any]:
    parts = token.count(".") + 1
    if not token:
        raise _undecodable("Empty JWT is sent in Authorization header")
    if parts != 3:
        raise _undecodable(f"Expected 3 parts in JWT; got {parts}")
    try:
        return jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
        )
    except jwt.InvalidTokenError:
        message = "No suitable key or wrong key type"
        raise _undecodable(message, "None of the keys was able to decode the JWT") from None


def _undecodable(message: str, details: str | None = None) -> ApiError:
    return ApiError(status=401, code="PGRST301", message=message, details=details)
