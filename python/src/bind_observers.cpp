// Observers and configurations, under PyTorch's names.
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/unique_ptr.h>

#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;

constexpr const char* kOptionsDoc =
    "Arguments by name: dtype (quint8, qint8 or qint32), qscheme ('per_tensor_affine', "
    "'per_tensor_symmetric', "
    "'per_channel_affine' or 'per_channel_symmetric'), reduce_range, quant_min and quant_max (both or "
    "neither), eps, "
    "ch_axis, averaging_constant, bins, percentile, is_dynamic. A class reads those that concern it.";

QScheme parse_qscheme(const std::string& name) {
  for (const QScheme s : {QScheme::per_tensor_affine, QScheme::per_channel_affine,
                          QScheme::per_tensor_symmetric, QScheme::per_channel_symmetric}) {
    if (name == to_string(s)) return s;
  }
  throw ValueError(
      "observer: the qscheme is '" + name +
      "', expected per_tensor_affine, per_channel_affine, per_tensor_symmetric or per_channel_symmetric");
}

// Keyword arguments as PyTorch names them; an unknown one is a TypeError, as for any Python function.
ObserverOptions options_of(const nb::kwargs& kwargs, ObserverOptions options) {
  for (auto [key, value] : kwargs) {
    const auto name = nb::cast<std::string>(key);
    if (value.is_none()) continue;
    if (name == "dtype")
      options.dtype = nb::cast<DType>(value);
    else if (name == "qscheme")
      options.qscheme = parse_qscheme(nb::cast<std::string>(value));
    else if (name == "reduce_range")
      options.reduce_range = nb::cast<bool>(value);
    else if (name == "quant_min")
      options.quant_min = nb::cast<std::int64_t>(value);
    else if (name == "quant_max")
      options.quant_max = nb::cast<std::int64_t>(value);
    else if (name == "eps")
      options.eps = nb::cast<double>(value);
    else if (name == "ch_axis")
      options.ch_axis = nb::cast<int>(value);
    else if (name == "averaging_constant")
      options.averaging_constant = nb::cast<double>(value);
    else if (name == "bins")
      options.bins = nb::cast<int>(value);
    else if (name == "percentile")
      options.percentile = nb::cast<double>(value);
    else if (name == "is_dynamic")
      options.is_dynamic = nb::cast<bool>(value);
    else
      throw nb::type_error(("observer: there is no argument '" + name + "'").c_str());
  }
  return options;
}

template <class O, class Base = Observer>
nb::class_<O, Base> bind_observer(nb::module_& m, const char* name, const char* doc,
                                  const ObserverOptions& defaults = {}) {
  const std::string text = std::string(doc) + "\n\n" + kOptionsDoc;
  return nb::class_<O, Base>(m, name, text.c_str())
      .def("__init__",
           [defaults](O* self, const nb::kwargs& kwargs) { new (self) O(options_of(kwargs, defaults)); })
      .def_static(
          "with_args",
          [defaults](const nb::kwargs& kwargs) { return with_args<O>(options_of(kwargs, defaults)); },
          "A factory of observers with these arguments, for QConfig.");
}

