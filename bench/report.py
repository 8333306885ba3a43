"""Writes a comparison as Markdown, and puts it between the markers of docs/performance.md."""

import re
from collections.abc import Iterable, Sequence

from layers import Layer
from results import Comparison, Row, by_family, compare, geometric_mean, peer_labels
from roofline import floor_us

WORST = 10
SLOWER = 0.95  # a ratio under this is more than noise


class MarkersMissing(Exception):
    """The document has no place for this section."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table whose first columns are text and whose other columns are numbers."""
    lines = ["| " + " | ".join(header) + " |"]
    lines.append("|" + "---|" * text_columns + "---:|" * (len(header) - text_columns))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that matter: 1234, 123, 12.3, 1.23."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.1f}%"


def times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def replaced_section(document: str, key: str, text: str) -> str:
    """The document with everything between the markers of `key` replaced."""
    begin, end = f"<!-- begin {key}: written by scripts/bench -->", f"<!-- end {key} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(document)) != 1:
        raise MarkersMissing(f"expected once, in this order: '{begin}' and '{end}'")
    return pattern.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", document)


def machine_table(machine: dict[str, str], peaks: dict[int, dict[str, float]]) -> str:
    rows = [[name, value] for name, value in machine.items()]
    for threads, peak in peaks.items():
        what = f"peak, {threads_text(threads)}"
        rows.append(
            [
                what,
                f"{peak['gops']:.0f} GOP/s; reads {peak['l1_gbs']:.0f} GB/s from the first-level cache, "
                f"{peak['l2_gbs']:.0f} from the second, {peak['memory_gbs']:.0f} from memory",
            ]
        )
    lines = ["| | |", "|---|---|"] + ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def summary_sentence(comparisons: Sequence[Comparison], threads: int) -> str:
    ratios = [comparison.ratio for comparison in comparisons]
    wins = sum(ratio >= 1 for ratio in ratios)
    slower = sum(ratio < SLOWER for ratio in ratios)
    return (
        f"{threads_text(threads)}: **{times(geometric_mean(ratios))}** the fastest peer of each layer "
        f"(geometric mean of {len(ratios)} layers), at least as fast on {wins}, under {SLOWER}x on {slower}, "
        f"{times(min(ratios))} at worst and {times(max(ratios))} at best."
    )


def peers_table(comparisons: dict[int, list[Comparison]]) -> str:
    """qconv against each peer by itself."""
    header = ["peer"]
    for threads in comparisons:
        header += [f"{threads_text(threads)}: layers", "ratio", "lowest"]
    labels = peer_labels(c for some in comparisons.values() for c in some)
    rows = []
    for label in labels:
        row = [label]
        for some in comparisons.values():
            ratios = [peer.min_us / c.ours.min_us for c in some for peer in c.peers if peer.label == label]
            row += [str(len(ratios)), times(geometric_mean(ratios)), times(min(ratios))] if ratios else ["0", "-", "-"]
        rows.append(row)
    return table(header, rows)


def families_table(comparisons: dict[int, list[Comparison]]) -> str:
    """One row per family, the columns once per number of threads."""
    header = ["family", "layers"]
    for threads in comparisons:
        header += [f"{threads_text(threads)}: GOP/s", "of peak", "fastest peer", "ratio", "lowest"]
    families = {threads: by_family(some) for threads, some in comparisons.items()}
    names = list(dict.fromkeys(name for some in families.values() for name in some))
    rows = []
    for name in [*names, "all"]:
        row = [name]
        for threads, some in comparisons.items():
            members = some if name == "all" else families[threads].get(name, [])
            if len(row) == 1:
                row.append(str(len(members)))
            row += family_cells(members)
        rows.append([f"**{cell}**" for cell in row] if name == "all" else row)
    return table(header, rows)


def family_cells(members: Sequence[Comparison]) -> list[str]:
    if not members:
        return ["-"] * 5
    ratios = [c.ratio for c in members]
    return [
        number(geometric_mean(c.ours.gops for c in members)),
        percent(geometric_mean(c.ours.of_peak for c in members)),
        percent(geometric_mean(c.best.of_peak for c in members)),
        times(geometric_mean(ratios)),
        times(min(ratios)),
    ]


def layers_table(comparisons: Iterable[Comparison]) -> str:
    header = ["layer", "family", "fastest peer", "its us", "qconv us", "GOP/s", "of peak", "ratio"]
    return table(header, [layer_cells(c) for c in comparisons], text_columns=3)


