#!/usr/bin/env python3
"""Tests of bench/: layers, ratios, tables, the document's markers and the line protocol. Nothing is timed."""

import dataclasses
import itertools
import math
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import contenders  # noqa: E402  (the folder is known only now)
import report  # noqa: E402
import results  # noqa: E402
import roofline  # noqa: E402
from layers import COLUMNS, Layer, parse_line, read_layers  # noqa: E402

WIDE = "a.64_64_3x3,conv,2,1,64,64,8x8,3x3,1x1,1x1,1x1,1,0x0"
DEPTHWISE = "b.dw,conv,2,1,32,64,9x9,3x3,2x2,0x0,1x1,32,0x0"
TRANSPOSED = "c.up,convT,1,1,100,80,10,4,2,1,1,1,1"
PEAKS = {
    1: {"gops": 100.0, "l1_gbs": 50.0, "l2_gbs": 25.0, "memory_gbs": 5.0},
    2: {"gops": 200.0, "l1_gbs": 99.0, "l2_gbs": 50.0, "memory_gbs": 6.0},
}
MACHINE = {"processor": "a processor", "date": "2026-01-02"}


def row(contender: str, name: str, us: float, threads: int = 1, reason: str = "", version: str = "1.0") -> results.Row:
    return results.Row(contender, version, "avx2", threads, name, "kernel", 2.0 * us, 1.0 * us, 50.0, 0.5, reason)


class Roofline(unittest.TestCase):
    # At 256 operations a cycle these are a cycle for each nanosecond; nothing waits for the caches.
    PEAK = 256.0
    FAST_CACHE = 1e9

    def cycles_of_a_vector(self, line: str) -> float:
        layer = parse_line(line)
        return 1e3 * roofline.floor_us(layer, self.PEAK, self.FAST_CACHE) / roofline.vectors(layer)

    def test_products_and_scaling_share_two_units(self) -> None:
        # 256 channels are 64 dot products.
        self.assertAlmostEqual(self.cycles_of_a_vector("x,conv,1,1,256,64,99,1,1,0,1,1,0"), (64 + 2) / 2)
        # With one of them, all four units are busy.
        self.assertAlmostEqual(self.cycles_of_a_vector("x,conv,1,1,4,64,99,1,1,0,1,1,0"), (1 + 2 + 3.25) / 4)

    def test_winograd_counts_where_it_is_less(self) -> None:
        same = "x,conv,2,1,64,64,34x34,3x3,{0},0x0,1x1,1,0x0"
        self.assertAlmostEqual(self.cycles_of_a_vector(same.format("1x1")), (36 / 16 * 32 + 2) / 2)
        self.assertAlmostEqual(self.cycles_of_a_vector(same.format("2x2")), (9 * 16 + 2) / 2)

    def test_depthwise_shares_columns_between_rows(self) -> None:
        # Three dot products, and eight shuffles for four vectors of two rows.
        stride_1 = "x,conv,2,1,64,64,34x34,3x3,1x1,0x0,1x1,64,0x0"
        self.assertAlmostEqual(self.cycles_of_a_vector(stride_1), (3 + 2) / 2)
        stride_2 = "x,conv,2,1,64,64,35x35,3x3,2x2,0x0,1x1,64,0x0"
        self.assertAlmostEqual(self.cycles_of_a_vector(stride_2), (3 + 4 + 2 + 3.25) / 4)

    def test_narrow_groups_shuffle_for_every_product(self) -> None:
        grouped = "x,conv,1,1,64,64,99,1,1,0,1,16,0"
        self.assertAlmostEqual(self.cycles_of_a_vector(grouped), (1 + 1 + 2 + 3.25) / 4)

    def test_large_layers_wait_for_the_cache(self) -> None:
        layer = parse_line("x,conv,1,1,4,64,9999,1,1,0,1,1,0")
        self.assertAlmostEqual(roofline.floor_us(layer, 1e9, 10.0), layer.bytes / 1e4)

    def test_tables_are_of_kernels_for_avx512_alone(self) -> None:
        layers = [parse_line(WIDE)]
        rows = [row("qconv", layers[0].name, 10.0), row("peer", layers[0].name, 12.0)]
        self.assertNotIn("What the instructions allow", report.section(layers, rows, MACHINE, PEAKS))
        rows = [dataclasses.replace(some, isa="avx512vnni") for some in rows]
        self.assertIn("What the instructions allow", report.section(layers, rows, MACHINE, PEAKS))


