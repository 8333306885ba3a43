#!/usr/bin/env python3
"""Makes tests/io/torch: small files that PyTorch wrote, and expected.json, what PyTorch itself says is in them.

Run with PyTorch installed (expected.json says which version made what is committed); the tests need only the files.
PyTorch 1.13, such as Debian 12's python3-torch, makes tests/io/torch1 instead. What today's PyTorch no longer writes is made from what it does write: the class paths and the
record order of older versions by rewriting the archive, packed parameters of versions 1 and 3 as plain tuples,
which is what their __setstate__ takes, and big-endian files by swapping the bytes of the storages. Networks that
prepare made cannot be pickled with the qconfig that it leaves in them, so they are saved without.
"""

import io
import json
import pathlib
import warnings
import zipfile
from collections import Counter, OrderedDict
from unittest import mock

import torch
import torch.ao.nn.quantized as nnq
import torch.ao.nn.quantized.dynamic as nnqd
from torch import nn

try:
    import torch.ao.nn.intrinsic.quantized as nniq
except ModuleNotFoundError:  # before PyTorch 2
    import torch.nn.intrinsic.quantized as nniq

OLD = torch.__version__.startswith("1.")
OUT = pathlib.Path(__file__).parent / ("torch1" if OLD else "torch")
EXPECTED = {"torch": torch.__version__, "files": {}}


def number(value, dtype):
    """What a Python number, or a list of them, is described as."""
    several = isinstance(value, list)
    return {"sizes": [len(value)] if several else [], "dtype": dtype, "values": value if several else [value]}


def ramp(*sizes, step=7, low=-50):
    count = int(torch.tensor(sizes).prod()) if sizes else 1
    return ((step * torch.arange(count)) % 101 + low).reshape(sizes)


def qweight(*sizes, axis=None):
    ints = ramp(*sizes)
    if axis is None:
        return torch.quantize_per_tensor(ints * 0.25, 0.25, -3, torch.qint8)
    n = sizes[axis]
    scales = torch.tensor([0.0625 * (i + 1) for i in range(n)], dtype=torch.double)
    zero_points = torch.tensor([i % 3 - 1 for i in range(n)])
    return torch.quantize_per_channel(ints * 0.1, scales, zero_points, axis, torch.qint8)


def describe(tensor):
    if tensor is None:
        return None
    tensor = tensor.detach()
    result = {"sizes": list(tensor.shape), "strides": list(tensor.stride())}
    if tensor.is_quantized:
        result["dtype"] = str(tensor.dtype)[6:]
        result["values"] = tensor.int_repr().flatten().tolist()
        if tensor.qscheme() == torch.per_channel_affine:
            result["scales"] = tensor.q_per_channel_scales().tolist()
            result["zero_points"] = tensor.q_per_channel_zero_points().tolist()
            result["axis"] = tensor.q_per_channel_axis()
        else:
            result["scales"] = [tensor.q_scale()]
            result["zero_points"] = [tensor.q_zero_point()]
        return result
    read_as = {"torch.float16": torch.float32, "torch.bfloat16": torch.float32, "torch.int16": torch.int32,
               "torch.uint16": torch.int32, "torch.uint32": torch.int64, "torch.bool": torch.uint8}
    wide = tensor.to(read_as.get(str(tensor.dtype), tensor.dtype))
    result["dtype"] = str(wide.dtype)[6:]
    # JSON has no infinity.
    result["values"] = ["inf" if v == float("inf") else v for v in wide.flatten().tolist()]
    return result


def flat(state, prefix=""):
    """The entries that load_torch gives for a state dict: a Linear's packed pair under weight and bias."""
    entries = []
    for name, value in state.items():
        if name.endswith("_packed_params._packed_params"):
            module = name[: -len("_packed_params._packed_params")]
            entries += [[prefix + module + "weight", describe(value[0])], [prefix + module + "bias", describe(value[1])]]
        elif not isinstance(value, torch.dtype):
            entries.append([prefix + name, describe(value)])
    return entries


