"""The rules that keep the packages apart, read from the source."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "edgecomp": ROOT / "edgecomp",
    "edgecomp_targets": ROOT / "targets" / "edgecomp_targets",
    "edgecomp_runtime": ROOT / "runtime" / "edgecomp_runtime",
}
MODULES = {
    f"{package}/{path.relative_to(folder).as_posix()}": path
    for package, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}
MAXIMUM_LINES = 400
ENDS_THE_PROCESS = {"exit", "_exit", "quit"}


def tree(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), module)


def imports(module: str) -> Iterator[str]:
    """The dotted name of everything a module imports, inside functions too."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def imported_packages(module: str) -> set[str]:
    """The top-level packages a module imports."""
    return {name.partition(".")[0] for name in imports(module)}


def of(package: str) -> list[str]:
    """The modules of a package."""
    return [module for module in MODULES if module.startswith(f"{package}/")]


@pytest.mark.parametrize("module", of("edgecomp_runtime"))
def test_the_runtime_imports_numpy_and_the_standard_library_only(module: str) -> None:
    allowed = {"numpy", "edgecomp_runtime", *sys.stdlib_module_names}
    if module == "edgecomp_runtime/engines/unicorn.py":
        allowed.add("unicorn")
    if module == "edgecomp_runtime/engines/serial_port.py":
        allowed.add("serial")
    assert imported_packages(module) <= allowed


@pytest.mark.parametrize("module", of("edgecomp_runtime"))
def test_the_runtime_is_written_in_python_3_9(module: str) -> None:
    ast.parse(MODULES[module].read_text(encoding="utf-8"), module, feature_version=(3, 9))


@pytest.mark.parametrize("module", of("edgecomp"))
def test_the_compiler_reaches_targets_through_load_target_only(module: str) -> None:
    if module != "edgecomp/target.py":
        assert "edgecomp_targets" not in imported_packages(module)


@pytest.mark.parametrize("module", MODULES)
def test_tvm_is_imported_in_lowering_and_targets_only(module: str) -> None:
    if not module.startswith(("edgecomp/lowering/", "edgecomp_targets/")):
        assert not imported_packages(module) & {"tvm", "tvm_ffi"}


@pytest.mark.parametrize("module", of("edgecomp_targets"))
def test_a_target_imports_no_other_target(module: str) -> None:
    own = ".".join(module.split("/")[:2]).removesuffix(".py")
    others = [name for name in imports(module) if name.startswith("edgecomp_targets.")]
    assert all(name == own or name.startswith(f"{own}.") for name in others)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_command_lines_print_or_exit(module: str) -> None:
    if Path(module).name == "cli.py":
        return
    names = {node.id for node in ast.walk(tree(module)) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert not names & {"print", "SystemExit", *ENDS_THE_PROCESS}
    assert not attributes & ENDS_THE_PROCESS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_and_says_its_purpose(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MAXIMUM_LINES
    assert ast.get_docstring(tree(module))


def numbers(table: Mapping[str, object], key: str = "") -> Iterator[tuple[str, object]]:
    """The key of every number in a TOML table, and the source beside it if there is one."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{key}.{name}")
        elif isinstance(value, int | float):
            yield f"{key}.{name}", table.get("source")


@pytest.mark.parametrize("profile", sorted((ROOT / "devices").glob("*.toml")), ids=lambda p: p.stem)
def test_every_number_of_a_device_profile_has_a_source(profile: Path) -> None:
    found = dict(numbers(tomllib.loads(profile.read_text(encoding="utf-8"))))
    assert len(found) >= 6
    assert [key for key, source in found.items() if not source] == []