void bind_base(nb::module_& m) {
  nb::class_<Observer>(
      m, "Observer",
      "Watches float32 tensors and works out quantization parameters. Give each thread its own and "
      "merge them.")
      .def("observe", &Observer::observe, arg("x"), release_gil(),
           "Takes note of the values of a float32 tensor.")
      .def("forward", &Observer::forward, arg("x"), release_gil(),
           "observe(), then the tensor itself; a FakeQuantize gives what quantizing makes of it.")
      .def("__call__", &Observer::forward, arg("x"), release_gil())
      .def(
          "calculate_qparams",
          [](const Observer& o) {
            const QParams q = o.calculate_qparams().qparams;
            const auto count = static_cast<std::int64_t>(q.scales.size());
            return std::pair(Tensor::from_data(std::vector<float>(q.scales.begin(), q.scales.end()), {count}),
                             Tensor::from_data(q.zero_points, {count}));
          },
          "(scales float32, zero points int64), 1-D. Scale 1 and zero point 0 when nothing was seen.")
      .def("calibrated", &Observer::calibrated, "Whether it has seen anything.")
      .def("merge", &Observer::merge, arg("other"),
           "Adds what another observer of the same class and options saw.")
      .def(
          "merge_state",
          [](Observer& o, const nb::dict& state, const std::string& prefix) {
            o.merge_state(state_of_dict(state, std::string(o.name()) + ".merge_state"), prefix);
          },
          arg("state_dict"), arg("prefix") = "",
          "The same for an observer in another process, which sent its state_dict().")
      .def("reset", &Observer::reset, "Forgets everything.")
      .def("clone", &Observer::clone, "One that saw the same and shares nothing.")
      .def("state_dict", &Observer::state_dict, arg("prefix") = "", "The state under PyTorch\'s names.")
      .def(
          "load_state_dict",
          [](Observer& o, const nb::dict& state, const std::string& prefix) {
            o.load_state_dict(state_of_dict(state, std::string(o.name()) + ".load_state_dict"), prefix);
          },
          arg("state_dict"), arg("prefix") = "",
          "Takes the entries that begin with `prefix`; ValueError or TypeError that names the entry, and "
          "nothing has changed.")
      .def_prop_ro("dtype", &Observer::dtype)
      .def_prop_ro("qscheme", [](const Observer& o) { return std::string(to_string(o.qscheme())); })
      .def_prop_ro("quant_min", &Observer::quant_min)
      .def_prop_ro("quant_max", &Observer::quant_max)
      .def_prop_ro("ch_axis", &Observer::ch_axis)
      .def_prop_ro("eps", &Observer::eps)
      .def_prop_ro("reduce_range", &Observer::reduce_range)
      .def_prop_ro("is_dynamic", &Observer::is_dynamic)
      .def(
          "__deepcopy__", [](const Observer& o, const nb::dict&) { return o.clone(); }, arg("memo"))
      .def("__copy__", &Observer::clone)
      .def("__repr__", &Observer::to_string);
  nb::class_<ObserverFactory>(m, "ObserverFactory", "Makes a fresh observer each time it is called.")
      .def("__call__", [](const ObserverFactory& f) { return f(); });
}

template <class T>
std::vector<T> values(std::span<const T> span) {
  return {span.begin(), span.end()};
}

