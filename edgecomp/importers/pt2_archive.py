"""Read a `.pt2` file without trusting it: what could run code is refused or left out.

A `.pt2` file is a zip archive: the program as JSON, the weights as raw bytes, and parts that
`torch.export.load` unpickles (sample inputs, unusual tensors, custom objects) or runs (compiled
libraries); from the JSON it also evaluates size expressions, imports Python classes of input
structures and compiles node names as Python. So `torch.export.load` is safe for trusted files
only, as its documentation warns. Here the archive is taken apart and a new one is made, of
checked parts alone:

* the program: every text in it is a plain name; operators are ATen's, or arithmetic on sizes; size
  expressions are sums, products, quotients, minima and maxima of symbols and integers; input
  structures are tuples, lists and dicts; guards, stack traces and sample inputs are dropped;
* weights and constants that are stored as raw bytes, as many as their shapes need;
* nothing else: compiled code, pickled tensors and custom objects are refused.

Nothing that is left is unpickled, evaluated or imported.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers.onnx_file import MAX_BYTES, read_bytes

FIX = "import the module itself with edgecomp.from_torch, or export it to ONNX"

_KEPT = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/model\.json|data/(weights|constants)/(model_(weights|constants)_config\.json)"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+"
)
_DROPPED = re.compile(r"data/sample_inputs/model\.pt|extra/.*|version")
_SAMPLES = "data/sample_inputs/model.pt"

_PLAIN = re.compile(r"[\w.:+\-]*")
_MODULES = re.compile(r"[\w.:+\-,;@<>()\[\]' ]*")
_OPERATORS = re.compile(
    r"torch\.ops\.aten\.(?!from_file|_)[a-z]\w*\.[A-Za-z]\w*"
    r"|torch\.ops\.aten\._(native|scaled|softmax|log|to_copy|assert|weight_norm|unsafe)\w*\.\w+"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled)"
    r"|torch\.sym_(int|float|min|max|ite|not|sum)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|getitem|and_|or_)"
    r"|math\.(ceil|floor|trunc)"
)
_SYMBOL = re.compile(r"[a-z]{1,4}\d{1,9}|true|false|True|False|oo|int_oo")
_FUNCTION = re.compile(
    r"Symbol|Integer|Rational|Float|Add|Mul|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv"
    r"|IntTrueDiv|FloatTrueDiv|ToFloat|FloorToInt|CeilToInt|TruncToInt|ModularIndexing"
    r"|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|And|Or|Not"
)
_ARITHMETIC = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.BinOp,
    ast.UnaryOp, ast.Compare, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod,
    ast.USub, ast.UAdd, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_STRUCTURES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})


def read_archive(path: Path) -> bytes:
    """The bytes of a `.pt2` archive that `torch.export.load` can be trusted with.

    Raises:
        EdgecompError: the file is no such archive, is damaged, or holds what could run code.
    """
    members = _members(path)
    try:
        program = json.loads(members["models/model.json"])
        checker = _Checker()
        members["models/model.json"] = json.dumps(checker.program(program)).encode()
        for kind in ("weights", "constants"):
            config = json.loads(members[f"data/{kind}/model_{kind}_config.json"])
            checker.tensors(config, f"data/{kind}/", members)
    except KeyError as error:
        raise EdgecompError(
            Reason(f"the archive lacks {error}", str(path), "save it with torch.export.save")
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise EdgecompError(
            Reason("the program in the archive is damaged", str(path), "save it again")
        ) from error
    raise_if_any([Reason(what, str(path), FIX) for what in checker.found])
    return _archive({**members, _SAMPLES: b""})


def _members(path: Path) -> dict[str, bytes]:
    """The members of the archive that are used, by their name below its root folder."""
    content = read_bytes(path)
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise EdgecompError(
                    Reason(f"the archive holds more than {MAX_BYTES} bytes", str(path), FIX)
                )
            for entry in entries:
                name = entry.filename.partition("/")[2]
                if _DROPPED.fullmatch(name):
                    continue
                if not _KEPT.fullmatch(name) or name in members or entry.compress_type:
                    raise EdgecompError(_foreign(name or entry.filename, path))
                members[name] = archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise EdgecompError(
            Reason(
                "the file is no .pt2 archive, or it is truncated",
                str(path),
                "save the model with torch.export.save",
            )
        ) from error
    return members


def _foreign(name: str, path: Path) -> Reason:
    if name == "data.pkl":
        what = "this is a pickle of torch.save, which is not loaded, or a truncated .pt2 archive"
        return Reason(what, str(path), "save the model with torch.export.save")
    if name.startswith("data/aotinductor"):
        return Reason("the archive holds compiled code, which is not run", str(path), FIX)
    if name.startswith(("data/constants/", "data/weights/")):
        what = f"its part {name} would have to be unpickled, which could run code"
        return Reason(what, str(path), FIX)
    if name.startswith("models/") and name.endswith(".json"):
        return Reason("the archive holds several models", str(path), "save one of them alone")
    return Reason(f"the archive holds {name!r}, which a .pt2 file has not", str(path), FIX)


def _archive(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(f"model/{name}", content)
    return stream.getvalue()


class _Checker:
    """Goes through the parts of an archive; `found` collects what could run code."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def program(self, value: Any, key: str = "") -> Any:
        """`value` without what is not needed; what it must not have is added to `found`."""
        if key == "metadata":
            return {"nn_module_stack": value["nn_module_stack"]} if _has_modules(value) else {}
        if key == "guards_code":
            return []
        if isinstance(value, dict):
            for name in value:
                self._text(name, "")
            return {name: self.program(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self.program(each, key) for each in value]
        if isinstance(value, str):
            self._text(value, key)
        return value

    def _text(self, text: str, key: str) -> None:
        if key == "expr_str":
            good = _is_size(text)
        elif key in ("in_spec", "out_spec"):
            good = _is_structure(json.loads(text)[1])
        elif key == "target":
            good = _OPERATORS.fullmatch(text) is not None
        elif key == "as_operator":
            good = False
        else:
            # operators get texts as values, never as code
            good = key == "as_string" or _PLAIN.fullmatch(text) is not None
        if not good:
            self.found.append(f"{text[:100]!r} is not among what is read from a .pt2 file")

    def tensors(self, config: Any, folder: str, members: Mapping[str, bytes]) -> None:
        """Check that the tensors of a folder lie in the archive as raw bytes, and fit there."""
        for name, entry in config["config"].items():
            if entry["use_pickle"] or entry["tensor_meta"] is None:
                self.found.append(f"the tensor {name[:100]} is pickled, which could run code")
                continue
            content = members[folder + entry["path_name"]]
            sizes = [size["as_int"] for size in entry["tensor_meta"]["sizes"]]
            if any(size < 0 for size in sizes) or math.prod(sizes) > len(content):
                self.found.append(
                    f"the tensor {name[:100]} of shape {sizes} has only {len(content)} bytes"
                )


def _has_modules(metadata: Any) -> bool:
    """Whether a node's metadata tells the modules it comes from, as plain text."""
    modules = metadata.get("nn_module_stack") if isinstance(metadata, dict) else None
    return isinstance(modules, str) and _MODULES.fullmatch(modules) is not None


def _is_size(text: str) -> bool:
    """Whether `text` is arithmetic on symbols and numbers, as sympy writes it."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, MemoryError):
        return False
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        good = isinstance(node, ast.Name) or node not in functions
        if isinstance(node, ast.Name):
            known = _FUNCTION if node in functions else _SYMBOL
            good = known.fullmatch(node.id) is not None
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            good = _SYMBOL.fullmatch(node.value) is not None
        if not good or not isinstance(node, _ARITHMETIC):
            return False
    return True


def _is_structure(tree: Any) -> bool:
    """Whether a description of nested inputs is made of tuples, lists and dicts."""
    if tree["type"] not in _STRUCTURES:
        return False
    context = json.loads(tree["context"]) if tree["context"] is not None else None
    keys = context if isinstance(context, list) else [] if context is None else [context]
    plain = all(isinstance(key, (str, int)) for key in keys)
    return plain and all(_is_structure(each) for each in tree["children_spec"])
