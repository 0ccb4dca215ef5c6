"""Names and types as C spells them."""

from __future__ import annotations

import re
from collections.abc import Sequence

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "bool": "bool",
    "float16": "_Float16",
    "float32": "float",
    "float64": "double",
}

# Words that C11 or C++20 keep for themselves, as far as a tensor could be called that.
# fmt: off
_KEYWORDS = frozenset([
    "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "continue",
    "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false",
    "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace",
    "new", "not", "operator", "or", "private", "protected", "public", "register", "restrict",
    "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
    "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual",
    "void", "volatile", "while", "xor",
])
# fmt: on


def c_name(name: str) -> str:
    """`name` as a C and C++ identifier."""
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "value"
    return f"n{cleaned}" if cleaned[0].isdigit() or cleaned in _KEYWORDS else cleaned


def comment(text: str) -> str:
    """`text`, which may come from a user's file, as the inside of a C comment."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *")


def unique_names(names: Sequence[str]) -> dict[str, str]:
    """A C identifier for each of `names`, all different, also without regard to case."""
    taken: set[str] = set()
    result = {}
    for name in names:
        candidate, number = c_name(name), 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{c_name(name)}_{number}"
        taken.add(candidate.lower())
        result[name] = candidate
    return result
