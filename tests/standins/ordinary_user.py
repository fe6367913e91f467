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

# In a mount namespace of its own, so that nothing is left mounted whatever happens.
_MOUNTED = ("unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh")


@dataclass(frozen=True, kw_only=True)
class OrdinaryUser:
    """A user with a folder of their own."""

    uid: int
    gid: int
    folder: Path

    def use(self, kind: str, home: Path) -> EngineUser:
        """A process of this user that uses an engine.

        Root's Python may lie where others cannot go; there it is shown to the user inside their own folder.
        """
        shown = self.folder / "python"
        shown.mkdir(exist_ok=True)
        drop = ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        return EngineUser(
            kind,
            home,
            prefix=(*_MOUNTED, sys.base_prefix, str(shown), *drop),
            python=str(shown / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"),
            environment={"PYTHONPATH": sysconfig.get_path("purelib"), "LD_LIBRARY_PATH": str(shown / "lib")},
        )


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Skips the test where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user; run by an ordinary user, all the other tests show the same")
    if not all(map(shutil.which, ("useradd", "setpriv", "unshare"))) or not _may_mount():
        pytest.skip("this root cannot make a user and show them this Python")
    if not REPOSITORY.stat().st_mode & 0o001 or not all(p.stat().st_mode & 0o001 for p in REPOSITORY.parents):
        pytest.skip("the repository lies in a folder that an ordinary user may not enter")
    name = f"fixiontest{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", name], check=True, capture_output=True)
    folder = Path(tempfile.mkdtemp(prefix="fixiontest-"))
    try:
        user = pwd.getpwnam(name)
        os.chown(folder, user.pw_uid, user.pw_gid)
        yield OrdinaryUser(uid=user.pw_uid, gid=user.pw_gid, folder=folder)
    finally:
        shutil.rmtree(folder)
        subprocess.run(["userdel", name], check=True, capture_output=True)


def _may_mount() -> bool:
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