def geometry(conv):
    fields = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed",
              "output_padding", "groups", "padding_mode", "scale", "zero_point", "training"]
    return {name: list(v) if isinstance(v := getattr(conv, name), tuple) else v for name in fields}


def convolutions(module):
    result = []
    for name, m in module.named_modules():
        if isinstance(m, nnq.modules.conv._ConvNd):
            result.append({"name": name, "class": f"{type(m).__module__}.{type(m).__name__}", **geometry(m)})
    return result


def expect(name, kind, state, convs=(), packed=(), texts=None):
    EXPECTED["files"][name] = {"kind": kind, "state": state, "convolutions": list(convs), "packed": list(packed),
                               "texts": texts or {}}


def save(name, value, **options):
    torch.save(value, OUT / name, **options)


def save_module(name, module, texts=None):
    save(name, module)
    expect(name, "module", flat(module.state_dict()), convolutions(module), texts=texts)


def rewrite(source, target, rename=None, order=None, drop=(), replace=None, compression=zipfile.ZIP_STORED,
            storages=None):
    """Another archive of the same entries: as older versions wrote it."""
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(OUT / target, "w", compression) as new:
        entries = {n.split("/", 1)[1]: old.read(n) for n in old.namelist()}
        for name in drop:
            entries.pop(name, None)
        for a, b in replace or []:
            assert a in entries["data.pkl"], a
            entries["data.pkl"] = entries["data.pkl"].replace(a, b)
        if storages:
            entries = storages(entries)
        for name in sorted(entries, key=order) if order else entries:
            info = zipfile.ZipInfo(f"{rename or 'archive'}/{name}")
            info.compress_type = compression
            new.writestr(info, entries[name])


def filled(module, axis=None, bias=True, scale=0.3, zero_point=5):
    """A module with the ramp as its weight."""
    sizes = ((module.in_channels, module.out_channels // module.groups) if module.transposed else
             (module.out_channels, module.in_channels // module.groups)) + tuple(module.kernel_size)
    values = ramp(module.out_channels, step=3).float() / 8 if bias else None
    module.set_weight_bias(qweight(*sizes, axis=axis), values)
    module.scale, module.zero_point = scale, zero_point
    return module.eval()


def conv_classes():
    modules = nn.ModuleDict({
        "conv1d": filled(nnq.Conv1d(2, 3, 3, stride=2, padding=1), axis=0),
        "conv2d": filled(nnq.Conv2d(2, 4, (3, 1), padding=(1, 0), groups=2, dilation=2), bias=False),
        "conv3d": filled(nnq.Conv3d(2, 3, 2, stride=(1, 2, 1)), axis=0),
        "reflect": filled(nnq.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), axis=0, scale=0.1),
        "conv_transpose1d": filled(nnq.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1)),
        "conv_transpose2d": filled(nnq.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2)),
        "conv_transpose3d": filled(nnq.ConvTranspose3d(2, 3, 2)),
        "conv_relu1d": filled(nniq.ConvReLU1d(2, 3, 3), axis=0),
        "conv_relu2d": filled(nniq.ConvReLU2d(2, 3, 3), axis=0),
        "conv_relu3d": filled(nniq.ConvReLU3d(2, 3, 2), axis=0),
        "conv_add2d": filled(nniq.ConvAdd2d(2, 3, 1)),
        "conv_add_relu2d": filled(nniq.ConvAddReLU2d(2, 3, 1), axis=0),
        "dynamic_conv1d": filled(nnqd.Conv1d(2, 3, 3)),
        "dynamic_conv2d": filled(nnqd.Conv2d(2, 3, 3)),
        "dynamic_conv3d": filled(nnqd.Conv3d(2, 3, 2)),
        "dynamic_conv_transpose1d": filled(nnqd.ConvTranspose1d(2, 3, 3)),
        "dynamic_conv_transpose2d": filled(nnqd.ConvTranspose2d(2, 3, 3)),
        "dynamic_conv_transpose3d": filled(nnqd.ConvTranspose3d(2, 3, 2)),
    })
    save_module("classes.pt", modules)
    # What they compute; adding and dynamic classes need another engine or give floats.
    EXPECTED["runs"] = []
    for name, conv in modules.items():
        if "add" in name or "dynamic" in name:
            continue
        sizes = (2, conv.in_channels) + (6, 5, 4)[: len(conv.kernel_size)]
        x = torch._make_per_tensor_quantized_tensor(ramp(*sizes, low=0).to(torch.uint8), 0.5, 40)
        EXPECTED["runs"].append({"name": name, "input": describe(x), "output": describe(conv(x))})
    # Where the classes were before PyTorch 1.13, in the records of PyTorch 1.6.
    rewrite("classes.pt", "classes_old.pt", rename="older", drop=[".format_version", ".storage_alignment", "byteorder", ".data/serialization_id"],
            replace=[(b"torch.ao.nn.quantized", b"torch.nn.quantized"), (b"torch.ao.nn.intrinsic", b"torch.nn.intrinsic")])
    old = [{**c, "class": c["class"].replace("torch.ao.nn", "torch.nn")} for c in convolutions(modules)]
    expect("classes_old.pt", "module", flat(modules.state_dict()), old)
    save_module("conv2d.pt", modules["conv2d"])


