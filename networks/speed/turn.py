"""What the turns of all peers have in common: a process of its own that loads, runs, and prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

MIN_RUNS, MAX_RUNS = 5, 400
WARM_UPS = 3  # PyTorch's interpreter still changes its program in the second run


def arguments(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("network", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--output", type=Path)
    for flag in flags:
        parser.add_argument(flag, **({} if flag == "--engine" else {"action": "store_true"}))
    return parser.parse_args()


def peak_kib() -> int:
    """The most memory that this process has had so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def mapped_libraries() -> dict[str, int]:
    """The shared libraries that the process has loaded, and their sizes on disk."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {Path(line.split(maxsplit=5)[5]) for line in lines if ".so" in line}
    return {str(path): path.stat().st_size for path in sorted(paths) if path.exists()}


def take(
    how: argparse.Namespace,
    version: str,
    import_seconds: float,
    load: Callable[[], Callable[[], object]],
    array: Callable[[object], object],
) -> None:
    """`load` reads the network and returns what runs it once; `array` makes NumPy's array of a result."""
    import_peak = peak_kib()
    start = time.perf_counter()
    run = load()
    loaded = time.perf_counter()
    result = run()
    first = time.perf_counter() - loaded
    result = array(result)
    answer = {
        "version": version,
        "import_ms": 1e3 * import_seconds,
        "load_ms": 1e3 * (loaded - start),
        "first_ms": 1e3 * first,
        "bare_kib": import_peak,
        "peak_kib": peak_kib(),
        "libraries": mapped_libraries(),
    }
    for _ in range(WARM_UPS - 1):
        run()
    times: list[float] = []
    end = time.perf_counter() + how.seconds
    while len(times) < MIN_RUNS or (time.perf_counter() < end and len(times) < MAX_RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    answer |= {"median_ms": 1e3 * statistics.median(times), "min_ms": 1e3 * min(times), "runs": len(times)}
    if how.output:
        import numpy as np

        np.save(how.output, result)
    print(json.dumps(answer), flush=True)
