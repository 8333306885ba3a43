// qconv.ops: PyTorch's torch.ops.quantized convolutions under their names and signatures.
#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;

ops::PrepackOptions options_of(const std::string& padding_mode, const std::string& rule,
                               const std::string& engine) {
  return {.padding_mode = parse_padding_mode(padding_mode), .rule = parse_rule(rule), .engine = engine};
}

constexpr const char* kPrepackDoc =
    "Packs a qint8 weight (OC, IC / groups, kernel...; per tensor, or per channel on axis 0) and an "
    "optional float32 bias (OC) for the running of many inputs.\n\n"
    "stride, padding and dilation: an int or one per dimension; padding also two per dimension (all "
    "begins, then all ends), 'same' or 'valid'. padding_mode: 'zeros', 'reflect', 'replicate' or "
    "'circular'. rule: whose rounding to follow, 'fbgemm' (float bias) or 'qnnpack' (bias quantized to "
    "int32). engine: 'native', 'reference' or '' for the best. ValueError or TypeError, in the operator's "
    "name, for whatever cannot be packed.";
constexpr const char* kTransposePrepackDoc =
    "Packs a qint8 weight (IC, OC / groups, kernel...; per tensor, or per channel on axis 1) and an "
    "optional float32 bias (OC) of a transposed convolution. The other arguments are those of "
    "conv2d_prepack.";
constexpr const char* kRunDoc =
    "Convolves a quint8 or qint8 tensor (N, C, spatial...), quantized per tensor. The result has its "
    "dtype and the given parameters, and lies channels-last in memory.";
constexpr const char* kReluDoc = "The convolution, never below the output's zero point.";
constexpr const char* kAddDoc =
    "The convolution plus `qaccum`, a quantized tensor of the output's sizes and dtype, added before "
    "rounding. The "
    "result is a new tensor; qaccum is not touched.";
constexpr const char* kAddReluDoc = "max(conv + qaccum, 0), rounded once; see conv2d_add.";
constexpr const char* kDynamicDoc =
    "float32 in and out: the input is quantized over its own range (0..127 with reduce_range, else "
    "0..255), the output with the same parameters, as in PyTorch.";
constexpr const char* kUnpackDoc = "Copies of the weight and bias (or None) that were packed.";
constexpr const char* kGetterDoc = "As packed: one value per spatial dimension, or one number.";

using Prepack = PackedParams (*)(const Tensor&, const ops::Bias&, const IntList&, const Padding&,
                                 const IntList&, std::int64_t, const ops::PrepackOptions&);
using TransposePrepack = PackedParams (*)(const Tensor&, const ops::Bias&, const IntList&, const Padding&,
                                          const IntList&, const IntList&, std::int64_t,
                                          const ops::PrepackOptions&);
using Run = Tensor (*)(const Tensor&, const PackedParams&, double, std::int64_t, ops::OutputDType);
using RunAdd = Tensor (*)(const Tensor&, const Tensor&, const PackedParams&, double, std::int64_t);
using RunDynamic = Tensor (*)(const Tensor&, const PackedParams&, bool);

void def_prepack(nb::module_& m, const char* name, Prepack prepack) {
  m.def(
      name,
      [prepack](const Tensor& weight, const ops::Bias& bias, const IntList& stride, const Padding& padding,
                const IntList& dilation, std::int64_t groups, const std::string& padding_mode,
                const std::string& rule, const std::string& engine) {
        return prepack(weight, bias, stride, padding, dilation, groups,
                       options_of(padding_mode, rule, engine));
      },
      arg("weight"), arg("bias").none() = nb::none(), arg("stride") = 1, arg("padding") = 0,
      arg("dilation") = 1, arg("groups") = 1, nb::kw_only(), arg("padding_mode") = "zeros",
      arg("rule") = "fbgemm", arg("engine") = "", release_gil(), kPrepackDoc);
}

