"""python -m parity: see --help, and docs/parity.md."""

import argparse
import json
import os
import platform
import sys
import time

import torch

import qconv

from . import runner
from .report import SHOWN


def _arguments():
    parser = argparse.ArgumentParser(
        prog="parity",
        description="Compares qconv with the PyTorch that is installed, byte by byte, on random cases. Exit status 1 when "
        "anything differs.",
    )
    parser.add_argument("--count", type=int, default=30_000, help="how many cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the cases (default: %(default)s)")
    parser.add_argument("--only", metavar="KIND", help=f"one or more, with commas, of {', '.join(runner.KINDS)}")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    parser.add_argument("--case", metavar="LINE", help="run the one case that printed as LINE")
    arguments = parser.parse_args()
    for name in ("count", "jobs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} is {getattr(arguments, name)}, expected at least 1")
    kinds = list(runner.KINDS) if arguments.only is None else arguments.only.split(",")
    for kind in kinds:
        if kind not in runner.KINDS:
            parser.error(f"--only: there is no kind {kind!r}, expected {', '.join(runner.KINDS)}")
    return arguments, kinds


def _run_one(line):
    try:
        case = runner.parse(line)
    except ValueError as error:
        sys.exit(f"parity: {error}")
    torch.set_num_threads(1)
    result = runner.run_case(case)
    for problem in result.problems:
        print(problem)
    print(f"{result.values:,} values compared, {result.different:,} differ")
    return 1 if result.problems else 0


def main():
    arguments, kinds = _arguments()
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        sys.exit(f"parity: torch {torch.__version__} has no engine fbgemm, which qconv is compared with; use one for x86-64")
    if arguments.case is not None:
        return _run_one(arguments.case)
    about = {
        "torch": torch.__version__, "qconv": qconv.__version__, "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(), "seed": arguments.seed,
    }
    failures = 0

    def on_failure(line, problems):
        nonlocal failures
        failures += 1
        if failures <= SHOWN:
            print(f"{line}\n    " + "\n    ".join(problems[:3]), file=sys.stderr)
        elif failures == SHOWN + 1:
            print("more cases differ; --json lists all of them", file=sys.stderr)

    start = time.monotonic()
    report = runner.run(arguments.count, arguments.seed, kinds, arguments.jobs, on_failure)
    about["seconds"] = round(time.monotonic() - start, 1)
    if arguments.json:
        json.dump(report.as_dict(**about), sys.stdout, indent=1)
        print()
    else:
        print("\n".join(report.lines()))
        print(
            f"\ntorch {about['torch']}, qconv {about['qconv']}, {about['machine']} {about['cpu_capability']}, "
            f"seed {about['seed']}: {report.cases:,} cases in {about['seconds']:.0f} s, {report.failed:,} differ"
        )
    return 130 if report.interrupted else int(report.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
