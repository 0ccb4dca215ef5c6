"""`edgecomp bench --on serial:` and `--flash-command`, with an emulated board at a tty."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import compile_model

Edgecomp = Callable[..., Any]

# What takes the place of a programmer: it copies the image, boots a board with it, and makes the
# link `port` to the board's serial port. The board is ended by the process number in `pid`.
FLASH = """\
import pathlib, re, shutil, subprocess, sys
shutil.copy(sys.argv[1], "flashed.elf")
command = ["qemu-system-arm", "-machine", "mps2-an386", "-icount", "shift=8", "-nographic"]
command += ["-monitor", "none", "-serial", "pty", "-kernel", "flashed.elf"]
board = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
pathlib.Path("pid").write_text(str(board.pid))
pathlib.Path("port").symlink_to(re.search(r"/dev/pts/\\d+", board.stdout.readline())[0])
"""


@pytest.fixture
def programmer(here: Path) -> Iterator[str]:
    (here / "flash.py").write_text(FLASH)
    yield "python3 flash.py {elf}"
    pid = here / "pid"
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.fixture(scope="session")
def artifact(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("m4") / "m4.edge"
    compile_model(load(demo / "digits_int8.onnx"), load_device("qemu_mps2_an386"), output)
    return output


def test_a_board_is_flashed_and_measured(
    edgecomp: Edgecomp, artifact: Path, programmer: str
) -> None:
    bench = ("bench", artifact, "--on", "serial:port", "--flash-command", programmer)
    found = edgecomp(*bench, "--repeat", "2", "--json").json
    assert (found["link"], found["device"]) == ("serial:port", "qemu_mps2_an386")
    assert (found["latency_kind"], found["cycles_kind"]) == ("measured", "measured")
    assert len(found["samples_s"]) == 2
    assert found["samples_s"][0] == found["cycles"] / 25_000_000
    assert found["instructions"] is None
    assert found["stack_bytes"] > 0
    cycles = [op["cycles"] for op in found["per_op"]]
    assert all(cycles)
    assert 0.9 * found["cycles"] < sum(cycles) < found["cycles"]


def test_people_read_cycles_of_every_operator(
    edgecomp: Edgecomp, artifact: Path, programmer: str
) -> None:
    bench = ("bench", artifact, "--on", "serial:port", "--flash-command", programmer)
    answer = edgecomp(*bench, "--repeat", "1")
    assert answer.code == 0, answer.err
    for word in ("cycles (measured)", "flash", "measured", "stack", "serial:port"):
        assert word in answer.out


def test_commands_that_cannot_flash_are_told(edgecomp: Edgecomp, artifact: Path) -> None:
    bench = ("bench", artifact, "--on", "serial:port", "--flash-command")
    for command, complaint in {
        "flasher": "it does not name the image; write {elf} for it",
        "no-such-tool {elf}": "No such file or directory: no-such-tool; install no-such-tool, or "
        "name its path",
        "sh -c 'echo no board; exit 3' {elf}": "it failed: no board; run it by hand to see more",
        "sh 'open {elf}": "this is no command (No closing quotation); close its quotes",
    }.items():
        assert edgecomp(*bench, command).sentences == [f"--flash-command {command}: {complaint}"]


def test_options_without_a_use_are_told(edgecomp: Edgecomp, demo: Path, artifact: Path) -> None:
    assert edgecomp("bench", artifact, "--flash-command", "cp {elf} x").sentences == [
        "--flash-command: there is no board to flash; add --on serial:PORT"
    ]
    model = demo / "digits_int8.onnx"
    baseline = ("--baseline", "onnxruntime", "--model", model)
    assert edgecomp("bench", artifact, "--on", "serial:port", *baseline).sentences == [
        "--baseline onnxruntime: a baseline runs on this machine; leave it out, or leave --on out"
    ]
    host = demo / "digits-host.edge"
    assert edgecomp("bench", host, "--on", "serial:port").sentences == [
        f"{host}: a program for host is not flashed; leave --on out, or use --on ssh://user@host"
    ]
