#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/qconfig.hpp>
#include <qconv/state_dict.hpp>
#include <qconv/tensor.hpp>

namespace qconv::nn {

class StateReader;  // internal

/// What loading a state dict found: every problem, not the first one alone.
struct QCONV_API LoadResult {
  std::vector<std::string> missing_keys;     ///< wanted by the module and not there
  std::vector<std::string> unexpected_keys;  ///< there, under the module's prefix, and not known to it
  std::vector<std::string> mismatched;       ///< there and unusable: "KEY: got ..., expected ..."

  bool ok() const noexcept { return missing_keys.empty() && unexpected_keys.empty() && mismatched.empty(); }
  /// All of it in one line; empty when there is nothing to say.
  std::string to_string() const;
};

/// What all modules have: a name, children, a saved state. PyTorch's `nn.Module`, for inference: modules
/// compute forward only. A class of modules derives from ModuleOf below.
///
/// Copying a module copies handles: both copies have the same weights, children and observer, as in PyTorch;
/// `clone` shares nothing.
class QCONV_API Module {
 public:
  /// A module inside another, and its name there.
  struct Child {
    std::string name;
    std::shared_ptr<Module> module;
  };

  virtual ~Module();

  /// The class name that PyTorch prints: "Conv2d", "QuantizedConvReLU2d".
  virtual std::string name() const = 0;
  /// The attributes that PyTorch prints between the parentheses.
  virtual std::string extra_repr() const { return {}; }
  /// "QuantizedConv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), scale=1.0, zero_point=0)"; children follow on
  /// lines of their own.
  std::string to_string() const;

  /// What the class's forward gives for these inputs, whatever the class is: this is how containers run their
  /// children. Throws ValueError for another number of inputs than forward takes.
  virtual Tensor call(std::span<const Tensor> inputs) const = 0;
  Tensor operator()(const Tensor& input) const { return call({&input, 1}); }
  Tensor operator()(const Tensor& input, const Tensor& extra) const {
    const Tensor inputs[] = {input, extra};
    return call(inputs);
  }
  /// A module of the same class that shares nothing with this one.
  virtual std::shared_ptr<Module> clone() const = 0;

  /// The module's tensors by name, each name with `prefix` ("layer1.") in front: its own, its children's, its
  /// observer's. They share no memory with the module.
  StateDict state_dict(std::string_view prefix = {}) const;
  /// Takes the tensors named `prefix` + key, copied. With `strict` anything missing, unexpected or of the
  /// wrong dtype, sizes or value is a ValueError that lists all of it, and the module stays as it was;
  /// without, whatever fits is loaded and the rest reported.
  LoadResult load_state_dict(const StateDict& state, std::string_view prefix = {}, bool strict = true);

  /// Sets `training`, here and in all children. BatchNorm and what contains it compute by it; every other
  /// class only keeps it.
  virtual void train(bool mode = true);
  void eval() { train(false); }
  bool training = true;

  /// How to quantize the module; empty factories mean: not at all. In a tree, modules without one take that
  /// of the module above (propagate_qconfig).
  std::optional<QConfig> qconfig;
  /// Sees every output of forward(), if there is one, and a FakeQuantize replaces it. Its state is saved
  /// under "activation_post_process.".
  std::shared_ptr<Observer> activation_post_process;

  /// Adds a child. Throws ValueError for a name that is empty, taken or holds a dot, and for null.
  void register_module(std::string child_name, std::shared_ptr<Module> module);
  template <std::derived_from<Module> M>
  void register_module(std::string child_name, M module) {
    register_module(std::move(child_name), std::make_shared<M>(std::move(module)));
  }
  /// The children in the order of registration.
  const std::vector<Child>& named_children() const noexcept { return children_; }
  /// Everything below this module, by path ("layer1.0.conv"), each before its children.
  std::vector<Child> named_modules() const;
  /// The module at `path` below this one. Throws ValueError that lists the children when there is none.
  const std::shared_ptr<Module>& get_submodule(std::string_view path) const;
  /// Puts another module in its place.
  void set_submodule(std::string_view path, std::shared_ptr<Module> module);
  /// A child, for forward(): `child("conv")(x)`. Throws ValueError when there is none.
  const Module& child(std::string_view child_name) const;
  /// The same as a class of its own. Throws TypeError when it is not one.
  template <std::derived_from<Module> M>
  const M& child_as(std::string_view child_name) const {
    const auto* found = dynamic_cast<const M*>(&child(child_name));
    if (found == nullptr) refuse_child(child_name);
    return *found;
  }

  /// Internal: the steps of state_dict and load_state_dict for this module and all below it.
  void save_to(StateDict& state, const std::string& prefix) const;
  void read_from(StateReader& reader, const std::string& prefix);

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module& operator=(const Module&) = default;

  /// Adds the module's own entries, without children and observer.
  virtual void save(StateDict&, const std::string&) const {}
  /// Checks the module's own entries and notes what to do with them once all is well.
  virtual void read(StateReader&, const std::string&) {}
  /// Gives this copy tensors, children and an observer of its own.
  virtual void unshare();
  /// The output of forward, shown to activation_post_process.
  Tensor observed(const Tensor& output) const;
  [[noreturn]] void refuse_inputs(std::size_t count) const;
  [[noreturn]] void refuse_child(std::string_view child_name) const;

 private:
  const Child& find(std::string_view child_name) const;

  std::vector<Child> children_;
};

/// What every class of modules has alike; `Self` is the class:
///
///     class Block : public nn::ModuleOf<Block> {
///      public:
///       Block() {
///         register_module("conv", nn::Conv2d(3, 8, 3));
///         register_module("relu", nn::ReLU());
///       }
///       std::string name() const override { return "Block"; }
///       Tensor forward(const Tensor& x) const { return child("relu")(child("conv")(x)); }
///     };
///
/// forward takes one tensor or two. A class that keeps tensors or modules outside of its children overrides
/// `unshare` too.
template <class Self, class Base = Module>
class ModuleOf : public Base {
 public:
  using Base::Base;

  Tensor call(std::span<const Tensor> inputs) const override {
    const auto& self = static_cast<const Self&>(*this);
    if constexpr (requires { self.forward(inputs[0]); }) {
      if (inputs.size() == 1) return self.forward(inputs[0]);
    }
    if constexpr (requires { self.forward(inputs[0], inputs[1]); }) {
      if (inputs.size() == 2) return self.forward(inputs[0], inputs[1]);
    }
    this->refuse_inputs(inputs.size());
  }
  std::shared_ptr<Module> clone() const override { return std::make_shared<Self>(deep_copy()); }
  /// A copy that shares nothing with this module.
  Self deep_copy() const {
    Self copy(static_cast<const Self&>(*this));
    static_cast<ModuleOf&>(copy).unshare();
    return copy;
  }
};

}  // namespace qconv::nn
