import copy

import numpy as np
import pytest

import qconv

CLASSES = ["MinMaxObserver", "MovingAverageMinMaxObserver", "PerChannelMinMaxObserver",
           "MovingAveragePerChannelMinMaxObserver", "HistogramObserver", "PercentileObserver", "EntropyObserver",
           "MSEObserver"]


@pytest.mark.parametrize("name", CLASSES)
def test_observers(name, rng):
    make = getattr(qconv, name).with_args(dtype=qconv.qint8, reduce_range=True)
    observer = make()
    assert not observer.calibrated()
    for _ in range(3):
        x = rng.normal(size=(4, 5)).astype("float32")
        assert observer(x).numpy() is not None
    scales, zero_points = observer.calculate_qparams()
    channels = 4 if "PerChannel" in name else 1
    assert scales.shape == zero_points.shape == (channels,)
    assert (observer.quant_min, observer.quant_max) == (-64, 63)
    again = make()
    again.load_state_dict(observer.state_dict())
    for other in (again, observer.clone(), copy.deepcopy(observer)):
        assert qconv.equal(other.calculate_qparams()[0], scales)
    assert type(other) is type(observer)
    observer.reset()
    assert not observer.calibrated()


@pytest.mark.parametrize("name", CLASSES)
def test_ranges(name):
    observer = getattr(qconv, name)()
    observer.observe(np.float32([[-1, 0, 2], [3, 4, 5]]))
    channels = "PerChannel" in name
    assert observer.min_val == ([-1, 3] if channels else -1)
    assert observer.max_val == ([2, 5] if channels else 5)


def test_min_max_parameters():
    observer = qconv.MinMaxObserver()
    observer.observe(np.float32([-1, 0, 4.1]))
    assert (observer.min_val, observer.max_val) == (-1, np.float32(4.1))
    scales, zero_points = observer.calculate_qparams()
    assert scales.numpy()[0] == np.float32((np.float32(4.1) + 1) / np.float32(255)) and zero_points.numpy()[0] == 50
    other = qconv.MinMaxObserver()
    other.observe(np.float32([9]))
    observer.merge(other)
    assert observer.max_val == 9


def test_histogram_counts_everything(rng):
    observer = qconv.HistogramObserver(bins=64)
    observer.observe(rng.normal(size=1000).astype("float32"))
    assert observer.bins == 64 and sum(observer.histogram) == 1000


def test_calibrators_merge_exactly(rng):
    x = (rng.normal(size=3000) ** 3).astype("float32")
    for name in ("PercentileObserver", "EntropyObserver", "MSEObserver"):
        make = getattr(qconv, name).with_args(bins=512)
        whole, merged = make(), make()
        whole.observe(x)
        for part in (x[2000:], x[:500], x[500:2000]):
            shard = make()
            shard.observe(part)
            merged.merge_state(shard.state_dict())
        assert merged.positive == whole.positive and merged.negative == whole.negative and merged.bins == 512
        assert sum(whole.positive) + sum(whole.negative) + whole.zeros == 3000
        assert merged.range() == whole.range()
        assert whole.min_val <= whole.range()[0] < 0 < whole.range()[1] <= whole.max_val


def test_percentile():
    observer = qconv.PercentileObserver(percentile=90)
    observer.observe(np.arange(1, 1001, dtype="float32"))
    assert observer.range()[0] == 0 and abs(observer.range()[1] - 900) < 2
    with pytest.raises(ValueError, match="percentile must be in"):
        qconv.PercentileObserver(percentile=0)


@pytest.mark.parametrize("arguments, error", [({"qscheme": "affine"}, ValueError), ({"quant_min": 1, "quant_max": 9}, ValueError),
                                              ({"bits": 4}, TypeError), ({"dtype": qconv.float32}, (TypeError, ValueError))])
def test_arguments_are_checked(arguments, error):
    with pytest.raises(error):
        qconv.MinMaxObserver(**arguments)


def test_qconfigs(rng):
    for backend in ("x86", "fbgemm", "onednn", "qnnpack"):
        config = qconv.get_default_qconfig(backend)
        assert isinstance(config.activation(), qconv.HistogramObserver)
        per_channel = backend != "qnnpack"
        assert isinstance(config.weight(), qconv.PerChannelMinMaxObserver) == per_channel
    with pytest.raises(ValueError, match="cuda"):
        qconv.get_default_qconfig("cuda")
    own = qconv.QConfig(activation=None, weight=qconv.default_weight_observer)
    assert own.weight().qscheme == "per_tensor_symmetric"
    observer = own.weight()
    w = rng.normal(size=(3, 4)).astype("float32")
    observer.observe(w)
    assert qconv.quantize_weight(w, observer).dtype == qconv.qint8
