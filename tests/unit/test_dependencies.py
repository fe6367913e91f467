"""Every dependency has a reason, a pinned version and a licence that we can live with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.licences import direct, shipped
from tests.vulnerabilities import UNREACHABLE, audit

ROOT = Path(__file__).parents[2]
REASONS = (ROOT / "docs" / "decisions" / "0006-dependencies.md").read_text(encoding="utf-8")
PINNED = {
    canonicalize_name(line.partition("==")[0])
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
}
BEARABLE = re.compile(
    "MIT|BSD|Apache|ISC|PSF|MPL|LGPL|Mozilla|Unlicense|0BSD|Python Software Foundation", re.IGNORECASE
)


def test_each_direct_dependency_has_a_reason_and_nothing_else_has() -> None:
    explained = set(re.findall(r"^\| ([a-z][a-z0-9-]+) \|", REASONS, re.MULTILINE)) - {"dependency"}
    assert explained == {canonicalize_name(requirement.name) for requirement in direct()}


def test_everything_that_is_shipped_is_pinned() -> None:
    assert {package.name for package in shipped()} <= PINNED


def test_every_licence_allows_what_we_do() -> None:
    assert [package for package in shipped() if not BEARABLE.search(package.licence)] == []


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("raise OSError('no route to the database')", UNREACHABLE, "OSError: no route to the database"),
        ("print('Found 1 known vulnerability'); raise SystemExit(1)", 1, "Found 1 known vulnerability"),
        ("print('No known vulnerabilities found')", 0, "No known vulnerabilities found"),
    ],
)
def test_an_audit_that_breaks_down_is_told_from_one_that_finds_something(
    capsys: pytest.CaptureFixture[str], program: str, code: int, words: str
) -> None:
    assert audit([sys.executable, "-c", program]) == code
    printed = "".join(capsys.readouterr())
    assert words in printed
    assert "Traceback" not in printed
