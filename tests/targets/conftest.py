"""An arm64 Debian userland with Python and numpy, to run AArch64 programs under qemu-user.

It is made once, by apt and pip, in the folder EDGECOMP_TESTS_CACHE names (by default
~/.cache/edgecomp-tests); no package is installed on this machine, packages are only unpacked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

PACKAGES = ("python3", "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libffi8", "libexpat1")
SITE = "opt/site"
# what Linux shows in /proc/cpuinfo of the processors qemu-user emulates here
FEATURES: Mapping[str, str] = {
    "cortex-a53": "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid",
    "cortex-a72": "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid",
    "cortex-a76": "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp",
}
# QEMU 7.2 has no Cortex-A76; "max" executes everything it does
MODELS: Mapping[str, str] = {"cortex-a76": "max"}


@dataclass(frozen=True)
class Arm64:
    """The userland.

    Attributes:
        root: its root folder.
        runtime: folder that holds the package edgecomp_runtime.
    """

    root: Path
    runtime: Path

    def python(
        self, *arguments: str, cpu: str = "cortex-a72", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python, which sees numpy and edgecomp_runtime only, on an emulated processor.

        Args:
            arguments: of the interpreter.
            cpu: key of `FEATURES`.
            cwd: folder to run in.
        """
        (interpreter,) = self.root.glob("usr/bin/python3.[0-9]*[0-9]")
        with self._with_cpuinfo(cpu) as prefix:
            return subprocess.run(
                [
                    _tool("qemu-aarch64", "qemu-user"),
                    *("-cpu", MODELS.get(cpu, cpu), "-L", str(prefix)),
                    *("-E", f"PYTHONPATH=/{SITE}:{self.runtime}", "-E", "PYTHONHOME=/usr"),
                    *(str(interpreter), *arguments),
                ],
                cwd=cwd,
                env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )

    @contextmanager
    def _with_cpuinfo(self, cpu: str) -> Iterator[Path]:
        """The root with a /proc/cpuinfo of its own: the emulator would show this machine's."""
        with tempfile.TemporaryDirectory(prefix="edgecomp-") as name:
            prefix = Path(name)
            for entry in self.root.iterdir():
                (prefix / entry.name).symlink_to(entry)
            (prefix / "proc").mkdir()
            text = f"processor\t: 0\nFeatures\t: {FEATURES[cpu]}\nCPU architecture: 8\n"
            (prefix / "proc" / "cpuinfo").write_text(text)
            yield prefix


@pytest.fixture(scope="session")
def arm64(root: Path) -> Arm64:
    """The userland, made when it is not in the cache yet."""
    _tool("qemu-aarch64", "qemu-user")
    cache = Path(os.environ.get("EDGECOMP_TESTS_CACHE") or Path.home() / ".cache/edgecomp-tests")
    cache.mkdir(parents=True, exist_ok=True)
    userland = cache / f"arm64-numpy{np.__version__}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not userland.exists():
            with tempfile.TemporaryDirectory(dir=cache) as work:
                _make_userland(Path(work))
                (Path(work) / "root").rename(userland)
    return Arm64(userland, root / "runtime")


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing: install the Debian package {package}", pytrace=False)
    return path


def _command(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(arguments[:4])} failed: {done.stderr.strip()}", pytrace=False)
    return done.stdout


def _make_userland(work: Path) -> None:
    """Unpack Debian packages and numpy into `work`/root."""
    root = work / "root"
    root.mkdir()
    for package in _download_packages(work):
        _command([_tool("dpkg", "dpkg"), "--extract", str(package), str(root)])
    (interpreter,) = root.glob("usr/bin/python3.[0-9]*[0-9]")
    version = interpreter.name.removeprefix("python")
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in ("17", "27", "28", "34")]
    _command(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"),
            *(*platforms, "--platform=manylinux2014_aarch64"),
            *("--implementation=cp", f"--python-version={version}"),
            *("--target", str(root / SITE), f"numpy=={np.__version__}"),
        ]
    )


def _download_packages(work: Path) -> list[Path]:
    """Debian packages for arm64, by apt with folders of its own in `work`."""
    for folder in ("lists/partial", "cache/archives/partial", "preferences.d", "state"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    configuration = work / "apt.conf"
    configuration.write_text(
        f"""
        APT::Architecture "arm64";
        APT::Architectures {{ "arm64"; }};
        APT::Install-Recommends "false";
        APT::Sandbox::User "root";
        Dir::State "{work}/state";
        Dir::State::Lists "{work}/lists";
        Dir::State::status "{work}/status";
        Dir::Cache "{work}/cache";
        Dir::Etc::preferencesparts "{work}/preferences.d";
        """
    )
    apt = _tool("apt-get", "apt")
    environment = {
        **os.environ,
        "APT_CONFIG": str(configuration),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    _command([apt, "--quiet=2", "update"], environment)
    _command([apt, "--quiet=2", "--yes", "--download-only", "install", *PACKAGES], environment)
    return sorted((work / "cache" / "archives").glob("*.deb"))
