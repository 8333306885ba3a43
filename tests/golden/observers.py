"""observers.json and quantize.json: observer states, qparams, presets; quantize and dequantize."""

import warnings

import numpy as np
import torch
import torch.ao.quantization as tq

import numerics_model as model
import observers_model

F32 = np.float32
DTYPES = {"quint8": torch.quint8, "qint8": torch.qint8, "qint32": torch.qint32}
SCHEMES = {
    name: getattr(torch, name)
    for name in (
        "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
        "per_channel_affine_float_qparams",
    )
}
EPS = float(torch.finfo(torch.float32).eps)
DEFAULTS = {"dtype": "quint8", "reduce_range": False, "quant_min": None, "quant_max": None, "eps": EPS}
PER_TENSOR = ("MinMaxObserver", "MovingAverageMinMaxObserver", "HistogramObserver")


def _name(value):
    return str(value).rsplit(".", maxsplit=1)[-1]


def batches_for(rng, kind, shape):
    """Input batches of one kind: a list of float32 arrays."""
    def normal(mean=0.0, deviation=1.0):
        return rng.normal(mean, deviation, shape).astype(F32)

    return {
        "normal": lambda: [normal()],
        "three": lambda: [normal(), normal(), normal()],
        "growing": lambda: [normal() * F32(s) for s in (0.5, 2.0, 7.0)],
        "growing_up": lambda: [normal(1.0 + i, 1.0 + i) for i in range(4)],
        "shrinking": lambda: [normal() * F32(s) for s in (7.0, 2.0, 0.5)],
        "positive": lambda: [np.abs(normal()), np.abs(normal()) * F32(3)],
        "negative": lambda: [-np.abs(normal()) - F32(0.1), -np.abs(normal()) - F32(0.5)],
        "single_value": lambda: [np.full(shape, 2.5, F32)],
        "single_then_spread": lambda: [np.full(shape, 0.75, F32), normal()],
        "zeros": lambda: [np.zeros(shape, F32)],
        "outlier": lambda: [np.concatenate([normal().ravel(), np.asarray([60.0], F32)]).reshape(1, -1)],
        "tiny": lambda: [normal() * F32(1e-9)],
        "empty_first": lambda: [np.zeros((0,), F32), normal()],
        "unseen": lambda: [],
    }[kind]()


def _observer_cases():
    """(class, settings, kind, shape) of every observer case."""
    vector, image, weight = (512,), (2, 3, 8, 8), (4, 3, 3, 3)
    cases = []
    schemes = ("per_tensor_affine", "per_tensor_symmetric")
    for name in ("MinMaxObserver", "MovingAverageMinMaxObserver"):
        for dtype in ("quint8", "qint8"):
            for scheme in schemes:
                for kind in ("three", "positive", "negative"):
                    cases.append((name, {"dtype": dtype, "qscheme": scheme}, kind, image))
        extra = [
            {"reduce_range": True}, {"dtype": "qint8", "reduce_range": True}, {"quant_min": 0, "quant_max": 127},
            {"dtype": "qint8", "qscheme": "per_tensor_symmetric", "quant_min": -127, "quant_max": 127, "eps": 2.0**-12},
            {"dtype": "qint8", "qscheme": "per_tensor_symmetric", "quant_min": -8, "quant_max": 7},
            {"qscheme": "per_tensor_symmetric", "quant_min": 0, "quant_max": 100}, {"eps": 0.25},
            {"quant_min": 0, "quant_max": 100, "reduce_range": True}, {"dtype": "qint32"},
            {"dtype": "qint32", "qscheme": "per_tensor_symmetric"},
        ]
        cases += [(name, settings, "three", image) for settings in extra]
        cases += [(name, {}, kind, vector) for kind in ("single_value", "zeros", "tiny", "empty_first", "unseen")]
    cases.append(("MovingAverageMinMaxObserver", {"averaging_constant": 0.3}, "growing", image))
    for name in ("PerChannelMinMaxObserver", "MovingAveragePerChannelMinMaxObserver"):
        for axis in (0, 1):
            for dtype in ("quint8", "qint8"):
                for scheme in ("per_channel_affine", "per_channel_symmetric"):
                    settings = {"dtype": dtype, "qscheme": scheme, "ch_axis": axis}
                    cases.append((name, settings, "growing", weight))
            symmetric = {"dtype": "qint8", "qscheme": "per_channel_symmetric", "ch_axis": axis}
            cases += [
                (name, {**symmetric, "quant_min": -127, "quant_max": 127, "eps": 2.0**-12}, "normal", weight),
                (name, {**symmetric, "reduce_range": True}, "negative", weight),
                (name, {**symmetric}, "zeros", weight),
            ]
        cases.append((name, {"qscheme": "per_channel_affine_float_qparams"}, "normal", (5, 16)))
        cases.append((name, {"dtype": "qint8", "qscheme": "per_channel_symmetric"}, "unseen", weight))
    kinds = (
        "normal", "three", "growing", "growing_up", "shrinking", "positive", "negative", "single_value",
        "single_then_spread", "zeros", "outlier", "tiny", "empty_first", "unseen",
    )
    for number, kind in enumerate(kinds):
        for variant in range(3 if kind in ("growing", "growing_up", "positive", "outlier") else 2):
            settings = [{}, {"reduce_range": True}, {"dtype": "qint8", "qscheme": "per_tensor_symmetric"}][
                (variant + number) % 3
            ]
            cases.append(("HistogramObserver", settings, kind, vector if number % 2 else image))
    cases.append(
        ("HistogramObserver", {"dtype": "qint8", "qscheme": "per_tensor_symmetric", "eps": 2.0**-12}, "three", vector)
    )
    return cases


