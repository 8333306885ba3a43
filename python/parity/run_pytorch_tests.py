"""Runs PyTorch's own tests of quantized convolutions, with PyTorch's kernels and with qconv's.

    python -m parity.run_pytorch_tests PYTORCH/test [--match TEXT]

PYTORCH is a checkout of PyTorch's sources, 2.1 or later; nothing of it is kept here. The tests need hypothesis and
expecttest. Exit status 1 when a test passes with PyTorch's kernels and fails with qconv's.
"""

import argparse
import contextlib
import importlib
import os
import re
import sys
import time
import unittest
import warnings

# What is run: module, class, and what the names of its tests look like.
SELECTED = (
    ("test_quantized_op", "TestQuantizedConv", r"conv(?!.*cudnn)"),
    ("test_quantized_op", "TestDynamicQuantizedOps", r"conv"),
    ("test_quantized_module", "TestStaticQuantizedModule", r"conv"),
    ("test_quantized_module", "TestDynamicQuantizedModule", r"conv"),
)


def _make_older_tests_run():
    """Gives tests of older versions what PyTorch has dropped since."""
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # they load whole modules, which are their own
    from torch.testing._internal import common_utils

    if not hasattr(common_utils, "BUILD_WITH_CAFFE2"):
        common_utils.BUILD_WITH_CAFFE2 = False


def _tests(folder, match):
    """(name, TestCase) of every selected test."""
    sys.path[:0] = [folder, os.path.join(folder, "quantization", "core")]
    for module, class_name, pattern in SELECTED:
        test_class = getattr(importlib.import_module(f"quantization.core.{module}"), class_name)
        for name in unittest.defaultTestLoader.getTestCaseNames(test_class):
            if re.search(pattern, name) and match in name:
                yield f"{class_name}.{name}", test_class(name)


def _outcome(test):
    """(passed, skipped or failed; first line of the reason)"""
    result = unittest.TestResult()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test.run(result)
    if result.skipped:
        return "skipped", result.skipped[0][1]
    if result.wasSuccessful():
        return "passed", ""
    traceback = (result.failures + result.errors)[0][1]
    lines = [line for line in traceback.splitlines() if re.match(r"[A-Za-z_][\w.]*: ", line)]
    return "failed", lines[-1] if lines else "?"


def main():
    parser = argparse.ArgumentParser(prog="parity.run_pytorch_tests", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the folder test of a checkout of PyTorch")
    parser.add_argument("--match", default="", help="only tests whose name has this in it")
    arguments = parser.parse_args()
    if not os.path.isdir(os.path.join(arguments.folder, "quantization", "core")):
        sys.exit(f"run_pytorch_tests: {arguments.folder!r} has no folder quantization/core")

    _make_older_tests_run()
    import torch

    import qconv.torch

    worse = 0
    print(f"torch {torch.__version__}, qconv {qconv.__version__}")
    for name, test in _tests(arguments.folder, arguments.match):
        outcomes = []
        for switch in (contextlib.nullcontext, qconv.torch.kernels):
            start = time.monotonic()
            with switch():
                outcomes.append((*_outcome(test), time.monotonic() - start))
        (plain, why_plain, _), (ours, why_ours, seconds) = outcomes
        worse += plain == "passed" and ours != "passed"
        reason = why_ours if ours != "passed" else why_plain
        print(f"{name:70} PyTorch {plain:8} qconv {ours:8} {seconds:5.1f} s  {reason}".rstrip(), flush=True)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
