"""Reports of `run`, `verify`, `evaluate`, `bench` and `demo`: what programs do."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from edgecomp.commands.bench import Benched, Entry
from edgecomp.commands.demo import DemoResult, DeviceResult
from edgecomp.commands.evaluate import Evaluated
from edgecomp.commands.run import Ran
from edgecomp.commands.verify import Verified
from edgecomp.report.tables import Lines, Pairs, facts, table
from edgecomp.report.units import NONE, bytes_text, count_text, share_text, small_text
from edgecomp_runtime.compare import EXACT, Ratio
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.measurement import Measurement


def run_lines(result: Ran) -> Lines:
    """What was run."""
    yield Text(f"{result.output}: outputs of {result.samples} samples")


def verify_lines(result: Verified) -> Lines:
    """A verdict on each output, and on all of them."""
    yield table(
        f"{result.samples} samples",
        ("output", "exact", "largest error#", "in steps#", "SQNR#", "same top-1#"),
        [
            (
                v.name,
                "yes" if v.exact else "no",
                f"{v.max_abs_error:.6g}",
                count_text(v.max_steps),
                NONE if v.sqnr_db is None else f"{v.sqnr_db:.1f} dB",
                share_text(v.top1_agreement),
            )
            for v in result.outputs
        ],
    )
    pairs = [("compared with", result.reference)]
    if result.bound is not None:
        pairs += [("asked for", result.bound), ("met", "yes" if result.within else "no")]
    yield facts([*pairs, *(("note", note) for note in result.note)])


def evaluation_lines(result: Evaluated) -> Lines:
    """How good it is."""
    yield Text(
        f"accuracy {share_text(result.accuracy)} "
        f"({result.correct} of {result.samples} samples, output {result.output})"
    )


def bench_lines(result: Benched) -> Lines:
    """What was measured; a modelled figure says so on its own line."""
    for entry in result.entries:
        measurement = entry.measurement
        yield Text(str(entry.path), style="bold")
        yield facts([*_measured(measurement), *_sizes(entry.manifest), *_ratios(result, entry)])
        rows = [
            (op.name, op.op, count_text(op.instructions), count_text(op.cycles))
            for op in measurement.per_op
            if op.instructions is not None or op.cycles is not None
        ]
        if rows:
            cycles = f"cycles ({measurement.cycles_kind})#"
            yield table("", ("node", "operator", "instructions#", cycles), rows)


def _sizes(manifest: Manifest) -> Pairs:
    """Flash and RAM by part."""
    flash, memory = manifest.flash, manifest.memory
    code, weights = count_text(flash.code_bytes), count_text(flash.weights_bytes)
    arena, state = count_text(memory.arena_bytes), count_text(memory.state_bytes)
    return [
        ("flash", f"code {code} bytes, weights {weights}"),
        ("RAM", f"arena {arena} bytes, state {state}, stack at most {memory.stack_bytes:,}"),
    ]


def _ratios(result: Benched, entry: Entry) -> Pairs:
    """What it took over what others took in the same turns."""
    pairs = []
    if entry.ratio is not None:
        pairs.append(("ratio", f"{_ratio_text(entry.ratio)} of {result.entries[0].path}"))
    baseline, against = result.baseline, entry.against_baseline
    if baseline is not None:
        median = small_text(baseline.percentile_s(50), "s")
        pairs.append((baseline.name, f"{median} p50 (measured in turn, {baseline.version})"))
    if baseline is not None and against is not None:
        pairs.append(("ratio", f"{_ratio_text(against)} of {baseline.name}"))
    return pairs


def _ratio_text(ratio: Ratio) -> str:
    if ratio.kind == EXACT:
        return f"{ratio.median:.3f} (exact, instructions)"
    return (
        f"{ratio.median:.3f} (95 % {ratio.low:.3f} to {ratio.high:.3f}, "
        f"turns {ratio.least:.3f} to {ratio.most:.3f})"
    )


def _measured(measurement: Measurement) -> Pairs:
    environment = measurement.environment
    pairs = [("device", f"{measurement.device} on {measurement.link}")]
    if measurement.instructions is not None:
        pairs.append(("instructions", f"{count_text(measurement.instructions)} (exact)"))
    if measurement.cycles is not None:
        pairs.append(("cycles", f"{count_text(measurement.cycles)} ({measurement.cycles_kind})"))
    kind = measurement.latency_kind
    for percent in (50, 90, 99) if len(measurement.samples_s) > 1 else (50,):
        latency = small_text(measurement.percentile_s(percent), "s")
        name = f"latency p{percent}" if len(measurement.samples_s) > 1 else "latency"
        pairs.append((name, f"{latency} ({kind})"))
    if measurement.stack_bytes is not None:
        pairs.append(("stack", f"{bytes_text(measurement.stack_bytes)} (seen)"))
    energy = measurement.energy
    pairs.append(("energy", f"{small_text(energy.joules, 'J')} ({energy.kind}: {energy.meter})"))
    about = (environment.cpu_model, environment.kernel, environment.governor)
    pairs.append(("environment", ", ".join(fact for fact in about if fact)))
    return pairs


def demo_lines(result: DemoResult) -> Lines:
    """A column for each device, and what to try next."""
    samples = result.devices[0].samples
    yield Text("One trained model, three kinds of device", style="bold")
    yield Text(
        f"A classifier of handwritten digits ({count_text(result.params)} parameters, "
        f"{count_text(result.macs)} MACs),\nquantized to int8, compiled, and run on {samples} "
        "digits it was not trained on."
    )
    yield _comparison(result)
    yield Text("The programs gave identical outputs, bit for bit, for all digits.", style="green")
    yield Text(f"Models, data and programs are in {result.folder}. Try next:")
    yield Text(f"  edgecomp inspect {result.devices[-1].artifact}")
    yield Text("  edgecomp compile MODEL.onnx --device host -p quantize --data SAMPLES.npz")


def _comparison(result: DemoResult) -> Table:
    """A row for each figure, a column for each device."""
    rows: list[tuple[str, Callable[[DeviceResult], str]]] = [
        ("ran on", _ran_on),
        ("float accuracy", lambda d: share_text(result.float_accuracy.accuracy)),
        ("int8 accuracy", lambda d: share_text(d.accuracy)),
        ("instructions", lambda d: count_text(d.measurement.instructions)),
        ("latency", _latency),
        ("energy", _energy),
        ("flash", lambda d: bytes_text(d.manifest.flash.flash_bytes)),
        ("RAM", lambda d: bytes_text(d.manifest.memory.ram_bytes)),
    ]
    return table(
        "",
        ("one inference", *(f"{device.device.name}#" for device in result.devices)),
        [(name, *(cell(device) for device in result.devices)) for name, cell in rows],
    )


def _ran_on(device: DeviceResult) -> str:
    return "this machine" if device.measurement.link == "native:" else "emulator"


def _latency(device: DeviceResult) -> str:
    measurement = device.measurement
    return f"{small_text(measurement.percentile_s(50), 's')} {measurement.latency_kind}"


def _energy(device: DeviceResult) -> str:
    energy = device.measurement.energy
    return f"{small_text(energy.joules, 'J')} {energy.kind}"
