"""What the base installation brings with it, and under which licences: ``python -m tests.licences`` prints it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@dataclass(frozen=True, kw_only=True)
class Package:
    """One installed package."""

    name: str
    version: str
    licence: str


def direct() -> list[Requirement]:
    """What FixionMail itself asks for: the base installation and the bundled servers."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return list(map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["embedded"]]))


def shipped() -> list[Package]:
    """These and all that they bring, as far as they are installed here."""
    found: dict[str, Package] = {}
    waiting = direct()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = Package(name=name, version=package.version, licence=_licence(package))
        waiting += _wanted(package, set(requirement.extras))
    return sorted(found.values(), key=lambda package: package.name)


def _wanted(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in package.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _licence(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of what is written."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License ::") and line != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    lines = (metadata.get("License") or "").strip().splitlines()
    return lines[0][:60] if lines else "unknown"


if __name__ == "__main__":
    for each in shipped():
        sys.stdout.write(f"{each.name:28} {each.version:16} {each.licence}\n")