class Layers(unittest.TestCase):
    def test_sizes_follow_from_the_line(self) -> None:
        layer = parse_line(WIDE)
        self.assertEqual(layer.output, (8, 8))
        self.assertEqual(layer.operations, 2 * 64 * 64 * 64 * 9)
        self.assertEqual(layer.bytes, 64 * 64 + 64 * 64 + 64 * 64 * 9)
        self.assertEqual(parse_line(DEPTHWISE).output, (4, 4))
        self.assertEqual(parse_line(TRANSPOSED).output, (21,))

    def test_transposed_operations_are_those_of_each_input(self) -> None:
        self.assertEqual(parse_line(TRANSPOSED).operations, 2 * 10 * 100 * 80 * 4)

    def test_useful_share_leaves_padding_out(self) -> None:
        # Along one dimension of 8, two outputs miss one of three taps.
        self.assertAlmostEqual(parse_line(WIDE).useful_share, (22 / 24) ** 2)
        self.assertEqual(parse_line(DEPTHWISE).useful_share, 1)
        # The first input's first tap falls off the left end, nothing off the right: 21 outputs, 10 * 2 + 3 - 2 = 21.
        self.assertAlmostEqual(parse_line(TRANSPOSED).useful_share, 39 / 40)

    def test_problem_is_as_qconv_writes_it(self) -> None:
        self.assertEqual(parse_line(WIDE).problem(), "conv2d n1 c64 k64 g1 i8x8 f3x3 s1x1 p1x1 d1x1 w:channel")
        self.assertEqual(
            parse_line(TRANSPOSED).problem(), "conv_transpose1d n1 c100 k80 g1 i10 f4 s2 p1 d1 o1 w:channel"
        )

    def test_families(self) -> None:
        def family(kind: str, channels: str, kernel: str, dilation: str = "1", groups: int = 1) -> str:
            return parse_line(f"x,{kind},1,1,{channels},99,{kernel},1,0,{dilation},{groups},0").family

        self.assertEqual(family("conv", "64,64", "3"), "1-D, wide")
        self.assertEqual(family("conv", "64,63", "3"), "narrow")
        self.assertEqual(family("conv", "64,64", "3", dilation="2"), "dilated, wide")
        self.assertEqual(family("conv", "64,64", "1"), "1x1, wide")
        self.assertEqual(family("conv", "64,3", "1"), "1x1, narrow")
        self.assertEqual(family("conv", "1,64", "3"), "1 input channel")
        self.assertEqual(family("conv", "3,64", "3"), "2 to 4 input channels")
        self.assertEqual(family("conv", "64,64", "3", groups=4), "grouped")
        self.assertEqual(family("conv", "64,128", "3", groups=64), "depthwise")
        self.assertEqual(family("convT", "64,64", "3", groups=64), "depthwise")
        self.assertEqual(family("convT", "64,64", "3"), "transposed, wide")
        self.assertEqual(family("convT", "64,1", "3"), "transposed, narrow")

    def test_lists_of_the_repository(self) -> None:
        first, second = (read_layers(ROOT / "bench" / name) for name in ("layers.csv", "layers2.csv"))
        for layers in (first, second):
            self.assertEqual(len({layer.name for layer in layers}), len(layers))
            self.assertTrue(all(min(layer.output) > 0 and 0 < layer.useful_share <= 1 for layer in layers))
        self.assertGreater(len(first), 70)
        self.assertGreater(len(second), 36)
        sizes = [{layer.line.partition(",")[2] for layer in layers} for layers in (first, second)]
        self.assertFalse(sizes[0] & sizes[1], "the second list repeats the first")
        self.assertLessEqual({layer.family for layer in first}, {layer.family for layer in second})

    def test_columns_are_all_needed(self) -> None:
        self.assertEqual(len(COLUMNS), len(WIDE.split(",")))
        with self.assertRaises(ValueError):
            parse_line("a,conv,2")