class Net(nn.Module):
    """A user's class, which no reader can know."""

    def __init__(self):
        super().__init__()
        self.quant = nnq.Quantize(0.5, 3, torch.quint8)
        self.features = nn.Sequential(filled(nniq.ConvReLU2d(2, 3, 3, padding=1), axis=0), filled(nnq.Conv2d(3, 4, 1)))
        self.skip = nnq.QFunctional()
        self.skip.scale, self.skip.zero_point = 0.25, 7
        self.dequant = nnq.DeQuantize()
        self.fc = nnq.Linear(4, 5)
        self.fc.set_weight_bias(qweight(5, 4, axis=0), ramp(5).float())
        self.fc.scale, self.fc.zero_point = 0.125, 9
        self.register_buffer("mean", ramp(3).float())
        self.register_buffer("scratch", ramp(2), persistent=False)
        self.eval()

    def forward(self, x):
        x = self.features(self.quant(x))
        x = self.skip.add(x, x)
        return self.dequant(self.fc(x.mean([2, 3])))


def networks():
    net = Net()
    save("net.pt", net)
    expect("net.pt", "module", flat(net.state_dict()), convolutions(net))
    save("net_state.pt", net.state_dict())
    texts = {"fc._packed_params.dtype": "torch.qint8"}
    expect("net_state.pt", "values", flat(net.state_dict()), texts=texts)
    rewrite("net_state.pt", "net_state_deflated.pt", compression=zipfile.ZIP_DEFLATED, order=lambda n: n[::-1])
    expect("net_state_deflated.pt", "values", flat(net.state_dict()), texts=texts)
    # The format keeps the source of every class beside its name; not in a file of ours.
    with mock.patch("torch.serialization.get_source_lines_and_file", side_effect=OSError):
        save("net_legacy.pt", net, _use_new_zipfile_serialization=False)
    expect("net_legacy.pt", "module", flat(net.state_dict()), convolutions(net))
    save("net_state_legacy.pt", net.state_dict(), _use_new_zipfile_serialization=False)
    expect("net_state_legacy.pt", "values", flat(net.state_dict()), texts=texts)

    # Protocol 4 has operations of its own; 5 adds none for these values.
    save("net_state_protocol4.pt", net.state_dict(), pickle_protocol=4)
    expect("net_state_protocol4.pt", "values", flat(net.state_dict()), texts=texts)
    values = {"a": ramp(2, 2).float(), "b": {3, 4}, "c": b"12", "d": 2**40, "e": -1, "f": -(2**70), "g": ["x", None]}
    save("protocol5_legacy.pt", values, pickle_protocol=5, _use_new_zipfile_serialization=False)
    expect("protocol5_legacy.pt", "values",
           [["a", describe(values["a"])], ["d", number(2**40, "int64")], ["e", number(-1, "int64")], ["g.1", None]],
           texts={"b": "<left out>", "c": "<left out>", "f": "<left out>", "g.0": "x"})

    scripted = torch.jit.script(net)
    script_state = flat(net.state_dict())
    script_convs = convolutions(net)
    x = ramp(1, 2, 4, 4).float()
    # TorchScript does not know which buffers are not persistent.
    script_state.append(["scratch", describe(net.scratch)])
    torch.jit.save(scripted, OUT / "script.pt")
    expect("script.pt", "TorchScript module", script_state, script_convs)
    # Tracing turns numbers that are no convolution's into constants of the code.
    inlined = ["skip.scale", "skip.zero_point", "fc.scale", "fc.zero_point"]
    torch.jit.save(torch.jit.trace(net, x), OUT / "traced.pt")
    expect("traced.pt", "TorchScript module", [e for e in script_state if e[0] not in inlined], script_convs)
    # Freezing leaves nothing but constants: packed parameters, in the order of their use.
    torch.jit.save(torch.jit.freeze(scripted), OUT / "frozen.pt")