void bind_classes(nb::module_& m) {
  bind_observer<MinMaxObserver>(m, "MinMaxObserver", "The smallest and largest value seen; per tensor.")
      .def_prop_ro("min_val", &MinMaxObserver::min_val)
      .def_prop_ro("max_val", &MinMaxObserver::max_val);
  bind_observer<MovingAverageMinMaxObserver>(
      m, "MovingAverageMinMaxObserver", "A moving average of each batch's minimum and maximum; per tensor.")
      .def_prop_ro("min_val", &MinMaxObserver::min_val)
      .def_prop_ro("max_val", &MinMaxObserver::max_val);
  bind_observer<PerChannelMinMaxObserver>(
      m, "PerChannelMinMaxObserver", "The smallest and largest value for each index of dimension ch_axis.")
      .def_prop_ro("min_val", [](const PerChannelMinMaxObserver& o) { return values(o.min_val()); })
      .def_prop_ro("max_val", [](const PerChannelMinMaxObserver& o) { return values(o.max_val()); });
  bind_observer<MovingAveragePerChannelMinMaxObserver>(
      m, "MovingAveragePerChannelMinMaxObserver",
      "A moving average of each batch's minimum and maximum for each index of dimension ch_axis.")
      .def_prop_ro("min_val",
                   [](const MovingAveragePerChannelMinMaxObserver& o) { return values(o.min_val()); })
      .def_prop_ro("max_val",
                   [](const MovingAveragePerChannelMinMaxObserver& o) { return values(o.max_val()); });
  bind_observer<HistogramObserver>(
      m, "HistogramObserver",
      "A histogram of all values; the parameters minimize the quantization error. PyTorch's "
      "algorithm of versions 2.3 and later.")
      .def_prop_ro("min_val", &HistogramObserver::min_val)
      .def_prop_ro("max_val", &HistogramObserver::max_val)
      .def_prop_ro("bins", &HistogramObserver::bins)
      .def_prop_ro("histogram", [](const HistogramObserver& o) { return values(o.histogram()); });
  bind_observer<PlaceholderObserver>(m, "PlaceholderObserver",
                                     "Looks at nothing; says which dtype a tensor is to have.",
                                     {.dtype = float32});
  nb::class_<FixedQParamsObserver, Observer>(m, "FixedQParamsObserver", "Parameters known beforehand.")
      .def(
          "__init__",
          [](FixedQParamsObserver* self, double scale, std::int64_t zero_point, const nb::kwargs& kwargs) {
            new (self) FixedQParamsObserver(scale, zero_point, options_of(kwargs, {}));
          },
          arg("scale"), arg("zero_point"), arg("kwargs"))
      .def_static(
          "with_args",
          [](double scale, std::int64_t zero_point, const nb::kwargs& kwargs) {
            return with_args<FixedQParamsObserver>(scale, zero_point, options_of(kwargs, {}));
          },
          arg("scale"), arg("zero_point"), arg("kwargs"), "A factory of these, for QConfig.");
}

void bind_calibrators(nb::module_& m) {
  nb::class_<Calibrator, Observer>(
      m, "Calibrator",
      "What PercentileObserver, EntropyObserver and MSEObserver share: a histogram of constant size in bins "
      "whose width is a power of two. Merging is exact.")
      .def(
          "range",
          [](const Calibrator& c) {
            const Calibrator::Range range = c.range();
            return std::pair(range.min, range.max);
          },
          release_gil(), "(min, max) that calculate_qparams() maps to the integers.")
      .def_prop_ro("min_val", [](const Calibrator& c) { return c.histogram().min(); })
      .def_prop_ro("max_val", [](const Calibrator& c) { return c.histogram().max(); })
      .def_prop_ro(
          "bins", [](const Calibrator& c) { return c.histogram().bins(); }, "On each side of 0.")
      .def_prop_ro("bin_width", [](const Calibrator& c) { return c.histogram().bin_width(); })
      .def_prop_ro("zeros", [](const Calibrator& c) { return c.histogram().zeros(); })
      .def_prop_ro(
          "positive", [](const Calibrator& c) { return values(c.histogram().positive()); },
          "Element i: how many values above 0 lie in [i, i + 1) times bin_width.")
      .def_prop_ro(
          "negative", [](const Calibrator& c) { return values(c.histogram().negative()); },
          "Element i: how many values below 0 lie in (-(i + 1), -i] times bin_width.");
  bind_observer<PercentileObserver, Calibrator>(
      m, "PercentileObserver",
      "The range that holds `percentile` (99.99) percent of the values; half of the rest is cut off at each "
      "end, or all of it where the data lies on one side of 0.");
  bind_observer<EntropyObserver, Calibrator>(
      m, "EntropyObserver",
      "The range that loses the least information (Kullback-Leibler divergence), TensorRT's way.");
  bind_observer<MSEObserver, Calibrator>(m, "MSEObserver",
                                         "The range with the least mean square error of quantizing.");
}

