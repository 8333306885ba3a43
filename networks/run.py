#!/usr/bin/env python3
"""Export real networks from PyTorch, put each through qconv's quantize, compare and run, and print one table.

Called by scripts/networks; see there. Networks whose files are there are not exported again unless what makes them has
changed. ONNX Runtime runs the same files, float and int8, as a check and as a peer in speed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from measure import CONTENDERS, Files, Result, judge, measure_times
from peer import Error as PeerError
from program import Failed, Qconv, all_cores

import sources
from catalogue import ENTRIES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/networks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(ENTRIES)} (default: all)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, all_cores()}), help="threads to time with (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "networks", help="the folder of the files (%(default)s)")
    parser.add_argument(
        "--qconv", type=Path, default=ROOT / "build/release/src/cli/qconv", help="the program (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything that was found")
    parser.add_argument("--no-times", action="store_true", help="only the results, as other work makes times worthless")
    parser.add_argument("--keep-int8", action="store_true", help="leave the int8 files in the folder")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in ENTRIES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(ENTRIES)}")
    if any(threads < 1 for threads in arguments.threads):
        parser.error("--threads: at least 1")
    if not arguments.qconv.exists():
        parser.error(f"{arguments.qconv} is not built; run 'make networks'")
    return arguments


def say(text: str) -> None:
    """Progress, over the line before; only where someone watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def export_if_needed(files: Files) -> None:
    if sources.fresh([files.network, files.calibration, files.test], sources.EXPORT):
        return
    # In a process of its own: PyTorch's threads and memory are gone when the times are measured.
    command = [sys.executable, str(HERE / "export.py"), files.name, "--out", str(files.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise Failed(f"export: {lines[-1].removeprefix(f'{files.name}: ')}")


def examine(qconv: Qconv, files: Files, arguments: argparse.Namespace, progress: str) -> Result:
    result = Result(files.name)
    try:
        say(f"{progress}: export")
        export_if_needed(files)
        say(f"{progress}: quantize, compare, run")
        judge(qconv, files, ENTRIES[files.name].task, max(arguments.threads), result)
        for threads in [] if arguments.no_times else arguments.threads:
            say(f"{progress}: times, {threads} thread{'s' if threads > 1 else ''}")
            result.milliseconds[str(threads)] = measure_times(qconv, files, threads)
    except (Failed, OSError, ValueError, *PeerError) as failure:
        result.failure = str(failure).splitlines()[0]
    if not arguments.keep_int8:
        files.quantized.unlink(missing_ok=True)
    return result


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def operators(float_layers: Sequence[str]) -> str:
    """'2 Conv, 1 Softmax' of names like 'some/layer (Conv)'."""
    counts: dict[str, int] = {}
    for layer in float_layers:
        operator = layer.rpartition("(")[2].rstrip(")")
        counts[operator] = counts.get(operator, 0) + 1
    return ", ".join(f"{count} {operator}" for operator, count in sorted(counts.items(), key=lambda c: -c[1])) or "none"


def header(threads: Sequence[int]) -> list[str]:
    times = [f"{contender} x{t}" for t in threads for contender in CONTENDERS]
    return ["network", "int8 layers", "SQNR dB", "top-1 kept", "max diff to ORT", "top-1 as ORT", *times, "float layers"]


def cells(result: Result, threads: Sequence[int]) -> list[str]:
    row = [
        result.name,
        f"{result.quantized_layers}/{result.layers}" if result.layers else "-",
        number(result.sqnr_db, ".1f"),
        number(result.agreement, ".1%"),
        number(result.peer_units, ".1f"),
        number(result.peer_agreement, ".1%"),
    ]
    for t in threads:
        measured = result.milliseconds.get(str(t), {})
        row += [number(measured.get(contender), ".2f") for contender in CONTENDERS]
    return [*row, f"FAILED: {result.failure}" if result.failure else operators(result.float_layers)]


def line(row: Sequence[str], titles: Sequence[str]) -> str:
    """Columns as wide as their titles, so that rows can be printed as they come. The last one ends where it ends."""
    numbers = [cell.rjust(len(title)) for cell, title in zip(row[1:-1], titles[1:-1], strict=True)]
    return "  ".join([row[0].ljust(max(map(len, ENTRIES))), *numbers, row[-1]])


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    qconv = Qconv(arguments.qconv)
    names = arguments.names or list(ENTRIES)
    timed = [] if arguments.no_times else arguments.threads
    titles = header(timed)
    print(line(titles, titles), flush=True)
    results = []
    for i, name in enumerate(names, start=1):
        result = examine(qconv, Files(arguments.out, name), arguments, f"{name} ({i} of {len(names)})")
        results.append(result)
        say("")
        print(line(cells(result, timed), titles), flush=True)
    failed = sum(bool(result.failure) for result in results)
    print(f"{len(results) - failed} of {len(results)} networks passed" + ("; times in ms, x threads" if timed else ""))
    if arguments.json:
        arguments.json.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
