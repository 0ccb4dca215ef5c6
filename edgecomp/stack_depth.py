"""Worst-case stack of an emitted program: the compiler's frame sizes along the deepest calls.

Which function calls which is read from the C itself: emitted functions and support headers call by
name, never through pointers, and do not recurse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

# What the compiler's support routines (memcpy, 64-bit and soft-float arithmetic) take below a
# kernel; they come without a report. The deepest measured is 72 bytes (division, Armv6-M).
SUPPORT_STACK_BYTES = 128

_DEFINITION = re.compile(r"^[A-Za-z][^;{}#]*?\b(\w+)\([^;{}]*\) \{\n(.*?)^\}", re.M | re.S)
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


def calls_of(texts: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The functions each function of C sources and headers calls."""
    bodies: dict[str, str] = {}
    for text in texts:
        for name, body in _DEFINITION.findall(text):
            # a function with a twin under another #if may be either
            bodies[name] = bodies.get(name, "") + body
    return {
        name: frozenset(_CALL.findall(body)) & bodies.keys() - {name}
        for name, body in bodies.items()
    }


def frames_of(report: str) -> Mapping[str, int]:
    """Bytes of stack each function takes itself, from the compiler's stack usage report."""
    frames: dict[str, int] = {}
    for line in report.splitlines():
        where, size, _ = line.split("\t")
        # copies the compiler specialized are named after the function, with a dot
        name = where.split(":")[-1].split(".")[0]
        frames[name] = max(frames.get(name, 0), int(size))
    return frames


def worst_stack(entry: str, texts: Iterable[str], report: str) -> int:
    """Bytes of stack of a call of `entry`; a function that was inlined takes none itself."""
    calls, frames = calls_of(texts), frames_of(report)

    @cache
    def depth(name: str) -> int:
        below = max((depth(called) for called in calls.get(name, ())), default=0)
        return frames.get(name, 0) + below

    return depth(entry) + SUPPORT_STACK_BYTES
