#include <qconv/nn/dynamic.hpp>
#include <qconv/nn/intrinsic_qat.hpp>
#include <qconv/nn/intrinsic_quantized.hpp>
#include <qconv/nn/module_mapping.hpp>
#include <qconv/nn/quantized.hpp>
#include <qconv/nn/quantized_functional.hpp>

#include "support/check.hpp"

namespace qconv::nn {
namespace {

namespace q = quantized;
namespace iq = intrinsic::quantized;
namespace iqat = intrinsic::qat;

void add_stubs(ModuleMapping& mapping) {
  mapping.add<QuantStub, q::Quantize>().add<DeQuantStub, q::DeQuantize>();
}

// PyTorch has a module for this. Here nothing normalizes integers.
std::shared_ptr<Module> refuse_normalization(const Module& module, std::string_view name) {
  throw ValueError(fmt::format(
      "{}: this {} is not fused; fuse_modules folds it into the convolution before it, and an empty "
      "qconfig keeps it in float",
      name, module.name()));
}

}  // namespace

ModuleMapping get_default_static_quant_module_mappings() {
  ModuleMapping mapping;
  add_stubs(mapping);
  mapping.add<BatchNorm2d>(refuse_normalization)
      .add<BatchNorm3d>(refuse_normalization)
      .add<Conv1d, q::Conv1d>()
      .add<Conv2d, q::Conv2d>()
      .add<Conv3d, q::Conv3d>()
      .add<ConvTranspose1d, q::ConvTranspose1d>()
      .add<ConvTranspose2d, q::ConvTranspose2d>()
      .add<ConvTranspose3d, q::ConvTranspose3d>()
      .add<q::FloatFunctional, q::QFunctional>()
      .add<intrinsic::ConvReLU1d, iq::ConvReLU1d>()
      .add<intrinsic::ConvReLU2d, iq::ConvReLU2d>()
      .add<intrinsic::ConvReLU3d, iq::ConvReLU3d>()
      .add<intrinsic::ConvAdd2d, iq::ConvAdd2d>()
      .add<intrinsic::ConvAddReLU2d, iq::ConvAddReLU2d>()
      .add<qat::Conv1d, q::Conv1d>()
      .add<qat::Conv2d, q::Conv2d>()
      .add<qat::Conv3d, q::Conv3d>()
      .add<iqat::ConvReLU1d, iq::ConvReLU1d>()
      .add<iqat::ConvReLU2d, iq::ConvReLU2d>()
      .add<iqat::ConvReLU3d, iq::ConvReLU3d>()
      .add<iqat::ConvBn1d, q::Conv1d>()
      .add<iqat::ConvBn2d, q::Conv2d>()
      .add<iqat::ConvBn3d, q::Conv3d>()
      .add<iqat::ConvBnReLU1d, iq::ConvReLU1d>()
      .add<iqat::ConvBnReLU2d, iq::ConvReLU2d>()
      .add<iqat::ConvBnReLU3d, iq::ConvReLU3d>();
  return mapping;
}

ModuleMapping get_default_qat_module_mappings() {
  ModuleMapping mapping;
  mapping.add<Conv2d, qat::Conv2d>()
      .add<Conv3d, qat::Conv3d>()
      .add<intrinsic::ConvReLU2d, iqat::ConvReLU2d>()
      .add<intrinsic::ConvReLU3d, iqat::ConvReLU3d>()
      .add<intrinsic::ConvBn1d, iqat::ConvBn1d>()
      .add<intrinsic::ConvBn2d, iqat::ConvBn2d>()
      .add<intrinsic::ConvBn3d, iqat::ConvBn3d>()
      .add<intrinsic::ConvBnReLU1d, iqat::ConvBnReLU1d>()
      .add<intrinsic::ConvBnReLU2d, iqat::ConvBnReLU2d>()
      .add<intrinsic::ConvBnReLU3d, iqat::ConvBnReLU3d>();
  return mapping;
}

ModuleMapping get_default_static_quant_reference_module_mappings() {
  ModuleMapping mapping;
  add_stubs(mapping);
  mapping.add<Conv1d, q::reference::Conv1d>()
      .add<Conv2d, q::reference::Conv2d>()
      .add<Conv3d, q::reference::Conv3d>()
      .add<ConvTranspose1d, q::reference::ConvTranspose1d>()
      .add<ConvTranspose2d, q::reference::ConvTranspose2d>()
      .add<ConvTranspose3d, q::reference::ConvTranspose3d>();
  return mapping;
}

ModuleMapping get_dynamic_conv_module_mappings() {
  ModuleMapping mapping;
  mapping.add<Conv1d, q::dynamic::Conv1d>()
      .add<Conv2d, q::dynamic::Conv2d>()
      .add<Conv3d, q::dynamic::Conv3d>()
      .add<ConvTranspose1d, q::dynamic::ConvTranspose1d>()
      .add<ConvTranspose2d, q::dynamic::ConvTranspose2d>()
      .add<ConvTranspose3d, q::dynamic::ConvTranspose3d>();
  return mapping;
}

}  // namespace qconv::nn
