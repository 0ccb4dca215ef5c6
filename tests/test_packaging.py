"""The wheels hold what they should, and the runtime's works with numpy alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the installed hatchling; nothing is downloaded."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the project's wheel."""
    wheel = build_wheel(root, tmp_path_factory.mktemp("wheel"))
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_every_device(root: Path, names: list[str]) -> None:
    expected = {f"edgecomp/devices/{path.name}" for path in (root / "devices").glob("*.toml")}
    assert expected <= set(names)


def test_the_wheel_holds_the_three_packages_with_their_types(names: list[str]) -> None:
    packages = ("edgecomp", "edgecomp_targets", "edgecomp_runtime")
    assert {f"{package}/py.typed" for package in packages} <= set(names)


def test_the_wheel_holds_the_c_sources_of_the_compiler_and_the_targets(
    root: Path, names: list[str]
) -> None:
    for folder in (root, root / "targets"):
        sources = [p for p in folder.glob("edgecomp*/**/csrc/**/*") if p.is_file()]
        assert sources
        assert {path.relative_to(folder).as_posix() for path in sources} <= set(names)


def test_the_wheel_holds_the_templates_of_packages(root: Path, names: list[str]) -> None:
    folder = root / "edgecomp" / "packaging" / "templates"
    templates = {p.relative_to(root).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert templates
    assert templates <= set(names)


def test_the_wheel_holds_the_demo_model_and_no_tests(names: list[str]) -> None:
    assert "edgecomp/demo_data/digits.onnx" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_the_runtime_wheel_works_with_numpy_alone(root: Path, tmp_path: Path) -> None:
    wheel = build_wheel(root / "runtime", tmp_path / "wheel")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    for package in Path(np.__file__).parents[1].glob("numpy*"):
        (site / package.name).symlink_to(package)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    edgerun = "import sys; from edgecomp_runtime.cli import main; sys.exit(main())"
    # -S leaves out the site packages, and with them all that is installed beside numpy.
    answer = subprocess.run(
        [sys.executable, "-S", "-c", edgerun, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert {"info", "run", "bench"} <= set(
        answer.stdout.replace(",", " ").replace("{", " ").split()
    )
