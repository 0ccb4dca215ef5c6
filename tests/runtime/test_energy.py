"""Energy: real counter files, their turning over, and models that say they are."""

from __future__ import annotations

import pytest

from edgecomp_runtime.energy import (
    RaplMeter,
    measured_energy,
    modelled_cycles,
    modelled_energy,
    modelled_latency,
)

LIMIT = 1_000_000
PROFILE = {
    "clock_hz": {"value": 1e6, "source": "test"},
    "power": {"active_w": {"value": 2.0, "source": "test"}},
    "timing": {"cycles_per_instruction": {"value": 1.5, "source": "test"}},
}


def _zone(root, zone, name, energy, limit=LIMIT):
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder / "energy_uj"


def test_packages_are_added_up_and_nothing_is_counted_twice(tmp_path):
    counters = [
        _zone(tmp_path, "intel-rapl:0", "package-0", 100),
        _zone(tmp_path, "intel-rapl:1", "package-1", 200),
        _zone(tmp_path, "intel-rapl:0:0", "core", 0),
        _zone(tmp_path, "intel-rapl:2", "psys", 0),
        _zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]

    def work():
        for counter in counters:
            counter.write_text(str(int(counter.read_text()) + 1000))

    meter = RaplMeter.find(tmp_path)
    assert meter.joules(work) == pytest.approx(0.002)


def test_a_counter_that_turned_over_is_unwound(tmp_path):
    counter = _zone(tmp_path, "intel-rapl:0", "package-0", LIMIT - 10)
    meter = RaplMeter.find(tmp_path)
    assert meter.joules(lambda: counter.write_text("89")) == pytest.approx(100e-6)


def test_the_energy_of_one_inference_is_the_share_of_many(tmp_path):
    counter = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter.find(tmp_path)
    energy = measured_energy(
        meter, lambda: counter.write_text(str(int(counter.read_text()) + 50)), seconds=0.01
    )
    assert energy.joules == pytest.approx(50e-6)
    assert (energy.kind, energy.meter) == ("measured", "rapl")
    assert "measured" in str(energy)


def test_without_readable_counters_there_is_no_meter(tmp_path):
    assert RaplMeter.find(tmp_path) is None
    _zone(tmp_path, "intel-rapl:0", "psys", 0)
    assert RaplMeter.find(tmp_path) is None
    counter = _zone(tmp_path, "intel-rapl:1", "package-0", 0)
    counter.unlink()
    counter.mkdir()  # unreadable even to the superuser
    assert RaplMeter.find(tmp_path) is None


def test_models_follow_the_profile():
    assert modelled_cycles(PROFILE, 2_000_000) == 3_000_000
    assert modelled_latency(PROFILE, 2_000_000) == 3.0
    energy = modelled_energy(PROFILE, 3.0)
    assert energy.joules == 6.0
    assert energy.kind == "modelled"
    assert "modelled" in str(energy)


def test_a_profile_without_the_numbers_gives_none():
    assert modelled_cycles({}, 5) is None
    assert modelled_latency({"timing": PROFILE["timing"]}, 5) is None
    assert modelled_energy({}, 3.0).joules is None
    assert modelled_energy(PROFILE, None).joules is None
    assert "unknown" in str(modelled_energy({}, 3.0))
