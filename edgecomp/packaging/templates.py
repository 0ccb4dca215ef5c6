"""The fixed text of packages: files of the folder `templates`, with @NAME@ for what varies."""

from __future__ import annotations

import re
from importlib import resources

_PLACE = re.compile(r"@([A-Z_]+)@")


def filled(path: str, **values: str) -> str:
    """The template `path` with each `@KEY@` replaced by the value of KEY.

    Raises:
        KeyError: the template has a key that `values` lacks.
    """
    text = (resources.files("edgecomp.packaging") / "templates" / path).read_text(encoding="utf-8")
    return _PLACE.sub(lambda match: values[match[1]], text)
