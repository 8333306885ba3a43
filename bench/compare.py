#!/usr/bin/env python3
"""Times qconv and its peers on a list of layers, one after another, and writes what came out.

Called by scripts/bench, which builds the programs first; see there. Needs the standard library alone, plots need
matplotlib.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import report
import results
from contenders import Answer, Qconv, Unavailable, Worker
from layers import Layer, read_layers

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "bench"
DOCUMENT = ROOT / "docs" / "performance.md"
QCONV = ROOT / "build/release/src/cli/qconv"
PEERS = ROOT / "bench" / "peers"
# oneDNN's names for the instruction sets; and the one whose tables need no mention of it.
ONEDNN_ISAS = {"avx2": "AVX2", "avx512vnni": "AVX512_CORE_VNNI", "amx": "AVX512_CORE_AMX"}
USUAL_ISA = "avx512vnni"

Contender = Qconv | Worker


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--layers", type=Path, default=ROOT / "bench" / "layers.csv", help="the list (%(default)s)")
    parser.add_argument("--filter", default="", help="only layers with this text in their name; writes no document")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, cores}), help="numbers of threads (%(default)s)"
    )
    parser.add_argument("--isa", choices=ONEDNN_ISAS, default="", help="hold qconv and oneDNN to this instruction set")
    parser.add_argument("--passes", type=int, default=2, help="how often to go through, the faster time counts")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only contenders that start so")
    parser.add_argument(
        "--onednn-best", action="store_true", help="also oneDNN's fastest implementation, by trying all"
    )
    parser.add_argument("--keep", action="store_true", help="add to the last run's rows: for a run in pieces")
    parser.add_argument("--report", action="store_true", help="measure nothing, write about the last run's rows")
    parser.add_argument("--no-document", action="store_true", help="leave docs/performance.md alone")
    arguments = parser.parse_args()
    arguments.write_document = not (arguments.filter or arguments.only or arguments.no_document)
    return arguments


def peer_environment(threads: int, isa: str) -> dict[str, str]:
    environment = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "active"}
    if threads > 1:
        environment["OMP_PROC_BIND"] = "true"
    if isa:  # of 3.x and of 2.x
        environment |= {"ONEDNN_MAX_CPU_ISA": ONEDNN_ISAS[isa], "DNNL_MAX_CPU_ISA": ONEDNN_ISAS[isa]}
    return environment


def peer_commands(arguments: argparse.Namespace, threads: int) -> Iterator[tuple[str, list[str]]]:
    for program in sorted((BUILT / "peers").glob("onednn*")):
        yield "oneDNN", [str(program), str(threads)]
        if arguments.onednn_best:
            yield "oneDNN (best)", [str(program), str(threads), "best"]
    if arguments.isa:
        return  # the others cannot be held to it
    environment = BUILT / "venv" / "bin" / "python"
    python = os.environ.get("QCONV_PEER_PYTHON") or (str(environment) if environment.exists() else "python3")
    yield "FBGEMM of PyTorch", [python, str(PEERS / "torch_worker.py"), str(threads)]
    yield "ONNX Runtime", [python, str(PEERS / "onnxruntime_worker.py"), str(threads)]


def start_contenders(arguments: argparse.Namespace, threads: int, stack: contextlib.ExitStack) -> list[Contender]:
    contenders: list[Contender] = [Qconv(QCONV, threads, arguments.isa)]
    for name, command in peer_commands(arguments, threads):
        if arguments.only and not any(name.lower().startswith(only.lower()) for only in arguments.only):
            continue
        try:
            worker = Worker(name, command, peer_environment(threads, arguments.isa))
        except Unavailable as error:
            print(f"bench: {name} does not take part: {error}", file=sys.stderr)
            continue
        stack.callback(worker.close)
        contenders.append(worker)
    return contenders


def measure_layer(contenders: list[Contender], layer: Layer, passes: int) -> list[Answer]:
    """Goes through all contenders several times, every other time backwards; the faster time of each counts."""
    answers: list[Answer | None] = [None] * len(contenders)
    for number in range(passes):
        order = range(len(contenders))
        for i in order if number % 2 == 0 else reversed(order):
            known = answers[i]
            if known is None or known.is_time:
                answers[i] = contenders[i].measure(layer).or_faster(known)
    return [answer for answer in answers if answer]


def row_of(contender: Contender, layer: Layer, answer: Answer, isa: str, threads: int, peak: float) -> results.Row:
    gops = layer.operations / answer.min_us * 1e-3 if answer.is_time else 0.0
    of_peak = gops * layer.useful_share / peak
    identity = contender.name, contender.version, isa, threads, layer.name, answer.kernel
    return results.Row(*identity, answer.median_us, answer.min_us, gops, of_peak, answer.reason)


def best_isa() -> str:
    output = subprocess.run([QCONV, "info", "--json"], capture_output=True, text=True, check=True).stdout
    return next(some["name"] for some in json.loads(output)["instruction_sets"] if some["active"])


def measured_peak(threads: int, isa: str) -> dict[str, float]:
    command = [BUILT / "peers" / "peak", str(threads), isa]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: float(value) for name, value in (line.split() for line in output.splitlines())}


def note_peak(peaks: dict[int, dict[str, float]], threads: int, isa: str, file: Path) -> None:
    """Measures the peak, keeps the best one, and writes down what is known of the machine."""
    peak = measured_peak(threads, isa)
    best_known = peaks.get(threads, peak)
    peaks[threads] = {name: max(value, best_known[name]) for name, value in peak.items()}
    file.write_text(json.dumps({"machine": machine(), "peaks": peaks}, indent=2) + "\n")


def print_rows(rows: list[results.Row]) -> None:
    ours = rows[0]
    for row in rows:
        if row.reason:
            print(f"  {row.label:28} {row.reason}")
            continue
        ratio = f"{row.min_us / ours.min_us:6.2f}x" if not ours.reason and row is not ours else ""
        speed = f"{row.gops:8.1f} GOP/s {100 * row.of_peak:5.1f}%"
        print(f"  {row.label:28} {row.min_us:10.2f} us {speed} {ratio:8} {row.kernel}")
    sys.stdout.flush()


def machine() -> dict[str, str]:
    lscpu = dict(
        line.split(":", 1) for line in subprocess.check_output(["lscpu"], text=True).splitlines() if ":" in line
    )
    name = lscpu.get("Model name", platform.machine()).strip()
    details = f"family {lscpu['CPU family'].strip()}, model {lscpu['Model'].strip()}" if "CPU family" in lscpu else ""
    caches = ", ".join(
        f"{level} {lscpu[level + ' cache'].strip()}" for level in ("L1d", "L2", "L3") if level + " cache" in lscpu
    )
    compiler = subprocess.check_output(["c++", "--version"], text=True).splitlines()[0]
    return {
        "processor": f"{name} ({details}), {len(os.sched_getaffinity(0))} cores, {caches}",
        "system": f"{platform.system()} {platform.release()}, {compiler}",
        "date": date.today().isoformat(),
    }


def measure(arguments: argparse.Namespace, layers: list[Layer], files: dict[str, Path]) -> None:
    known = json.loads(files["facts"].read_text()) if arguments.keep and files["facts"].exists() else {}
    old = results.read_rows(files["rows"]) if arguments.keep and files["rows"].exists() else []
    isa = arguments.isa or best_isa()
    peaks = {int(threads): peak for threads, peak in known.get("peaks", {}).items()}
    new: list[results.Row] = []
    for threads in arguments.threads:
        note_peak(peaks, threads, isa, files["facts"])
        with contextlib.ExitStack() as stack:
            contenders = start_contenders(arguments, threads, stack)
            for number, layer in enumerate(layers, start=1):
                count = f"{number} of {len(layers)}"
                print(f"{layer.name} ({layer.family}; {report.threads_text(threads)}; {count})", flush=True)
                answers = measure_layer(contenders, layer, arguments.passes)
                rows = [
                    row_of(contender, layer, answer, isa, threads, peaks[threads]["gops"])
                    for contender, answer in zip(contenders, answers, strict=True)
                ]
                print_rows(rows)
                new += rows
                results.write_rows(files["rows"], results.merged(old, new))
        note_peak(peaks, threads, isa, files["facts"])  # again: something else may have run the first time


def draw(arguments: argparse.Namespace, key: str, *what: object) -> list[tuple[str, str]]:
    """Draws the plots if matplotlib is there; returns what they show and where the document finds them."""
    try:
        import plots
    except ImportError as error:
        print(f"bench: no plots: {error} (scripts/install-deps --bench installs matplotlib)", file=sys.stderr)
        return []
    folders = [BUILT]
    if arguments.write_document:
        folders.append(DOCUMENT.parent / "images")
    return plots.draw(*what, key, folders)


def write_report(arguments: argparse.Namespace, key: str, files: dict[str, Path]) -> None:
    facts = json.loads(files["facts"].read_text())
    peaks = {int(threads): peak for threads, peak in facts["peaks"].items()}
    layers = read_layers(arguments.layers)
    rows = results.with_peaks(results.without_fallbacks(results.read_rows(files["rows"])), layers, peaks)
    images = draw(arguments, key, layers, rows, peaks)
    text = report.section(layers, rows, facts["machine"], peaks, images)
    files["text"].write_text(text + "\n")
    written = [files["rows"], files["text"]]
    if arguments.write_document:
        DOCUMENT.write_text(report.replaced_section(DOCUMENT.read_text(), key, text))
        written.append(DOCUMENT)
    print("bench: wrote " + ", ".join(str(path.relative_to(ROOT)) for path in written))


def run(arguments: argparse.Namespace) -> int:
    layers = [layer for layer in read_layers(arguments.layers) if arguments.filter in layer.name]
    if not layers:
        print(f"bench: no layer has '{arguments.filter}' in its name", file=sys.stderr)
        return 2
    # Each list and instruction set has files and a section of the document of its own.
    isa = arguments.isa or best_isa()
    key = arguments.layers.stem + (f"-{isa}" if arguments.isa or isa != USUAL_ISA else "")
    if (arguments.filter or arguments.only) and not arguments.keep:
        key += "-part"  # so that a whole run's rows stay
    BUILT.mkdir(parents=True, exist_ok=True)
    files = {"rows": BUILT / f"{key}.csv", "facts": BUILT / f"{key}.json", "text": BUILT / f"{key}.md"}
    if not arguments.report:
        measure(arguments, layers, files)
    write_report(arguments, key, files)
    return 0


def main() -> int:
    try:
        return run(parse_arguments())
    except (OSError, Unavailable, report.MarkersMissing) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
