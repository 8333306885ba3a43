"""A turn of qconv: its program, started twice, once to see what a single run takes and once for times.

Without NumPy: Linux counts to a child's peak what its parent had when it was made, so that this process has to be small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import turn


def called(command: list[str]) -> tuple[str, float, int]:
    """What it printed, the seconds it took, and its peak memory in KiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[1]} ended with {process.returncode}")
    return text, seconds, usage.ru_maxrss


def main() -> None:
    how = turn.arguments()
    program = os.environ["QCONV_PROGRAM"]
    version, start_seconds, bare = called([program, "--version"])
    command = [program, "run", str(how.network), str(how.input), f"--threads={how.threads}", "--json"]
    text, process_seconds, peak = called(command + (["-o", str(how.output)] if how.output else []))
    single = json.loads(text)
    repeat = round(how.seconds / single["seconds"])
    repeat = min(max(repeat, turn.MIN_RUNS), turn.MAX_RUNS)
    warm = json.loads(called([*command, f"--repeat={repeat}"])[0])
    answer = {
        "version": version.split()[-1],
        "import_ms": 1e3 * start_seconds,
        "load_ms": 1e3 * single["load_seconds"],
        "first_ms": 1e3 * single["first_seconds"],
        "process_ms": 1e3 * process_seconds,
        "bare_kib": bare,
        "peak_kib": peak,
        "libraries": {},
        "median_ms": 1e3 * warm["seconds"],
        "min_ms": 1e3 * warm["min_seconds"],
        "runs": repeat,
    }
    print(json.dumps(answer), flush=True)


main()
