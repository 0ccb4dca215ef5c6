"""`--as platformio`: a library for PlatformIO, with an example."""

from __future__ import annotations

import json

from edgecomp.packaging.example import example_main
from edgecomp.packaging.project import LICENSE, Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled


def platformio_files(project: Project) -> Files:
    """The package; `library.json` as PlatformIO's documentation of the manifest has it."""
    name, example = project.name, "examples/main.c"
    manifest = {
        "name": name,
        "version": project.release,
        "description": f"{project.summary}.",
        "keywords": ["machine learning", "neural network", "inference"],
        "authors": [{"name": project.vendor, "url": project.url, "maintainer": True}],
        "homepage": project.url,
        "license": LICENSE,
        "headers": f"{name}.h",
        "frameworks": "*",
        "platforms": "*",
        "examples": [{"name": "main", "base": "examples", "files": ["main.c"]}],
    }
    return {
        "library.json": json.dumps(manifest, indent=2) + "\n",
        **project.code("src"),
        example: example_main(project),
        "README.md": readme(project, filled("platformio/use.md", NAME=name)),
    }
