"""`--as cmake`: a static library with an install rule, found by `find_package`, and an example."""

from __future__ import annotations

from edgecomp.packaging.example import example_main
from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled


def cmake_files(project: Project) -> Files:
    """The package."""
    name = project.name
    sources = "\n".join(f"  src/{file}" for file in project.sources())
    return {
        "CMakeLists.txt": filled(
            "cmake/CMakeLists.txt", NAME=name, RELEASE=project.release, SOURCES=sources
        ),
        f"cmake/{name}Config.cmake": filled("cmake/Config.cmake", NAME=name),
        **project.code("src", "include"),
        "examples/main.c": example_main(project),
        "README.md": readme(project, filled("cmake/use.md", NAME=name)),
    }
