"""Recipes: the passes of a compression in a TOML file, to repeat it bit for bit.

passes = [
    "prune:macs=0.5,criterion=taylor,steps=4,epochs=5",
    "quantize:weights=int8",
]
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from edgecomp.errors import EdgecompError, Reason
from edgecomp.written import write_whole

PASSES_KEY = "passes"


def read_recipe(path: Path) -> tuple[str, ...]:
    """The specs of the passes in the recipe `path`, in order.

    Raises:
        EdgecompError: the file cannot be read, or is no recipe.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"the recipe cannot be read ({error.strerror})"
        raise EdgecompError(Reason(reason, str(path))) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgecompError(Reason(f"the recipe is no TOML ({error})", str(path))) from error
    unknown = sorted(set(content) - {PASSES_KEY})
    specs = content.get(PASSES_KEY)
    example = 'write passes = ["prune:macs=0.5", "quantize"]'
    if unknown:
        reason = f"a recipe has no {', '.join(map(repr, unknown))}"
        raise EdgecompError(Reason(reason, str(path), example))
    if not isinstance(specs, list) or not specs or not all(isinstance(s, str) for s in specs):
        raise EdgecompError(Reason("passes is no list of specs", str(path), example))
    return tuple(specs)


def recipe_text(specs: Sequence[str]) -> str:
    """The recipe of `specs`, as `read_recipe` reads it."""
    quoted = [spec.replace("\\", "\\\\").replace('"', '\\"') for spec in specs]
    lines = "".join(f'    "{spec}",\n' for spec in quoted)
    return f"{PASSES_KEY} = [\n{lines}]\n"


def write_recipe(specs: Sequence[str], path: Path) -> None:
    """Write the recipe of `specs`, whole or not at all.

    Raises:
        EdgecompError: the file cannot be written.
    """
    write_whole(path, recipe_text(specs).encode(), "recipe")
