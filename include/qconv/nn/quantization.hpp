#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <qconv/nn/module_mapping.hpp>

/// The steps that quantize a tree of modules: PyTorch's eager-mode functions of `torch.ao.quantization`.
///
///     auto net = nn::fuse_modules(float_net, {{"conv", "bn", "relu"}});   // in eval mode
///     net->qconfig = get_default_qconfig();
///     auto prepared = nn::prepare(*net);
///     for (const Tensor& batch : batches) (*prepared)(batch);
///     auto quantized = nn::convert(*prepared);
///
/// Each gives a new tree that shares nothing with its argument, as PyTorch's do by default; those in
/// `inplace` change the tree that they get, and may leave it half done when they throw. The module at the
/// root keeps its class; its children are replaced. Modules are named by their paths in error messages.
namespace qconv::nn {

/// Names of modules that follow each other: {"layer1.0.conv", "layer1.0.bn"}.
using ModuleNames = std::vector<std::string>;

/// QConfigs for the modules of a tree. An empty QConfig means: stay in float.
struct QConfigDict {
  std::map<std::string, QConfig> by_name;  ///< of paths: "layer1.0"; "" is the root
  std::map<std::string, QConfig> by_type;  ///< of class names: "Conv2d"
};

namespace inplace {
QCONV_API void fuse_modules(Module& tree, const std::vector<ModuleNames>& lists);
QCONV_API void fuse_modules_qat(Module& tree, const std::vector<ModuleNames>& lists);
QCONV_API void prepare(Module& tree);
QCONV_API void prepare_qat(Module& tree, const ModuleMapping& mapping = get_default_qat_module_mappings());
QCONV_API void convert(Module& tree,
                       const ModuleMapping& mapping = get_default_static_quant_module_mappings());
QCONV_API void quantize_dynamic(Module& tree, const QConfigDict& configs, const ModuleMapping& mapping);
}  // namespace inplace

/// Gives every module a qconfig: its own, or else that of the dictionary for its path, or else for its class,
/// or else that of the module above.
QCONV_API void propagate_qconfig(Module& tree, const QConfigDict& configs = {});

/// The switches of every FakeQuantize in the tree, on weights and activations: a schedule of training turns
/// the observers off for its last part, and comparisons with float turn fake quantization off.
QCONV_API void enable_observer(Module& tree, bool enabled = true);
QCONV_API void enable_fake_quant(Module& tree, bool enabled = true);
inline void disable_observer(Module& tree) { enable_observer(tree, false); }
inline void disable_fake_quant(Module& tree) { enable_fake_quant(tree, false); }

/// A copy of the tree, changed by `step`.
template <std::derived_from<Module> M, class Step>
std::shared_ptr<M> changed_copy(const M& tree, const Step& step) {
  auto copy = std::static_pointer_cast<M>(tree.clone());
  step(*copy);
  return copy;
}

/// Replaces each list of modules by one module that does the same, in the place of the first, and the others
/// by Identity: a convolution with batch normalization (folded, eval mode only), ReLU or both; a transposed
/// one with batch normalization. Throws ValueError for any other sequence of classes and for modules in
/// different modes.
template <std::derived_from<Module> M>
std::shared_ptr<M> fuse_modules(const M& tree, const std::vector<ModuleNames>& lists) {
  return changed_copy(tree, [&](Module& copy) { inplace::fuse_modules(copy, lists); });
}
/// The same for quantization-aware training: batch normalization stays a part of the fused module.
template <std::derived_from<Module> M>
std::shared_ptr<M> fuse_modules_qat(const M& tree, const std::vector<ModuleNames>& lists) {
  return changed_copy(tree, [&](Module& copy) { inplace::fuse_modules_qat(copy, lists); });
}

/// Propagates qconfigs and gives each module that can be quantized an activation_post_process.
template <std::derived_from<Module> M>
std::shared_ptr<M> prepare(const M& tree) {
  return changed_copy(tree, [](Module& copy) { inplace::prepare(copy); });
}
/// Propagates qconfigs, replaces modules by those for quantization-aware training, and prepares. Throws
/// ValueError unless the tree is in training mode.
template <std::derived_from<Module> M>
std::shared_ptr<M> prepare_qat(const M& tree,
                               const ModuleMapping& mapping = get_default_qat_module_mappings()) {
  return changed_copy(tree, [&](Module& copy) { inplace::prepare_qat(copy, mapping); });
}

/// Replaces modules that have a qconfig and a row in the mapping, and takes all qconfigs and observers away.
/// Throws what their from_float throws, and ValueError for a BatchNorm2d or 3d with a qconfig that is not
/// fused: nothing here normalizes integers.
template <std::derived_from<Module> M>
std::shared_ptr<M> convert(const M& tree,
                           const ModuleMapping& mapping = get_default_static_quant_module_mappings()) {
  return changed_copy(tree, [&](Module& copy) { inplace::convert(copy, mapping); });
}

/// prepare, run(prepared tree), convert, in eval mode.
template <std::derived_from<Module> M, std::invocable<M&> Run>
std::shared_ptr<M> quantize(const M& tree, const Run& run) {
  return changed_copy(tree, [&](M& copy) {
    copy.eval();
    inplace::prepare(copy);
    run(copy);
    inplace::convert(copy);
  });
}

/// Quantizes weights only: propagates these qconfigs and converts, in eval mode.
template <std::derived_from<Module> M>
std::shared_ptr<M> quantize_dynamic(const M& tree, const QConfigDict& configs,
                                    const ModuleMapping& mapping = get_dynamic_conv_module_mappings()) {
  return changed_copy(tree, [&](Module& copy) { inplace::quantize_dynamic(copy, configs, mapping); });
}

}  // namespace qconv::nn
