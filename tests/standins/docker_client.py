"""A Docker client as far as a local Redis needs one: it checks how it is called, and runs a server in place of a
container, with the files and the port that the container would have."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path


def main(server: str, command: str, *arguments: str) -> None:
    if command == "run":
        _run(server, list(arguments))
    if command not in ("version", "rm"):
        sys.exit(f"unknown docker command: {command}")


def _run(server: str, arguments: list[str]) -> None:
    mounts: dict[str, str] = {}
    options: dict[str, str] = {}
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--mount":
            fields = dict(field.partition("=")[::2] for field in next(csv.reader([arguments.pop(0)])))
            assert fields["type"] == "bind"
            mounts[fields["target"]] = fields["source"]
        elif option != "--rm":
            options[option] = arguments.pop(0)
    image, settings = arguments
    assert (image, options["--entrypoint"], options["--workdir"]) == ("redis:alpine", "redis-server", "/data")
    assert options["--user"] == f"{os.getuid()}:{os.getgid()}"
    address, outside, inside = options["--publish"].split(":")
    text = Path(mounts[settings]).read_text()
    assert f"port {inside}" in text
    published = Path(mounts["/data"]) / "published.conf"
    published.write_text(
        text.replace(f"port {inside}", f"port {outside}").replace("bind 0.0.0.0", f"bind {address}")
    )
    os.chdir(mounts["/data"])
    os.execv(server, [server, str(published)])


if __name__ == "__main__":
    main(*sys.argv[1:])
