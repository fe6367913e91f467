"""Requests and answers held against Resend's own API description (resend-openapi.yaml beside this file)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.standins.server import Request

_FILE = Path(__file__).with_name("resend-openapi.yaml")


class NotDescribedError(AssertionError):
    """The API description does not allow this."""


def check_request(request: Request) -> None:
    """Assert that the description allows the request: path, method, key, parameters and body."""
    operation = _operation(request.method, request.path)
    if not request.headers.get("authorization", "").startswith("Bearer "):
        raise NotDescribedError("no bearer key")
    _check_parameters(operation, request)
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        if request.body:
            raise NotDescribedError(f"{request.method} {request.path} takes no body")
        return
    if request.headers.get("content-type") != "application/json":
        raise NotDescribedError("the body's content type is not application/json")
    _check(json.loads(request.body), schema)


def check_answer(method: str, path: str, value: object) -> None:
    """Assert that the description allows ``value`` as the body of a 200 answer."""
    operation = _operation(method, path)
    _check(value, operation["responses"]["200"]["content"]["application/json"]["schema"])


def check_event(event: Mapping[str, Any]) -> None:
    """Assert that the description allows ``event`` as the body of a webhook."""
    operation = _document()["webhooks"][event["type"]]["post"]
    _check(event, operation["requestBody"]["content"]["application/json"]["schema"])


def allows_email(email: object) -> bool:
    """Whether ``email`` fits the description's SendEmailRequest."""
    return bool(_validator({"$ref": "#/components/schemas/SendEmailRequest"}).is_valid(email))


def _operation(method: str, path: str) -> Mapping[str, Any]:
    paths: Mapping[str, Any] = _document()["paths"]
    if path not in paths:
        path = next((template for template in paths if _fits(template, path)), path)
    try:
        operation: Mapping[str, Any] = paths[path][method.lower()]
    except KeyError:
        raise NotDescribedError(f"{method} {path} is not described") from None
    return operation


def _fits(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) is not None


def _check_parameters(operation: Mapping[str, Any], request: Request) -> None:
    parameters = [_resolved(parameter) for parameter in operation.get("parameters", [])]
    described = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    if unknown := request.query.keys() - described:
        raise NotDescribedError(f"query parameters that are not described: {sorted(unknown)}")
    for parameter in parameters:
        source = {"query": request.query, "header": request.headers}.get(parameter["in"], {})
        value = source.get(parameter["name"])
        if value is not None:
            number = parameter["schema"]["type"] == "integer"
            _check(int(value) if number else value, parameter["schema"])


def _resolved(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in parameter:
        return parameter
    found: Mapping[str, Any] = _document()["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return found


def _check(value: object, schema: Mapping[str, Any]) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in _validator(schema).iter_errors(value)]
    if errors:
        raise NotDescribedError("; ".join(errors))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": _document()["components"]})


@cache
def _document() -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: Mapping[str, Any] = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=loader)
    return document
