"""What every kind of package is made of: programs as C, and what is said of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecomp.errors import Reason, raise_if_any
from edgecomp.packaging.amalgamation import amalgamate
from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.manifest import Manifest

Files = Mapping[str, str | bytes]
"""Contents of a package by path, with forward slashes."""

LICENSE = "Apache-2.0"
"""Of the code; the weights are under the license of the model they come from."""
_UNSAFE = re.compile(r"[^\w .,()+-]", re.ASCII)
_RELEASE = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_IDENTIFIER = re.compile(r"[A-Za-z]\w*", re.ASCII)
_VENDOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True)
class Labels:
    """What the user calls the package.

    Attributes:
        name: a C identifier; None for the program's, which must be the only one then.
        release: the version, as in 1.0.0.
        vendor: who publishes it: letters, digits, _ and -.
        url: where it is published.
    """

    name: str | None = None
    release: str = "1.0.0"
    vendor: str = "edgecomp"
    url: str = "https://example.com"


@dataclass(frozen=True)
class PackagedModel:
    """A program as two files of C.

    Attributes:
        manifest: of its artifact.
        header: text of SYMBOL.h.
        source: text of SYMBOL.c.
    """

    manifest: Manifest
    header: str
    source: str

    @property
    def symbol(self) -> str:
        """Prefix of its C names."""
        return self.manifest.symbol


@dataclass(frozen=True)
class Project:
    """What is packaged.

    Attributes:
        name: of the package, a C identifier.
        release, vendor, url: see `Labels`.
        models: one or more; each has a symbol of its own.
    """

    name: str
    release: str
    vendor: str
    url: str
    models: tuple[PackagedModel, ...]

    @property
    def summary(self) -> str:
        """One line on what it is."""
        # names are the user's: they end up in comments, properties, Kconfig and XML
        models = ", ".join(_UNSAFE.sub("_", model.manifest.name) for model in self.models)
        return f"Compiled neural network{'s' if len(self.models) > 1 else ''}: {models}"

    @property
    def arena_bytes(self) -> int:
        """What the largest of the models needs."""
        return max(model.manifest.memory.arena_bytes for model in self.models)

    def headers(self) -> dict[str, str]:
        """Text of the headers by name; of several models also NAME.h, which includes them all."""
        found = {f"{model.symbol}.h": model.header for model in self.models}
        if len(self.models) > 1:
            found[f"{self.name}.h"] = self._all_models()
        return found

    def sources(self) -> dict[str, str]:
        """Text of the source files by name."""
        return {f"{model.symbol}.c": model.source for model in self.models}

    def code(self, sources: str, headers: str | None = None) -> dict[str, str]:
        """Sources and headers by path, in the folders named; without `headers` all in one."""
        return {
            **{f"{headers or sources}/{name}": text for name, text in self.headers().items()},
            **{f"{sources}/{name}": text for name, text in self.sources().items()},
        }

    def _all_models(self) -> str:
        guard = f"{self.name.upper()}_H"
        includes = "".join(f'#include "{model.symbol}.h"\n' for model in self.models)
        return (
            f"/* {self.summary}. */\n#ifndef {guard}\n#define {guard}\n\n{includes}\n"
            "/* One arena of this size serves all of them, as long as one runs at a time. */\n"
            f"#define {self.name}_ARENA_BYTES {self.arena_bytes}\n\n#endif\n"
        )


def make_project(artifacts: Sequence[Artifact], labels: Labels) -> Project:
    """The project of `artifacts`.

    Raises:
        EdgecompError: a label is not of its form, artifacts hold no C, or two have one symbol.
    """
    symbols = [artifact.manifest.symbol for artifact in artifacts]
    name = symbols[0] if labels.name is None else labels.name
    raise_if_any([*_wrong_labels(labels), *_taken_names(artifacts, labels.name)])
    models = tuple(PackagedModel(a.manifest, *amalgamate(a)) for a in artifacts)
    return Project(name, labels.release, labels.vendor, labels.url, models)


def _wrong_labels(labels: Labels) -> list[Reason]:
    reasons = []
    if labels.name is not None and not _IDENTIFIER.fullmatch(labels.name):
        fix = "use letters, digits and _, a letter first"
        reasons.append(Reason("this is no name in C", f"--name {labels.name}", fix))
    if not _RELEASE.fullmatch(labels.release):
        reasons.append(
            Reason("this is no version", f"--release {labels.release}", "write it as in 1.2.0")
        )
    if not _VENDOR.fullmatch(labels.vendor):
        fix = "use letters, digits, _ and -"
        reasons.append(Reason("this is no vendor's name", f"--vendor {labels.vendor}", fix))
    if not re.fullmatch(r"https?://[^\s<>\"&']+", labels.url):
        reasons.append(
            Reason("this is no address", f"--url {labels.url}", "begin it with https://")
        )
    return reasons


def _taken_names(artifacts: Sequence[Artifact], name: str | None) -> list[Reason]:
    """What is wrong with the names of several programs in one package."""
    if len(artifacts) == 1:
        return []
    reasons = []
    by_symbol: dict[str, Artifact] = {}
    for artifact in artifacts:
        # file systems may not tell capitals from small letters
        first = by_symbol.setdefault(artifact.manifest.symbol.lower(), artifact)
        if first is not artifact:
            what = f"its C names begin with {artifact.manifest.symbol}_ like those of {first.path}"
            fix = "package them apart, or compile one from a file of another name"
            reasons.append(Reason(what, str(artifact.path), fix))
    if name is None:
        reasons.append(Reason("a package of several models needs a name", "", "give it by --name"))
    elif name.lower() in by_symbol:
        what = "a model in the package has this name"
        reasons.append(Reason(what, f"--name {name}", "choose another"))
    return reasons
