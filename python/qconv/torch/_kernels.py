"""torch.ops.quantized.conv* on qconv's kernels, for as long as a `with` statement lasts."""

import collections
import contextlib
import functools
import threading
import warnings

import torch

from .. import ops
from .._torch_tensors import from_torch, to_torch
from ._unpack import LostWeights, checked_rule, unpacked

_KINDS = [("conv", False), ("conv_transpose", True)]


def _operator_table():
    """(name in torch.ops.quantized, dispatch key, qconv operator, how it is called, dimensions, transposed)."""
    rows = []
    for kind, transposed in _KINDS:
        for ndim in (1, 2, 3):
            base = f"{kind}{ndim}d"
            for op in (base,) if transposed else (base, f"{base}_relu"):
                overload = ".new" if ndim > 1 and not transposed else ""
                rows.append((op + overload, "QuantizedCPU", op, "static", ndim, transposed))
                if overload:
                    rows.append((op, "QuantizedCPU", op, "legacy", ndim, transposed))
            rows.append((f"{base}_dynamic", "CPU", f"{base}_dynamic", "dynamic", ndim, transposed))
    for op in ("conv2d_add", "conv2d_add_relu"):
        rows.append((op, "QuantizedCPU", op, "add", 2, False))
    return rows


class _Packed:
    """PyTorch's packed parameters, repacked for qconv and found again by their address.

    No more than a large network has: a program that packs anew for every run must not fill the memory.
    """

    MOST = 1024

    def __init__(self, rule):
        self._rule = rule
        self._known = collections.OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, theirs, ndim, transposed):
        """qconv's packed parameters, or the LostWeights that says why there are none."""
        key = (hash(theirs), ndim)  # of a ScriptObject: the address of the object in C++
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key][1]
        try:
            ours = self._repack(theirs, ndim, transposed)
        except LostWeights as lost:
            ours = lost
        with self._lock:
            # The reference keeps the address from being given to another object.
            self._known[key] = (theirs, ours)
            while len(self._known) > self.MOST:
                self._known.popitem(last=False)
        return ours

    def _repack(self, theirs, ndim, transposed):
        get = theirs._get_method
        lists = [list(get(name)()) for name in ("stride", "padding", "output_padding", "dilation")]
        weight, bias = unpacked("qconv.torch.kernels", get("unpack"), *lists, get("groups")(), transposed)
        if ndim == 1:
            # PyTorch has 1-D convolutions as 2-D ones of height 1.
            weight = weight.squeeze(2)
            lists = [values[-1:] for values in lists]
        stride, padding, output_padding, dilation = lists
        weight, bias = from_torch(weight), None if bias is None else from_torch(bias.detach().contiguous())
        rule = checked_rule("qconv.torch.kernels", self._rule)
        if transposed:
            prepack = getattr(ops, f"conv_transpose{ndim}d_prepack")
            return prepack(weight, bias, stride, padding, output_padding, dilation, get("groups")(), rule=rule)
        prepack = getattr(ops, f"conv{ndim}d_prepack")
        return prepack(weight, bias, stride, padding, dilation, get("groups")(), rule=rule)


def _theirs(name, lost):
    """PyTorch's kernel, which it has under a second name that nobody replaces, though not for all; raises `lost` else."""
    if not torch._C._dispatch_has_kernel_for_dispatch_key(f"_quantized::{name}", "QuantizedCPU"):
        raise LostWeights(*lost.args)
    return getattr(torch.ops._quantized, name)


# Each makes the function that takes the place of PyTorch's. op, name: qconv's operator; pack: from PyTorch's packed parameters.


def _static(op, name, pack):
    def run(qx, weight, scale, zero_point):
        packed = pack(weight)
        if isinstance(packed, LostWeights):
            return _theirs(name, packed)(qx, weight, scale, zero_point)
        return to_torch(op(from_torch(qx), packed, scale, zero_point))

    return run


def _legacy(op, name, pack):
    static = _static(op, name, pack)
    return lambda qx, weight, stride, padding, dilation, groups, *output: static(qx, weight, *output)


def _add(op, name, pack):
    return lambda qx, accum, weight, *output: to_torch(op(from_torch(qx), from_torch(accum), pack(weight), *output))


def _dynamic(op, name, pack):
    def run(x, weight, reduce_range=False):
        packed = pack(weight)
        if isinstance(packed, LostWeights):
            return _dynamic_by_theirs(_theirs(name.replace("_dynamic", ""), packed), x, weight, reduce_range)
        return to_torch(op(from_torch(x), packed, reduce_range))

    return run


def _dynamic_by_theirs(static, x, weight, reduce_range):
    """What PyTorch's dynamic operators do, by its operator for quantized tensors."""
    scale, zero_point = torch._choose_qparams_per_tensor(x, reduce_range)
    qx = torch.quantize_per_tensor(x, scale, zero_point, torch.quint8)
    return static(qx, weight, scale, zero_point).dequantize()


_FORMS = {"static": _static, "legacy": _legacy, "add": _add, "dynamic": _dynamic}


class kernels(contextlib.ContextDecorator, contextlib.AbstractContextManager):
    """While active, PyTorch's own torch.ops.quantized.conv* (static, fused, transposed, dynamic) run on qconv.

        with qconv.torch.kernels():
            y = quantized_model(x)

    Whatever calls the operators is covered: eager modules, FX graphs, TorchScript. On leaving, also by an exception,
    PyTorch's kernels are back. Weights are repacked at the first run of each layer and kept in this object, those of the
    last 1,024 layers, so keep it and enter it again rather than make a new one for every run. One may be active at a time
    in a process (RuntimeError); it holds for all threads. conv2d_add returns a new tensor and leaves its addend alone.
    Where PyTorch does not give back the weights that it packed, FBGEMM's transposed layers (kernels of height 2, channels
    in eights, no padding) run on PyTorch's kernels as before, and QNNPACK's in three dimensions are a RuntimeError.

    rule: "fbgemm" or "qnnpack", whose rounding to follow; None: that of torch.backends.quantized.engine.
    """

    _active = None
    _guard = threading.Lock()

    def __init__(self, rule=None):
        checked_rule("qconv.torch.kernels", rule)
        self._packed = _Packed(rule)
        self._library = None

    def __enter__(self):
        with kernels._guard:
            if kernels._active is not None:
                raise RuntimeError("qconv.torch.kernels() is active already: leave the other one first")
            library = torch.library.Library("quantized", "IMPL")
            try:
                for name, key, op, form, ndim, transposed in _operator_table():
                    if not _has_operator(name):
                        continue
                    pack = functools.partial(self._packed, ndim=ndim, transposed=transposed)
                    kernel = _FORMS[form](getattr(ops, op), op, pack)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # that a kernel is replaced: it is what we are here for
                        library.impl(name, kernel, key)
            except BaseException:
                library._destroy()
                raise
            self._library = library
            kernels._active = self
        return self

    def __exit__(self, *_):
        with kernels._guard:
            if self._library is None:
                return
            self._library._destroy()
            self._library = None
            kernels._active = None


def _has_operator(name):
    op, _, overload = name.partition(".")
    packet = getattr(torch.ops.quantized, op, None)
    return packet is not None and (overload or "default") in packet.overloads()
