"""Draws cases, runs them and sums up what they found."""

import dataclasses
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import warnings

import numpy as np
import torch

from .conversions import ConversionCase
from .faking import FakeQuantizeCase
from .modules import ModuleCase
from .observing import ObserverCase, PresetCase
from .operators import AddCase, DynamicCase, OperatorCase
from .quantizing import QuantizeCase
from .report import Report, Result
from .training import TrainingCase

# Kinds of cases, and which part of all cases each one gets.
KINDS = {
    OperatorCase.KIND: (OperatorCase, 44),
    DynamicCase.KIND: (DynamicCase, 10),
    AddCase.KIND: (AddCase, 4),
    ModuleCase.KIND: (ModuleCase, 10),
    ConversionCase.KIND: (ConversionCase, 10),
    QuantizeCase.KIND: (QuantizeCase, 6),
    ObserverCase.KIND: (ObserverCase, 8),
    PresetCase.KIND: (PresetCase, 4),
    FakeQuantizeCase.KIND: (FakeQuantizeCase, 4),
    TrainingCase.KIND: (TrainingCase, 4),
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
        self.count, self.start, self.shown = count, None, 0.0
        self.wanted = sys.stderr.isatty()

    def update(self, done, failed):
        now = time.monotonic()
        self.start = self.start or now  # of the first result: starting the processes is not what the others will take
        if not self.wanted or (now - self.shown < 0.2 and done < self.count):
            return
        self.shown = now
        rate = done / max(now - self.start, 0.01)
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


@dataclasses.dataclass(frozen=True)
class Share:
    """The cases of one of several processes, less those that are done."""

    count: int
    kinds: tuple
    job: int
    jobs: int
    done: int = 0

    def cases(self):
        """(kind, number) of each."""
        return itertools.islice(plan(self.count, self.kinds), self.job + self.done * self.jobs, None, self.jobs)


def _work(connection, seed, share):
    """A process: draws, announces and runs cases, and sends what each of them found."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends them
    torch.set_num_threads(1)  # the order of torch.sum, on which the histogram's search depends
    for kind, number in share.cases():
        case = draw(kind, seed, number)
        connection.send(case)
        connection.send(run_case(case))
    connection.close()


class _Worker:
    """One process and its share. When PyTorch brings it down, the case is told and another goes on."""

    def __init__(self, seed, share):
        self.seed, self.share = seed, share
        self._start()

    def _start(self):
        self.case, self.begun = None, 0
        self.connection, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_work, args=(theirs, self.seed, self.share), daemon=True)
        self.process.start()
        theirs.close()

    def receive(self):
        """(case, result) when there is one, None for something else, False when all is done."""
        try:
            message = self.connection.recv()
        except EOFError:
            return self._ended()
        if isinstance(message, Result):
            case, self.case = self.case, None
            return case, message
        self.case, self.begun = message, self.begun + 1
        return None

    def _ended(self):
        self.process.join()
        if self.process.exitcode == 0 and self.case is None:
            return False
        if self.begun == 0:
            raise RuntimeError(f"parity: a process ended with status {self.process.exitcode} before its first case")
        case, result = self.case, Result()
        self.share = dataclasses.replace(self.share, done=self.share.done + self.begun)
        exitcode = self.process.exitcode
        self._start()
        if case is None:
            return None
        result.problem(f"the process died with {signal.Signals(-exitcode).name if exitcode < 0 else exitcode}")
        return case, result


def run(count, seed, kinds, jobs, on_failure):
    """Runs `count` cases of these kinds in `jobs` processes. on_failure(line, problems) is called at once for each that fails.

    On an interrupt from the keyboard, the report is of what was done so far.
    """
    # Several processes at once leave no processor to a second thread.
    os.environ.setdefault("QCONV_NUM_THREADS", "1")
    report, progress = Report(), _Progress(count)
    started, workers = [], {}
    try:
        for job in range(min(jobs, count)):
            started.append(_Worker(seed, Share(count, tuple(kinds), job, min(jobs, count))))
        workers.update((worker.connection, worker) for worker in started)
        while workers:
            for connection in multiprocessing.connection.wait(list(workers)):
                worker = workers.pop(connection)
                found = worker.receive()
                if found is not False:
                    workers[worker.connection] = worker
                if not found:
                    continue
                case, result = found
                report.add(case, result)
                if result.problems:
                    progress.clear()
                    on_failure(case.line(), result.problems)
                progress.update(report.cases, report.failed)
    except KeyboardInterrupt:
        report.interrupted = True
        for worker in started:
            worker.process.terminate()
            worker.process.join()
    progress.clear()
    return report
