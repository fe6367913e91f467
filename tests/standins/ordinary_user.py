"""An ordinary user of this machine, made for a test and removed after it; only root can."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.standins.engine_user import REPOSITORY, EngineUser


@dataclass(frozen=True, kw_only=True)
class OrdinaryUser:
    """A user with a folder of their own, and a Python that they may run."""

    name: str
    uid: int
    folder: Path
    python: str
    environment: dict[str, str]

    def use(self, kind: str, home: Path) -> EngineUser:
        """A process of this user that uses an engine."""
        prefix = _as(self.name)
        return EngineUser(kind, home, prefix=prefix, python=self.python, environment=self.environment)


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Skips the test where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user; as an ordinary user, all the other tests show the same")
    if not shutil.which("useradd") or not shutil.which("runuser"):
        pytest.skip("there is no useradd or no runuser")
    name = f"fixiontest{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", name], check=True, capture_output=True)
    folder = Path(tempfile.mkdtemp(prefix="fixiontest-"))
    try:
        user = pwd.getpwnam(name)
        os.chown(folder, user.pw_uid, user.pw_gid)
        python, environment = _python_for(name)
        yield OrdinaryUser(name=name, uid=user.pw_uid, folder=folder, python=python, environment=environment)
    finally:
        shutil.rmtree(folder)
        subprocess.run(["userdel", name], check=True, capture_output=True)


def _as(name: str) -> tuple[str, ...]:
    return ("runuser", "-u", name, "--")


def _python_for(name: str) -> tuple[str, dict[str, str]]:
    """This Python, or the system's of the same version where ours lies in root's own folders."""
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python, environment in ((sys.executable, {}), (system, packages)):
        probe = subprocess.run(
            [*_as(name), python, "-c", "import psycopg, redis, psutil, tests.standins.engine_user"],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
        )
        if probe.returncode == 0:
            return python, environment
    pytest.skip("no Python of this version, or not this repository, can be reached by an ordinary user")
