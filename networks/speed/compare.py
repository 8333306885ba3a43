#!/usr/bin/env python3
"""Time whole int8 networks on qconv, ONNX Runtime, OpenVINO and PyTorch, which take turns, and write what came out.

Called by scripts/network-speed; see there. Every turn is a process of its own, so that nobody's waiting threads or memory
are in the way of the next.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import date
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

import measure  # noqa: E402
import report  # noqa: E402
from cases import BATCHES, CONTENDERS, HERE, NETWORKS, ROOT, Contender, Files  # noqa: E402
from sizes import sizes  # noqa: E402

import sources  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.md"


class Failed(Exception):
    """What went wrong, in a line."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/network-speed", description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}), help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", choices=BATCHES, default=BATCHES, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender has its turn (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of warm runs in a turn (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only contenders that start so")
    parser.add_argument("--out", type=Path, default=ROOT / "build/networks", help="the folder of the files (%(default)s)")
    parser.add_argument(
        "--qconv", type=Path, default=ROOT / "build/release/src/cli/qconv", help="the program (%(default)s)"
    )
    parser.add_argument("--prepare", action="store_true", help="only write the files, measure nothing")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the rows into docs/performance.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything that was found")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    if not arguments.qconv.exists():
        parser.error(f"{arguments.qconv} is not built; run 'cmake --workflow --preset release'")
    return arguments


def say(text: str) -> None:
    """Progress, over the line before; only where someone watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    say("")
    print(f"network-speed: {text}", file=sys.stderr)


def prepare_if_needed(files: Files, qconv: Path) -> None:
    wanted = [contender_setting.end for contender in CONTENDERS for contender_setting in contender.settings]
    made = [files.reference, *map(files.input, BATCHES), *map(files.file, wanted)]
    if sources.fresh(made, [*sources.EXPORT, HERE / "prepare.py"]):
        return
    command = [sys.executable, str(HERE / "prepare.py"), files.name, str(files.folder), str(qconv)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{files.name}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")


def machine() -> dict[str, str]:
    lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    caches = ", ".join(f"{c} {facts[c + ' cache']}" for c in ("L1d", "L2", "L3") if c + " cache" in facts)
    name = facts.get("Model name", platform.machine())
    details = f"family {facts['CPU family']}, model {facts['Model']}, " if "CPU family" in facts else ""
    return {
        "processor": f"{name} ({details}{len(os.sched_getaffinity(0))} cores), {caches}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "date": date.today().isoformat(),
    }


def chosen(only: list[str]) -> list[Contender]:
    starts = tuple(start.lower() for start in only)
    return [contender for contender in CONTENDERS if not only or contender.name.lower().startswith(starts)]


def run(arguments: argparse.Namespace, kept: Path) -> None:
    environment = {"QCONV_PROGRAM": str(arguments.qconv)}
    names = arguments.names or list(NETWORKS)
    for name in names:
        say(f"{name}: export, quantize")
        prepare_if_needed(Files(arguments.out, name), arguments.qconv)
    if arguments.prepare:
        return
    contenders = list(measure.present(chosen(arguments.only), warn))
    rows = measure.read_rows(kept) if kept.exists() else []
    facts = machine() | {"command": " ".join(["scripts/network-speed", *sys.argv[1:]])}
    for threads in arguments.threads:
        for name in names:
            for batch in arguments.batch:
                where = f"{name}, batch {batch}, {report.threads_text(threads)}"
                cell = measure.Cell(Files(arguments.out, name), batch, threads, environment)
                progress = partial(lambda at, text: say(f"{at}: {text}"), where)
                new = cell.measure(contenders, arguments.rounds, arguments.seconds, progress)
                for row in new:
                    if row.failure:
                        warn(f"{where}: {row.contender}: {row.failure}")
                rows = measure.merged(rows, new)
                measure.write_rows(kept, facts, rows)
    say("")


def show(arguments: argparse.Namespace, kept: Path) -> None:
    known = json.loads(kept.read_text())
    rows = measure.read_rows(kept)
    text = report.section(rows, known["machine"], sizes(arguments.qconv, rows))
    if arguments.report:
        DOCUMENT.write_text(report.with_section(DOCUMENT.read_text(), text))
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
    else:
        print(text)
    if arguments.json:
        shutil.copyfile(kept, arguments.json)


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "speed.json"
    try:
        if not arguments.report:
            run(arguments, kept)
        if not arguments.prepare:
            show(arguments, kept)
    except (OSError, Failed, report.MarkersMissing) as error:
        warn(str(error))
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
