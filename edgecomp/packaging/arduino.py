"""`--as arduino`: a library for the Arduino IDE and arduino-cli, with an example.

Layout and properties follow the Arduino library specification, revision 2.2.
"""

from __future__ import annotations

from edgecomp.packaging.example import example_sketch
from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled


def arduino_files(project: Project) -> Files:
    """The package."""
    name = project.name
    properties = filled(
        "arduino/library.properties",
        NAME=name,
        RELEASE=project.release,
        VENDOR=project.vendor,
        SUMMARY=project.summary,
        URL=project.url,
    )
    return {
        "library.properties": properties,
        **project.code("src"),
        f"examples/{name}/{name}.ino": example_sketch(project),
        "README.md": readme(project, filled("arduino/use.md", NAME=name)),
    }