def _make_observer(name, settings):
    arguments = dict(settings)
    arguments["dtype"] = DTYPES[arguments["dtype"]]
    arguments["qscheme"] = SCHEMES[arguments["qscheme"]]
    return getattr(tq.observer, name)(**arguments)


def _bound(tensor):
    """min_val or max_val as a list of doubles; empty when nothing was observed."""
    values = [float(v) for v in tensor.detach().reshape(-1)]
    return [] if any(np.isinf(values)) else values


def observer_case(rng, blob, name, settings, kind, shape):
    """One record of observers.json, checked against the model."""
    default_scheme = "per_tensor_affine" if name in PER_TENSOR else "per_channel_affine"
    full = {**DEFAULTS, "qscheme": default_scheme, **settings}
    batches = batches_for(rng, kind, shape)
    observer = _make_observer(name, full)
    histogram = observers_model.Histogram()
    for batch in batches:
        observer(torch.from_numpy(batch))
        histogram.observe(batch)
    scale, zero_point = observer.calculate_qparams()
    record = {
        "class": name, **full, "kind": kind, "batches": [blob.add(b) for b in batches],
        "min_val": _bound(observer.min_val), "max_val": _bound(observer.max_val),
        "scale": [float(v) for v in scale.reshape(-1)],
        "zero_point": [float(v) if zero_point.is_floating_point() else int(v) for v in zero_point.reshape(-1)],
    }
    if record["min_val"]:
        low, high = observer.min_val.numpy(), observer.max_val.numpy()
        if name == "HistogramObserver":
            assert np.array_equal(observer.histogram.numpy(), histogram.histogram), ("histogram", record)
            low, high = histogram.search()
            record["histogram"] = blob.add(observer.histogram.numpy().astype("<f4"))
            record["search"] = [float(low), float(high)]
        expected = observers_model.calculate_qparams(low, high, full)
        assert np.array_equal(expected[0], scale.numpy().reshape(-1)), (expected, record)
        assert np.array_equal(expected[1], zero_point.numpy().reshape(-1)), (expected, record)
    return record


def _describe(factory):
    """Class and settings of the observer, or of the observer inside a fake-quantize."""
    instance = factory()
    record = {"class": type(instance).__name__}
    if hasattr(instance, "activation_post_process"):
        record["observer"] = type(instance.activation_post_process).__name__
        instance = instance.activation_post_process
    record["dtype"] = _name(instance.dtype)
    for field in ("qscheme", "quant_min", "quant_max", "reduce_range", "ch_axis", "averaging_constant", "is_dynamic"):
        if getattr(instance, field, None) is not None:
            value = getattr(instance, field)
            record[field] = _name(value) if field == "qscheme" else value
    if hasattr(instance, "eps"):
        record["eps"] = float(instance.eps[0]) if isinstance(instance.eps, torch.Tensor) else instance.eps
    return record


def presets():
    """Every QConfig preset that qconv offers."""
    names = (
        "default_qconfig", "default_per_channel_qconfig", "default_dynamic_qconfig", "default_qat_qconfig",
        "default_symmetric_qnnpack_qconfig", "default_per_channel_symmetric_qnnpack_qconfig",
        "default_symmetric_qnnpack_qat_qconfig", "default_per_channel_symmetric_qnnpack_qat_qconfig",
    )
    found = {name: getattr(tq.qconfig, name) for name in names}
    for backend in ("fbgemm", "x86", "onednn", "qnnpack"):
        found[f"get_default_qconfig({backend})"] = tq.get_default_qconfig(backend)
        found[f"get_default_qat_qconfig({backend})"] = tq.get_default_qat_qconfig(backend)
    return {
        name: {"activation": _describe(config.activation), "weight": _describe(config.weight)}
        for name, config in found.items()
    }


