"""The parity suite itself: that it covers what it says, finds what differs, and survives what PyTorch does not."""

import collections
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import qconv

parity = pytest.importorskip("parity", reason="needs python/ in PYTHONPATH: scripts/parity")
from parity import convolution, numbers, runner, tensors  # noqa: E402
from parity.report import Report, Result  # noqa: E402


def drawn(kind, count):
    return [runner.draw(kind, 5, number) for number in range(count)]


@pytest.mark.parametrize("kind", runner.KINDS)
def test_lines(kind):
    for number, case in enumerate(drawn(kind, 200)):
        assert runner.parse(case.line()) == case == runner.draw(kind, 5, number)
        assert "\n" not in case.line()


@pytest.mark.parametrize("line", ["sum seed=1", "operator seed=1 colour=red", "operator seed", "quantize seed=x"])
def test_lines_of_no_case(line):
    with pytest.raises(ValueError):
        runner.parse(line)


def test_shares():
    kinds = list(runner.KINDS)
    planned = list(runner.plan(1000, kinds))
    total = sum(share for _, share in runner.KINDS.values())
    counts = collections.Counter(kind for kind, _ in planned)
    for kind, (_, share) in runner.KINDS.items():
        assert abs(counts[kind] - 1000 * share / total) <= 1
        assert [number for k, number in planned if k == kind] == list(range(counts[kind]))


def test_coverage():
    features = collections.Counter()
    for case in drawn("operator", 2500):
        features.update(case.features())
        # What engines refuse or get wrong is not drawn.
        assert min(case.output_spatial) >= 1
        assert not (case.transposed and convolution.runs_on_onednn(case))
        assert not (case.transposed and case.per_channel and case.engine != "qnnpack")
    expected = [
        *convolution.OPERATORS, "fbgemm", "qnnpack", "x86", "onednn",
        *(f"numbers {name}" for name in convolution.FLAVOURS), *(f"memory {name}" for name in convolution.MEMORY),
        "weight per channel", "weight per tensor", "weight zero points", "bias", "stride", "padding", "dilation",
        "output padding", "groups", "depthwise", "empty batch", "weight in another memory order", "torch.ops switched",
    ]
    rare = {name: features[name] for name in expected if features[name] < 25}
    assert not rare


def steps(case):
    """Outputs of a case in units of the output's scale, before rounding, without bias."""
    n = numbers.draw_numbers(case)
    view = [1, -1] + [1] * case.ndim
    return n, n.acc * (n.x_scale * np.resize(n.w_scales, case.k) / n.y_scale).reshape(view)


def test_ties_and_big_sums():
    found = collections.Counter()
    for case in drawn("operator", 1500):
        n, unrounded = steps(case)
        if case.numbers == "odd_ties":
            halves = int((np.abs(unrounded - np.floor(unrounded)) == 0.5).sum())
            found["cases with ties"] += halves > 0
            found["odd zero points"] += halves > 0 and n.y_zero_point % 2
        if case.numbers == "near_ties" and case.bias:
            found["next to ties"] += bool(numbers.next_to_ties(case, n).any())
        found["sums beyond 2^24"] += bool(np.abs(n.acc).max(initial=0) > 2**24)
        found["clamped"] += bool((unrounded + n.y_zero_point > 255).any())
        if case.may_saturate():
            found["seven bits"] += 1
            assert n.x.max(initial=0) < 128 and n.x_zero_point < 128
    assert min(found.values()) >= 20, found


def test_results():
    result = Result()
    result.equal("same", np.float32([0.0, np.nan]), np.float32([0.0, np.nan]))
    result.near("near", np.uint8([3, 9]), np.uint8([4, 9]))
    assert not result.problems and (result.values, result.near_ties) == (4, 1)
    result.equal("sign", np.float32(0.0), np.float32(-0.0))
    result.equal("type", np.uint8([1]), np.int8([1]))
    result.near("far", np.uint8([3]), np.uint8([5]))
    result.near("elsewhere", np.uint8([3, 3]), np.uint8([3, 4]), np.array([True, False]))
    assert len(result.problems) == 4
    report = Report()
    report.add(drawn("operator", 1)[0], result)
    assert report.failed == 1 and report.as_dict()["failures"][0]["problems"] == result.problems
    assert list(report.lines())[2].split()[-4:] == [f"{result.values:,}", "1", f"{result.different}", "1"]


LINES = [
    "operator seed=1 op=conv2d c=3 k=4 i=5x6 f=3x3 s=1x1 p=1x1 d=1x1 o=0x0 bias=1 switched=1",
    "dynamic seed=1 op=conv_transpose1d c=3 k=4 i=5 f=3 s=1 p=1 d=1 o=0",
    "module seed=1 op=conv3d c=2 k=4 i=5x6x3 f=3x3x1 s=1x1x1 p=1x1x1 d=1x1x1 o=0x0x0 family=relu",
    "quantize seed=1 sizes=4x5",
]


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_byte_is_found(line, monkeypatch):
    case = runner.parse(line)
    assert not runner.run_case(case).problems
    to_torch = qconv.to_torch

    def wrong(tensor):
        y = to_torch(tensor)
        if not y.is_quantized:
            return y + 1
        integers = y.int_repr()
        integers.view(-1)[-1] ^= 1
        return tensors.quantized(integers, [y.q_scale()], [y.q_zero_point()])

    monkeypatch.setattr(qconv, "to_torch", wrong)
    assert runner.run_case(case).problems


def _dies(connection, seed, share):
    """A worker that PyTorch brings down in its third case."""
    for index, (kind, number) in enumerate(share.cases(), share.done):
        connection.send(runner.draw(kind, seed, number))
        if index == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        connection.send(Result())


def test_a_death_is_one_failure(monkeypatch):
    monkeypatch.setattr(runner, "_work", _dies)
    failures = []
    report = runner.run(5, 1, ["quantize"], 1, lambda *failure: failures.append(failure))
    assert report.cases == 5 and report.failed == 1
    assert failures == [(runner.draw("quantize", 1, 2).line(), ["the process died with SIGSEGV"])]


def run_program(*arguments):
    return subprocess.run([sys.executable, "-m", "parity", *arguments], capture_output=True, text=True, check=False)


def test_program():
    done = run_program("--count", "20", "--only", "quantize,observer", "--jobs", "1")
    assert done.returncode == 0 and not done.stderr
    assert "20 cases in" in done.stdout.splitlines()[-1] and "0 differ" in done.stdout
    done = run_program("--case", drawn("preset", 1)[0].line())
    assert done.returncode == 0 and done.stdout.endswith("values compared, 0 differ\n")
    assert "no kind 'sum'" in run_program("--only", "sum").stderr
    assert run_program("--case", "sum seed=1").returncode == 1