void bind_fake_quantize(nb::module_& m) {
  const auto flag = [](auto&& cls) {
    cls.def("enable_fake_quant", &FakeQuantize::enable_fake_quant, arg("enabled") = true,
            "Whether forward() quantizes.")
        .def("disable_fake_quant", &FakeQuantize::disable_fake_quant, "forward() lets pass.")
        .def("enable_observer", &FakeQuantize::enable_observer, arg("enabled") = true,
             "Whether forward() observes.")
        .def("disable_observer", &FakeQuantize::disable_observer, "forward() keeps its parameters.")
        .def_prop_ro("fake_quant_enabled", &FakeQuantize::fake_quant_enabled)
        .def_prop_ro("observer_enabled", &FakeQuantize::observer_enabled)
        .def_prop_ro(
            "scale", [](const FakeQuantize& f) { return f.qparams().scales; }, "What forward() uses now.")
        .def_prop_ro("zero_point", [](const FakeQuantize& f) { return f.qparams().zero_points; })
        .def_prop_ro("activation_post_process", &FakeQuantize::activation_post_process,
                     "The observer inside.");
  };
  nb::class_<FakeQuantize, Observer> fake(
      m, "FakeQuantize",
      "Quantizes and dequantizes what passes, with the parameters that an observer inside works out. Forward "
      "only.\n\n"
      "FakeQuantize(observer=factory), or the arguments of a MovingAverageMinMaxObserver by name.");
  fake.def(
          "__init__",
          [](FakeQuantize* self, const ObserverFactory& observer) { new (self) FakeQuantize(observer); },
          arg("observer"))
      .def("__init__", [](FakeQuantize* self,
                          const nb::kwargs& kwargs) { new (self) FakeQuantize(options_of(kwargs, {})); })
      .def_static(
          "with_args", [](const ObserverFactory& observer) { return with_args<FakeQuantize>(observer); },
          arg("observer"), "A factory of these, for QConfig.")
      .def_static("with_args",
                  [](const nb::kwargs& kwargs) { return with_args<FakeQuantize>(options_of(kwargs, {})); });
  flag(fake);
  bind_observer<FusedMovingAvgObsFakeQuantize, FakeQuantize>(
      m, "FusedMovingAvgObsFakeQuantize",
      "FakeQuantize around a moving average, with the parameters that FBGEMM chooses while training.");
  nb::class_<FixedQParamsFakeQuantize, FakeQuantize>(m, "FixedQParamsFakeQuantize",
                                                     "FakeQuantize with parameters known beforehand.")
      .def(nb::init<const FixedQParamsObserver&>(), arg("observer"));
  m.def("fake_quantize_per_tensor_affine", &fake_quantize_per_tensor_affine, arg("input"), arg("scale"),
        arg("zero_point"), arg("quant_min"), arg("quant_max"), release_gil(),
        "What quantizing and dequantizing makes of a float32 tensor.");
}

