// Sequences of modules that become one.
#include <algorithm>
#include <typeindex>

#include <fmt/ranges.h>

#include <qconv/nn/container.hpp>
#include <qconv/nn/fusion.hpp>
#include <qconv/nn/intrinsic.hpp>
#include <qconv/nn/quantization.hpp>

#include "support/check.hpp"

namespace qconv::nn {
namespace {

using Modules = std::vector<std::shared_ptr<Module>>;

// One row: the classes of a sequence, and what makes one module of it.
struct Fuser {
  std::vector<std::type_index> classes;
  std::shared_ptr<Module> (*fuse)(const Modules&, bool qat);
};

template <class M>
const M& part(const Modules& modules, std::size_t i) {
  return static_cast<const M&>(*modules[i]);
}

void check_trainable_pair(const ConvNd& conv, const BatchNorm& bn) {
  check(bn.affine() && bn.track_running_stats(),
        "fuse_modules_qat: the {} after the {} must have affine parameters and running statistics", bn.name(),
        conv.name());
}

// `Folded` is what remains without the normalization, `Trained` what keeps it; a ReLU is in both or in none.
template <class Conv, class Norm, class Folded, class Trained>
std::shared_ptr<Module> conv_bn(const Modules& m, bool qat) {
  const auto& conv = part<Conv>(m, 0);
  const auto& bn = part<Norm>(m, 1);
  if (!qat) return std::make_shared<Folded>(fuse_conv_bn_eval(conv, bn));
  check_trainable_pair(conv, bn);
  return std::make_shared<Trained>(conv, bn);
}

template <class Conv, class ConvReLU>
std::shared_ptr<Module> conv_relu(const Modules& m, bool) {
  return std::make_shared<ConvReLU>(part<Conv>(m, 0));
}

template <class Conv, class Norm>
std::shared_ptr<Module> conv_transpose_bn(const Modules& m, bool qat) {
  check(!qat, "fuse_modules_qat: a {} and a {} cannot be fused for training", m[0]->name(), m[1]->name());
  return std::make_shared<Conv>(fuse_conv_bn_eval(part<Conv>(m, 0), part<Norm>(m, 1)));
}

// The rows of one number of dimensions.
template <class Conv, class ConvTranspose, class Norm, class ConvReLU, class ConvBn, class ConvBnReLU>
void add_rows(std::vector<Fuser>& table) {
  table.push_back({{typeid(Conv), typeid(Norm)}, conv_bn<Conv, Norm, Conv, ConvBn>});
  table.push_back({{typeid(Conv), typeid(Norm), typeid(ReLU)}, conv_bn<Conv, Norm, ConvReLU, ConvBnReLU>});
  table.push_back({{typeid(Conv), typeid(ReLU)}, conv_relu<Conv, ConvReLU>});
  table.push_back({{typeid(ConvTranspose), typeid(Norm)}, conv_transpose_bn<ConvTranspose, Norm>});
}

const std::vector<Fuser>& fusers() {
  static const std::vector<Fuser> table = [] {
    using namespace intrinsic;  // NOLINT: the fused classes
    std::vector<Fuser> rows;
    add_rows<Conv1d, ConvTranspose1d, BatchNorm1d, ConvReLU1d, ConvBn1d, ConvBnReLU1d>(rows);
    add_rows<Conv2d, ConvTranspose2d, BatchNorm2d, ConvReLU2d, ConvBn2d, ConvBnReLU2d>(rows);
    add_rows<Conv3d, ConvTranspose3d, BatchNorm3d, ConvReLU3d, ConvBn3d, ConvBnReLU3d>(rows);
    return rows;
  }();
  return table;
}

void fuse(Module& tree, const ModuleNames& names, bool qat) {
  const char* who = qat ? "fuse_modules_qat" : "fuse_modules";
  Modules modules;
  std::vector<std::type_index> classes;
  std::vector<std::string> class_names;
  for (const std::string& path : names) {
    modules.push_back(tree.get_submodule(path));
    const Module& module = *modules.back();
    classes.emplace_back(typeid(module));
    class_names.push_back(module.name());
  }
  const auto found = std::find_if(fusers().begin(), fusers().end(),
                                  [&](const Fuser& fuser) { return fuser.classes == classes; });
  check(found != fusers().end(),
        "{}: ({}) are of classes ({}), which cannot be fused; a convolution with BatchNorm, ReLU or both can",
        who, fmt::join(names, ", "), fmt::join(class_names, ", "));
  for (const auto& module : modules)
    check(module->training == modules[0]->training, "{}: ({}) must all be in the same mode (train or eval)",
          who, fmt::join(names, ", "));

  tree.set_submodule(names[0], found->fuse(modules, qat));
  for (std::size_t i = 1; i < names.size(); ++i) {
    auto identity = std::make_shared<Identity>();
    identity->training = modules[0]->training;
    tree.set_submodule(names[i], std::move(identity));
  }
}

}  // namespace

namespace inplace {

void fuse_modules(Module& tree, const std::vector<ModuleNames>& lists) {
  for (const ModuleNames& names : lists) fuse(tree, names, false);
}

void fuse_modules_qat(Module& tree, const std::vector<ModuleNames>& lists) {
  for (const ModuleNames& names : lists) fuse(tree, names, true);
}

}  // namespace inplace
}  // namespace qconv::nn
