"""`--as cmsis-pack`: a software pack and its description, for Keil MDK, csolution and others.

The description follows the Open-CMSIS-Pack specification (schema PACK.xsd 1.7); the pack is a zip
of it and the files it names.
"""

from __future__ import annotations

import io
import zipfile

from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled

_EPOCH = (1980, 1, 1, 0, 0, 0)


def cmsis_pack_files(project: Project) -> Files:
    """The package."""
    identity = {"NAME": project.name, "RELEASE": project.release, "VENDOR": project.vendor}
    text = readme(project, filled("cmsis_pack/use.md", **identity))
    code = project.code("src", "include")
    description = filled(
        "cmsis_pack/pack.pdsc",
        **identity,
        SUMMARY=project.summary,
        URL=project.url,
        FILES="\n".join(_file(path) for path in code),
    )
    name = f"{project.vendor}.{project.name}"
    content = {f"{name}.pdsc": description, "README.md": text, **code}
    return {
        f"{name}.pdsc": description,
        f"{name}.{project.release}.pack": _zip(content),
        "README.md": text,
    }


def _file(path: str) -> str:
    category = "header" if path.endswith(".h") else "sourceC"
    return f'        <file category="{category}" name="{path}"/>'


def _zip(files: Files) -> bytes:
    """The same bytes for the same files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, contents in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents)
    return stream.getvalue()
