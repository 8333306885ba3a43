"""Lists of convolutions (bench/layers.csv): reading them, and what follows from a layer's sizes alone."""

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

COLUMNS = "name,kind,ndim,N,C,K,in,kernel,stride,pad,dilation,groups,output_padding".split(",")
WIDE = 64  # channels: what fills a vector of int32 sums four times, and a whole number of cache lines


@dataclass(frozen=True)
class Layer:
    name: str
    transposed: bool
    batch: int
    in_channels: int
    out_channels: int
    input: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    output_padding: tuple[int, ...]
    line: str  # as in the list

    @property
    def dimensions(self) -> int:
        return len(self.input)

    @cached_property
    def output(self) -> tuple[int, ...]:
        return tuple(self._output_size(d) for d in range(self.dimensions))

    def _output_size(self, d: int) -> int:
        reach = self.dilation[d] * (self.kernel[d] - 1) + 1
        if self.transposed:
            return (self.input[d] - 1) * self.stride[d] - 2 * self.padding[d] + reach + self.output_padding[d]
        return (self.input[d] + 2 * self.padding[d] - reach) // self.stride[d] + 1

    @cached_property
    def operations(self) -> int:
        """Two for each dense multiply-add: taps in padding count, inserted zeros do not."""
        positions = math.prod(self.input if self.transposed else self.output)
        per_position = self.in_channels * self.out_channels // self.groups * math.prod(self.kernel)
        return 2 * self.batch * positions * per_position

    @cached_property
    def useful_share(self) -> float:
        """The share of `operations` that no implementation can leave out: those inside the image."""
        return math.prod(self._useful_share(d) for d in range(self.dimensions))

    def _useful_share(self, d: int) -> float:
        # A transposed convolution writes where the other one reads.
        steps, reached = (self.input[d], self.output[d]) if self.transposed else (self.output[d], self.input[d])
        inside = 0
        for step in range(steps):
            for tap in range(self.kernel[d]):
                inside += 0 <= step * self.stride[d] - self.padding[d] + tap * self.dilation[d] < reached
        return inside / (steps * self.kernel[d])

    @cached_property
    def bytes(self) -> int:
        """Bytes that have to move when each is touched once: input, weights and output."""
        activations = self.in_channels * math.prod(self.input) + self.out_channels * math.prod(self.output)
        weights = self.in_channels * self.out_channels // self.groups * math.prod(self.kernel)
        return self.batch * activations + weights

    @cached_property
    def family(self) -> str:
        """What makes it fast or slow; the same for every list."""
        narrow = min(self.in_channels, self.out_channels) // self.groups < WIDE
        if self.groups > 1:
            return "depthwise" if self.groups == self.in_channels else "grouped"
        if self.transposed:
            return "transposed, narrow" if narrow else "transposed, wide"
        if self.in_channels == 1:
            return "1 input channel"
        if self.in_channels <= 4:
            return "2 to 4 input channels"
        if math.prod(self.kernel) == 1:
            return "1x1, narrow" if narrow else "1x1, wide"
        if narrow:
            return "narrow"
        return "dilated, wide" if max(self.dilation) > 1 else f"{self.dimensions}-D, wide"

    @property
    def is_wide(self) -> bool:
        """At least 64 channels on both sides of every group."""
        return min(self.in_channels, self.out_channels) // self.groups >= WIDE

    def problem(self) -> str:
        """As qconv writes a convolution."""
        kind = "conv_transpose" if self.transposed else "conv"
        fields = [f"{kind}{self.dimensions}d", f"n{self.batch}", f"c{self.in_channels}", f"k{self.out_channels}"]
        fields.append(f"g{self.groups}")
        sizes = {"i": self.input, "f": self.kernel, "s": self.stride, "p": self.padding, "d": self.dilation}
        if self.transposed:
            sizes["o"] = self.output_padding
        fields += [letter + "x".join(map(str, size)) for letter, size in sizes.items()]
        return " ".join(fields + ["w:channel"])


def parse_layer(row: dict[str, str]) -> Layer:
    def sizes(column: str) -> tuple[int, ...]:
        return tuple(int(size) for size in row[column].split("x"))

    return Layer(
        name=row["name"],
        transposed=row["kind"] == "convT",
        batch=int(row["N"]),
        in_channels=int(row["C"]),
        out_channels=int(row["K"]),
        input=sizes("in"),
        kernel=sizes("kernel"),
        stride=sizes("stride"),
        padding=sizes("pad"),
        dilation=sizes("dilation"),
        groups=int(row["groups"]),
        output_padding=sizes("output_padding"),
        line=",".join(row[column] for column in COLUMNS),
    )


def parse_line(line: str) -> Layer:
    return parse_layer(dict(zip(COLUMNS, line.split(","), strict=True)))


def read_layers(path: Path) -> list[Layer]:
    with path.open(newline="") as file:
        return [parse_layer(row) for row in csv.DictReader(file)]
