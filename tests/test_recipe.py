"""Recipes: read back what was written, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecomp.errors import EdgecompError
from edgecomp.passes import PASSES, parse_passes
from edgecomp.recipe import read_recipe, recipe_text, write_recipe


def test_every_pass_survives_a_recipe(tmp_path: Path) -> None:
    passes = tuple(cls() for cls in PASSES.values())
    write_recipe([str(each) for each in passes], tmp_path / "r.toml")
    assert parse_passes(read_recipe(tmp_path / "r.toml")) == passes


def test_special_characters_survive(tmp_path: Path) -> None:
    specs = (r"quantize:exclude=a\,b\+c", 'quantize:exclude="x"')
    (tmp_path / "r.toml").write_text(recipe_text(specs))
    assert read_recipe(tmp_path / "r.toml") == specs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("passes = [", "the recipe is no TOML"),
        ("passes = []", "passes is no list of specs"),
        ("passes = [1]", "passes is no list of specs"),
        ("", "passes is no list of specs"),
        ('passes = ["quantize"]\nseed = 1', "a recipe has no 'seed'"),
    ],
)
def test_what_is_no_recipe(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(EdgecompError) as caught:
        read_recipe(tmp_path / "r.toml")
    assert told in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EdgecompError, match="the recipe cannot be read"):
        read_recipe(tmp_path / "missing.toml")
