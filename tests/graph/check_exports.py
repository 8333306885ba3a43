"""Check that others accept what qconv writes: the ONNX checker and onnxruntime, over the models of this folder.

    /path/to/python tests/graph/check_exports.py build/dev/src/cli/qconv      (needs numpy, onnx, onnxruntime)

Each float model with one input is quantized by the program, checked by onnx.checker, and run by onnxruntime without and
with its optimizations. Its outputs must lie within one unit of the output's scale of qconv's. Prints a line for each
model that fails, then how many passed; exits with 1 when one failed. Not part of `make test`, which needs no Python and
asks the checker of the C++ library alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).resolve().parent / "models"
NOT_BATCHED = {"gemm_10"}  # its input is transposed: the first dimension is no batch


def output_step(model: onnx.ModelProto, output: str) -> float:
    """The scale of the DequantizeLinear that gives the output, or 0 when that is computed in float."""
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] == output:
            return float(constants[node.input[1]])
    return 0.0


def problems(program: str, model: Path, folder: Path) -> list[str] | None:
    """What is wrong, or None when the model has nothing to quantize."""
    data, source, quantized, result = (folder / n for n in ("input.npy", "float.onnx", "int8.onnx", "output.npz"))
    inputs = np.load(model.with_suffix(".npz"))
    np.save(data, inputs["in0"])
    proto = onnx.load(model)
    # Calibration takes one sample at a time.
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(proto, source)
    made = subprocess.run([program, "quantize", source, "--calibrate", data, "--observer", "minmax", "-o", quantized],
                          capture_output=True, text=True)
    if made.returncode != 0:
        return None if "can be quantized" in made.stderr else [made.stderr.strip()]
    subprocess.run([program, "run", quantized, data, "-o", result], check=True, capture_output=True)
    expected = np.load(result)
    proto = onnx.load(quantized)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        return [f"the checker says: {str(error).splitlines()[0]}"]
    names = [output.name for output in proto.graph.output]
    found = []
    for level in (onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(quantized), options, providers=["CPUExecutionProvider"])
        results = session.run(names, {session.get_inputs()[0].name: inputs["in0"]})
        for name, actual in zip(names, results):
            step = output_step(proto, name)
            worst = np.abs(actual - expected[name]).max(initial=0)
            if not worst <= (1.01 * step if step else 0.02):
                found.append(f"onnxruntime ({level.name}) differs by {worst:.3g} in {name}, a unit is {step:.3g}")
    return found


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    passed = failed = 0
    for model in sorted(HERE.glob("*.onnx")):
        if model.stem.startswith(("qdq_", "qlinear_")) or model.stem in NOT_BATCHED:
            continue
        if len(onnx.load(model).graph.input) != 1:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = problems(sys.argv[1], model, Path(folder))
        if found is None:
            continue
        for problem in found:
            print(f"{model.stem}: {problem}")
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} models passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
