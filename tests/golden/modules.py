"""modules.json: from_float of whole modules, with the weights, parameters and outputs that PyTorch makes of them."""

import warnings

import numpy as np
import torch
import torch.ao.nn.intrinsic as nni
import torch.ao.nn.intrinsic.quantized as nniq
import torch.ao.nn.quantized as nnq
import torch.ao.quantization as tq

import numerics_model as model

GEOMETRIES = {
    # kernel, stride, padding, dilation, output_padding, groups, bias, padding_mode
    1: [
        (3, 1, 1, 1, 0, 1, True, "zeros"), (4, 2, 2, 1, 1, 2, False, "zeros"), (2, 1, 0, 3, 0, 1, True, "zeros"),
        (3, 2, 2, 1, 0, 2, True, "reflect"),
    ],
    2: [
        ((3, 3), (1, 1), (1, 1), (1, 1), (0, 0), 1, True, "zeros"),
        ((3, 2), (2, 1), (1, 0), (1, 2), (1, 0), 2, False, "zeros"),
        ((1, 1), (1, 1), (0, 0), (1, 1), (0, 0), 1, True, "zeros"),
        ((3, 3), (1, 2), (2, 1), (1, 1), (0, 0), 2, True, "reflect"),
    ],
    3: [
        ((2, 3, 1), (1, 2, 1), (0, 1, 0), (1, 1, 1), (0, 1, 0), 2, True, "zeros"),
        ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), 1, False, "zeros"),
    ],
}
SPATIAL = {1: (11,), 2: (6, 7), 3: (4, 5, 3)}
CHANNELS = (4, 6)
QCONFIGS = {
    "default_qconfig": tq.default_qconfig,
    "fbgemm": tq.get_default_qconfig("fbgemm"),
    "qnnpack": tq.get_default_qconfig("qnnpack"),
}


def _float_module(dims, transposed, geometry):
    kernel, stride, padding, dilation, output_padding, groups, bias, padding_mode = geometry
    arguments = dict(
        stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias, padding_mode=padding_mode
    )
    if transposed:
        arguments["output_padding"] = output_padding
    name = f"Conv{'Transpose' if transposed else ''}{dims}d"
    return name, getattr(torch.nn, name)(*CHANNELS, kernel, **arguments)


def _variants(dims):
    """(quantized class, transposed, fused, qconfig name, geometry) of every case."""
    for geometry in GEOMETRIES[dims]:
        reflect = geometry[-1] == "reflect"
        for name in QCONFIGS:
            yield getattr(nnq, f"Conv{dims}d"), False, False, name, geometry
            if name != "default_qconfig" or reflect:
                yield getattr(nniq, f"ConvReLU{dims}d"), False, True, name, geometry
            if name != "fbgemm" and not reflect:  # per-channel weights are refused for transposed convolutions
                yield getattr(nnq, f"ConvTranspose{dims}d"), True, False, name, geometry


def _list(value):
    return list(value) if isinstance(value, tuple) else [value]


def _reflect_padded(x, padding):
    return np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding], mode="reflect")


def module_case(rng, blob, dims, quantized_class, transposed, fused, qconfig_name, geometry):
    """One record of modules.json; the output is checked against the FBGEMM model."""
    name, conv = _float_module(dims, transposed, geometry)
    float_module = getattr(nni, f"ConvReLU{dims}d")(conv, torch.nn.ReLU()) if fused else conv
    float_module.eval()
    conv.qconfig = float_module.qconfig = QCONFIGS[qconfig_name]
    float_module.activation_post_process = float_module.qconfig.activation()
    batches = [rng.normal(0.2, 1.0, (2, CHANNELS[0], *SPATIAL[dims])).astype(np.float32) for _ in range(2)]
    observed = []
    input_observer = tq.MinMaxObserver()
    with torch.no_grad():
        for batch in batches:
            input_observer(torch.from_numpy(batch))
            output = float_module(torch.from_numpy(batch)).contiguous()
            observed.append(output.numpy())
            float_module.activation_post_process(output)
    module = quantized_class.from_float(float_module)
    scale, zero_point = (v.item() for v in input_observer.calculate_qparams())
    x = batches[0][:1]
    qx = torch.quantize_per_tensor(torch.from_numpy(x), scale, zero_point, torch.quint8)
    y = module(qx).int_repr().contiguous().numpy()

    weight = module.weight()
    per_channel = weight.qscheme() == torch.per_channel_affine
    dilation, stride, padding = (_list(geometry[i]) for i in (3, 1, 2))
    record = {
        "class": quantized_class.__module__.split(".")[3] + "." + quantized_class.__name__
        if fused else "quantized." + quantized_class.__name__,
        "float_class": f"ConvReLU{dims}d" if fused else name, "qconfig": qconfig_name,
        "in_channels": CHANNELS[0], "out_channels": CHANNELS[1], "kernel": _list(geometry[0]), "stride": stride,
        "padding": padding, "dilation": dilation, "output_padding": _list(geometry[4]) if transposed else [0] * dims,
        "groups": geometry[5], "bias": geometry[6], "padding_mode": geometry[7],
        "weight": blob.add(conv.weight.detach().numpy()), "observed": [blob.add(o) for o in observed],
        "q_weight": blob.add(weight.int_repr().contiguous().numpy()),
        "w_scales": [float(s) for s in weight.q_per_channel_scales()] if per_channel else [weight.q_scale()],
        "w_zero_points":
            [int(z) for z in weight.q_per_channel_zero_points()] if per_channel else [weight.q_zero_point()],
        "w_axis": weight.q_per_channel_axis() if per_channel else None,
        "y_scale": float(module.scale), "y_zero_point": int(module.zero_point),
        "name": module._get_name(), "extra_repr": module.extra_repr(),
        "x_float": blob.add(x), "x_scale": scale, "x_zero_point": zero_point,
        "x": blob.add(qx.int_repr().numpy()), "y": blob.add(y),
    }
    if geometry[6]:
        record["b"] = blob.add(conv.bias.detach().numpy())

    qx_ints = qx.int_repr().numpy()
    case = dict(record, engine="fbgemm", op="conv_transpose" if transposed else "conv", relu=fused)
    if record["padding_mode"] == "reflect":
        qx_ints, case["padding"] = _reflect_padded(qx_ints, padding), [0] * dims
    bias = conv.bias.detach().numpy() if geometry[6] else None
    expected = model.convolve(case, qx_ints, weight.int_repr().contiguous().numpy(), bias)
    assert np.array_equal(expected, y), record
    return record


def modules_document(seed, blob):
    """Content of modules.json."""
    torch.manual_seed(seed)
    torch.backends.quantized.engine = "fbgemm"
    rng = np.random.default_rng([seed, 79])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            module_case(rng, blob, dims, *variant) for dims in GEOMETRIES for variant in _variants(dims)
        ]
