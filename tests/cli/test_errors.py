"""Bad input is answered in sentences, with nothing half-written left behind."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecomp import cli

Edgecomp = Callable[..., Any]
Save = Callable[..., Path]


def refused(edgecomp: Edgecomp, folder: Path, *arguments: object) -> list[str]:
    """The sentences a command refuses with, after checking that it wrote nothing."""
    before = sorted(folder.iterdir())
    answer = edgecomp(*arguments)
    assert answer.code == 1
    assert answer.out == ""
    assert sorted(folder.iterdir()) == before
    assert answer.sentences
    return list(answer.sentences)


def compile_for_host(edgecomp: Edgecomp, folder: Path, *arguments: object) -> list[str]:
    return refused(edgecomp, folder, "compile", *arguments, "--device", "host")


def test_a_truncated_model(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    path = here / "short.onnx"
    path.write_bytes((demo / "digits.onnx").read_bytes()[:9_000])
    (sentence,) = compile_for_host(edgecomp, here, path)
    assert str(path) in sentence
    assert "truncated" in sentence


def test_a_text_file_named_like_a_model(edgecomp: Edgecomp, here: Path) -> None:
    path = here / "notes.onnx"
    path.write_text("remember the milk\n")
    (sentence,) = compile_for_host(edgecomp, here, path)
    assert "text file" in sentence


def test_a_model_that_is_not_there(edgecomp: Edgecomp, here: Path) -> None:
    (sentence,) = compile_for_host(edgecomp, here, "gone.onnx")
    assert sentence.startswith("gone.onnx: there is no such file")


def test_an_unknown_operator(edgecomp: Edgecomp, here: Path, save_node: Save) -> None:
    path = save_node(here / "new.onnx", "Frobnicate", [1, 4])
    (sentence,) = compile_for_host(edgecomp, here, path)
    assert sentence.startswith("odd: the operator Frobnicate")


def test_an_open_dimension(edgecomp: Edgecomp, here: Path, save_node: Save) -> None:
    path = save_node(here / "open.onnx", "Relu", ["batch", "width"])
    (sentence,) = compile_for_host(edgecomp, here, path)
    assert "--shape x=" in sentence


def test_every_option_that_cannot_be_read_is_named(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    options = ("--shape", "image", "--bind", "=", "--shape", "a=1", "--shape", "a=2")
    sentences = compile_for_host(edgecomp, here, demo / "digits.onnx", *options)
    assert len(sentences) == 3


def test_every_pass_that_cannot_be_read_is_named(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    passes = ("-p", "quantise", "-p", "quantize:samples=0")
    sentences = compile_for_host(edgecomp, here, demo / "digits.onnx", *passes)
    assert "did you mean quantize?" in sentences[0]
    assert "samples cannot be '0'" in sentences[1]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"picture": np.zeros((3, 5)), "other": np.zeros((3, 6))},
            ("no array for the input 'image'", "picture [3, 5]"),
        ),
        ({"image": np.zeros((3, 1, 9, 9))}, ("[3, 1, 9, 9]", "[samples, 1, 8, 8]")),
        ({"image": np.full((3, 1, 8, 8), "a")}, ("not real numbers",)),
        ({"image": np.full((3, 1, 8, 8), np.nan)}, ("NaN",)),
        ({"image": np.zeros((0, 1, 8, 8))}, ("no samples",)),
    ],
    ids=["name", "shape", "dtype", "nan", "none"],
)
def test_data_that_does_not_fit(
    edgecomp: Edgecomp,
    demo: Path,
    here: Path,
    arrays: dict[str, np.ndarray],
    words: tuple[str, ...],
) -> None:
    np.savez("bad.npz", **arrays)
    quantize = ("-p", "quantize", "--data", "bad.npz")
    sentences = compile_for_host(edgecomp, here, demo / "digits.onnx", *quantize)
    sentences += refused(
        *(edgecomp, here, "run", demo / "digits-host.edge"),
        *("--input", "bad.npz", "-o", "out.npz"),
    )
    for sentence in sentences:
        assert all(word in sentence for word in words)


def test_a_device_there_is_not(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    (sentence,) = refused(
        edgecomp, here, "compile", demo / "digits.onnx", "--device", "rasberrypi_4b"
    )
    assert "did you mean raspberrypi_4b" in sentence


def test_a_model_too_big_for_the_flash(edgecomp: Edgecomp, here: Path, save_node: Save) -> None:
    weights = np.random.default_rng(0).standard_normal((1200, 1200)).astype(np.float32)
    path = save_node(here / "big.onnx", "Gemm", [1, 1200], weights)
    (sentence,) = refused(edgecomp, here, "compile", path, "--device", "nrf52840_dk")
    for words in (
        "nrf52840_dk: ",
        "5,760,000 bytes of flash",
        "1,048,576 bytes",
        "5,760,000  odd (Gemm)",
    ):
        assert words in sentence


def test_more_ram_than_is_allowed(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    (sentence,) = refused(
        *(edgecomp, here, "compile", demo / "digits_int8.onnx"),
        *("--device", "nucleo_l4r5zi", "--ram", "1K"),
    )
    assert "1,024 bytes are allowed" in sentence
    assert "this is the least found" in sentence
    assert "(Conv" in sentence.splitlines()[2]


def test_a_corrupt_artifact(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    whole = (demo / "digits-host.edge").read_bytes()
    middle = len(whole) // 2
    (here / "short.edge").write_bytes(whole[:middle])
    (here / "flipped.edge").write_bytes(whole[:middle] + b"???" + whole[middle + 3 :])
    for name in ("short.edge", "flipped.edge"):
        data = ("--input", demo / "test.npz")
        for command in (("inspect", name), ("bench", name), ("run", name, *data, "-o", "out.npz")):
            (sentence,) = refused(edgecomp, here, *command)
            assert sentence.startswith(f"{name}: ")
            assert "again" in sentence


def test_a_changed_member_of_an_artifact(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    with (
        zipfile.ZipFile(demo / "digits-host.edge") as old,
        zipfile.ZipFile("changed.edge", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"!" if name.endswith(".so") else b""))
    (sentence,) = refused(edgecomp, here, "inspect", "changed.edge")
    assert "sha256" in sentence


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("compile", "{demo}/digits.onnx", "--device", "host", "-o", "no/x.edge"), "no folder no"),
        (("compile", "{demo}/digits.onnx", "--device", "host", "-o", "x.onnx"), "end it in .edge"),
        (("compress", "{demo}/digits.onnx", "-p", "quantize", "-o", "x.edge"), "end it in .onnx"),
        (("compress", "{demo}/digits.onnx", "-p", "quantize", "-o", "x.onnx"), "give --data"),
        (("evaluate", "{demo}/digits-host.edge", "--data", "unlabelled.npz"), "labels are needed"),
        (("evaluate", "{demo}/digits.onnx", "--data", "mislabelled.npz"), "from 3 to 30"),
        (
            ("evaluate", "{demo}/digits.onnx", "--data", "{demo}/test.npz", "--samples", "0"),
            "least",
        ),
        (
            (
                *("evaluate", "{demo}/digits-host.edge", "--data", "{demo}/test.npz"),
                *("--preprocess", "scale=2"),
            ),
            "when this artifact was compiled",
        ),
        (
            (
                *("run", "{demo}/digits-host.edge", "--input", "{demo}/test.npz"),
                *("-o", "y.npz", "--on", "carrier-pigeon:"),
            ),
            "no link",
        ),
        (("bench", "{demo}/digits-host.edge", "--repeat", "0"), "repeat is at least 1"),
    ],
)
def test_one_sentence_each(
    edgecomp: Edgecomp, demo: Path, here: Path, command: tuple[str, ...], words: str
) -> None:
    np.savez("unlabelled.npz", image=np.zeros((2, 1, 8, 8)))
    np.savez("mislabelled.npz", image=np.zeros((2, 1, 8, 8)), labels=np.array([3, 30]))
    arguments = [argument.format(demo=demo) for argument in command]
    (sentence,) = refused(edgecomp, here, *arguments)
    assert words in sentence


def test_verify_against_another_model(
    edgecomp: Edgecomp, demo: Path, here: Path, save_node: Save
) -> None:
    other = save_node(here / "other.onnx", "Relu", [1, 4])
    sentences = refused(
        *(edgecomp, here, "verify", demo / "digits-host.edge"),
        *("--against", other, "--data", demo / "test.npz"),
    )
    assert "its inputs are image [1, 1, 8, 8]" in sentences[0]
    assert "its outputs are scores [1, 10]" in sentences[1]


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("compile",), ("run", "x.edge")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "edgecomp", *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "usage: edgecomp" in answer.stderr
    assert answer.stdout == ""


def test_an_interrupt_is_one_line_and_leaves_nothing(
    edgecomp: Edgecomp, demo: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupted)
    answer = edgecomp("compile", demo / "digits_int8.onnx", "--device", "host")
    assert (answer.code, answer.out) == (130, "")
    assert answer.sentences == ["interrupted"]
    assert list(here.iterdir()) == []


def test_debug_shows_the_traceback(edgecomp: Edgecomp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMP_DEBUG", "1")
    with pytest.raises(Exception, match="no such file"):
        edgecomp("inspect", "gone.onnx")


def test_a_mistake_of_the_program_itself_is_one_line(
    edgecomp: Edgecomp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(cli, "HANDLERS", {**cli.HANDLERS, "devices": broken})
    answer = edgecomp("devices")
    assert answer.code == 1
    assert answer.sentences == ["KeyError: 'surprise' (EDGECOMP_DEBUG=1 shows where)"]


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    command = f"{sys.executable} -m edgecomp devices --json | head -c 10"
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
