"""Draws cases, runs them and sums up what they found."""

import sys
import time
import warnings

import numpy as np
import torch

from .operators import AddCase, DynamicCase, OperatorCase
from .report import Report, Result

# Kinds of cases, and which part of all cases each one gets.
KINDS = {
    OperatorCase.KIND: (OperatorCase, 60),
    DynamicCase.KIND: (DynamicCase, 15),
    AddCase.KIND: (AddCase, 5),
}


def parse(line):
    """The case of a printed line. ValueError when it is none."""
    kind = line.split(" ", 1)[0]
    if kind not in KINDS:
        raise ValueError(f"case {line!r}: the kind is {kind!r}, expected one of {', '.join(KINDS)}")
    return KINDS[kind][0].parse(line)


def draw(kind, seed, number):
    """Case `number` of a kind; it depends on nothing else."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    return KINDS[kind][0].draw(rng)


def plan(count, kinds):
    """(kind, number) of every case, kinds mixed so that an interrupted run has seen all of them."""
    total = sum(KINDS[kind][1] for kind in kinds)
    done = dict.fromkeys(kinds, 0)
    for index in range(count):
        kind = max(kinds, key=lambda k: KINDS[k][1] * (index + 1) / total - done[k])
        yield kind, done[kind]
        done[kind] += 1


def run_case(case):
    """The Result of one case; an exception is a problem like any other."""
    result = Result()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            case.check(result)
    except Exception as error:  # whatever it is, the case that raises it is to be printed
        result.problem(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return result


class _Progress:
    """Cases done, rate and time left, on a terminal; nothing in a pipe."""

    def __init__(self, count):
        self.count, self.start, self.shown = count, time.monotonic(), 0.0
        self.wanted = sys.stderr.isatty()

    def update(self, done, failed):
        now = time.monotonic()
        if not self.wanted or (now - self.shown < 0.2 and done < self.count):
            return
        self.shown = now
        rate = done / max(now - self.start, 1e-9)
        left = (self.count - done) / rate
        sys.stderr.write(
            f"\r\033[K{done:,} of {self.count:,} cases, {rate:.0f}/s, {left // 60:.0f}:{left % 60:02.0f} left, "
            f"{failed:,} failed"
        )
        sys.stderr.flush()

    def clear(self):
        if self.wanted:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def run(count, seed, kinds, on_failure):
    """Runs `count` cases of these kinds. on_failure(line, problems) is called at once for each that fails."""
    torch.set_num_threads(1)  # the order of torch.sum, on which the histogram's search depends
    report, progress = Report(), _Progress(count)
    for done, (kind, number) in enumerate(plan(count, kinds), 1):
        case = draw(kind, seed, number)
        result = run_case(case)
        report.add(case, result)
        if result.problems:
            progress.clear()
            on_failure(case.line(), result.problems)
        progress.update(done, report.failed)
    progress.clear()
    return report
