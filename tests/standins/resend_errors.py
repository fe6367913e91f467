"""The errors Resend documents (https://resend.com/docs/api-reference/errors), with its names and statuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True, eq=False)
class ResendError(Exception):
    """A refusal as Resend sends it: ``{"statusCode", "name", "message"}``."""

    status: int
    name: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        return {"statusCode": self.status, "name": self.name, "message": self.message}


def missing_api_key() -> ResendError:
    return ResendError(
        status=401, name="missing_api_key", message="Missing API key in the authorization header."
    )


def restricted_api_key() -> ResendError:
    message = "This API key is restricted to only send emails."
    return ResendError(status=401, name="restricted_api_key", message=message)


def invalid_api_key() -> ResendError:
    return ResendError(status=403, name="invalid_api_key", message="API key is invalid.")


def domain_not_verified(domain: str) -> ResendError:
    message = f"The {domain} domain is not verified. Please, add and verify your domain."
    return ResendError(status=403, name="validation_error", message=message)


def not_found(what: str) -> ResendError:
    return ResendError(status=404, name="not_found", message=f"{what} not found")


def method_not_allowed() -> ResendError:
    message = "Method is not allowed for the requested path."
    return ResendError(status=405, name="method_not_allowed", message=message)


def invalid_idempotency_key() -> ResendError:
    message = "The key must be between 1-256 chars."
    return ResendError(status=400, name="invalid_idempotency_key", message=message)


def other_payload() -> ResendError:
    message = "Same idempotency key used with a different request payload."
    return ResendError(status=409, name="invalid_idempotent_request", message=message)


def still_in_progress() -> ResendError:
    message = "Same idempotency key used while original request is still in progress."
    return ResendError(status=409, name="concurrent_idempotent_requests", message=message)


def malformed(message: str) -> ResendError:
    """The body cannot be read at all, or a query parameter is out of range."""
    return ResendError(status=400, name="validation_error", message=message)


def invalid(message: str) -> ResendError:
    return ResendError(status=422, name="validation_error", message=message)


def missing_field(name: str) -> ResendError:
    message = f"Missing `{name}` field."
    return ResendError(status=422, name="missing_required_field", message=message)


def rate_limited(limit: int, headers: Mapping[str, str]) -> ResendError:
    message = (
        f"Too many requests. You can only make {limit} requests per second. See rate limit response headers for more "
        "information. Or contact support to increase rate limit."
    )
    return ResendError(status=429, name="rate_limit_exceeded", message=message, headers=headers)


def quota_reached(period: str, retry_after: int | None) -> ResendError:
    """``period`` is daily or monthly."""
    message = f"You have reached your {period} email sending quota."
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return ResendError(status=429, name=f"{period}_quota_exceeded", message=message, headers=headers)
