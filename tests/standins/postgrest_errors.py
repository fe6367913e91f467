"""How PostgREST reports errors: body, and HTTP status by SQLSTATE (its reference, "Errors")."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

_STATUS_BY_SQLSTATE = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "21000": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
}
_STATUS_BY_CLASS = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}


@dataclass(kw_only=True, eq=False)
class ApiError(Exception):
    """An error as PostgREST sends it. ``code`` is a SQLSTATE or a PGRST code."""

    status: int
    code: str
    message: str
    details: str | None = None
    hint: str | None = None

    def body(self) -> dict[str, str | None]:
        return {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}


def from_postgres(error: psycopg.Error, *, authenticated: bool) -> ApiError:
    """What PostgREST answers when Postgres reports ``error``; without a SQLSTATE, the connection broke."""
    diagnostic = error.diag
    if diagnostic.sqlstate is None:
        message = "Database client error. Retrying the connection."
        return ApiError(status=503, code="PGRST001", message=message, details=str(error))
    message = diagnostic.message_primary or ""
    return ApiError(
        status=_status(diagnostic.sqlstate, message, authenticated=authenticated),
        code=diagnostic.sqlstate,
        message=message,
        details=diagnostic.message_detail,
        hint=diagnostic.message_hint,
    )


def no_connection(error: psycopg.Error) -> ApiError:
    """What PostgREST answers when it cannot open a connection to Postgres."""
    return ApiError(status=503, code="PGRST000", message="Database connection error.", details=str(error))


def pool_exhausted() -> ApiError:
    """What PostgREST answers when no connection of its pool came free in time."""
    message = "Timed out acquiring connection from connection pool."
    return ApiError(status=504, code="PGRST003", message=message)


def _status(sqlstate: str, message: str, *, authenticated: bool) -> int:
    if sqlstate == "42501":
        return 403 if authenticated else 401
    if sqlstate == "22023":  # a role named by the token that does not exist
        return 401 if message.startswith("role") and message.endswith("does not exist") else 400
    if sqlstate.startswith("PT"):
        return int(sqlstate[2:]) if sqlstate[2:].isdigit() else 500
    return _STATUS_BY_SQLSTATE.get(sqlstate) or _STATUS_BY_CLASS.get(sqlstate[:2], 400)
