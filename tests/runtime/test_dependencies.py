"""The runtime stands on numpy and the standard library alone, on Python 3.9 and later."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgecomp_runtime

PACKAGE = Path(edgecomp_runtime.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
OWN = {"edgecomp_runtime", "numpy"}
# what one module alone may import, and only when it is used
LAZY = {"engines/unicorn.py": {"unicorn"}, "engines/serial_port.py": {"serial"}}
OLDEST_PYTHON = (3, 9)


def _imports(tree: ast.AST) -> set[str]:
    """Top-level names of everything imported, wherever in the module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_import_is_numpy_or_standard(module):
    tree = ast.parse(module.read_text(), feature_version=OLDEST_PYTHON)
    allowed = OWN | LAZY.get(module.relative_to(PACKAGE).as_posix(), set())
    assert _imports(tree) - set(sys.stdlib_module_names) <= allowed


def test_it_runs_with_numpy_alone(single_path, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "edgecomp_runtime").symlink_to(PACKAGE)
    numpy_home = Path(np.__file__).parent
    for name in ("numpy", "numpy.libs"):
        if (numpy_home.parent / name).exists():
            (packages / name).symlink_to(numpy_home.parent / name)
    script = (
        f"import sys; sys.path.insert(0, {str(packages)!r})\n"
        "from edgecomp_runtime.cli import main\n"
        f"sys.exit(main(['bench', {str(single_path)!r}, '--repeat', '2']))\n"
    )
    # -S leaves out everything that is installed
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


def test_only_the_command_line_prints_or_exits():
    for module in MODULES:
        if module.name == "cli.py":
            continue
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not called & {"print", "sys.exit", "exit", "os._exit"}, module
