"""A port that speaks TLS alone in front of a Redis, as hosted ones have it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest


@contextmanager
def tls_in_front_of(redis_url: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """The port, and the certificate by which it can be verified."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    parts = urlsplit(redis_url)
    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(raw: socket.socket) -> None:
            with suppress(OSError), context.wrap_socket(raw, server_side=True) as client:
                server = socket.create_connection((parts.hostname, parts.port))
                opened.extend((client, server))
                threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
                _pass_on(client, server)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], certificate
        listener.shutdown(socket.SHUT_RDWR)
    for each in opened:
        each.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def _certificate(folder: Path) -> tuple[Path, Path]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([program, "req", *made, *names, *files], check=True, capture_output=True)
    return certificate, key
