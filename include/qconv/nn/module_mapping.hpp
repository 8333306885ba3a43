#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <typeindex>

#include <qconv/nn/module.hpp>

namespace qconv::nn {

/// Which class of modules takes the place of which when a tree is converted. Classes are matched exactly.
class QCONV_API ModuleMapping {
 public:
  /// Makes the other module; the text names the module in error messages.
  using Swap = std::function<std::shared_ptr<Module>(const Module&, std::string_view)>;

  /// To::from_float(module, name) takes the place of a From.
  template <std::derived_from<Module> From, std::derived_from<Module> To>
  ModuleMapping& add() {
    return add<From>([](const Module& module, std::string_view name) -> std::shared_ptr<Module> {
      return std::make_shared<To>(To::from_float(static_cast<const From&>(module), name));
    });
  }
  /// The same with a function of your own.
  template <std::derived_from<Module> From>
  ModuleMapping& add(Swap swap) {
    table_.insert_or_assign(std::type_index(typeid(From)), std::move(swap));
    return *this;
  }
  template <std::derived_from<Module> From>
  ModuleMapping& remove() {
    table_.erase(std::type_index(typeid(From)));
    return *this;
  }
  /// The row for the module's class, or null.
  const Swap* find(const Module& module) const {
    const auto found = table_.find(std::type_index(typeid(module)));
    return found == table_.end() ? nullptr : &found->second;
  }
  std::size_t size() const noexcept { return table_.size(); }

 private:
  std::map<std::type_index, Swap> table_;
};

/// PyTorch's default tables, as far as the classes are there; a copy that you may change.
///
/// For convert: stubs, convolutions, FloatFunctional, the fused modules without batch normalization, and
/// those of quantization-aware training, to quantized ones. PyTorch's has no row for qat::Conv1d and
/// intrinsic::qat::ConvReLU1d; this has.
QCONV_API ModuleMapping get_default_static_quant_module_mappings();
/// For prepare_qat: Conv2d, Conv3d and the fused modules, but no Conv1d and ConvReLU1d, as in PyTorch: those
/// train without fake quantization of the weight.
QCONV_API ModuleMapping get_default_qat_module_mappings();
/// For convert: stubs to quantized ones, convolutions to quantized::reference.
QCONV_API ModuleMapping get_default_static_quant_reference_module_mappings();
/// For quantize_dynamic: convolutions to quantized::dynamic. PyTorch has this switched off by default, since
/// their output is limited to about the input's range.
QCONV_API ModuleMapping get_dynamic_conv_module_mappings();

}  // namespace qconv::nn
