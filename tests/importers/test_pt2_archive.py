"""A .pt2 file cannot run code: what would be unpickled, evaluated or run is refused."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from edgecomp.errors import EdgecompError
from edgecomp.importers import load

PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)


@pytest.fixture(scope="module")
def members():
    """The parts of a sound file."""
    stream = io.BytesIO()
    batch = torch.export.Dim("batch", max=64)
    program = torch.export.export(Small().eval(), (torch.ones(3, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, stream)
    with zipfile.ZipFile(stream) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def save(tmp_path, members):
    """Writes a file of the sound parts and changed ones; None leaves a part out."""

    def write(changed=None, compression=zipfile.ZIP_STORED):
        path = tmp_path / "model.pt2"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in {**members, **(changed or {})}.items():
                if content is not None:
                    archive.writestr(f"model/{name}", content)
        return path

    return write


@pytest.fixture
def trap(tmp_path):
    """A file that hostile code would make; checked after the test."""
    path = tmp_path / "trap"
    yield path
    assert not path.exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def refusal(path):
    """The sentences with which `path` is refused."""
    with pytest.raises(EdgecompError) as caught:
        load(path)
    sentence = str(caught.value)
    assert "Traceback" not in sentence
    assert str(path) in sentence
    return sentence


def changed(members, name, change):
    """A JSON part, changed in place by a function."""
    value = json.loads(members[name])
    change(value)
    return {name: json.dumps(value).encode()}


def test_the_sound_file_is_a_model(save):
    assert load(save()).inputs[0].shape == (1, 4)


def test_pickled_sample_inputs_are_not_read(save, trap):
    stream = io.BytesIO()
    torch.save(Bomb(trap), stream)
    load(save({"data/sample_inputs/model.pt": stream.getvalue()}))


@pytest.mark.parametrize(
    "name",
    [
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
    ],
)
def test_pickled_parts_are_refused(save, trap, name):
    assert "unpickled" in refusal(save({name: pickle.dumps(Bomb(trap))}))


def test_pickled_weights_are_refused(save, trap, members):
    def pickled(config):
        config["config"]["layer.bias"]["use_pickle"] = True

    part = {"data/weights/weight_1": pickle.dumps(Bomb(trap))}
    sentence = refusal(save({**changed(members, WEIGHTS, pickled), **part}))
    assert "layer.bias is pickled" in sentence


def test_compiled_code_is_refused(save):
    assert "compiled code" in refusal(save({"data/aotinductor/model/model.so": b"\x7fELF"}))


def hostile_size(program, trap):
    name, value = next(
        (name, value)
        for name, value in program["graph_module"]["graph"]["tensor_values"].items()
        if "as_expr" in str(value)
    )
    value["sizes"][0] = {
        "as_expr": {"expr_str": f"__import__('pathlib').Path({str(trap)!r}).touch()", "hint": None}
    }
    assert name


def hostile_symbol(program, trap):
    program["range_constraints"][f"open({str(trap)!r}, 'w')"] = {"min_val": 1, "max_val": 2}


def hostile_target(program, trap):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def hostile_operator(program, trap):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def hostile_extension(program, trap):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "#triton:kernel"


def hostile_name(program, trap):
    text = json.dumps(program).replace('"x"', json.dumps(f"x: open({str(trap)!r}, 'w')"))
    program.clear()
    program.update(json.loads(text))


def hostile_structure(program, trap):
    leaf = {"type": None, "context": None, "children_spec": []}
    context = {"default_factory_module": "antigravity", "default_factory_name": "x"}
    spec = {"type": "collections.defaultdict", "context": context, "children_spec": [leaf]}
    program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, spec])


@pytest.mark.parametrize(
    "change",
    [
        hostile_size, hostile_symbol, hostile_target, hostile_operator, hostile_extension,
        hostile_name, hostile_structure,
    ],
)  # fmt: skip
def test_programs_that_could_run_code_are_refused(save, trap, members, change):
    sentence = refusal(save(changed(members, PROGRAM, lambda program: change(program, trap))))
    assert "is not among what is read from a .pt2 file" in sentence


def test_guards_and_metadata_are_not_read(save, trap, members):
    def change(program):
        program["guards_code"] = [f"open({str(trap)!r}, 'w')"]
        program["graph_module"]["metadata"] = {"custom": f"open({str(trap)!r}, 'w')"}
        for node in program["graph_module"]["graph"]["nodes"]:
            node["metadata"]["stack_trace"] = f'"""\nopen({str(trap)!r}, "w")'
            node["metadata"]["source_fn_stack"] = "x,torch.hub.load"

    load(save(changed(members, PROGRAM, change)))


@pytest.mark.parametrize("sizes", [[2**40], [-1], [3, 3]])
def test_weights_beyond_their_bytes_are_refused(save, members, sizes):
    def change(config):
        meta = config["config"]["layer.bias"]["tensor_meta"]
        meta["sizes"] = [{"as_int": size} for size in sizes]
        meta["strides"] = [{"as_int": 0} for _ in sizes]

    assert "layer.bias" in refusal(save(changed(members, WEIGHTS, change)))


@pytest.mark.parametrize("name", [PROGRAM, WEIGHTS, CONSTANTS])
def test_missing_and_damaged_parts(save, name):
    assert "lacks" in refusal(save({name: None}))
    assert "damaged" in refusal(save({name: b"{"}))
    assert "damaged" in refusal(save({name: b"[" * 100_000}))
    assert "damaged" in refusal(save({name: b"[]"})) or name == PROGRAM


def test_files_that_are_no_archives(tmp_path, save):
    whole = save().read_bytes()
    path = tmp_path / "model.pt2"
    for content in (b"text", whole[:200], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        assert "truncated" in refusal(path)
    path.write_bytes(b"")
    assert "empty" in refusal(path)
    assert "no such file" in refusal(tmp_path / "missing.pt2")


def test_compressed_archives_are_refused(save):
    assert refusal(save(compression=zipfile.ZIP_DEFLATED))


def test_damaged_programs_never_crash(save, members):
    program = json.loads(members[PROGRAM])
    for key in program["graph_module"]["graph"]:
        damaged = json.loads(members[PROGRAM])
        damaged["graph_module"]["graph"][key] = None
        with contextlib.suppress(EdgecompError):
            load(save({PROGRAM: json.dumps(damaged).encode()}))
