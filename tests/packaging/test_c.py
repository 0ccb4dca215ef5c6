"""`--as c`: what the files are, and that they compute the artifact's bits."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from elftools.elf.elffile import ELFFile

from edgecomp_runtime.artifact import Artifact

Array = npt.NDArray[Any]
Digits = Callable[[str], Artifact]
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def _object(package: Path, *flags: str) -> ELFFile:
    """The one source of a package, compiled."""
    (source,) = package.glob("*.c")
    output = package.parent / "model.o"
    command = ["gcc", "-O2", *flags, "-c", str(source), "-o", str(output)]
    subprocess.run(command, check=True)
    return ELFFile(BytesIO(output.read_bytes()))


def _bytes_of(elf: ELFFile, section: str) -> int:
    found = elf.get_section_by_name(section)
    return 0 if found is None else int(found["sh_size"])


def test_the_package_is_two_files_and_a_readme(digits: Digits, package: Any) -> None:
    folder = package("c", digits("nucleo_l4r5zi"))
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "digits.c", "digits.h"]
    source = (folder / "digits.c").read_text()
    assert source.count('#include "') == source.count('#include "digits.h"') == 1


def test_the_same_artifact_gives_the_same_bytes(
    digits: Digits, package: Any, tmp_path: Path
) -> None:
    first = package("c", digits("nucleo_l4r5zi"))
    contents = {path.name: path.read_bytes() for path in first.iterdir()}
    first.rename(tmp_path / "first")
    second = package("c", digits("nucleo_l4r5zi"))
    assert {path.name: path.read_bytes() for path in second.iterdir()} == contents


@pytest.mark.parametrize("device", ["nucleo_l4r5zi", "corstone_300", "rp2040_pico", "host"])
def test_sanitizers_find_nothing_and_the_bits_are_the_artifacts(
    device: str,
    digits: Digits,
    package: Any,
    host_program: Any,
    raw_digits: Array,
    outputs_of: Any,
) -> None:
    artifact = digits(device)
    program = host_program(package("c", artifact), artifact, flags=SANITIZERS)
    found = [outputs[0] for outputs in program.run([[sample] for sample in raw_digits])]
    np.testing.assert_array_equal(found, outputs_of(artifact, raw_digits))


def test_a_stream_goes_on_until_it_is_reset(
    streaming: Artifact, package: Any, host_program: Any
) -> None:
    program = host_program(package("c", streaming), streaming, flags=SANITIZERS)
    samples = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    found = [outputs[0] for outputs in program.run([[sample] for sample in samples])]
    np.testing.assert_array_equal(found, (np.cumsum(samples, axis=0) + 0.5) * samples)


def test_two_models_share_one_arena(
    digits: Digits,
    streaming: Artifact,
    package: Any,
    host_program: Any,
    raw_digits: Array,
    outputs_of: Any,
) -> None:
    artifact = digits("nucleo_l4r5zi")
    folder = package("c", artifact, streaming, name="both")
    largest = max(a.manifest.memory.arena_bytes for a in (artifact, streaming))
    assert f"#define both_ARENA_BYTES {largest}\n" in (folder / "both.h").read_text()
    program = host_program(folder, artifact, streaming, flags=SANITIZERS)
    steps = np.arange(2 * len(raw_digits), dtype=np.float32).reshape(-1, 1, 2)
    found = program.run(list(zip(raw_digits, steps, strict=True)))
    np.testing.assert_array_equal([o[0] for o in found], outputs_of(artifact, raw_digits))
    np.testing.assert_array_equal([o[1] for o in found], (np.cumsum(steps, axis=0) + 0.5) * steps)


@pytest.mark.parametrize("flags", [(), ("-x", "c++")], ids=["C", "C++"])
def test_the_program_keeps_nothing_and_shows_one_function(
    flags: Sequence[str], digits: Digits, package: Any
) -> None:
    elf = _object(package("c", digits("nucleo_l4r5zi")), *flags)
    assert _bytes_of(elf, ".data") == _bytes_of(elf, ".bss") == 0
    symbols = elf.get_section_by_name(".symtab").iter_symbols()
    shown = [s.name for s in symbols if s["st_info"]["bind"] != "STB_LOCAL"]
    # any compiler brings these two itself
    assert set(shown) - {"memcpy", "memset"} == {"digits_run"}


def test_the_constants_go_where_the_macro_says(digits: Digits, package: Any) -> None:
    artifact = digits("nucleo_l4r5zi")
    folder = package("c", artifact)
    assert _bytes_of(_object(folder), ".qspi") == 0
    placed = _object(folder, '-DEDGECOMP_WEIGHTS_SECTION=__attribute__((section(".qspi")))')
    assert _bytes_of(placed, ".qspi") >= artifact.manifest.flash.weights_bytes


def test_the_arena_goes_where_the_macro_says(digits: Digits, package: Any, tmp_path: Path) -> None:
    folder = package("c", digits("nucleo_l4r5zi"))
    user = tmp_path / "user"
    user.mkdir()
    (user / "user.c").write_text(
        '#include "digits.h"\nEDGECOMP_ARENA(arena, digits_ARENA_BYTES);\n'
        "void *where(void) { return arena; }\n"
    )
    section = '-DEDGECOMP_ARENA_SECTION=__attribute__((section(".dtcm")))'
    elf = _object(user, f"-I{folder}", section)
    assert _bytes_of(elf, ".dtcm") == digits("nucleo_l4r5zi").manifest.memory.arena_bytes
    assert elf.get_section_by_name(".dtcm")["sh_addralign"] >= 16