def fx_network():
    from torch.ao.quantization import default_qconfig
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    from torch.ao.quantization import QConfigMapping
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 1)).eval()
    x = ramp(1, 2, 5, 5).float() / 50
    prepared = prepare_fx(model, QConfigMapping().set_global(default_qconfig), (x,))
    prepared(x)
    converted = convert_fx(prepared)
    save("fx.pt", converted)
    expect("fx.pt", "module", flat(converted.state_dict()), convolutions(converted))


def prepared_networks():
    """Float modules with observers, and fake quantization: whole, with all that hangs on them."""
    from torch.ao.quantization import get_default_qat_qconfig, prepare, prepare_qat
    torch.manual_seed(2)

    def without_qconfig(model):
        # PyTorch cannot pickle what prepare leaves in it.
        for m in model.modules():
            m.qconfig = None

    def floats():
        model = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3, bias=False), bn=nn.BatchNorm2d(3), relu=nn.ReLU()))
        return torch.ao.quantization.fuse_modules_qat(model, ["conv", "bn", "relu"])

    qat = floats()
    qat.qconfig = get_default_qat_qconfig("fbgemm")
    prepare_qat(qat, inplace=True)
    qat(ramp(1, 2, 4, 4).float() / 50)
    without_qconfig(qat)
    save_module("prepared_qat.pt", qat)
    model = nn.Sequential(nn.Conv2d(2, 3, 3))
    model.qconfig = torch.ao.quantization.default_qconfig
    prepare(model, inplace=True)
    model(ramp(1, 2, 4, 4).float() / 50)
    without_qconfig(model)
    save_module("prepared.pt", model)


def checkpoint():
    conv = filled(nnq.Conv2d(2, 3, 3), axis=0)
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": ramp(2, 2).float()}},
                 "param_groups": [{"lr": 0.5, "betas": (0.9, 0.999), "nesterov": False, "params": [0, 1]}]}
    save("checkpoint.pth", {"model": conv.state_dict(), "epoch": 3, "best": None, "arch": "tiny", "loss": 0.75,
                            "optimizer": optimizer, "size": torch.Size([2, 3]),
                            "milestones": Counter({30: 1}), "seen": {1, 2}, "by": {(0, 1): 5, -2: 6}})
    expect("checkpoint.pth", "values",
           flat(conv.state_dict(), "model.") + [
               ["epoch", number(3, "int64")], ["best", None], ["loss", number(0.75, "float64")],
               ["optimizer.state.0.step", describe(torch.tensor(3.0))],
               ["optimizer.state.0.exp_avg", describe(ramp(2, 2).float())],
               ["optimizer.param_groups.0.lr", number(0.5, "float64")],
               ["optimizer.param_groups.0.betas", number([0.9, 0.999], "float64")],
               ["optimizer.param_groups.0.nesterov", number(0, "uint8")],
               ["optimizer.param_groups.0.params", number([0, 1], "int64")],
               ["size", number([2, 3], "int64")], ["milestones.30", number(1, "int64")],
               ["by.<0>", number(5, "int64")], ["by.-2", number(6, "int64")]],
           texts={"arch": "tiny", "seen": "<left out>"})


