#include <qconv/nn/container.hpp>
#include <qconv/nn/intrinsic.hpp>
#include <qconv/nn/qat.hpp>
#include <qconv/nn/quantization.hpp>

#include "support/check.hpp"

namespace qconv::nn {
namespace {

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

const QConfig* find(const std::map<std::string, QConfig>& configs, const std::string& key) {
  const auto found = configs.find(key);
  return found == configs.end() ? nullptr : &found->second;
}

void propagate(Module& module, const QConfigDict& configs, const std::optional<QConfig>& above,
               const std::string& path) {
  if (!module.qconfig) {
    const QConfig* config = find(configs.by_name, path);
    if (config == nullptr) config = find(configs.by_type, module.name());
    module.qconfig = config != nullptr ? std::optional(*config) : above;
  }
  for (const Module::Child& c : module.named_children())
    propagate(*c.module, configs, module.qconfig, joined(path, c.name));
}

bool wants_quantization(const Module& module) {
  return module.qconfig && (module.qconfig->activation || module.qconfig->weight);
}

// Fused modules and those of quantization-aware training are observed too, though not every mapping has them.
bool can_be_observed(const Module& module, const ModuleMapping& mapping) {
  if (dynamic_cast<const DeQuantStub*>(&module) != nullptr) return false;
  return mapping.find(module) != nullptr || dynamic_cast<const intrinsic::FusedConv*>(&module) != nullptr ||
         dynamic_cast<const qat::ConvNd*>(&module) != nullptr;
}

void add_observers(Module& module, const ModuleMapping& mapping) {
  for (const Module::Child& c : module.named_children()) add_observers(*c.module, mapping);
  if (!wants_quantization(module) || !module.qconfig->activation || !can_be_observed(module, mapping)) return;
  module.activation_post_process = module.qconfig->activation();
}

void swap_children(Module& module, const ModuleMapping& mapping, const std::string& path) {
  for (const Module::Child& c : module.named_children()) {
    const std::string where = joined(path, c.name);
    swap_children(*c.module, mapping, where);
    if (!wants_quantization(*c.module)) continue;
    const ModuleMapping::Swap* swap = mapping.find(*c.module);
    if (swap != nullptr) module.set_submodule(c.name, (*swap)(*c.module, where));
  }
}

void strip(Module& module) {
  module.qconfig.reset();
  module.activation_post_process.reset();
  for (const Module::Child& c : module.named_children()) strip(*c.module);
}

template <class F>
void for_each_fake_quantize(Module& module, const F& f) {
  const auto visit = [&](Observer* observer) {
    if (auto* fake = dynamic_cast<FakeQuantize*>(observer)) f(*fake);
  };
  visit(module.activation_post_process.get());
  if (auto* conv = dynamic_cast<qat::ConvNd*>(&module)) visit(conv->weight_fake_quant.get());
  for (const Module::Child& c : module.named_children()) for_each_fake_quantize(*c.module, f);
}

}  // namespace

void enable_observer(Module& tree, bool enabled) {
  for_each_fake_quantize(tree, [&](FakeQuantize& fake) { fake.enable_observer(enabled); });
}

void enable_fake_quant(Module& tree, bool enabled) {
  for_each_fake_quantize(tree, [&](FakeQuantize& fake) { fake.enable_fake_quant(enabled); });
}

void propagate_qconfig(Module& tree, const QConfigDict& configs) { propagate(tree, configs, {}, ""); }

namespace inplace {

void prepare(Module& tree) {
  propagate_qconfig(tree);
  add_observers(tree, get_default_static_quant_module_mappings());
}

void prepare_qat(Module& tree, const ModuleMapping& mapping) {
  check(tree.training, "prepare_qat: the {} must be in training mode: call train() first", tree.name());
  propagate_qconfig(tree);
  swap_children(tree, mapping, "");
  prepare(tree);
}

void convert(Module& tree, const ModuleMapping& mapping) {
  swap_children(tree, mapping, "");
  strip(tree);
}

void quantize_dynamic(Module& tree, const QConfigDict& configs, const ModuleMapping& mapping) {
  tree.eval();
  propagate_qconfig(tree, configs);
  swap_children(tree, mapping, "");
  strip(tree);
}

}  // namespace inplace
}  // namespace qconv::nn
