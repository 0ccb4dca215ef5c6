"""The C of an artifact as one file: support headers inlined once, weights included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edgecomp.errors import EdgecompError, Reason
from edgecomp.packaging.binary_weights import weights_text
from edgecomp_runtime.artifact import Artifact

_FOLDER = "src/"
_INCLUDE = re.compile(r'#include "([^"]+)"')
_DECLARED_WEIGHTS = re.compile(r"extern const [^;]+;")
_COMMON_INCLUDES = ("#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>")


def amalgamate(artifact: Artifact) -> tuple[str, str]:
    """The header of an artifact's program, and all else of it as one source file.

    The source includes the header as `SYMBOL.h`; beside `SYMBOL_run` and `SYMBOL_reset` it
    defines nothing that another file could see.

    Raises:
        EdgecompError: the artifact holds no C.
    """
    symbol = artifact.manifest.symbol
    files = {
        name.removeprefix(_FOLDER): contents
        for name, contents in artifact.files.items()
        if name.startswith(_FOLDER)
    }
    header, source = f"{symbol}.h", f"{symbol}.c"
    if header not in files or source not in files:
        raise EdgecompError(
            Reason(
                f"the artifact for {artifact.manifest.device} holds no C to package",
                str(artifact.path),
                "compile the model for a device whose target is cpu or cortex_m",
            )
        )
    weights = _static(weights_text(symbol, files))
    texts = {name: contents.decode() for name, contents in files.items() if name.endswith(".h")}
    seen = {header}
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0",
        " * but for the constants: they are the model's, and under its license. */",
        *_COMMON_INCLUDES,
        "",
        f'#include "{header}"',
        "",
        *_inlined('#include "edgecomp_kernel.h"\n', texts, seen),
        *weights.splitlines(),
        *_inlined(files[source].decode(), texts, seen),
    ]
    return texts[header], _tidy(lines)


def _static(weights: str) -> str:
    """Definitions of constants, of this file alone."""
    text = weights.replace('#include "edgecomp_kernel.h"\n', "")
    return re.sub(r"^EC_WEIGHTS const ", "EC_WEIGHTS static const ", text, flags=re.M)


def _inlined(text: str, files: Mapping[str, str], seen: set[str]) -> Iterator[str]:
    """The lines of `text`, each header of `files` in the place of its first inclusion."""
    for line in text.splitlines():
        match = _INCLUDE.fullmatch(line)
        if match is None or match[1] not in files:
            if not _DECLARED_WEIGHTS.fullmatch(line) and line not in _COMMON_INCLUDES:
                yield line
        elif match[1] not in seen:
            seen.add(match[1])
            yield from _inlined(_without_guard(files[match[1]]), files, seen)


def _without_guard(text: str) -> str:
    """A header without what keeps it from being included twice."""
    match = re.search(r"^#ifndef (EDGECOMP_\w+_H)\n#define \1\n(.*)^#endif\s*\Z", text, re.M | re.S)
    return text if match is None else text[: match.start()] + match[2]


def _tidy(lines: list[str]) -> str:
    """`lines` with at most one empty line in a row."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
