// Batch normalization, and the modules of quantization-aware training. They compute forward only.
#include "bind_convolutions.hpp"

namespace qconv::python {
namespace {

void bind_batch_norm_base(nb::module_& m) {
  nb::class_<nn::BatchNorm, nn::Module>(m, "_BatchNorm", "What all batch normalizations share.")
      .def_rw("weight", &nn::BatchNorm::weight, arg("weight").none())
      .def_rw("bias", &nn::BatchNorm::bias, arg("bias").none())
      .def_rw("running_mean", &nn::BatchNorm::running_mean, arg("running_mean").none())
      .def_rw("running_var", &nn::BatchNorm::running_var, arg("running_var").none())
      .def_rw("num_batches_tracked", &nn::BatchNorm::num_batches_tracked, arg("num_batches_tracked").none())
      .def_rw("eps", &nn::BatchNorm::eps)
      .def_rw("momentum", &nn::BatchNorm::momentum, arg("momentum").none())
      .def_prop_ro("num_features", &nn::BatchNorm::num_features)
      .def_prop_ro("affine", &nn::BatchNorm::affine)
      .def_prop_ro("track_running_stats", &nn::BatchNorm::track_running_stats)
      .def("reset_running_stats", &nn::BatchNorm::reset_running_stats)
      .def("reset_parameters", &nn::BatchNorm::reset_parameters)
      .def("forward", &nn::BatchNorm::forward, arg("input"), release_gil(),
           "float32 in and out; in training it moves the running statistics.");
}

template <class B>
void bind_batch_norm(nb::module_& m, const char* name) {
  nb::class_<B, nn::BatchNorm>(m, name,
                               "(x - mean) / sqrt(var + eps) * weight + bias per channel; torch.nn's class.")
      .def(nb::init<std::int64_t, double, std::optional<double>, bool, bool>(), arg("num_features"),
           arg("eps") = 1e-5, arg("momentum").none() = 0.1, arg("affine") = true,
           arg("track_running_stats") = true);
}

// nn::intrinsic's modules with a batch normalization.
template <class C, class Conv, class Norm>
void bind_fused_norm(nb::module_& m, const char* name) {
  nb::class_<C, nn::Module>(m, name,
                            "A convolution, its batch normalization [and ReLU] as one module; float32.")
      .def(
          "__init__",
          [](C* self, const Conv& conv, const Norm& bn, const nn::ReLU*) { new (self) C(conv, bn); },
          arg("conv"), arg("bn"), arg("relu").none() = nb::none())
      .def_rw("conv", &C::conv)
      .def_rw("bn", &C::bn)
      .def(
          "forward", [](const C& c, const Tensor& input) { return c.forward(input); }, arg("input"),
          release_gil(), "float32 (N, C, spatial...) in and out.");
}

void bind_qat_base(nb::module_& m) {
  using Base = nn::qat::ConvNd;
  nb::class_<Base, nn::ConvNd>(m, "_ConvNd", "What the modules of quantization-aware training share.")
      .def_rw("weight_fake_quant", &Base::weight_fake_quant, "What the weight passes through.")
      .def("folded", &Base::folded,
           "Weight and bias of the convolution that remains, batch normalization folded in.");
  using BnBase = nn::intrinsic::qat::ConvBnNd;
  nb::class_<BnBase, Base>(submodule("qconv.nn.intrinsic.qat"), "_ConvBnNd",
                           "What those with batch normalization share.")
      .def_rw("freeze_bn", &BnBase::freeze_bn)
      .def_rw("_enable_slow_path_for_better_numerical_stability",
              &BnBase::enable_slow_path_for_better_numerical_stability)
      .def("reset_running_stats", &BnBase::reset_running_stats)
      .def("reset_bn_parameters", &BnBase::reset_bn_parameters)
      .def(
          "update_bn_stats",
          [](BnBase& self) {
            self.update_bn_stats();
            return &self;
          },
          nb::rv_policy::reference)
      .def(
          "freeze_bn_stats",
          [](BnBase& self) {
            self.freeze_bn_stats();
            return &self;
          },
          nb::rv_policy::reference);
}

// The constructor, forward and conversions of one class. Float is what it is made from.
template <class C, class Float, class Base>
nb::class_<C, Base> bind_qat(nb::module_& m, const char* name) {
  nb::class_<C, Base> cls(m, name,
                          "For quantization-aware training, forward only; PyTorch's class of that name.");
  cls.def(
         "forward", [](const C& c, const Tensor& input) { return c.forward(input); }, arg("input"),
         release_gil(), "float32 (N, C, spatial...) in and out.")
      .def_static(
          "from_float", [](const Float& mod, bool) { return C::from_float(mod); }, arg("mod"),
          arg("use_precomputed_fake_quant") = false,
          "A module in training mode with copies of the float module's parameters. ValueError without "
          "qconfig.")
      .def("to_float", &C::to_float, "The float module without fake quantization.");
  return cls;
}

template <class C, class Float>
void bind_qat_conv(nb::module_& m, const char* name) {
  bind_qat<C, Float, nn::qat::ConvNd>(m, name).def(
      "__init__",
      [](C* self, std::int64_t in, std::int64_t out, const IntList& kernel, const IntList& stride,
         const Padding& padding, const IntList& dilation, std::int64_t groups, bool bias,
         const std::string& padding_mode, const std::optional<QConfig>& qconfig) {
        new (self) C(in, out, kernel, stride, padding, dilation, groups, bias, padding_mode, qconfig);
      },
      arg("in_channels"), arg("out_channels"), arg("kernel_size"), arg("stride") = 1, arg("padding") = 0,
      arg("dilation") = 1, arg("groups") = 1, arg("bias") = true, arg("padding_mode") = "zeros",
      arg("qconfig").none() = nb::none());
}

template <class C, class Float>
void bind_qat_norm(nb::module_& m, const char* name) {
  bind_qat<C, Float, nn::intrinsic::qat::ConvBnNd>(m, name)
      .def(
          "__init__",
          [](C* self, std::int64_t in, std::int64_t out, const IntList& kernel, const IntList& stride,
             const Padding& padding, const IntList& dilation, std::int64_t groups, bool bias,
             const std::string& padding_mode, double eps, std::optional<double> momentum, bool freeze_bn,
             const std::optional<QConfig>& qconfig) {
            new (self) C(in, out, kernel, stride, padding, dilation, groups, bias, padding_mode, eps,
                         momentum, freeze_bn, qconfig);
          },
          arg("in_channels"), arg("out_channels"), arg("kernel_size"), arg("stride") = 1, arg("padding") = 0,
          arg("dilation") = 1, arg("groups") = 1, arg("bias") = false, arg("padding_mode") = "zeros",
          arg("eps") = 1e-5, arg("momentum").none() = 0.1, arg("freeze_bn") = false,
          arg("qconfig").none() = nb::none())
      .def_rw("bn", &C::bn);
}

}  // namespace

void bind_training() {
  nb::module_ m = submodule("qconv.nn");
  bind_batch_norm_base(m);
  bind_batch_norm<nn::BatchNorm1d>(m, "BatchNorm1d");
  bind_batch_norm<nn::BatchNorm2d>(m, "BatchNorm2d");
  bind_batch_norm<nn::BatchNorm3d>(m, "BatchNorm3d");

  namespace nni = nn::intrinsic;
  nb::module_ intrinsic = submodule("qconv.nn.intrinsic");
  bind_fused_norm<nni::ConvBn1d, nn::Conv1d, nn::BatchNorm1d>(intrinsic, "ConvBn1d");
  bind_fused_norm<nni::ConvBn2d, nn::Conv2d, nn::BatchNorm2d>(intrinsic, "ConvBn2d");
  bind_fused_norm<nni::ConvBn3d, nn::Conv3d, nn::BatchNorm3d>(intrinsic, "ConvBn3d");
  bind_fused_norm<nni::ConvBnReLU1d, nn::Conv1d, nn::BatchNorm1d>(intrinsic, "ConvBnReLU1d");
  bind_fused_norm<nni::ConvBnReLU2d, nn::Conv2d, nn::BatchNorm2d>(intrinsic, "ConvBnReLU2d");
  bind_fused_norm<nni::ConvBnReLU3d, nn::Conv3d, nn::BatchNorm3d>(intrinsic, "ConvBnReLU3d");

  nb::module_ qat = submodule("qconv.nn.qat");
  qat.doc() = "Convolutions whose weight passes through a FakeQuantize: torch.ao.nn.qat. Forward only.";
  bind_qat_base(qat);
  bind_qat_conv<nn::qat::Conv1d, nn::Conv1d>(qat, "Conv1d");
  bind_qat_conv<nn::qat::Conv2d, nn::Conv2d>(qat, "Conv2d");
  bind_qat_conv<nn::qat::Conv3d, nn::Conv3d>(qat, "Conv3d");

  namespace nniqat = nn::intrinsic::qat;
  nb::module_ fused = submodule("qconv.nn.intrinsic.qat");
  fused.doc() = "Those with what follows them built in: torch.ao.nn.intrinsic.qat. Forward only.";
  bind_qat_conv<nniqat::ConvReLU1d, nni::ConvReLU1d>(fused, "ConvReLU1d");
  bind_qat_conv<nniqat::ConvReLU2d, nni::ConvReLU2d>(fused, "ConvReLU2d");
  bind_qat_conv<nniqat::ConvReLU3d, nni::ConvReLU3d>(fused, "ConvReLU3d");
  bind_qat_norm<nniqat::ConvBn1d, nni::ConvBn1d>(fused, "ConvBn1d");
  bind_qat_norm<nniqat::ConvBn2d, nni::ConvBn2d>(fused, "ConvBn2d");
  bind_qat_norm<nniqat::ConvBn3d, nni::ConvBn3d>(fused, "ConvBn3d");
  bind_qat_norm<nniqat::ConvBnReLU1d, nni::ConvBnReLU1d>(fused, "ConvBnReLU1d");
  bind_qat_norm<nniqat::ConvBnReLU2d, nni::ConvBnReLU2d>(fused, "ConvBnReLU2d");
  bind_qat_norm<nniqat::ConvBnReLU3d, nni::ConvBnReLU3d>(fused, "ConvBnReLU3d");
  fused.def("update_bn_stats", &nniqat::update_bn_stats, arg("mod"),
            "For every module with batch normalization in the tree.");
  fused.def("freeze_bn_stats", &nniqat::freeze_bn_stats, arg("mod"),
            "For every module with batch normalization in the tree.");
}

}  // namespace qconv::python
