"""Draws a comparison: how fast each layer is next to the peers, and how near to what the machine can do."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "svg.fonttype": "none",  # text stays text: smaller, and can be searched
        "svg.hashsalt": "qconv",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#888888",
        "axes.axisbelow": True,
    }
)

from matplotlib import pyplot, ticker  # noqa: E402  (after the choice of what it draws with)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

from layers import Layer  # noqa: E402
from report import SLOWER, threads_text, times  # noqa: E402
from results import Comparison, Row, by_family, compare, geometric_mean, peer_labels  # noqa: E402

FASTER_COLOUR, EVEN_COLOUR, SLOWER_COLOUR = "#2b6cb0", "#9db4cc", "#d9622b"
GRID_COLOUR, TEXT_COLOUR = "#dddddd", "#333333"
PEER_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
PEER_COLOUR = "#1a1a1a"
FAMILY_COLOURS = pyplot.get_cmap("tab20").colors
LAYER_HEIGHT = 0.19  # inches


def draw(
    layers: Sequence[Layer],
    rows: Sequence[Row],
    peaks: dict[int, dict[str, float]],
    key: str,
    folders: Iterable[Path],
) -> list[tuple[str, str]]:
    """Writes every plot into every folder; returns (what it shows, address from docs/)."""
    comparisons = {threads: compare(layers, rows, threads) for threads in peaks}
    comparisons = {threads: some for threads, some in comparisons.items() if some}
    if not comparisons:
        return []
    figures = {
        f"performance-{key}-speed": ("Speed of each layer next to the peers", speed_figure(comparisons)),
        f"performance-{key}-roofline": (
            "Speed of each layer next to what the machine can do",
            roofline_figure(comparisons, peaks),
        ),
    }
    images = []
    for name, (what, figure) in figures.items():
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
        figure.savefig(next(iter(folders)) / f"{name}.png", bbox_inches="tight", dpi=110)
        pyplot.close(figure)
        images.append((what, f"images/{name}.svg"))
    return images


def speed_figure(comparisons: dict[int, list[Comparison]]) -> Figure:
    """A bar per layer: how many times as fast as the fastest peer; marks show where each peer is."""
    places = layer_places(comparisons)
    labels = peer_labels(c for some in comparisons.values() for c in some)
    height = 1.2 + LAYER_HEIGHT * (1 + max(places.values()))
    figure, axes = pyplot.subplots(
        1, len(comparisons), figsize=(5.2 + 3.6 * len(comparisons), height), sharey=True, squeeze=False
    )
    for axis, (threads, some) in zip(axes[0], comparisons.items(), strict=True):
        draw_speeds(axis, some, places, labels)
        mean = geometric_mean(c.ratio for c in some)
        axis.set_title(
            f"{threads_text(threads)}: {times(mean)} (geometric mean)", loc="left", fontsize=10, fontweight="bold"
        )
    name_layers(axes[0][0], comparisons, places)
    handles = [
        Line2D([], [], color=FASTER_COLOUR, linewidth=6, label="qconv is faster"),
        Line2D([], [], color=EVEN_COLOUR, linewidth=6, label=f"within {100 * (1 - SLOWER):.0f}%"),
        Line2D([], [], color=SLOWER_COLOUR, linewidth=6, label="qconv is slower"),
    ]
    handles += [Line2D([], [], linestyle="", label=label, **peer_style(i)) for i, label in enumerate(labels)]
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.75 / height))
    figure.legend(handles=handles, loc="upper center", ncol=4, frameon=False, bbox_to_anchor=(0.5, 1))
    return figure


def layer_places(comparisons: dict[int, list[Comparison]]) -> dict[str, float]:
    """Where each layer's bar is, from the top; a family is a block with a gap before it."""
    first = next(iter(comparisons.values()))
    places = {}
    at = 0.0
    for family in by_family(first).values():
        at += 1.4
        for comparison in family:
            places[comparison.layer.name] = at
            at += 1
    return places


def draw_speeds(axis: Axes, some: list[Comparison], places: dict[str, float], labels: list[str]) -> None:
    for c in some:
        at = places.get(c.layer.name)
        if at is None:
            continue
        colour = FASTER_COLOUR if c.ratio > 1 / SLOWER else EVEN_COLOUR if c.ratio >= SLOWER else SLOWER_COLOUR
        # Logarithmic, so a bar starts at 1 and goes left where qconv is slower.
        axis.barh(at, c.ratio - 1, left=1, height=0.72, color=colour)
        for peer in c.peers:
            axis.plot(c.best.min_us / peer.min_us, at, linestyle="", **peer_style(labels.index(peer.label)))
        inside = c.ratio >= 1
        axis.annotate(
            f"{c.ratio:.2f}",
            (max(c.ratio, 1) if inside else 1, at),
            xytext=(3 if inside else 6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=TEXT_COLOUR,
        )
    axis.axvline(1, color="#444444", linewidth=0.9)
    axis.set_xscale("log", base=2)
    highest = max(c.ratio for c in some)
    axis.set_xlim(min(0.5, 0.9 * min(c.ratio for c in some)), max(2.0, highest) * 1.25)
    axis.xaxis.set_major_locator(ticker.FixedLocator([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16]))
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}x"))
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.grid(axis="x", color=GRID_COLOUR, linewidth=0.6)
    axis.set_xlabel("speed; the fastest peer of the layer is 1")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.margins(y=0.005)


