"""Runs the runtime on another machine through the user's OpenSSH, and leaves nothing behind there.

One connection does it all: the artifact and this package go in as a tar on standard input, the
result comes back on standard output. Standard input then stays open as a sign of life: when it
ends, because this process was interrupted or the network broke, the other side stops and cleans
up as well.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgecomp_runtime.errors import InputError

SCHEME = "ssh://"
SSH_CONFIG_VARIABLE = "EDGECOMP_SSH_CONFIG"
_LINK = re.compile(
    r"ssh://(?:(?P<user>[^@/\s]+)@)?(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[^-@:/\s\[\]][^@:/\s\[\]]*))"
    r"(?::(?P<port>\d{1,5}))?/?"
)
_OPTIONS = ("BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "LogLevel=ERROR")
_RESULT_MARK = b"\n--edgecomp-result--\n"  # whatever a login script prints comes before it
_RUNTIME = "runtime.zip"

# POSIX shell; $1 is the number of bytes of the tar, the rest is the command
_SCRIPT = r"""
folder=$(mktemp -d) || exit 90
# KILL for the watcher: TERM is lost on a subshell that has not yet put the traps of this shell away
trap 'kill $worker 2>/dev/null; kill -9 $watcher 2>/dev/null; wait; cd /; rm -rf "$folder"' EXIT
trap 'exit 129' HUP INT TERM
trap '' PIPE  # the connection may be gone when the shell has something to say
exec 3<&0
size=$1 worker= watcher=; shift
head -c "$size" | tar -xf - -C "$folder" || exit 94
cd "$folder" || exit 94
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null
case $? in 0) ;; 1) exit 93 ;; *) exit 91 ;; esac
python3 -c 'import numpy' 2>/dev/null || exit 92
export TMPDIR="$folder" PYTHONPATH="$folder/runtime.zip" PYTHONDONTWRITEBYTECODE=1
"$@" >report </dev/null &
worker=$!
(read -r end; kill "$worker") <&3 >/dev/null 2>&1 &
watcher=$!
wait "$worker"
status=$?
test "$status" = 0 || exit "$status"
printf '\n--edgecomp-result--\n'
if test -f result; then cat result; else cat report; fi
"""
_FAILURES: Mapping[int, str] = {
    90: "no temporary folder can be made there; check that its disk is not full",
    91: "there is no python3 that starts; install Python 3.9 or later there",
    92: "python3 has no numpy; install it there, as with `sudo apt install python3-numpy`",
    93: "python3 is older than 3.9; install a later one there",
    94: "the files cannot be unpacked there; check that its disk is not full",
}
_SSH_FAILED = 255
_SSH_HINTS: Mapping[str, str] = {
    "Permission denied": "let it know your key with ssh-copy-id, passwords are not asked for",
    "Host key verification failed": "connect once with ssh to accept the host's key",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": "find out why the host's key changed",
    "resolve hostname": "check the name of the host",
    "Connection refused": "check the port, and that sshd runs there",
    "timed out": "check that the host is on and in your network",
    "No route to host": "check that the host is on and in your network",
    "unreachable": "check that the host is on and in your network",
}


@dataclass(frozen=True)
class RemoteHost:
    """A machine reached through ssh.

    Attributes:
        host: name or address, or an alias of the user's ssh configuration.
        user: who to log in as, or None to leave it to the ssh configuration.
        port: where sshd listens, or None to leave it to the ssh configuration.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @staticmethod
    def parse(link: str) -> RemoteHost:
        """The host that `ssh://[user@]host[:port]` names.

        Raises:
            InputError: it is not of that form.
        """
        match = _LINK.fullmatch(link)
        if match is None or not 0 < int(match["port"] or 22) < 65536:
            raise InputError(f"{link} is no ssh link; write ssh://user@host or ssh://user@host:22")
        port = int(match["port"]) if match["port"] else None
        return RemoteHost(match["v6"] or match["host"], match["user"], port)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}{user}{host}" + (f":{self.port}" if self.port else "")