def fixed_cases():
    """FixedQParamsObserver."""
    records = []
    for scale, zero_point in ((1 / 256, 0), (2 / 256, 128)):
        observer = tq.FixedQParamsObserver(scale=scale, zero_point=zero_point)
        observer(torch.tensor([-3.0, 5.0]))
        got_scale, got_zero_point = observer.calculate_qparams()
        records.append({
            "class": "FixedQParamsObserver", "arguments": [scale, zero_point], "scale": [float(got_scale)],
            "zero_point": [int(got_zero_point)],
        })
    return records


def observers_document(seed, blob):
    """Content of observers.json."""
    rng = np.random.default_rng([seed, 77])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = [observer_case(rng, blob, *case) for case in _observer_cases()]
        return {"observers": records, "fixed": fixed_cases(), "presets": presets()}


def _edge_values(rng, scale, low, high):
    """Exact halves, their neighbours, zeros and ordinary values around the range of the type."""
    span = min(high, 300) + 40
    halves = ((rng.integers(-span, span, 24) + 0.5) * scale).astype(F32)
    near = (halves.view(np.int32) + rng.integers(-2, 3, halves.size).astype(np.int32)).view(F32)
    ordinary = rng.normal(0, span * scale / 2, 11).astype(F32)
    return np.concatenate([halves, near, ordinary, np.asarray([0.0, -0.0, 1e-30, -1e-42, 1e6 * scale], F32)])


def quantize_document(seed, blob):
    """Content of quantize.json: x, q and the dequantized values, all in the side file."""
    rng = np.random.default_rng([seed, 78])
    records = []
    for dtype, (low, high) in observers_model.LIMITS.items():
        raw = {"quint8": np.uint8, "qint8": np.int8, "qint32": np.int32}[dtype]
        for number in range(40):
            scale = float(2.0 ** rng.integers(-7, 4)) if number % 2 else float(np.exp(rng.uniform(-8, 3)))
            zero_point = int(rng.integers(max(low, -500), min(high, 500) + 1)) if number % 4 else 0
            x = _edge_values(rng, scale, low, high)
            if zero_point == 0:  # with a zero point PyTorch wraps here
                x = np.concatenate([x, np.asarray([np.inf, -np.inf, 3e38, -3e38], F32)])
            q = torch.quantize_per_tensor(torch.from_numpy(x), scale, zero_point, DTYPES[dtype])
            ints, floats = q.int_repr().numpy(), q.dequantize().numpy()
            assert np.array_equal(ints, model.quantize(x, scale, zero_point, low, high)), (dtype, scale, zero_point)
            assert np.array_equal(floats, model.dequantize(ints, scale, zero_point))
            records.append({
                "op": "per_tensor", "dtype": dtype, "scale": [scale], "zero_point": [zero_point], "axis": None,
                "x": blob.add(x), "q": blob.add(ints.astype(raw)), "dequantized": blob.add(floats),
            })
        for number in range(40):
            shape = [(4, 15), (3, 4, 5), (2, 3, 2, 5), (5, 12)][number % 4]
            axis = number // 4 % len(shape)
            channels = shape[axis]
            scales = np.exp(rng.uniform(-8, 3, channels)) if number % 2 else 2.0 ** rng.integers(-7, 4, channels)
            zero_points = rng.integers(max(low, -500), min(high, 500) + 1, channels)
            view = [-1 if i == axis else 1 for i in range(len(shape))]
            unit = scales.reshape(view) * (0.5 if number % 3 else 0.3)
            x = (rng.integers(-700, 700, shape) * unit).astype(F32)
            q = torch.quantize_per_channel(
                torch.from_numpy(x), torch.from_numpy(scales), torch.from_numpy(zero_points), axis, DTYPES[dtype]
            )
            ints, floats = q.int_repr().numpy(), q.dequantize().numpy()
            expected = model.quantize(x, scales.reshape(view), zero_points.reshape(view), low, high)
            assert np.array_equal(ints, expected), (dtype, scales)
            assert np.array_equal(floats, model.dequantize_per_channel(ints, scales, zero_points, axis))
            records.append({
                "op": "per_channel", "dtype": dtype, "scale": [float(s) for s in scales],
                "zero_point": [int(z) for z in zero_points], "axis": axis,
                "x": blob.add(x), "q": blob.add(ints.astype(raw)), "dequantized": blob.add(floats),
            })
    return records
