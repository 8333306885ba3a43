"""The comparison as Markdown, and its place in docs/performance.md."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from cases import NETWORKS
from measure import Row

OURS = "qconv"
BEGIN, END = "<!-- begin networks: written by scripts/network-speed -->", "<!-- end networks -->"
MIB = 1 << 20


class MarkersMissing(Exception):
    """The document has no place for the section."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    lines = ["| " + " | ".join(header) + " |"]
    lines.append("|" + "---|" * text_columns + "---:|" * (len(header) - text_columns))
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float) -> str:
    """Three digits that matter: 1234, 123, 12.3, 1.23."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def contenders_of(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.contender for row in rows))


def cells_of(rows: Iterable[Row], threads: int) -> dict[tuple[str, int], dict[str, Row]]:
    """Rows by contender, by network and batch, in the order of the list of networks."""
    cells: dict[tuple[str, int], dict[str, Row]] = {}
    order = list(NETWORKS)
    for row in sorted(rows, key=lambda row: (order.index(row.network), row.batch)):
        if row.threads == threads:
            cells.setdefault((row.network, row.batch), {})[row.contender] = row
    return cells


def factor(cell: dict[str, Row], value: str) -> float | None:
    """The best peer's value over qconv's: above 1 qconv is better."""
    peers = [getattr(row, value) for name, row in cell.items() if name != OURS and not row.failure]
    ours = cell.get(OURS)
    return min(peers) / getattr(ours, value) if peers and ours and not ours.failure else None


def value_text(row: Row | None, value: str, unit: float = 1) -> str:
    return "-" if row is None or row.failure else number(getattr(row, value) / unit)


def title(network: str, batch: int) -> list[str]:
    size = "x".join(map(str, NETWORKS[network].size))
    return [f"{NETWORKS[network].title} {batch}x{size}"]


def times_table(rows: Sequence[Row], threads: int) -> str:
    names = contenders_of(rows)
    cells = cells_of(rows, threads)
    lines = []
    for (network, batch), cell in cells.items():
        medians = [value_text(cell.get(name), "median_ms") for name in names]
        lines.append([*title(network, batch), *medians, times(factor(cell, "median_ms")), times(factor(cell, "min_ms"))])
    means = []
    for value in ("median_ms", "min_ms"):
        factors = [f for f in (factor(cell, value) for cell in cells.values()) if f is not None]
        means.append(f"**{times(geometric_mean(factors))}**" if factors else "-")
    lines.append(["**geometric mean**", *[""] * len(names), *means])
    return table(["network", *names, "factor", "of minima"], lines)


def start_table(rows: Sequence[Row], threads: int) -> str:
    names = contenders_of(rows)
    lines = []
    for (network, batch), cell in cells_of(rows, threads).items():
        if batch > 1:
            continue
        texts = [
            "-" if row is None or row.failure else f"{number(row.load_ms)} + {number(row.first_ms)}"
            for row in map(cell.get, names)
        ]
        lines.append([*title(network, batch), *texts, times(factor(cell, "start_ms"))])
    return table(["network", *names, "factor"], lines)


def memory_table(rows: Sequence[Row], threads: int) -> str:
    names = contenders_of(rows)
    lines = []
    for (network, batch), cell in cells_of(rows, threads).items():
        texts = []
        for name in names:
            row = cell.get(name)
            if row is None or row.failure:
                texts.append("-")
            elif name == OURS:
                texts.append(number(row.peak_kib / 1024))
            else:
                texts.append(f"{number((row.peak_kib - row.bare_kib) / 1024)} ({number(row.peak_kib / 1024)})")
        lines.append([*title(network, batch), *texts])
    return table(["network", *names], lines)


def quality_table(rows: Sequence[Row], threads: int) -> str:
    names = contenders_of(rows)
    lines = []
    for (network, batch), cell in cells_of(rows, threads).items():
        texts = [
            "-" if row is None or row.failure else f"{row.sqnr_db:.1f} dB, {100 * row.top1_kept:.0f}%"
            for row in map(cell.get, names)
        ]
        lines.append([*title(network, batch), *texts])
    return table(["network", *names], lines)


def sizes_table(sizes: dict[str, dict[str, int]]) -> str:
    lines = []
    for name, parts in sizes.items():
        shown = ", ".join(f"{part} {number(size / MIB)}" for part, size in sorted(parts.items(), key=lambda p: -p[1]))
        lines.append([name, shown, number(sum(parts.values()) / MIB)])
    return table(["", "files", "MiB"], lines, text_columns=2)


def settings_text(rows: Iterable[Row]) -> str:
    """Which settings were the fastest how often."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.setting and not row.failure:
            known = counts.setdefault(row.contender, {})
            known[row.setting] = known.get(row.setting, 0) + 1
    texts = []
    for name, known in counts.items():
        texts.append(f"{name}: " + ", ".join(f"{setting} ({count}x)" for setting, count in known.items()))
    return "Settings that were the fastest: " + "; ".join(texts) + "." if texts else ""


def failures_text(rows: Iterable[Row]) -> str:
    return "\n".join(
        f"- {row.contender}, {' '.join(title(row.network, row.batch))}, {threads_text(row.threads)}: {row.failure}"
        for row in rows
        if row.failure
    )


def section(rows: Sequence[Row], machine: dict[str, str], sizes: dict[str, dict[str, int]]) -> str:
    threads = sorted({row.threads for row in rows})
    versions = {row.contender: row.version for row in rows if row.version}
    about = machine | {"versions": ", ".join(f"{name} {version}" for name, version in versions.items())}
    parts = ["\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in about.items())])]
    for count in threads:
        parts += [f"**Milliseconds of a run, {threads_text(count)}**", times_table(rows, count)]
    parts.append(settings_text(rows))
    first = threads[0]
    parts += [f"**Start: milliseconds to load + to the first result, {threads_text(first)}**", start_table(rows, first)]
    parts += [
        f"**Peak memory of loading and running once, MiB, {threads_text(first)}**",
        "Of qconv the whole program, of peers what is above the bare import, and in brackets with Python and the import.",
        memory_table(rows, first),
    ]
    parts += ["**Size, MiB**", sizes_table(sizes)]
    parts += [f"**What is left of the float network's output: SQNR, top-1 kept, {threads_text(first)}**"]
    parts += [quality_table(rows, first), failures_text(rows)]
    return "\n\n".join(part for part in parts if part)


def with_section(document: str, text: str) -> str:
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(document)) != 1:
        raise MarkersMissing(f"expected once, in this order: '{BEGIN}' and '{END}'")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{text.strip()}\n\n{END}", document)
