// Convolution modules: float, fused, reference, quantized.
#include "bind_convolutions.hpp"

namespace qconv::python {
namespace {

// Float modules.

void bind_float_base(nb::module_& m) {
  nb::class_<nn::ConvNd, nn::Module> base(m, "_ConvNd", "What all float convolutions share.");
  def_attributes(base);
  base.def_rw("weight", &nn::ConvNd::weight,
              "float32: (OC, IC / groups, kernel...) or, transposed, (IC, OC / groups, kernel...).")
      .def_rw("bias", &nn::ConvNd::bias, arg("bias").none(), "float32 (OC), or None.")
      .def("forward", &nn::ConvNd::forward, arg("input"), release_gil(),
           "Convolves a float32 tensor (N, C, spatial...); the result lies channels-last in memory.");
}

template <class C, bool transposed>
void bind_float(nb::module_& m, const char* name) {
  const nn::ConvKind kind{.ndim = name[std::string_view(name).size() - 2] - '0', .transposed = transposed};
  const std::string doc = class_doc("torch.nn", name, kind, "A float convolution");
  nb::class_<C, nn::ConvNd> cls(m, name, doc.c_str());
  def_constructor<C, transposed>(cls);
  cls.def("__copy__", [](const C& c) { return C(c); });
}

template <class C, class Conv, bool with_add>
void bind_fused(nb::module_& m, const char* name) {
  nb::class_<C, nn::Module> cls(
      m, name,
      with_add ? "[relu of] conv(input) + extra, observed as one module; float32 in and out."
               : "relu(conv(input)), observed as one module; float32 in and out.");
  // PyTorch's arguments: what follows the convolution has nothing to set.
  if constexpr (with_add) {
    cls.def(
        "__init__", [](C* self, const Conv& conv, const nb::object&, const nn::ReLU*) { new (self) C(conv); },
        arg("conv"), arg("add").none() = nb::none(), arg("relu").none() = nb::none());
  } else {
    cls.def(
        "__init__", [](C* self, const Conv& conv, const nn::ReLU*) { new (self) C(conv); }, arg("conv"),
        arg("relu").none() = nb::none());
  }
  cls.def_rw("conv", &C::conv)
      .def(
          "__getitem__",
          [](C& c, int index) -> Conv& {
            if (index != 0) throw nb::index_error("a fused convolution has one child with weights, number 0");
            return c.conv;
          },
          nb::rv_policy::reference_internal);
  for (const char* method : {"forward", "__call__"}) {
    if constexpr (with_add) {
      cls.def(
          method,
          [](const C& c, const Tensor& input, const Tensor& extra) { return c.forward(input, extra); },
          arg("input"), arg("extra"), release_gil(),
          "float32; `extra` has the sizes of the convolution's output.");
    } else {
      cls.def(
          method, [](const C& c, const Tensor& input) { return c.forward(input); }, arg("input"),
          release_gil(), "float32 (N, C, spatial...) in and out.");
    }
  }
}

// Reference modules.

void bind_reference_base(nb::module_& m) {
  using nn::quantized::reference::WeightQParams;
  nb::class_<WeightQParams>(m, "WeightQParams", "How a reference module quantizes its weight.")
      .def(
          "__init__",
          [](WeightQParams* self, double scale, std::int64_t zero_point, DType dtype) {
            new (self) WeightQParams{QParams::per_tensor(scale, zero_point), dtype};
          },
          arg("scale") = 1.0, arg("zero_point") = 0, arg("dtype") = quint8)
      .def(
          "__init__",
          [](WeightQParams* self, const std::vector<double>& scales,
             const std::vector<std::int64_t>& zero_points, int axis, DType dtype) {
            new (self) WeightQParams{QParams::per_channel(scales, zero_points, axis), dtype};
          },
          arg("scales"), arg("zero_points"), arg("axis"), arg("dtype"))
      .def_ro("dtype", &WeightQParams::dtype)
      .def_prop_ro("scales", [](const WeightQParams& w) { return w.qparams.scales; })
      .def_prop_ro("zero_points", [](const WeightQParams& w) { return w.qparams.zero_points; })
      .def_prop_ro(
          "axis", [](const WeightQParams& w) { return w.qparams.axis; }, "-1 when per tensor.");
  using Base = nn::quantized::reference::ConvNd;
  nb::class_<Base, nn::Module> base(m, "_ConvNd", "What all reference convolutions share.");
  def_attributes(base);
  base.def_rw("weight", &Base::weight)
      .def_rw("bias", &Base::bias, arg("bias").none())
      .def_prop_rw("weight_qparams", &Base::weight_qparams, &Base::set_weight_qparams)
      .def("get_quantized_weight", &Base::get_quantized_weight, release_gil(), "The weight, quantized.")
      .def("get_weight", &Base::get_weight, release_gil(), "The weight quantized and dequantized.")
      .def("forward", &Base::forward, arg("input"), release_gil(), "float32 in and out.");
}

// As it is, or PyTorch's dict: qscheme, dtype, scale, zero_point and, per channel, axis.
nn::quantized::reference::WeightQParams weight_qparams_of(const nb::object& how) {
  using nn::quantized::reference::WeightQParams;
  if (!nb::isinstance<nb::dict>(how)) return nb::cast<WeightQParams>(how);
  const auto fields = nb::borrow<nb::dict>(how);
  WeightQParams result;
  if (fields.contains("dtype")) result.dtype = nb::cast<DType>(fields["dtype"]);
  const auto scheme = nb::cast<std::string>(fields.get("qscheme", nb::str("per_tensor_affine")));
  if (scheme == "per_tensor_affine") {
    result.qparams = QParams::per_tensor(nb::cast<double>(fields.get("scale", nb::float_(1.0))),
                                         nb::cast<std::int64_t>(fields.get("zero_point", nb::int_(0))));
  } else if (scheme == "per_channel_affine") {
    result.qparams = QParams::per_channel(nb::cast<std::vector<double>>(fields["scale"]),
                                          nb::cast<std::vector<std::int64_t>>(fields["zero_point"]),
                                          nb::cast<int>(fields.get("axis", nb::int_(0))));
  } else {
    throw ValueError("weight_qparams: qscheme is '" + scheme +
                     "', expected per_tensor_affine or per_channel_affine");
  }
  return result;
}

template <class C, class Float>
void bind_reference(nb::module_& m, const char* name) {
  using nn::quantized::reference::WeightQParams;
  nb::class_<C, nn::quantized::reference::ConvNd>(
      m, name,
      "A float convolution that carries the quantization parameters of its weight, for from_reference.")
      .def(nb::init<const Float&, const WeightQParams&>(), arg("conv"),
           arg("weight_qparams") = WeightQParams{})
      .def_static(
          "from_float",
          [](const Float& conv, const nb::object& how) {
            return C::from_float(conv, weight_qparams_of(how));
          },
          arg("float_conv"), arg("weight_qparams"),
          "Copies weight and bias. weight_qparams: a WeightQParams, or PyTorch's dict of qscheme "
          "('per_tensor_affine' or "
          "'per_channel_affine'), dtype, scale, zero_point and axis. ValueError or TypeError when they do "
          "not fit the weight.");
}

// Quantized modules.

// PyTorch's fifteen fields, and a sixteenth where the rounding is not FBGEMM's.
nb::tuple state_tuple(const nn::quantized::ConvState& s) {
  nb::tuple fields = nb::make_tuple(
      s.in_channels, s.out_channels, tuple_of(s.kernel_size), tuple_of(s.stride), tuple_of(s.padding),
      tuple_of(s.dilation), s.transposed, tuple_of(s.output_padding), s.groups,
      std::string(to_string(s.padding_mode)), s.weight, s.bias, s.scale, s.zero_point, s.training);
  if (s.rule == RequantRule::fbgemm) return fields;
  return nb::tuple(fields + nb::make_tuple("qnnpack"));
}

nn::quantized::ConvState state_of(const nb::tuple& t) {
  if (t.size() != 15 && t.size() != 16) {
    throw ValueError("setstate: got " + std::to_string(t.size()) + " values, expected 15, or 16 with a rule");
  }
  nn::quantized::ConvState s;
  const auto list = [&](std::size_t i) { return nb::cast<std::vector<std::int64_t>>(t[i]); };
  s.in_channels = nb::cast<std::int64_t>(t[0]);
  s.out_channels = nb::cast<std::int64_t>(t[1]);
  s.kernel_size = list(2);
  s.stride = list(3);
  s.padding = list(4);
  s.dilation = list(5);
  s.transposed = nb::cast<bool>(t[6]);
  s.output_padding = list(7);
  s.groups = nb::cast<std::int64_t>(t[8]);
  s.padding_mode = parse_padding_mode(nb::cast<std::string>(t[9]));
  s.weight = nb::cast<Tensor>(t[10]);
  s.bias = nb::cast<std::optional<Tensor>>(t[11]);
  s.scale = nb::cast<double>(t[12]);
  s.zero_point = nb::cast<std::int64_t>(t[13]);
  s.training = nb::cast<bool>(t[14]);
  if (t.size() == 16) s.rule = parse_rule(nb::cast<std::string>(t[15]));
  return s;
}

void bind_quantized_base(nb::module_& m) {
  using Base = nn::quantized::ConvNd;
  nb::class_<Base, nn::Module> base(
      m, "_ConvNd",
      "What all quantized convolutions share. The weight is packed; a copy of a module "
      "shares it, and nothing else.");
  def_attributes(base);
  base.def_rw("scale", &Base::scale, "Of the output.")
      .def_rw("zero_point", &Base::zero_point, "Of the output.")
      .def(
          "set_weight_bias",
          [](Base& self, const Tensor& weight, const std::optional<Tensor>& bias,
             const std::optional<std::string>& rule) {
            if (rule) {
              self.set_weight_bias(weight, bias, parse_rule(*rule));
            } else {
              self.set_weight_bias(weight, bias);
            }
          },
          arg("w"), arg("b").none(), nb::kw_only(), arg("rule").none() = nb::none(), release_gil(),
          "Packs a qint8 weight and a float32 bias, or None. rule: 'fbgemm' or 'qnnpack', whose rounding to "
          "follow from now on; None: as before, at first FBGEMM's. ValueError or TypeError in the module's "
          "name.")
      .def("weight", &Base::weight, "A copy of the qint8 weight.")
      .def("bias", &Base::bias, "A copy of the float32 bias, or None.")
      .def("_weight_bias", [](const Base& self) { return self.packed_params()->unpack(); })
      .def_prop_ro("_packed_params", &Base::packed_params)
      .def("__getstate__", [](const Base& self) { return state_tuple(self.getstate()); });
}

template <class C>
C made_from_state(const nb::tuple& state) {
  return C::from_state(state_of(state));
}

template <class C, class Float, class Reference>
void bind_quantized(nb::module_& m, const char* name) {
  constexpr nn::ConvKind kind = C::kKind;
  const std::string doc = class_doc(
      kind.dynamic                   ? "torch.ao.nn.quantized.dynamic"
      : kind.post_op == PostOp::none ? "torch.ao.nn.quantized"
                                     : "torch.ao.nn.intrinsic.quantized",
      name, kind, kind.dynamic ? "Float input and output, quantized insides," : "A quantized convolution");
  nb::class_<C, nn::quantized::ConvNd> cls(m, name, doc.c_str());
  def_constructor<C, kind.transposed>(cls);
  cls.def("__setstate__", [](C& self, const nb::tuple& state) { new (&self) C(made_from_state<C>(state)); })
      .def("__copy__", &C::copy)
      .def_static(
          "from_float", [](const Float& mod, bool) { return C::from_float(mod); }, arg("mod"),
          arg("use_precomputed_fake_quant") = false, release_gil(),
          "Quantizes a float module: the weight by its qconfig's weight observer, the output by "
          "activation_post_process. The float module is only read. ValueError without qconfig or for an "
          "observer that "
          "has seen no data.");
  if constexpr (!kind.transposed && !kind.dynamic && !has_add(kind.post_op)) {
    cls.def_static(
        "from_float", [](const nn::qat::ConvNd& mod, bool) { return C::from_float(mod); }, arg("mod"),
        arg("use_precomputed_fake_quant") = false, release_gil());
  }
  if constexpr (!kind.dynamic) {
    cls.def_static(
        "from_reference", &C::from_reference, arg("ref_qconv"), arg("output_scale"), arg("output_zero_point"),
        release_gil(),
        "From a reference module of qint8 weights (TypeError for others) and the output\'s parameters.");
  }
  for (const char* method : {"forward", "__call__"}) {
    if constexpr (kind.dynamic) {
      cls.def(
          method, [](const C& c, const Tensor& x, bool reduce_range) { return c.forward(x, reduce_range); },
          arg("input"), arg("reduce_range") = true, release_gil(),
          "float32 in and out; quantized in between over the input's own range (0..127 with reduce_range).");
    } else if constexpr (has_add(kind.post_op)) {
      cls.def(
          method, [](const C& c, const Tensor& x, const Tensor& extra) { return c.forward(x, extra); },
          arg("input"), arg("extra_input"), release_gil(),
          "Convolves a quantized (N, C, H, W) tensor, adds extra_input, of the output's sizes, dtype and "
          "kind, and rounds "
          "once. ValueError or TypeError in the module's name.");
    } else {
      cls.def(
          method, [](const C& c, const Tensor& x) { return c.forward(x); }, arg("input"), release_gil(),
          "Convolves a quantized tensor (N, C, spatial...), quint8 or qint8, per tensor. The result has its "
          "dtype and the "
          "module's scale and zero_point, and lies channels-last in memory. ValueError or TypeError in the "
          "module's name.");
    }
  }
}

}  // namespace

void bind_convolutions() {
  nb::module_ m = submodule("qconv.nn");
  bind_float_base(m);
  bind_float<nn::Conv1d, false>(m, "Conv1d");
  bind_float<nn::Conv2d, false>(m, "Conv2d");
  bind_float<nn::Conv3d, false>(m, "Conv3d");
  bind_float<nn::ConvTranspose1d, true>(m, "ConvTranspose1d");
  bind_float<nn::ConvTranspose2d, true>(m, "ConvTranspose2d");
  bind_float<nn::ConvTranspose3d, true>(m, "ConvTranspose3d");
  m.def("manual_seed", &nn::manual_seed, arg("seed"), "Seeds the weights that constructors draw.");

  namespace nni = nn::intrinsic;
  nb::module_ intrinsic = submodule("qconv.nn.intrinsic");
  intrinsic.doc() = "A float convolution and what follows it as one module: torch.ao.nn.intrinsic.";
  bind_fused<nni::ConvReLU1d, nn::Conv1d, false>(intrinsic, "ConvReLU1d");
  bind_fused<nni::ConvReLU2d, nn::Conv2d, false>(intrinsic, "ConvReLU2d");
  bind_fused<nni::ConvReLU3d, nn::Conv3d, false>(intrinsic, "ConvReLU3d");
  bind_fused<nni::ConvAdd2d, nn::Conv2d, true>(intrinsic, "ConvAdd2d");
  bind_fused<nni::ConvAddReLU2d, nn::Conv2d, true>(intrinsic, "ConvAddReLU2d");

  namespace nnq = nn::quantized;
  namespace nnqr = nnq::reference;
  nb::module_ quantized = submodule("qconv.nn.quantized");
  quantized.doc() = "Quantized convolution modules: torch.ao.nn.quantized.";
  bind_quantized_base(quantized);
  nb::module_ reference = submodule("qconv.nn.quantized.reference");
  reference.doc() =
      "Float convolutions that carry the quantization of their weight: torch.ao.nn.quantized.reference.";
  bind_reference_base(reference);
  bind_reference<nnqr::Conv1d, nn::Conv1d>(reference, "Conv1d");
  bind_reference<nnqr::Conv2d, nn::Conv2d>(reference, "Conv2d");
  bind_reference<nnqr::Conv3d, nn::Conv3d>(reference, "Conv3d");
  bind_reference<nnqr::ConvTranspose1d, nn::ConvTranspose1d>(reference, "ConvTranspose1d");
  bind_reference<nnqr::ConvTranspose2d, nn::ConvTranspose2d>(reference, "ConvTranspose2d");
  bind_reference<nnqr::ConvTranspose3d, nn::ConvTranspose3d>(reference, "ConvTranspose3d");

  bind_quantized<nnq::Conv1d, nn::Conv1d, nnqr::Conv1d>(quantized, "Conv1d");
  bind_quantized<nnq::Conv2d, nn::Conv2d, nnqr::Conv2d>(quantized, "Conv2d");
  bind_quantized<nnq::Conv3d, nn::Conv3d, nnqr::Conv3d>(quantized, "Conv3d");
  bind_quantized<nnq::ConvTranspose1d, nn::ConvTranspose1d, nnqr::ConvTranspose1d>(quantized,
                                                                                   "ConvTranspose1d");
  bind_quantized<nnq::ConvTranspose2d, nn::ConvTranspose2d, nnqr::ConvTranspose2d>(quantized,
                                                                                   "ConvTranspose2d");
  bind_quantized<nnq::ConvTranspose3d, nn::ConvTranspose3d, nnqr::ConvTranspose3d>(quantized,
                                                                                   "ConvTranspose3d");

  namespace nniq = nn::intrinsic::quantized;
  nb::module_ fused = submodule("qconv.nn.intrinsic.quantized");
  fused.doc() = "Quantized convolutions with what follows them built in: torch.ao.nn.intrinsic.quantized.";
  bind_quantized<nniq::ConvReLU1d, nni::ConvReLU1d, nnqr::Conv1d>(fused, "ConvReLU1d");
  bind_quantized<nniq::ConvReLU2d, nni::ConvReLU2d, nnqr::Conv2d>(fused, "ConvReLU2d");
  bind_quantized<nniq::ConvReLU3d, nni::ConvReLU3d, nnqr::Conv3d>(fused, "ConvReLU3d");
  bind_quantized<nniq::ConvAdd2d, nni::ConvAdd2d, nnqr::Conv2d>(fused, "ConvAdd2d");
  bind_quantized<nniq::ConvAddReLU2d, nni::ConvAddReLU2d, nnqr::Conv2d>(fused, "ConvAddReLU2d");

  namespace nnqd = nnq::dynamic;
  nb::module_ dynamic = submodule("qconv.nn.quantized.dynamic");
  dynamic.doc() =
      "Convolutions with float input and output and quantized insides: torch.ao.nn.quantized.dynamic.";
  bind_quantized<nnqd::Conv1d, nn::Conv1d, nnqr::Conv1d>(dynamic, "Conv1d");
  bind_quantized<nnqd::Conv2d, nn::Conv2d, nnqr::Conv2d>(dynamic, "Conv2d");
  bind_quantized<nnqd::Conv3d, nn::Conv3d, nnqr::Conv3d>(dynamic, "Conv3d");
  bind_quantized<nnqd::ConvTranspose1d, nn::ConvTranspose1d, nnqr::ConvTranspose1d>(dynamic,
                                                                                    "ConvTranspose1d");
  bind_quantized<nnqd::ConvTranspose2d, nn::ConvTranspose2d, nnqr::ConvTranspose2d>(dynamic,
                                                                                    "ConvTranspose2d");
  bind_quantized<nnqd::ConvTranspose3d, nn::ConvTranspose3d, nnqr::ConvTranspose3d>(dynamic,
                                                                                    "ConvTranspose3d");
}

}  // namespace qconv::python
