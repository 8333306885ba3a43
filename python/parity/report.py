"""What comparisons found, and the summary of all of them."""

import collections
import dataclasses
import textwrap

import numpy as np

# No more than this many failures are printed; all are counted.
SHOWN = 20


class Result:
    """What one case found."""

    def __init__(self):
        self.values = 0  # compared
        self.different = 0  # of those
        self.near_ties = 0  # differ by one where no rule says how to round; no failure
        self.problems = []

    def equal(self, what, theirs, ours):
        """Two arrays, numbers, strings or tuples that must be equal; floats to the bit."""
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            self.problem(
                f"{what}: PyTorch has {theirs.dtype} {theirs.shape}, qconv {ours.dtype} {ours.shape}"
            )
            return
        self.values += theirs.size
        if theirs.tobytes() == ours.tobytes():
            return
        differ = _differ(theirs, ours)
        count = int(differ.sum())
        if count == 0:
            return
        at = tuple(int(i) for i in np.argwhere(differ)[0]) if theirs.ndim else ()
        where = f", first at {list(at)}" if at else ""
        self.different += count
        self.problems.append(
            f"{what}: {count} of {theirs.size} differ{where}: PyTorch {theirs[at]!s}, qconv {ours[at]!s}"
        )

    def near(self, what, theirs, ours, where=None):
        """Two arrays of integers that no rule makes equal everywhere: one apart is counted, more is a failure.

        where: the only elements that may be apart; None: any.
        """
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            self.equal(what, theirs, ours)
            return
        self.values += theirs.size
        apart = np.abs(theirs.astype(np.int64) - ours.astype(np.int64))
        allowed = apart == 1 if where is None else (apart == 1) & where
        self.near_ties += int(allowed.sum())
        wrong = (apart > 0) & ~allowed
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            self.different += int(wrong.sum())
            self.problems.append(
                f"{what}: {int(wrong.sum())} of {theirs.size} differ away from ties, by up to {apart.max()}, first at "
                f"{list(at)}: PyTorch {theirs[at]!s}, qconv {ours[at]!s}"
            )

    def problem(self, text):
        """Anything else that is not as it should be."""
        self.different += 1
        self.problems.append(text)


def _differ(theirs, ours):
    if theirs.dtype.kind == "f":
        bits = {4: np.uint32, 8: np.uint64}[theirs.dtype.itemsize]
        return np.ascontiguousarray(theirs).view(bits).reshape(theirs.shape) != np.ascontiguousarray(ours).view(
            bits
        ).reshape(theirs.shape)
    return np.asarray(theirs != ours)


@dataclasses.dataclass
class _Row:
    cases: int = 0
    values: int = 0
    failed: int = 0
    different: int = 0
    near_ties: int = 0


class Report:
    """Sums over all cases."""

    def __init__(self):
        self.rows = collections.defaultdict(_Row)
        self.features = collections.Counter()
        self.failures = []
        self.interrupted = False

    def add(self, case, result):
        row = self.rows[case.group()]
        row.cases += 1
        row.values += result.values
        row.different += result.different
        row.near_ties += result.near_ties
        row.failed += bool(result.problems)
        self.features.update(case.features())
        if result.problems:
            self.failures.append((case.line(), result.problems))

    @property
    def cases(self):
        """How many there were."""
        return sum(row.cases for row in self.rows.values())

    @property
    def failed(self):
        return len(self.failures)

    def as_dict(self, **about):
        """For --json."""
        return {
            **about,
            "cases": self.cases,
            "failed": self.failed,
            "groups": {name: dataclasses.asdict(row) for name, row in sorted(self.rows.items())},
            "features": dict(sorted(self.features.items())),
            "failures": [{"case": line, "problems": problems} for line, problems in self.failures],
        }

    def lines(self):
        """The summary as text."""
        names = ("compared", "cases", "values", "cases that differ", "values that differ", "next to ties")
        table = [names] + [
            (name, *(f"{n:,}" for n in (row.cases, row.values, row.failed, row.different, row.near_ties)))
            for name, row in sorted(self.rows.items())
        ]
        total = [sum(getattr(row, field) for row in self.rows.values()) for field in
                 ("cases", "values", "failed", "different", "near_ties")]
        table.append(("all", *(f"{n:,}" for n in total)))
        widths = [max(len(line[i]) for line in table) for i in range(len(names))]
        for line in table:
            cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
            yield "  ".join(cells).rstrip()
        yield ""
        covered = ", ".join(f"{name} {count:,}" for name, count in sorted(self.features.items()))
        yield from textwrap.wrap(f"covered, in cases: {covered}", 120)
