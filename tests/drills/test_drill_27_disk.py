"""Drill 27: the disk under the data folder fills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixionmail.ops import machine
from fixionmail.ops.views.findings import Finding, Harm
from tests.drills.conftest import Deployment


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 600 MB, which takes no memory until it is written to."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_is_named_with_its_folder_and_what_is_free_until_there_is_room_again(
    deployment: Deployment, disk: Path
) -> None:
    home = disk / "home"
    home.mkdir()
    assert told(deployment, home) is None

    resize(disk, "100m")
    finding = told(deployment, home)
    assert finding is not None
    assert (finding.drill, finding.harm, finding.subjects) == (27, Harm.RISK, (str(home),))
    assert finding.title == f"The disk is nearly full under {home}"

    filler = home / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 48 * 2**20)
    finding = told(deployment, home)
    assert finding is not None
    assert (finding.harm, finding.evidence) == (Harm.LATE, ("52 MB free",))
    assert finding.title == f"The disk is full under {home}"
    assert finding.cures[0].command == "FIXIONMAIL_HOME=<folder>"

    filler.unlink()
    resize(disk, "600m")
    assert told(deployment, home) is None


def told(deployment: Deployment, home: Path) -> Finding | None:
    """What is said of the disk under ``home``."""
    return deployment.findings(machine.look(home)).get("disk-full")


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