def name_layers(axis: Axes, comparisons: dict[int, list[Comparison]], places: dict[str, float]) -> None:
    axis.set_yticks(list(places.values()))
    axis.set_yticklabels([name for name in places], fontsize=7.5)
    axis.set_ylim(max(places.values()) + 0.8, min(places.values()) - 1.5)
    for family, members in by_family(next(iter(comparisons.values()))).items():
        top = places[members[0].layer.name]
        axis.annotate(
            family,
            (0, top - 0.95),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            fontweight="bold",
            color=TEXT_COLOUR,
        )


def peer_style(index: int) -> dict[str, object]:
    return {
        "marker": PEER_MARKERS[index % len(PEER_MARKERS)],
        "markersize": 3.6,
        "markerfacecolor": "white",
        "markeredgecolor": PEER_COLOUR,
        "markeredgewidth": 0.7,
        "clip_on": True,
    }


def roofline_figure(comparisons: dict[int, list[Comparison]], peaks: dict[int, dict[str, float]]) -> Figure:
    """Speed over operations per byte. The roof is the peak, the slopes are what caches and memory deliver."""
    figure, axes = pyplot.subplots(1, len(comparisons), figsize=(1.5 + 5.2 * len(comparisons), 5.6), squeeze=False)
    families = list(by_family(c for some in comparisons.values() for c in some))
    for axis, (threads, some) in zip(axes[0], comparisons.items(), strict=True):
        draw_roofline(axis, some, peaks[threads], families)
        share = geometric_mean(c.ours.of_peak for c in some)
        axis.set_title(
            f"{threads_text(threads)}: {100 * share:.0f}% of the peak (geometric mean)",
            loc="left",
            fontsize=10,
            fontweight="bold",
        )
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=family_colour(families, name), label=name)
        for name in families
    ]
    handles.append(Line2D([], [], color="#777777", marker="_", markersize=7, linestyle="", label="fastest peer"))
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    for axis, threads in zip(axes[0], comparisons, strict=True):  # now that the slopes' angles are known
        for name, what in (("l1_gbs", "L1"), ("l2_gbs", "L2"), ("memory_gbs", "memory")):
            draw_slope(axis, peaks[threads][name], what, peaks[threads]["gops"])
    figure.legend(handles=handles, loc="lower center", ncol=5, frameon=False)
    return figure


def family_colour(families: list[str], name: str) -> tuple[float, float, float]:
    at = families.index(name)
    return FAMILY_COLOURS[(2 * at) % 20 + (2 * at) // 20]


def draw_roofline(axis: Axes, some: list[Comparison], peak: dict[str, float], families: list[str]) -> None:
    intensities = [c.layer.operations * c.layer.useful_share / c.layer.bytes for c in some]
    # The steepest slope's bend stays in view.
    least = min(0.6 * min(intensities), 0.5 * peak["gops"] / peak["l1_gbs"])
    most = 1.7 * max(intensities)
    lowest = min(min(c.ours.of_peak, c.best.of_peak) for c in some) * peak["gops"]
    axis.plot([least, most], [peak["gops"]] * 2, color="#444444", linewidth=1.1)
    axis.annotate(
        f"peak {peak['gops']:.0f} GOP/s",
        (most, peak["gops"]),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=TEXT_COLOUR,
    )
    for intensity, c in zip(intensities, some, strict=True):
        colour = family_colour(families, c.layer.family)
        ours, theirs = (row.of_peak * peak["gops"] for row in (c.ours, c.best))
        axis.plot([intensity] * 2, [theirs, ours], color="#999999", linewidth=0.7, zorder=2)
        axis.plot(intensity, theirs, linestyle="", marker="_", markersize=6, color="#777777", zorder=2)
        axis.plot(
            intensity,
            ours,
            linestyle="",
            marker="o",
            markersize=5,
            color=colour,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=3,
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(least, most)
    axis.set_ylim(0.6 * lowest, 1.5 * peak["gops"])
    plain = ticker.FuncFormatter(lambda value, _: f"{value:g}")
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(plain)
        each.set_minor_formatter(ticker.NullFormatter())
    axis.grid(color=GRID_COLOUR, linewidth=0.6)
    axis.set_xlabel("operations per byte of input, weights and output")
    axis.set_ylabel("GOP/s inside the image")


def draw_slope(axis: Axes, gbs: float, what: str, roof: float) -> None:
    """What a source of `gbs` gigabytes a second feeds, up to the roof."""
    start = max(axis.get_xlim()[0], axis.get_ylim()[0] / gbs)
    end = roof / gbs
    axis.plot([start, end], [gbs * start, roof], color="#aaaaaa", linewidth=0.9, linestyle="--", zorder=1)
    (left, bottom), (right, top) = axis.transData.transform([(start, gbs * start), (end, roof)])
    angle = math.atan2(top - bottom, right - left)
    back, away = 6, 2  # points along the line and off it
    axis.annotate(
        f"{what} {gbs:.0f} GB/s",
        (end, roof),
        xytext=(
            -back * math.cos(angle) - away * math.sin(angle),
            -back * math.sin(angle) + away * math.cos(angle),
        ),
        textcoords="offset points",
        rotation=math.degrees(angle),
        rotation_mode="anchor",
        fontsize=7,
        color="#777777",
        ha="right",
        va="bottom",
    )
