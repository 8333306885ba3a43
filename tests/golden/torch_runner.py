"""Runs a case of the corpus with real PyTorch operators. Every call packs the weights anew (QNNPACK caches scales)."""

import torch


def quantized_weight(case, w):
    """qint8 weight tensor from raw integers."""
    if case["w_axis"] is None:
        return torch._make_per_tensor_quantized_tensor(
            torch.from_numpy(w), case["w_scales"][0], case["w_zero_points"][0]
        )
    return torch._make_per_channel_quantized_tensor(
        torch.from_numpy(w),
        torch.tensor(case["w_scales"], dtype=torch.float64),
        torch.tensor(case["w_zero_points"]),
        case["w_axis"],
    )


def pack(case, w, bias):
    """Packed parameters of a case."""
    torch.backends.quantized.engine = case["engine"]
    prepack = getattr(torch.ops.quantized, case["op"] + "_prepack")
    b = None if bias is None else torch.from_numpy(bias)
    geometry = [case["stride"], case["padding"]]
    if "transpose" in case["op"]:
        geometry.append(case["output_padding"])
    return prepack(quantized_weight(case, w), b, *geometry, case["dilation"], case["groups"])


def run_static(case, x, w, bias):
    """Raw uint8 output of a static case, in N, C, spatial order."""
    packed = pack(case, w, bias)
    qx = torch._make_per_tensor_quantized_tensor(torch.from_numpy(x), case["x_scale"], case["x_zero_point"])
    operator = getattr(torch.ops.quantized, case["op"] + ("_relu" if case["relu"] else ""))
    return operator(qx, packed, case["y_scale"], case["y_zero_point"]).int_repr().contiguous().numpy()


def run_dynamic(case, x, w, bias):
    """float32 output of a dynamic case."""
    packed = pack(case, w, bias)
    operator = getattr(torch.ops.quantized, case["op"] + "_dynamic")
    return operator(torch.from_numpy(x), packed, case["reduce_range"]).contiguous().numpy()