def tensors():
    base = ramp(4, 6).float()
    state = OrderedDict()
    for dtype in ["float32", "float64", "int64", "int32", "uint8", "int8", "float16", "bfloat16", "int16", "uint16", "uint32", "bool"]:
        low = 0 if dtype.startswith("uint") else -50
        state[dtype] = ramp(2, 3, low=low).to(getattr(torch, dtype))
    for dtype in [torch.quint8, torch.qint8, torch.qint32]:
        state[str(dtype)[6:]] = torch.quantize_per_tensor(ramp(2, 3) * 0.5, 0.5, 60 if dtype == torch.quint8 else 0, dtype)
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.empty(0, 3)
    state["halves"] = torch.tensor([0.0, -0.0, 1.0, -2.0, 6e-8, 65504.0, float("inf")]).half()
    state["base"] = base
    state["columns"] = base[:, 1:4]
    state["transposed"] = base.t()
    state["channels_last"] = ramp(2, 3, 2, 2).float().contiguous(memory_format=torch.channels_last)
    state["quantized_channels_last"] = qweight(2, 3, 2, 2, axis=0).contiguous(memory_format=torch.channels_last)
    state["expanded"] = ramp(3, 1).float().expand(3, 4)
    state["parameter"] = nn.Parameter(ramp(2).float())
    # Attributes change how PyTorch writes both.
    state["noted"] = ramp(2).float()
    state["noted"].note = "seen"
    state["noted_parameter"] = nn.Parameter(ramp(3).float())
    state["noted_parameter"].note = "seen"
    save("tensors.pt", state)
    expect("tensors.pt", "values", flat(state))

    def swapped(entries):
        for key, width in {"data/0": 4, "data/1": 8, "data/2": 8, "data/3": 1}.items():
            raw = entries[key]
            entries[key] = b"".join(raw[i:i + width][::-1] for i in range(0, len(raw), width))
        entries["byteorder"] = b"big"
        return entries

    simple = OrderedDict(a=ramp(3).float(), b=ramp(2).double(), c=ramp(2), d=ramp(3).to(torch.int8))
    save("plain.pt", simple)
    rewrite("plain.pt", "big_endian.pt", storages=swapped)
    expect("big_endian.pt", "values", flat(simple))
    (OUT / "plain.pt").unlink()

    save("tensor.pt", ramp(2, 2).float())
    expect("tensor.pt", "values", [["tensor", describe(ramp(2, 2).float())]])
    save("list.pt", [ramp(2).float(), (ramp(3), None), 4])
    expect("list.pt", "values", [["0", describe(ramp(2).float())], ["1.0", describe(ramp(3))], ["1.1", None], ["2", number(4, "int64")]])


