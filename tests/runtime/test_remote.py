"""Over ssh: a real sshd on loopback, where every way to fail is tried and nothing may be left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edgecomp_runtime import InputError, remote
from edgecomp_runtime.links import bench_artifact, run_artifact
from edgecomp_runtime.npz import write_arrays
from edgecomp_runtime.remote import SSH_CONFIG_VARIABLE, RemoteHost, run_there
from tests.ssh_server import PATIENCE_SECONDS, Server, executable, free_port, key, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An sshd with keys of its own, whose sessions see one folder of tools and one TMPDIR."""
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def link(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server's link, with an environment that finds its keys; nothing may be left there."""
    monkeypatch.setenv(SSH_CONFIG_VARIABLE, str(server.config))
    yield server.link
    assert server.leftovers() == []


@pytest.fixture
def python_there(server: Server) -> Iterator[Callable[[str], None]]:
    """Replaces what `python3` is on the server, for one test."""
    python = server.path / "python3"
    before = python.read_text()
    yield lambda text: executable(python, text)
    executable(python, before.removeprefix("#!/bin/sh\n"))


def test_bench_comes_back(single_path, link):
    measurement = bench_artifact(single_path, link, repeat=7, warmup=1)
    assert measurement.link == link
    assert len(measurement.samples_s) == 7
    assert measurement.latency_kind == "measured"
    assert measurement.energy.kind in {"measured", "modelled"}


def test_the_users_data_are_used(single_path, link, tmp_path):
    write_arrays(tmp_path / "x.npz", {"image": np.zeros((3, 2, 3, 4), np.int8)})
    assert bench_artifact(single_path, link, tmp_path / "x.npz", 3, 0).warmup == 0


def test_run_comes_back(single_path, link, tmp_path):
    raw = np.arange(72, dtype=np.int8).reshape(3, 2, 3, 4)
    write_arrays(tmp_path / "x.npz", {"image": raw})
    assert run_artifact(single_path, tmp_path / "x.npz", tmp_path / "y.npz", link) == 3
    run_artifact(single_path, tmp_path / "x.npz", tmp_path / "here.npz")
    assert (tmp_path / "y.npz").read_bytes() == (tmp_path / "here.npz").read_bytes()


def test_a_noisy_login_does_no_harm(single_path, link, python_there):
    python_there(f'echo noise; echo more >&2; exec "{sys.executable}" "$@"')
    answer = run_there(
        RemoteHost.parse(link), ["info", "a.edge", "--json"], {"a.edge": single_path.read_bytes()}
    )
    assert b'"device": "host"' in answer


def test_a_command_that_ends_at_once_ends_the_session(tmp_path):
    """Before the shell's watcher has begun to watch, too, as happens on a busy machine."""
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    payload = (tmp_path / "empty.tar").read_bytes()
    command = ["sh", "-c", remote._SCRIPT, "edgerun", str(len(payload)), "false"]
    sessions = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(20)]
    try:
        for session in sessions:
            session.stdin.write(payload)
            session.stdin.flush()
        assert [session.wait(PATIENCE_SECONDS) for session in sessions] == [1] * len(sessions)
    finally:
        for session in sessions:
            session.kill()
            session.stdin.close()


def test_its_own_sentences_come_back(link):
    with pytest.raises(InputError) as caught:
        run_there(RemoteHost.parse(link), ["info", "a.edge"], {"a.edge": b"text"})
    assert str(caught.value).startswith(f"{link}: edgerun: a.edge: this is not a whole artifact")


def test_wrong_data_are_told_before_anything_is_sent(single_path, tmp_path):
    write_arrays(tmp_path / "x.npz", {"image": np.zeros((3, 9), np.int8)})
    for call in (
        lambda: bench_artifact(single_path, "ssh://nowhere.invalid", tmp_path / "x.npz"),
        lambda: run_artifact(
            single_path, tmp_path / "x.npz", tmp_path / "y.npz", "ssh://nowhere.invalid"
        ),
    ):
        with pytest.raises(InputError, match=r"array image has shape \[3, 9\]"):
            call()
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        (f'exec "{sys.executable}" -I -S "$@"', "python3 has no numpy"),
        ("exit 1", "python3 is older than 3.9"),
        ('case "$*" in *edgecomp*) exit 7;; esac', "the command ended with status 7"),
        ('case "$*" in *edgecomp*) kill -9 $$;; esac', "the command ended with status 137"),
        ('case "$*" in *edgecomp*) echo nonsense;; esac', "the host's answer is no measurement"),
    ],
)
def test_what_is_missing_there_is_told(single_path, link, python_there, python, reason):
    python_there(python)
    with pytest.raises(InputError, match=f"{link}: {reason}"):
        bench_artifact(single_path, link, repeat=1)