class Results(unittest.TestCase):
    layers: list[Layer] = [parse_line(WIDE), parse_line(DEPTHWISE)]

    def test_geometric_mean(self) -> None:
        self.assertAlmostEqual(results.geometric_mean([1, 4]), 2)
        self.assertAlmostEqual(results.geometric_mean([0.5, 2, 8]), 2)
        self.assertTrue(math.isnan(results.geometric_mean([])))

    def test_ratio_is_to_the_fastest_peer(self) -> None:
        name = self.layers[0].name
        rows = [row("slow", name, 40), row("qconv", name, 10), row("fast", name, 15), row("other", name, 1, threads=2)]
        (comparison,) = results.compare(self.layers, rows, threads=1)
        self.assertEqual(comparison.best.contender, "fast")
        self.assertAlmostEqual(comparison.ratio, 1.5)
        self.assertEqual([peer.contender for peer in comparison.peers], ["fast", "slow"])

    def test_only_layers_that_both_ran_count(self) -> None:
        first, second = (layer.name for layer in self.layers)
        rows = [row("qconv", first, 10), row("peer", first, 5, reason="cannot"), row("qconv", second, 3)]
        self.assertEqual(results.compare(self.layers, rows, threads=1), [])

    def test_rows_survive_their_file(self) -> None:
        rows = [row("qconv", "a", 1.5), row("peer", "a", 0, reason="no, because of a comma")]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            results.write_rows(path, rows)
            self.assertEqual(results.read_rows(path), rows)

    def test_new_rows_replace_old_ones(self) -> None:
        old = [row("qconv", "a", 2), row("qconv", "b", 3), row("peer", "a", 9, version="1")]
        new = [row("qconv", "a", 1), row("peer", "a", 8, version="2")]
        self.assertEqual([r.min_us for r in results.merged(old, new)], [1, 3, 9, 8])

    def test_fallbacks_have_no_time(self) -> None:
        slow = results.without_fallbacks([row("oneDNN", "a", 2e6), row("qconv", "a", 2e6), row("oneDNN", "b", 9e5)])
        self.assertEqual([bool(r.reason) for r in slow], [True, False, False])

    def test_shares_are_of_the_best_peak(self) -> None:
        rows = [row("qconv", "a.64_64_3x3", 1), row("qconv", "no longer in the list", 1)]
        (rescaled,) = results.with_peaks(rows, self.layers, PEAKS)
        self.assertAlmostEqual(rescaled.of_peak, 50 / 100 * (22 / 24) ** 2)


