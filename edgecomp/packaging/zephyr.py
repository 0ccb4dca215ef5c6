"""`--as zephyr`: a module for Zephyr, with its options and a sample."""

from __future__ import annotations

from edgecomp.packaging.example import example_main
from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled


def zephyr_files(project: Project) -> Files:
    """The package, as Zephyr's documentation of modules has it."""
    name, sample = project.name, f"samples/{project.name}"
    values = {
        "NAME": name,
        "OPTION": f"EDGECOMP_{name.upper()}",
        "SUMMARY": project.summary,
        "SOURCES": "\n".join(f"    ../src/{file}" for file in project.sources()),
    }
    return {
        "zephyr/module.yml": filled("zephyr/module.yml", **values),
        "zephyr/Kconfig": filled("zephyr/Kconfig", **values),
        "zephyr/CMakeLists.txt": filled("zephyr/CMakeLists.txt", **values),
        **project.code("src", "include"),
        f"{sample}/CMakeLists.txt": filled("zephyr/sample.cmake", **values),
        f"{sample}/prj.conf": f"CONFIG_{values['OPTION']}=y\nCONFIG_CBPRINTF_FP_SUPPORT=y\n",
        f"{sample}/sample.yaml": filled("zephyr/sample.yaml", **values),
        f"{sample}/src/main.c": example_main(project),
        "README.md": readme(project, filled("zephyr/use.md", **values)),
    }