void bind_qconfigs(nb::module_& m) {
  nb::class_<QConfig>(
      m, "QConfig",
      "Which observers watch a module: one for its output, one for its weight. Both are factories "
      "(Observer.with_args) or None.")
      .def(
          "__init__",
          [](QConfig* self, std::optional<ObserverFactory> activation,
             std::optional<ObserverFactory> weight) {
            new (self) QConfig{activation.value_or(ObserverFactory{}), weight.value_or(ObserverFactory{})};
          },
          arg("activation").none(), arg("weight").none())
      .def_prop_ro("activation", [](const QConfig& q) { return q.activation; })
      .def_prop_ro("weight", [](const QConfig& q) { return q.weight; });

  m.def("get_default_qconfig", &get_default_qconfig, arg("backend") = "x86",
        "PyTorch's configuration for 'x86', 'fbgemm', 'onednn' or 'qnnpack'. qconv never saturates: "
        "'onednn' (full range) suits it best.");
  m.def("get_default_qat_qconfig", &get_default_qat_qconfig, arg("backend") = "x86", arg("version") = 1,
        "The same for quantization-aware training: FusedMovingAvgObsFakeQuantize, or FakeQuantize in version "
        "0.");
  m.def("get_default_transposed_qconfig", &get_default_transposed_qconfig, arg("backend") = "x86",
        "What PyTorch's default mapping gives transposed convolutions.");

  struct Preset {
    const char* name;
    ObserverFactory (*make)();
  };
  for (const Preset& p :
       {Preset{"default_observer", default_observer},
        Preset{"default_histogram_observer", default_histogram_observer},
        Preset{"default_weight_observer", default_weight_observer},
        Preset{"default_per_channel_weight_observer", [] { return default_per_channel_weight_observer(); }},
        Preset{"weight_observer_range_neg_127_to_127", weight_observer_range_neg_127_to_127},
        Preset{"per_channel_weight_observer_range_neg_127_to_127",
               [] { return per_channel_weight_observer_range_neg_127_to_127(); }},
        Preset{"default_dynamic_quant_observer", default_dynamic_quant_observer},
        Preset{"default_fake_quant", default_fake_quant},
        Preset{"default_weight_fake_quant", default_weight_fake_quant},
        Preset{"default_per_channel_weight_fake_quant", default_per_channel_weight_fake_quant},
        Preset{"default_histogram_fake_quant", default_histogram_fake_quant},
        Preset{"default_fused_act_fake_quant", default_fused_act_fake_quant},
        Preset{"default_fused_wt_fake_quant", default_fused_wt_fake_quant},
        Preset{"default_fused_per_channel_wt_fake_quant", default_fused_per_channel_wt_fake_quant},
        Preset{"fused_wt_fake_quant_range_neg_127_to_127", fused_wt_fake_quant_range_neg_127_to_127},
        Preset{"fused_per_channel_wt_fake_quant_range_neg_127_to_127",
               fused_per_channel_wt_fake_quant_range_neg_127_to_127},
        Preset{"default_fixed_qparams_range_0to1_fake_quant", default_fixed_qparams_range_0to1_fake_quant},
        Preset{"default_fixed_qparams_range_neg1to1_fake_quant",
               default_fixed_qparams_range_neg1to1_fake_quant},
        Preset{"default_fixed_qparams_range_0to1_observer", default_fixed_qparams_range_0to1_observer},
        Preset{"default_fixed_qparams_range_neg1to1_observer",
               default_fixed_qparams_range_neg1to1_observer}}) {
    m.attr(p.name) = nb::cast(p.make());
  }
  m.attr("default_qconfig") = nb::cast(default_qconfig());
  m.attr("default_per_channel_qconfig") = nb::cast(default_per_channel_qconfig());
  m.attr("default_qat_qconfig") = nb::cast(default_qat_qconfig());
  m.attr("default_qat_qconfig_v2") = nb::cast(default_qat_qconfig_v2());
  m.attr("default_symmetric_qnnpack_qat_qconfig") = nb::cast(default_symmetric_qnnpack_qat_qconfig());
  m.attr("default_per_channel_symmetric_qnnpack_qat_qconfig") =
      nb::cast(default_per_channel_symmetric_qnnpack_qat_qconfig());
  m.attr("default_dynamic_qconfig") = nb::cast(default_dynamic_qconfig());
  m.attr("per_channel_dynamic_qconfig") = nb::cast(per_channel_dynamic_qconfig());
  m.attr("default_symmetric_qnnpack_qconfig") = nb::cast(default_symmetric_qnnpack_qconfig());
  m.attr("default_per_channel_symmetric_qnnpack_qconfig") =
      nb::cast(default_per_channel_symmetric_qnnpack_qconfig());
}

}  // namespace

void bind_observers(nb::module_& m) {
  bind_base(m);
  bind_classes(m);
  bind_calibrators(m);
  bind_fake_quantize(m);
  bind_qconfigs(m);
  m.def("quantize_weight", &quantize_weight, arg("weight"), arg("observer"), release_gil(),
        "The float32 weight as qint8, with the parameters that the observer calculates.");
}

}  // namespace qconv::python