class Report(unittest.TestCase):
    layers = [parse_line(WIDE), parse_line(DEPTHWISE)]

    def rows(self) -> list[results.Row]:
        first, second = (layer.name for layer in self.layers)
        return [
            row("qconv", first, 10),
            row("peer", first, 20),
            row("other", first, 40),
            row("qconv", second, 10),
            row("peer", second, 5),
            row("other", second, 0, reason="not supported"),
            row("qconv", first, 6, threads=2),
            row("peer", first, 3, threads=2),
        ]

    def test_numbers_have_three_digits(self) -> None:
        self.assertEqual([report.number(n) for n in (1234.5, 123.4, 12.34, 1.234)], ["1234", "123", "12.3", "1.23"])
        self.assertEqual([report.percent(p) for p in (0.954, 0.0123)], ["95%", "1.2%"])

    def test_table(self) -> None:
        expected = "| a | b |\n|---|---:|\n| x | 1 |"
        self.assertEqual(report.table(["a", "b"], [["x", "1"]]), expected)

    def test_section(self) -> None:
        text = report.section(self.layers, self.rows(), MACHINE, PEAKS, [("bars", "images/x.svg")])
        self.assertIn("| processor | a processor |", text)
        self.assertIn("1 thread: **1.00x** the fastest peer of each layer (geometric mean of 2 layers)", text)
        self.assertIn("at least as fast on 1, under 0.95x on 1, 0.50x at worst and 2.00x at best", text)
        self.assertIn("2 threads: **0.50x**", text)
        self.assertIn("![bars](images/x.svg)", text)
        self.assertIn("- other 1.0 does not run b.dw: not supported", text)
        self.assertIn("| 2-D, wide | 1 | 50.0 | 50% | 50% | 2.00x | 2.00x | 50.0 | 50% | 50% | 0.50x | 0.50x |", text)
        self.assertIn("| depthwise | 1 | 50.0 | 50% | 50% | 0.50x | 0.50x | - | - | - | - | - |", text)
        self.assertIn("| other 1.0 | 1 | 4.00x | 4.00x | 0 | - | - |", text)
        worst = text.partition("**Lowest ratios, 1 thread**")[2]
        self.assertLess(worst.index("| b.dw |"), worst.index("| a.64_64_3x3 |"))
        self.assertEqual(text.count("<details>"), text.count("</details>"))

    def test_section_without_anything_to_compare(self) -> None:
        self.assertIn("No layer", report.section(self.layers, self.rows()[:1], MACHINE, PEAKS))

    def test_every_table_is_rectangular(self) -> None:
        lines = report.section(self.layers, self.rows(), MACHINE, PEAKS).splitlines()
        for above, below in itertools.pairwise(lines):
            if above.startswith("|") and below.startswith("|"):
                self.assertEqual(above.count("|"), below.count("|"), above + "\n" + below)

    def test_hand_written_text_survives(self) -> None:
        begin, end = "<!-- begin layers: written by scripts/bench -->", "<!-- end layers -->"
        document = f"# Title\n\nby hand\n\n{begin}\nold\n{end}\n\nmore \\1 by hand\n"
        once = report.replaced_section(document, "layers", "new \\1 text\n")
        self.assertEqual(once, f"# Title\n\nby hand\n\n{begin}\n\nnew \\1 text\n\n{end}\n\nmore \\1 by hand\n")
        self.assertEqual(report.replaced_section(once, "layers", "new \\1 text"), once)
        with self.assertRaises(report.MarkersMissing):
            report.replaced_section(document, "layers2", "text")
        with self.assertRaises(report.MarkersMissing):
            report.replaced_section(document + document, "layers", "text")

    def test_the_document_has_every_section(self) -> None:
        document = (ROOT / "docs" / "performance.md").read_text()
        for key in ("layers", "layers2", "layers-avx2"):
            self.assertIn("text of the test", report.replaced_section(document, key, "text of the test"))


class Protocol(unittest.TestCase):
    def worker(self, program: str) -> contenders.Worker:
        worker = contenders.Worker("peer", [sys.executable, "-c", program], {})
        self.addCleanup(worker.close)
        return worker

    def test_answers(self) -> None:
        self.assertEqual(contenders.parse_answer("ok jit:avx2 2.5 1.25"), contenders.Answer("jit:avx2", 2.5, 1.25))
        self.assertEqual(contenders.parse_answer("no such layer").reason, "such layer")
        self.assertIn("unexpected", contenders.parse_answer("hello").reason)

    def test_the_faster_answer_counts(self) -> None:
        fast, slow = (contenders.Answer("k", 2, us) for us in (1.0, 2.0))
        none = contenders.Answer(reason="no")
        self.assertEqual(slow.or_faster(fast), fast)
        self.assertEqual(fast.or_faster(slow), fast)
        self.assertEqual(fast.or_faster(none), fast)
        self.assertEqual(none.or_faster(fast), fast)
        self.assertEqual(none.or_faster(None), none)

    def test_a_worker_answers_line_by_line(self) -> None:
        worker = self.worker(
            "import sys\nprint('1.2.3', flush=True)\n"
            "for line in sys.stdin: print('ok', line.split(',')[0], 2, 1, flush=True)"
        )
        self.assertEqual(worker.version, "1.2.3")
        for line in (WIDE, DEPTHWISE):
            layer = parse_line(line)
            self.assertEqual(worker.measure(layer), contenders.Answer(layer.name, 2, 1))

    def test_a_worker_that_ends_is_started_again(self) -> None:
        worker = self.worker("import sys\nprint('1', flush=True)\nsys.stdin.readline()\nsys.exit('out of luck')")
        for _ in range(2):
            self.assertEqual(worker.measure(parse_line(WIDE)).reason, "ended: out of luck")

    def test_a_worker_that_does_not_start_says_why(self) -> None:
        with self.assertRaisesRegex(contenders.Unavailable, "No module named"):
            self.worker("import a_module_that_is_not_there")
        with self.assertRaises(contenders.Unavailable):
            contenders.Worker("peer", ["/there/is/no/such/program"], {})


if __name__ == "__main__":
    unittest.main()