def test_no_python_there_is_told(single_path, link, server, python_there):
    (server.path / "python3").unlink()
    with pytest.raises(InputError, match="no python3 that starts; install"):
        bench_artifact(single_path, link, repeat=1)


def test_a_full_disk_is_told(single_path, link, server):
    (server.path / "tar").unlink()
    executable(server.path / "tar", "exit 2")
    try:
        with pytest.raises(InputError, match="cannot be unpacked there"):
            bench_artifact(single_path, link, repeat=1)
    finally:
        (server.path / "tar").unlink()
        (server.path / "tar").symlink_to(str(shutil.which("tar")))


def test_a_host_that_cannot_be_reached_is_told(single_path, link):
    closed = f"ssh://127.0.0.1:{free_port()}"
    with pytest.raises(
        InputError, match=f"{closed}: cannot be reached .*refused.*; check the port"
    ):
        bench_artifact(single_path, closed)
    with pytest.raises(InputError, match=r"cannot be reached .*; check the name of the host"):
        bench_artifact(single_path, "ssh://nowhere.invalid")


def test_a_refused_key_is_told_without_asking_for_a_password(
    single_path, link, tmp_path, monkeypatch, server
):
    stranger = key(tmp_path / "stranger")
    config = server.config.read_text().splitlines()
    (tmp_path / "config").write_text("\n".join([f"IdentityFile {stranger}", *config[1:]]) + "\n")
    monkeypatch.setenv(SSH_CONFIG_VARIABLE, str(tmp_path / "config"))
    with pytest.raises(InputError, match=r"cannot be reached \(.*Permission denied.*ssh-copy-id"):
        bench_artifact(single_path, link)


def test_an_unknown_host_key_is_told(single_path, link, tmp_path, monkeypatch, server):
    text = server.config.read_text().replace("known_hosts", "none")
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv(SSH_CONFIG_VARIABLE, str(tmp_path / "config"))
    with pytest.raises(InputError, match=r"Host key verification failed.*accept the host's key"):
        bench_artifact(single_path, link)


def test_no_ssh_here_is_told(single_path, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no ssh on this machine; install openssh-client"):
        bench_artifact(single_path, "ssh://somewhere")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_stops_and_cleans_up_there(
    single_path, link, server, python_there, tmp_path, end
):
    started = tmp_path / "started"
    python_there(
        f'case "$*" in *edgecomp*) echo $$ > {started}; exec sleep 600;; esac; '
        f'exec "{sys.executable}" "$@"'
    )
    command = [sys.executable, "-m", "edgecomp_runtime.cli", "bench", str(single_path)]
    process = subprocess.Popen(
        [*command, "--on", link],
        # whoever started the tests may have it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        worker = int(started.read_text())
        assert len(list(server.scratch.iterdir())) == 1
        process.send_signal(end)
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert server.leftovers() == []
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("ssh://pi", RemoteHost("pi")),
        ("ssh://me@Pi.local:2222", RemoteHost("Pi.local", "me", 2222)),
        ("ssh://me@[fe80::1%eth0]:22/", RemoteHost("fe80::1%eth0", "me", 22)),
    ],
)
def test_links_are_understood(link, host):
    assert RemoteHost.parse(link) == host
    assert RemoteHost.parse(str(host)) == host


@pytest.mark.parametrize(
    "link",
    ["ssh://", "ssh://a b", "ssh://-oProxyCommand=x", "ssh://a:0", "ssh://a:99999", "ssh://a/b"],
)
def test_what_is_no_link_is_told(link):
    with pytest.raises(InputError, match="is no ssh link"):
        RemoteHost.parse(link)
