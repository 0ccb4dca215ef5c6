"""`--as c`: one source file and one header for each model, to be copied into any project."""

from __future__ import annotations

from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled


def c_files(project: Project) -> Files:
    """The package."""
    use = filled("c/use.md", SOURCES=", ".join(f"`{name}`" for name in project.sources()))
    return {**project.headers(), **project.sources(), "README.md": readme(project, use)}
