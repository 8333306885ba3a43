#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>

#include <qconv/nn/module.hpp>

/// Modules that a network is put together from.
namespace qconv::nn {

template <class M>
concept IsModule = std::derived_from<std::remove_cvref_t<M>, Module>;

/// Runs its children one after the other: PyTorch's `torch.nn.Sequential`. The names are "0", "1", ... unless
/// register_module gives others.
class QCONV_API Sequential final : public ModuleOf<Sequential> {
 public:
  Sequential() = default;
  template <IsModule First, IsModule... Rest>
  requires(sizeof...(Rest) > 0 || !std::same_as<First, Sequential>) explicit Sequential(First first,
                                                                                        Rest... rest) {
    append(std::move(first));
    (append(std::move(rest)), ...);
  }

  /// Adds a child at the end, named by how many there are.
  template <IsModule M>
  Sequential& append(M module) {
    register_module(std::to_string(named_children().size()), std::move(module));
    return *this;
  }

  std::string name() const override { return "Sequential"; }
  Tensor forward(const Tensor& input) const;
};

/// max(x, 0): float32, or quint8 and qint8 with its parameters. PyTorch's `torch.nn.ReLU`.
class QCONV_API ReLU final : public ModuleOf<ReLU> {
 public:
  std::string name() const override { return "ReLU"; }
  Tensor forward(const Tensor& input) const;
};

/// Gives what it gets; what fusing leaves behind. PyTorch's `torch.nn.Identity`.
class QCONV_API Identity final : public ModuleOf<Identity> {
 public:
  std::string name() const override { return "Identity"; }
  Tensor forward(const Tensor& input) const { return input; }
};

/// Where float tensors enter the part of a network that is to be quantized: observes them, and becomes
/// quantized::Quantize. PyTorch's `torch.ao.quantization.QuantStub`.
class QCONV_API QuantStub final : public ModuleOf<QuantStub> {
 public:
  explicit QuantStub(std::optional<QConfig> config = {}) { qconfig = std::move(config); }
  std::string name() const override { return "QuantStub"; }
  Tensor forward(const Tensor& input) const { return observed(input); }
};

/// Where they leave it: becomes quantized::DeQuantize. PyTorch's `torch.ao.quantization.DeQuantStub`.
class QCONV_API DeQuantStub final : public ModuleOf<DeQuantStub> {
 public:
  explicit DeQuantStub(std::optional<QConfig> config = {}) { qconfig = std::move(config); }
  std::string name() const override { return "DeQuantStub"; }
  Tensor forward(const Tensor& input) const { return input; }
};

/// dequant(module(quant(x))): a float module with both stubs around it, which take its qconfig. PyTorch's
/// `torch.ao.quantization.QuantWrapper`.
class QCONV_API QuantWrapper final : public ModuleOf<QuantWrapper> {
 public:
  explicit QuantWrapper(std::shared_ptr<Module> module);
  template <IsModule M>
  requires(!std::same_as<M, QuantWrapper>) explicit QuantWrapper(M module)
      : QuantWrapper(std::static_pointer_cast<Module>(std::make_shared<M>(std::move(module)))) {}

  std::string name() const override { return "QuantWrapper"; }
  Tensor forward(const Tensor& input) const;
};

}  // namespace qconv::nn