def layer_cells(c: Comparison) -> list[str]:
    ours = [number(c.ours.min_us), number(c.ours.gops), percent(c.ours.of_peak)]
    return [c.layer.name, c.layer.family, c.best.label, number(c.best.min_us), *ours, times(c.ratio)]


def wide_sentence(comparisons: Iterable[Comparison]) -> str:
    shares = [c.ours.of_peak for c in comparisons if c.layer.is_wide]
    if not shares:
        return ""
    return (
        f"Layers with 64 or more channels on both sides ({len(shares)}): {percent(geometric_mean(shares))} of the peak "
        f"(geometric mean), {percent(min(shares))} at least."
    )


def floors_table(comparisons: Sequence[Comparison], peak: dict[str, float]) -> str:
    """What the instructions allow: how near to it qconv is, and which ratio would be the highest."""
    header = ["layer", "family", "floor us", "qconv us", "of the floor", "fastest peer", "ratio", "ratio at the floor"]
    rows = []
    for c in comparisons:
        floor = floor_us(c.layer, peak["gops"], peak["l2_gbs"])
        ours = [number(floor), number(c.ours.min_us), percent(floor / c.ours.min_us)]
        rows.append([c.layer.name, c.layer.family, *ours, number(c.best.min_us), times(c.ratio)])
        rows[-1].append(times(c.best.min_us / floor))
    return table(header, rows, text_columns=2)


def family_floors_table(comparisons: Sequence[Comparison], peak: dict[str, float]) -> str:
    header = ["family", "layers", "of the floor", "ratio", "ratio at the floor"]
    rows = []
    for name, members in [*by_family(comparisons).items(), ("all", comparisons)]:
        floors = [floor_us(c.layer, peak["gops"], peak["l2_gbs"]) for c in members]
        pairs = list(zip(members, floors, strict=True))
        row = [name, str(len(members))]
        row.append(percent(geometric_mean(floor / c.ours.min_us for c, floor in pairs)))
        row.append(times(geometric_mean(c.ratio for c in members)))
        row.append(times(geometric_mean(c.best.min_us / floor for c, floor in pairs)))
        rows.append([f"**{cell}**" for cell in row] if name == "all" else row)
    return table(header, rows)


def gaps_text(rows: Iterable[Row]) -> str:
    """Which peers do not run which layers."""
    gaps: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.reason and row.name not in gaps.setdefault((row.label, row.reason), []):
            gaps[row.label, row.reason].append(row.name)
    lines = []
    for (label, reason), names in sorted(gaps.items()):
        shown = ", ".join(names) if len(names) <= 3 else f"{len(names)} layers"
        lines.append(f"- {label} does not run {shown}: {reason}")
    return "\n".join(lines)


def section(
    layers: Sequence[Layer],
    rows: Sequence[Row],
    machine: dict[str, str],
    peaks: dict[int, dict[str, float]],
    images: Sequence[tuple[str, str]] = (),
) -> str:
    """Everything about one comparison. `images` are (what they show, address)."""
    comparisons = {threads: compare(layers, rows, threads) for threads in peaks}
    comparisons = {threads: some for threads, some in comparisons.items() if some}
    if not comparisons:
        return "No layer was run both by qconv and by a peer."
    parts = [machine_table(machine, peaks)]
    parts += [summary_sentence(some, threads) for threads, some in comparisons.items()]
    if 1 in comparisons:
        parts.append(wide_sentence(comparisons[1]))
    parts += [f"![{what}]({address})" for what, address in images]
    parts += ["**Families**", families_table(comparisons), "**Peers, one by one**", peers_table(comparisons)]
    parts.append(gaps_text(rows))
    for threads, some in comparisons.items():
        worst = sorted(some, key=lambda c: c.ratio)[:WORST]
        parts += [f"**Lowest ratios, {threads_text(threads)}**", layers_table(worst)]
    if 1 in comparisons and all(c.ours.isa == "avx512vnni" for c in comparisons[1]):
        floors = comparisons[1], peaks[1]
        parts += ["**What the instructions allow, 1 thread** (bench/roofline.py)", family_floors_table(*floors)]
        parts += ["<details>", "<summary>Every layer</summary>", floors_table(*floors), "</details>"]
    for threads, some in comparisons.items():
        summary = f"<summary>Every layer, {threads_text(threads)}</summary>"
        parts += ["<details>", summary, layers_table(some), "</details>"]
    return "\n\n".join(part for part in parts if part)