def packed_parameters():
    def row(name, w, b, dims, transposed=False):
        stride, padding, dilation, output_padding, groups = dims
        # Packing may give the weight other strides.
        weight = {key: value for key, value in describe(w).items() if key != "strides"}
        return {"name": name, "weight": weight, "bias": describe(b), "stride": stride, "padding": padding,
                "dilation": dilation, "output_padding": output_padding, "groups": groups, "transposed": transposed}

    ops = torch.ops.quantized
    bias = ramp(4, step=3).float() / 8
    w2, w3, wt = qweight(4, 2, 3, 3, axis=0), qweight(4, 3, 2, 2, 2), qweight(3, 4, 2, 2)
    rows = {
        "conv2d": (ops.conv2d_prepack(w2, bias, [2, 1], [1, 0], [1, 2], 2), w2, bias, ([2, 1], [1, 0], [1, 2], [0, 0], 2)),
        "conv3d": (ops.conv3d_prepack(w3, None, [1, 2, 1], [0, 1, 0], [1, 1, 1], 1), w3, None,
                   ([1, 2, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0], 1)),
        "transpose": (ops.conv_transpose2d_prepack(wt, bias, [2, 2], [1, 0], [1, 1], [1, 1], 1), wt, bias,
                      ([2, 2], [1, 0], [1, 1], [1, 1], 1)),
    }
    expected = [row(name, w, b, dims, name == "transpose") for name, (_, w, b, dims) in rows.items()]
    state = [entry for r in expected for entry in [[r["name"] + ".weight", r["weight"]], [r["name"] + ".bias", r["bias"]]]]
    save("packed_v2.pt", {name: packed for name, (packed, *_) in rows.items()})
    expect("packed_v2.pt", "values", state, packed=expected)

    # An object that is the whole file.
    save("packed_object.pt", rows["conv2d"][0])
    expect("packed_object.pt", "values", [["weight", expected[0]["weight"]], ["bias", expected[0]["bias"]]],
           packed=[{**expected[0], "name": ""}])

    def config(w, dims, transposed):
        stride, padding, dilation, output_padding, groups = dims
        return [w.dim() - 2, *stride, *padding, *dilation, *output_padding, groups, int(transposed)]
    save("packed_v3.pt", {name: (3, config(w, dims, name == "transpose"), [None, w, b]) for name, (_, w, b, dims) in rows.items()})
    expect("packed_v3.pt", "values", state, packed=expected)

    def ints(values):
        return [torch.tensor([v], dtype=torch.int16) for v in values]

    old = {name: (w, b, ints(d[0]), ints(d[1]), ints(d[2]), torch.tensor([d[4]], dtype=torch.int16))
           for name, (_, w, b, d) in rows.items() if name != "transpose"}
    save("packed_v1.pt", old)
    expect("packed_v1.pt", "values", [e for e in state if not e[0].startswith("transpose")], packed=expected[:2])


def old_version():
    """What PyTorch 1.13, the last with the old records and without FBGEMM in Debian, writes of the same things."""
    modules = nn.ModuleDict({
        "conv1d": filled(nnq.Conv1d(2, 3, 3, stride=2, padding=1)),
        "conv2d": filled(nnq.Conv2d(2, 4, (3, 1), padding=(1, 0), groups=2), axis=0, bias=False),
        "conv_transpose2d": filled(nnq.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1)),
        "conv_relu2d": filled(nniq.ConvReLU2d(2, 3, 3), axis=0),
        "dynamic_conv2d": filled(nnqd.Conv2d(2, 3, 3)),
    })
    save_module("classes.pt", modules)
    networks()
    fx_network()
    checkpoint()
    w, b = qweight(4, 2, 3, 3), ramp(4, step=3).float() / 8
    packed = torch.ops.quantized.conv2d_prepack(w, b, [2, 1], [1, 0], [1, 1], 1)
    row = {"name": "conv", "weight": {k: v for k, v in describe(w).items() if k != "strides"}, "bias": describe(b),
           "stride": [2, 1], "padding": [1, 0], "dilation": [1, 1], "output_padding": [0, 0], "groups": 1,
           "transposed": False}
    save("packed.pt", {"conv": packed})
    expect("packed.pt", "values", [["conv.weight", row["weight"]], ["conv.bias", row["bias"]]], packed=[row])


def new_version():
    conv_classes()
    networks()
    fx_network()
    prepared_networks()
    checkpoint()
    tensors()
    packed_parameters()


def main():
    warnings.filterwarnings("ignore")
    torch.backends.quantized.engine = "qnnpack" if OLD else "fbgemm"
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    old_version() if OLD else new_version()
    (OUT / "expected.json").write_text(json.dumps(EXPECTED, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
