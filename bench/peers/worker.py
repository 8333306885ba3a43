"""What the peers written in Python share: the line protocol and the timing loop.

A worker prints its version, then answers each line of a layer list on standard input with one line:
"ok KERNEL MEDIAN_US MIN_US" or "no REASON".
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from layers import Layer, parse_line  # noqa: E402  (the folder is known only now)

REPEATS = 5
REPEAT_SECONDS = 0.05


class Unsupported(Exception):
    """The peer cannot run such a layer."""


def seconds_of(call: Callable[[], object], count: int = 1) -> float:
    calls = range(count)
    start = time.perf_counter()
    for _ in calls:
        call()
    return time.perf_counter() - start


def time_calls(call: Callable[[], object]) -> tuple[float, float]:
    """Median and minimum in microseconds, measured as `qconv bench` does it."""
    seconds_of(call)
    seconds = seconds_of(call)
    if seconds > 0.5:
        return seconds * 1e6, seconds * 1e6
    count = 1
    while seconds < REPEAT_SECONDS / 2:
        count *= 2
        seconds = seconds_of(call, count)
    count = 1 + int(1.05 * REPEAT_SECONDS * count / seconds)
    means = [seconds_of(call, count) * 1e6 / count for _ in range(REPEATS)]
    return statistics.median(means), min(means)


def serve(version: str, measure: Callable[[Layer], tuple[str, float, float]]) -> None:
    print(version, flush=True)
    for line in sys.stdin:
        try:
            kernel, median_us, min_us = measure(parse_line(line.strip()))
            print(f"ok {kernel} {median_us:.3f} {min_us:.3f}", flush=True)
        except Exception as error:  # whatever a library throws is its answer
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            print(f"no {reason[:200]}", flush=True)