void def_transpose_prepack(nb::module_& m, const char* name, TransposePrepack prepack) {
  m.def(
      name,
      [prepack](const Tensor& weight, const ops::Bias& bias, const IntList& stride, const Padding& padding,
                const IntList& output_padding, const IntList& dilation, std::int64_t groups,
                const std::string& rule, const std::string& engine) {
        return prepack(weight, bias, stride, padding, output_padding, dilation, groups,
                       options_of("zeros", rule, engine));
      },
      arg("weight"), arg("bias").none() = nb::none(), arg("stride") = 1, arg("padding") = 0,
      arg("output_padding") = 0, arg("dilation") = 1, arg("groups") = 1, nb::kw_only(),
      arg("rule") = "fbgemm", arg("engine") = "", release_gil(), kTransposePrepackDoc);
}

void def_run(nb::module_& m, const char* name, Run run, const char* doc) {
  m.def(name, run, arg("qx"), arg("packed_weight"), arg("output_scale"), arg("output_zero_point"),
        arg("output_dtype") = nb::none(), release_gil(), doc);
  // PyTorch's older form: the four arguments of the convolution are those of the packed weights, whatever is
  // given.
  m.def(
      name,
      [run](const Tensor& qx, const PackedParams& weight, const IntList&, const IntList&, const IntList&,
            std::int64_t, double scale,
            std::int64_t zero_point) { return run(qx, weight, scale, zero_point, std::nullopt); },
      arg("qx"), arg("weight"), arg("stride"), arg("padding"), arg("dilation"), arg("groups"),
      arg("output_scale"), arg("output_zero_point"), release_gil());
}

void def_add(nb::module_& m, const char* name, RunAdd run, const char* doc) {
  m.def(name, run, arg("qx"), arg("qaccum"), arg("packed_weight"), arg("output_scale"),
        arg("output_zero_point"), release_gil(), doc);
}

void def_dynamic(nb::module_& m, const char* name, RunDynamic run) {
  m.def(name, run, arg("qx"), arg("packed_weight"), arg("reduce_range") = false, release_gil(), kDynamicDoc);
}

void bind_packed_params(nb::module_& m) {
  nb::class_<ConvPackedParams>(
      m, "ConvPackedParams",
      "Packed weights with bias and geometry: what the prepack operators return. Immutable; "
      "any number of threads may run one at once.")
      .def(
          "unpack", [](const ConvPackedParams& p) { return p.unpack(); }, kUnpackDoc)
      .def(
          "weight", [](const ConvPackedParams& p) { return p.unpack().first; }, "A copy of the weight.")
      .def(
          "bias", [](const ConvPackedParams& p) { return p.unpack().second; }, "A copy of the bias, or None.")
      .def("stride", &ConvPackedParams::stride, kGetterDoc)
      .def("padding", &ConvPackedParams::padding, kGetterDoc)
      .def("output_padding", &ConvPackedParams::output_padding, kGetterDoc)
      .def("dilation", &ConvPackedParams::dilation, kGetterDoc)
      .def("groups", &ConvPackedParams::groups, kGetterDoc)
      .def("transpose", &ConvPackedParams::transpose, kGetterDoc)
      .def_prop_ro(
          "rule",
          [](const ConvPackedParams& p) { return p.rule() == RequantRule::fbgemm ? "fbgemm" : "qnnpack"; })
      .def_prop_ro(
          "engine", [](const ConvPackedParams& p) { return std::string(p.engine()); },
          "The engine that runs it: 'native' or 'reference'.")
      .def_prop_ro("kernel", &ConvPackedParams::kernel, "The kernel that runs it.")
      .def("__repr__", [](const ConvPackedParams& p) {
        return "ConvPackedParams(" + p.geometry().name() + ", weight " + p.weight().sizes().to_string() +
               ", " + std::string(p.engine()) + " " + p.kernel() + ")";
      });
}

