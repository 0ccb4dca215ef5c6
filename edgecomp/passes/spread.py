"""Several strengths of a pass in one spec: `prune:sparsity=0.1/0.3/0.5` is three specs."""

from __future__ import annotations

import itertools
import re

from edgecomp.passes.options import split_unescaped

NUMBERS = re.compile(r"[-+.e\d]+(/[-+.e\d]+)+")
"""A value that is several; names of nodes, which may hold slashes, hold more than numbers."""


def spread(spec: str) -> tuple[str, ...]:
    """The specs that `spec` stands for: each number of `name=A/B/C`, with each of other options.

    A spec without such values is itself; that the numbers are good is seen when they are parsed.
    """
    name, colon, options = spec.partition(":")
    ways = [_ways(option) for option in split_unescaped(options, ",")]
    return tuple(f"{name}{colon}{','.join(chosen)}" for chosen in itertools.product(*ways))


def _ways(option: str) -> list[str]:
    name, equals, value = option.partition("=")
    if NUMBERS.fullmatch(value) is None:
        return [option]
    return [f"{name}{equals}{number}" for number in value.split("/")]