def ssh_options() -> tuple[str, ...]:
    """Options for ssh that the environment asks for: another configuration file, if named."""
    config = os.environ.get(SSH_CONFIG_VARIABLE)
    return ("-F", config) if config else ()


def run_there(
    host: RemoteHost,
    arguments: Sequence[str],
    files: Mapping[str, bytes],
    options: Sequence[str] | None = None,
) -> bytes:
    """Run `edgerun ARGUMENTS` on `host`, in a temporary folder that holds `files`.

    The folder is removed in every case, also when this process is interrupted or killed.

    Args:
        host: where.
        arguments: of edgerun; paths are relative to the folder.
        files: contents by name.
        options: more options of ssh; by default `ssh_options()`.

    Returns:
        The file `result` if the command wrote one, else what it printed.

    Raises:
        InputError: the host cannot be reached or lacks Python or numpy, or the command failed:
            its own sentences, with the host before each.
    """
    payload = _tar({**files, _RUNTIME: _runtime_zip()})
    worker = ["python3", "-m", "edgecomp_runtime.cli", *arguments]
    words = ["sh", "-c", _SCRIPT, "edgerun", str(len(payload)), *worker]
    command = _ssh_command(host, ssh_options() if options is None else options)
    command.append(" ".join(shlex.quote(word) for word in words))
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        status = _converse(command, payload, output, complaints)
        said = _contents(complaints).decode(errors="replace").strip()
        if status:
            raise InputError(_explain(host, status, said))
        _, mark, result = _contents(output).partition(_RESULT_MARK)
    if not mark:
        raise InputError(f"{host}: the host sent no result ({said or 'it said nothing'})")
    return result


def _ssh_command(host: RemoteHost, options: Sequence[str]) -> list[str]:
    command = ["ssh", "-T"]
    for option in _OPTIONS:
        command += ["-o", option]
    command += options
    if host.port is not None:
        command += ["-p", str(host.port)]
    if host.user is not None:
        command += ["-l", host.user]
    return [*command, "--", host.host]


def _converse(
    command: Sequence[str], payload: bytes, output: IO[bytes], complaints: IO[bytes]
) -> int:
    """Run `command`, its standard input open after `payload` until it ends; its exit status."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=complaints,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise InputError("there is no ssh on this machine; install openssh-client") from error
    try:
        _feed(process.stdin, payload)
        return process.wait()
    finally:
        process.terminate()
        process.wait()
        _hang_up(process.stdin)


def _feed(stream: IO[bytes] | None, payload: bytes) -> None:
    assert stream is not None
    try:
        stream.write(payload)
        stream.flush()
    except BrokenPipeError:
        return  # the exit status of ssh tells why


def _hang_up(stream: IO[bytes] | None) -> None:
    assert stream is not None
    try:
        stream.close()
    except BrokenPipeError:
        return  # what could not be sent is not wanted any more


def _contents(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def _explain(host: RemoteHost, status: int, said: str) -> list[str]:
    """Why the remote command ended with `status`, a sentence each."""
    lines = [line for line in said.splitlines() if line.strip()]
    if status in _FAILURES:
        return [f"{host}: {_FAILURES[status]}"]
    if status == _SSH_FAILED:
        last = lines[-1] if lines else "ssh gave no reason"
        hints = [hint for sign, hint in _SSH_HINTS.items() if sign in said]
        return [f"{host}: cannot be reached ({last})" + (f"; {hints[0]}" if hints else "")]
    if status == 1 and lines:
        return [f"{host}: {line}" for line in lines]
    return [f"{host}: the command ended with status {status} ({said or 'it said nothing'})"]


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, contents in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
    return stream.getvalue()


def _runtime_zip() -> bytes:
    """This package as a zip that Python imports from."""
    package = Path(__file__).parent
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(package.rglob("*.py")):
            name = source.relative_to(package.parent).as_posix()
            archive.writestr(name, source.read_bytes())
    return stream.getvalue()