void bind_getters(nb::module_& m) {
#define QCONV_DEF_GETTERS(op)                                                                 \
  m.def(#op "_stride", &ops::op##_stride, arg("packed_weights"), kGetterDoc);                 \
  m.def(#op "_padding", &ops::op##_padding, arg("packed_weights"), kGetterDoc);               \
  m.def(#op "_output_padding", &ops::op##_output_padding, arg("packed_weights"), kGetterDoc); \
  m.def(#op "_dilation", &ops::op##_dilation, arg("packed_weights"), kGetterDoc);             \
  m.def(#op "_groups", &ops::op##_groups, arg("packed_weights"), kGetterDoc);                 \
  m.def(#op "_transpose", &ops::op##_transpose, arg("packed_weights"), kGetterDoc)
  QCONV_DEF_GETTERS(conv1d);
  QCONV_DEF_GETTERS(conv2d);
  QCONV_DEF_GETTERS(conv3d);
  QCONV_DEF_GETTERS(conv_transpose1d);
  QCONV_DEF_GETTERS(conv_transpose2d);
  QCONV_DEF_GETTERS(conv_transpose3d);
#undef QCONV_DEF_GETTERS
  m.def(
      "conv2d_unpack_sizes",
      [](const PackedParams& packed) {
        const ops::ConvSizes s = ops::conv2d_unpack_sizes(packed);
        return nb::make_tuple(s.weight, s.bias, s.stride, s.padding, s.dilation, s.groups);
      },
      arg("packed_weights"),
      "(weight sizes, bias sizes or None, stride, padding, dilation, groups) of a 2-D convolution.");
}

}  // namespace

void bind_ops(nb::module_& root) {
  bind_packed_params(root);
  nb::module_ m = submodule("qconv.ops");
  m.doc() = "Quantized convolutions under the names and signatures of torch.ops.quantized.";

  def_prepack(m, "conv1d_prepack", ops::conv1d_prepack);
  def_prepack(m, "conv2d_prepack", ops::conv2d_prepack);
  def_prepack(m, "conv3d_prepack", ops::conv3d_prepack);
  def_prepack(m, "conv_prepack", ops::conv_prepack);
  def_transpose_prepack(m, "conv_transpose1d_prepack", ops::conv_transpose1d_prepack);
  def_transpose_prepack(m, "conv_transpose2d_prepack", ops::conv_transpose2d_prepack);
  def_transpose_prepack(m, "conv_transpose3d_prepack", ops::conv_transpose3d_prepack);

  def_run(m, "conv1d", ops::conv1d, kRunDoc);
  def_run(m, "conv2d", ops::conv2d, kRunDoc);
  def_run(m, "conv3d", ops::conv3d, kRunDoc);
  def_run(m, "conv1d_relu", ops::conv1d_relu, kReluDoc);
  def_run(m, "conv2d_relu", ops::conv2d_relu, kReluDoc);
  def_run(m, "conv3d_relu", ops::conv3d_relu, kReluDoc);
  def_run(m, "conv_transpose1d", ops::conv_transpose1d, kRunDoc);
  def_run(m, "conv_transpose2d", ops::conv_transpose2d, kRunDoc);
  def_run(m, "conv_transpose3d", ops::conv_transpose3d, kRunDoc);

  def_add(m, "conv1d_add", ops::conv1d_add, kAddDoc);
  def_add(m, "conv2d_add", ops::conv2d_add, kAddDoc);
  def_add(m, "conv3d_add", ops::conv3d_add, kAddDoc);
  def_add(m, "conv1d_add_relu", ops::conv1d_add_relu, kAddReluDoc);
  def_add(m, "conv2d_add_relu", ops::conv2d_add_relu, kAddReluDoc);
  def_add(m, "conv3d_add_relu", ops::conv3d_add_relu, kAddReluDoc);

  def_dynamic(m, "conv1d_dynamic", ops::conv1d_dynamic);
  def_dynamic(m, "conv2d_dynamic", ops::conv2d_dynamic);
  def_dynamic(m, "conv3d_dynamic", ops::conv3d_dynamic);
  def_dynamic(m, "conv_transpose1d_dynamic", ops::conv_transpose1d_dynamic);
  def_dynamic(m, "conv_transpose2d_dynamic", ops::conv_transpose2d_dynamic);
  def_dynamic(m, "conv_transpose3d_dynamic", ops::conv_transpose3d_dynamic);

  m.def("conv1d_unpack", &ops::conv1d_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv2d_unpack", &ops::conv2d_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv3d_unpack", &ops::conv3d_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv_unpack", &ops::conv_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv_transpose1d_unpack", &ops::conv_transpose1d_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv_transpose2d_unpack", &ops::conv_transpose2d_unpack, arg("packed_weights"), kUnpackDoc);
  m.def("conv_transpose3d_unpack", &ops::conv_transpose3d_unpack, arg("packed_weights"), kUnpackDoc);
  bind_getters(m);
}

}  // namespace qconv::python
