"""The report of `package`."""

from __future__ import annotations

from edgecomp.commands.package import Packaged
from edgecomp.report.tables import Lines, facts, table
from edgecomp.report.units import bytes_text, count_text


def package_lines(result: Packaged) -> Lines:
    """What was packaged, a row for each file."""
    models = ", ".join(model.manifest.name for model in result.project.models)
    yield facts(
        [
            ("package", f"{result.project.name} {result.project.release} ({result.kind})"),
            ("models", models),
            ("arena", f"{count_text(result.project.arena_bytes)} bytes"),
            ("written", str(result.output)),
        ]
    )
    yield table("", ("file", "size#"), [(path, bytes_text(size)) for path, size in result.sizes])
