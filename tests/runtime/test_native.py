"""The native engine: right answers from threads, and sentences where a crash could be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from edgecomp_runtime import ArtifactError, InputError, open_artifact
from edgecomp_runtime.engines import TimingEngine, choose_engine, engine_name
from edgecomp_runtime.engines.native import NativeEngine
from edgecomp_runtime.manifest import Machine


@pytest.fixture
def engine(single_path):
    made = NativeEngine(open_artifact(single_path))
    yield made
    made.close()


def _image(seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (1, 2, 3, 4), np.int8)


def _plus_one(image):
    return np.minimum(image.astype(int) + 1, 127).astype(np.int8)


def test_it_computes_and_leaves_the_input_alone(engine):
    image = _image()
    before = image.copy()
    (output,) = engine.run([image])
    np.testing.assert_array_equal(output, _plus_one(before))
    np.testing.assert_array_equal(image, before)


def test_outputs_do_not_change_with_the_next_run(engine):
    (first,) = engine.run([_image(1)])
    kept = first.copy()
    engine.run([_image(2)])
    np.testing.assert_array_equal(first, kept)


def test_strides_and_byte_order_do_not_matter(engine, mixed_path):
    image = _image()
    strided = np.asfortranarray(np.repeat(image, 2, axis=3))[:, :, :, ::2]
    assert not strided.flags.c_contiguous
    np.testing.assert_array_equal(engine.run([strided])[0], _plus_one(image))
    level = np.arange(5, dtype=">i2").reshape(1, 5)
    other = NativeEngine(open_artifact(mixed_path))
    scaled, misaligned = other.run([level, np.full(5, 2, ">f4"), np.array(10, ">i4")])
    other.close()
    np.testing.assert_array_equal(scaled, [[20, 22, 24, 26, 28]])
    assert scaled.shape == (1, 5)
    assert misaligned.shape == ()
    assert misaligned == 0


def test_every_wrong_input_is_told(mixed_path):
    engine = NativeEngine(open_artifact(mixed_path))
    with pytest.raises(InputError) as caught:
        engine.run([np.zeros((5, 1), np.int16), np.zeros(5, np.float64), np.array(0, np.int32)])
    assert caught.value.reasons == (
        "level: the program takes int16 [1, 5], not int16 [5, 1]",
        "gain: the program takes float32 [5], not float64 [5]",
    )
    with pytest.raises(InputError, match=r"takes 3 inputs \(level, gain, index\), 1 given"):
        engine.run([np.zeros((1, 5), np.int16)])
    engine.close()


def test_many_threads_at_once(engine):
    def work(seed):
        return all(
            np.array_equal(engine.run([_image(seed + i)])[0], _plus_one(_image(seed + i)))
            for i in range(50)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_it_times(engine):
    assert isinstance(engine, TimingEngine)
    assert engine.latency([_image()]) > 0


def test_closed_is_closed(single_path):
    engine = NativeEngine(open_artifact(single_path))
    engine.close()
    engine.close()
    with pytest.raises(InputError, match="closed"):
        engine.run([_image()])


def test_two_programs_of_one_name_do_not_mix(single, single_path, build_library, tmp_path):
    source = "void tiny_run(signed char **in, signed char **out) { out[0][0] = 42; }"
    other = replace(single, library=build_library("tiny", source)).write(tmp_path / "other.edge")
    first, second = (NativeEngine(open_artifact(path)) for path in (single_path, other))
    zeros = np.zeros((1, 2, 3, 4), np.int8)
    assert first.run([zeros])[0].flat[0] == 1
    assert second.run([zeros])[0].flat[0] == 42
    first.close()
    second.close()


def test_nothing_is_left_on_disk(single_path, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    engine = NativeEngine(open_artifact(single_path))
    engine.run([_image()])
    assert list(scratch.iterdir()) == []
    engine.close()


@pytest.mark.parametrize("isa", ["aarch64", "armv7", "thumb", "x86_64"])
def test_another_processor_is_told(single, tmp_path, isa):
    if isa == single.manifest.machine.isa:
        isa = "riscv64"
    manifest = replace(single.manifest, machine=Machine(isa, "some_core"))
    artifact = open_artifact(single.write(tmp_path / "a.edge", manifest))
    with pytest.raises(ArtifactError, match=f"is for {isa} .*this machine is"):
        NativeEngine(artifact)


def test_missing_features_are_told_before_the_code_is_loaded(single, tmp_path):
    machine = replace(single.manifest.machine, cpu="future", features=("warp", "avx9"))
    manifest = replace(single.manifest, machine=machine)
    artifact = open_artifact(single.write(tmp_path / "a.edge", manifest))
    with pytest.raises(ArtifactError, match="for future, this processor lacks avx9, warp"):
        NativeEngine(artifact)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nflags\t: fpu warp avx9\n")
    NativeEngine(artifact, tmp_path).close()


@pytest.mark.parametrize(
    ("cpuinfo", "features"),
    [
        ("Features\t: fp asimd asimddp crc32\n", ("neon", "vfpv4", "dotprod")),
        ("flags : fpu pni abm\n", ("sse3", "lzcnt")),
    ],
)
def test_features_implied_by_others_count(single, tmp_path, cpuinfo, features):
    machine = replace(single.manifest.machine, features=features)
    artifact = open_artifact(
        single.write(tmp_path / "a.edge", replace(single.manifest, machine=machine))
    )
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    NativeEngine(artifact, tmp_path).close()


def test_a_library_that_is_none_is_told(single, tmp_path):
    path = replace(single, library=b"no ELF").write(tmp_path / "a.edge")
    with pytest.raises(ArtifactError, match=r"lib/libtiny\.so cannot be loaded"):
        NativeEngine(open_artifact(path))


def test_a_library_without_the_entry_is_told(single, tmp_path):
    path = single.write(tmp_path / "a.edge", replace(single.manifest, symbol="other"))
    with pytest.raises(ArtifactError, match="does not define other_run"):
        NativeEngine(open_artifact(path))


@pytest.mark.parametrize(
    ("isa", "target", "cpu", "expected"),
    [
        (None, "cpu", "baseline", "native"),
        ("riscv64", "cpu", "cortex_a72", "unicorn"),
        ("thumb", "cortex_m", "cortex_m0plus", "unicorn"),
        ("thumb", "cortex_m", "cortex_m33", "unicorn"),
        ("thumb", "cortex_m", "cortex_m55", "qemu"),
        ("thumb", "cortex_m", "cortex-m55+mve", "qemu"),
    ],
)
def test_the_engine_that_fits(single, isa, target, cpu, expected):
    machine = Machine(isa or single.manifest.machine.isa, cpu)
    manifest = replace(single.manifest, target=target, machine=machine)
    assert engine_name(manifest) == expected
    assert engine_name(manifest, "qemu:") == "qemu"


@pytest.mark.parametrize("link", ["usb:/dev/ttyACM0", "native", "", "qemu:x"])
def test_an_unknown_link_is_told(single_path, link):
    with pytest.raises(InputError, match="there is no link"):
        choose_engine(open_artifact(single_path), link)
