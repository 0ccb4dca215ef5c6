"""A real sshd on loopback, for as long as a test module needs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SHELL_TOOLS = ("sh", "mktemp", "tar", "head", "rm", "cat", "sleep", "env")
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """A running sshd.

    Attributes:
        link: its ssh link, without a user.
        scratch: TMPDIR of its sessions.
        path: the only folder on the PATH of its sessions.
        config: an ssh configuration that knows its key and how to log in.
        process: the sshd.
    """

    link: str
    scratch: Path
    path: Path
    config: Path
    process: subprocess.Popen[bytes]

    def leftovers(self) -> list[Path]:
        """What its sessions left in TMPDIR, after a while to clean up."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(self.scratch.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return list(self.scratch.iterdir())


def executable(path: Path, text: str) -> None:
    """Write a shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def free_port() -> int:
    """A port of loopback nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def key(path: Path) -> Path:
    """Make a key pair; its private half is `path`."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail("sshd does not listen")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """An sshd with keys of its own, whose sessions see one folder of tools and one TMPDIR."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        pytest.fail("there is no sshd; install openssh-server", pytrace=False)
    scratch, path = folder / "scratch", folder / "bin"
    scratch.mkdir()
    path.mkdir()
    for tool in SHELL_TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (path / tool).symlink_to(found)
    executable(path / "python3", f'exec "{sys.executable}" "$@"')
    host_key, user_key, port = key(folder / "host"), key(folder / "user"), free_port()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd as the superuser insists on it
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\n"
        f"AuthorizedKeysFile {user_key}.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 50\n"
        # in place of the PATH that the user's own login scripts make
        f'ForceCommand PATH={path} TMPDIR={scratch} exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    known = f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}"
    (folder / "known_hosts").write_text(known)
    (folder / "ssh_config").write_text(
        f"IdentityFile {user_key}\nIdentitiesOnly yes\nStrictHostKeyChecking yes\n"
        f"UserKnownHostsFile {folder / 'known_hosts'}\nGlobalKnownHostsFile /dev/null\n"
    )
    log = (folder / "log").open("wb")
    with (
        log,
        subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stdout=log, stderr=log
        ) as process,
    ):
        _wait_until_listening(port)
        yield Server(f"ssh://127.0.0.1:{port}", scratch, path, folder / "ssh_config", process)
        process.terminate()
