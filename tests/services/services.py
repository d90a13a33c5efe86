"""Servers from Debian's packages, each on this machine alone, in a directory of its own, and gone with this process."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import pytest

_PATIENCE = 30.0  # seconds that a server may take to begin, or to end


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """PostgreSQL with TLS, which it insists on. Yields its URL."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version, default=None)
    if programs is None or shutil.which("openssl") is None:
        pytest.fail("there is no initdb in /usr/lib/postgresql/*/bin, or no openssl: apt-get install postgresql", False)
    with _directory() as directory:
        run = [*_as_user(), str(programs)]
        _run([*run, "-D", f"{directory}/data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"])
        certificate = ["-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem", "-subj", "/CN=localhost"]
        _run([*_as_user(), "openssl", "req", "-new", "-x509", "-nodes", "-days", "2", *certificate])
        Path(directory, "data", "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        port = _free_port()
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_key_file": f"{directory}/key.pem",
            "ssl_cert_file": f"{directory}/cert.pem",
        }
        server = [*_as_user(), str(programs.with_name("postgres")), "-D", f"{directory}/data"]
        with _serving([*server, *(f"-c{name}={value}" for name, value in settings.items())], directory) as log:
            _wait(log)
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Redis on a socket of its own. Yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("there is no redis-server: apt-get install redis-server", False)
    with _directory() as directory:
        path = f"{directory}/redis.sock"
        options = ["--port", "0", "--unixsocket", path, "--unixsocketperm", "777", "--save", "", "--dir", directory]
        with _serving([*_as_user(), program, *options], directory) as log:
            _wait(log)
            yield f"unix://{path}"


@contextlib.contextmanager
def shop() -> Iterator[str]:
    """A server of HTTP/1.1 that answers with the number of the connection and the path. Yields its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(_PATIENCE)


class _Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.client_address[1]} {self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Nobody reads it."""


def _version(program: Path) -> float:
    return float(program.parts[4])


def _as_user() -> list[str]:
    """The beginning of a command that ends with this process, and does not run as root, as PostgreSQL will not."""
    ends = ["setpriv", "--pdeathsig", "INT"]
    if os.getuid():
        return ends
    user = pwd.getpwnam(_unprivileged())
    return [*ends, "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--"]


def _unprivileged() -> str:
    return next(user.pw_name for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))


@contextlib.contextmanager
def _directory() -> Iterator[str]:
    """A directory of the user that the servers run as; not below one of pytest's, which are for this user alone."""
    with tempfile.TemporaryDirectory(prefix="isoclient-services-", ignore_cleanup_errors=True) as directory:
        if not os.getuid():
            shutil.chown(directory, _unprivileged())
        yield directory


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_PATIENCE)
    assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def _serving(command: list[str], directory: str) -> Iterator[Path]:
    """Have a server run. Yields the file that it logs to."""
    log = Path(directory, "log")
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=directory) as server:
        try:
            yield log
        finally:
            server.send_signal(signal.SIGINT)  # which PostgreSQL ends by at once, whoever is connected
            try:
                server.wait(_PATIENCE)
            finally:
                server.kill()


def _wait(log: Path) -> None:
    end = monotonic() + _PATIENCE
    while "ready to accept connections" not in log.read_text().lower():
        assert monotonic() < end, f"the server has not begun: {log.read_text()}"
        sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
