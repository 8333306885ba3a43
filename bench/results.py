"""The numbers of a comparison: rows, how they are kept, and what is computed from them."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from layers import Layer

OURS = "qconv"
HEADER = "contender,version,isa,threads,name,kernel,median_us,min_us,gops,of_peak,reason".split(",")


@dataclass(frozen=True)
class Row:
    """One contender's time of one layer; with a reason, there is none."""

    contender: str
    version: str
    isa: str
    threads: int
    name: str
    kernel: str
    median_us: float
    min_us: float
    gops: float  # dense multiply-adds count as two
    of_peak: float  # of those inside the image
    reason: str = ""

    @property
    def label(self) -> str:
        return f"{self.contender} {self.version}"


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            Row(
                **{
                    **row,
                    "threads": int(row["threads"]),
                    **{column: float(row[column]) for column in ("median_us", "min_us", "gops", "of_peak")},
                }
            )
            for row in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in rows:
            times = f"{row.median_us:.3f}", f"{row.min_us:.3f}", f"{row.gops:.1f}", f"{row.of_peak:.4f}"
            identity = row.contender, row.version, row.isa, row.threads, row.name, row.kernel
            writer.writerow([*identity, *times, row.reason])


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """New rows take the place of old ones about the same thing."""
    rows = {(row.threads, row.name, row.contender, row.version): row for row in [*old, *new]}
    return list(rows.values())


def with_peaks(rows: Iterable[Row], layers: Iterable[Layer], peaks: dict[int, dict[str, float]]) -> list[Row]:
    """Relates rows to the best peaks known, which may have been measured after them."""
    shares = {layer.name: layer.useful_share for layer in layers}
    return [
        replace(row, of_peak=row.gops * shares[row.name] / peaks[row.threads]["gops"])
        for row in rows
        if row.name in shares
    ]


# A peer that takes a second for a call fell back on plain loops; a ratio to it would say nothing.
HOPELESS_US = 1e6


def without_fallbacks(rows: Iterable[Row]) -> list[Row]:
    """Peers' rows that are hopelessly slow become rows without a time."""

    def judged(row: Row) -> Row:
        if row.reason or row.contender == "qconv" or row.min_us < HOPELESS_US:
            return row
        return replace(row, reason="no fast implementation, a call takes seconds")

    return [judged(row) for row in rows]


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive values; not a number when there are none."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


@dataclass(frozen=True)
class Comparison:
    """One layer: qconv and every peer that ran it, the fastest first."""

    layer: Layer
    ours: Row
    peers: tuple[Row, ...]

    @property
    def best(self) -> Row:
        return self.peers[0]

    @property
    def ratio(self) -> float:
        """How many times as fast as the fastest peer."""
        return self.best.min_us / self.ours.min_us


def compare(layers: Iterable[Layer], rows: Iterable[Row], threads: int) -> list[Comparison]:
    """The layers that both qconv and a peer have run, in the list's order."""
    by_layer: dict[str, list[Row]] = {}
    for row in rows:
        if row.threads == threads and not row.reason:
            by_layer.setdefault(row.name, []).append(row)
    comparisons = []
    for layer in layers:
        timed = by_layer.get(layer.name, [])
        ours = [row for row in timed if row.contender == OURS]
        peers = sorted((row for row in timed if row.contender != OURS), key=lambda row: row.min_us)
        if ours and peers:
            comparisons.append(Comparison(layer, ours[0], tuple(peers)))
    return comparisons


def by_family(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    """Families in the order of their first layers."""
    families: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        families.setdefault(comparison.layer.family, []).append(comparison)
    return families


def peer_labels(comparisons: Iterable[Comparison]) -> list[str]:
    labels = {row.label for comparison in comparisons for row in comparison.peers}
    return sorted(labels)
