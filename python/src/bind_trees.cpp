// The steps that quantize a tree of modules: fuse, prepare, convert. PyTorch's functions of
// torch.ao.quantization.
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>

#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;

// The tree that a step may change: the caller's own, or a deep copy, made by Python since Python may have
// written it.
nb::object to_change(const nb::object& model, bool inplace) {
  return inplace ? model : nb::module_::import_("copy").attr("deepcopy")(model);
}

template <class Step>
nb::object changed(const nb::object& model, bool inplace, const Step& step) {
  nb::object result = to_change(model, inplace);
  auto& tree = nb::cast<nn::Module&>(result);
  const nb::gil_scoped_release nogil;
  step(tree);
  return result;
}

// One list of names, or a list of lists.
std::vector<nn::ModuleNames> names_of(const nb::object& names) {
  nn::ModuleNames one;
  if (nb::try_cast(names, one)) return {one};
  return nb::cast<std::vector<nn::ModuleNames>>(names);
}

nn::QConfigDict dict_of(const std::map<std::string, QConfig>& by_name,
                        const std::map<std::string, QConfig>& by_type) {
  return {by_name, by_type};
}

void bind_fusing(nb::module_& m) {
  m.def(
      "fuse_modules",
      [](const nb::object& model, const nb::object& names, bool inplace) {
        const auto lists = names_of(names);
        return changed(model, inplace, [&](nn::Module& tree) { nn::inplace::fuse_modules(tree, lists); });
      },
      arg("model"), arg("modules_to_fuse"), arg("inplace") = false,
      "Replaces each list of modules by one that does the same: a convolution with batch normalization "
      "(folded, eval "
      "mode only), ReLU or both. modules_to_fuse: names ['conv', 'bn', 'relu'], or a list of such lists. "
      "ValueError for "
      "other sequences.");
  m.def(
      "fuse_modules_qat",
      [](const nb::object& model, const nb::object& names, bool inplace) {
        const auto lists = names_of(names);
        return changed(model, inplace, [&](nn::Module& tree) { nn::inplace::fuse_modules_qat(tree, lists); });
      },
      arg("model"), arg("modules_to_fuse"), arg("inplace") = false,
      "The same for quantization-aware training: batch normalization stays a part of the fused module.");
  m.def("fuse_conv_bn_weights",
        nb::overload_cast<const Tensor&, const std::optional<Tensor>&, const Tensor&, const Tensor&, double,
                          const std::optional<Tensor>&, const std::optional<Tensor>&, bool, std::int64_t>(
            &nn::fuse_conv_bn_weights),
        arg("conv_w"), arg("conv_b").none(), arg("bn_rm"), arg("bn_rv"), arg("bn_eps"), arg("bn_w").none(),
        arg("bn_b").none(), arg("transpose") = false, arg("groups") = 1, release_gil(),
        "Weight and bias of the convolution that does what this one and then the batch normalization do.");
}

void bind_steps(nb::module_& m) {
  m.def(
      "propagate_qconfig",
      [](nn::Module& module, const std::map<std::string, QConfig>& by_name,
         const std::map<std::string, QConfig>& by_type) {
        nn::propagate_qconfig(module, dict_of(by_name, by_type));
      },
      arg("module"), arg("by_name") = std::map<std::string, QConfig>{},
      arg("by_type") = std::map<std::string, QConfig>{},
      "Gives every module a qconfig: its own, else that for its path, its class name, or of the module "
      "above.");
  m.attr("propagate_qconfig_") = m.attr("propagate_qconfig");  // PyTorch's name
  m.def(
      "prepare",
      [](const nb::object& model, bool inplace) {
        return changed(model, inplace, [](nn::Module& tree) { nn::inplace::prepare(tree); });
      },
      arg("model"), arg("inplace") = false,
      "Propagates qconfigs and gives each module that can be quantized an observer of its output.");
  m.def(
      "prepare_qat",
      [](const nb::object& model, bool inplace) {
        return changed(model, inplace, [](nn::Module& tree) { nn::inplace::prepare_qat(tree); });
      },
      arg("model"), arg("inplace") = false,
      "The same for quantization-aware training, with its modules. ValueError unless in training mode.");
  m.def(
      "convert",
      [](const nb::object& model, bool inplace) {
        return changed(model, inplace, [](nn::Module& tree) { nn::inplace::convert(tree); });
      },
      arg("model"), arg("inplace") = false,
      "Replaces modules that have a qconfig by quantized ones. Throws what their from_float throws, naming "
      "the module.");
  m.def(
      "quantize",
      [](const nb::object& model, const nb::callable& run, const nb::args& args, bool inplace) {
        nb::object result = to_change(model, inplace);
        auto& tree = nb::cast<nn::Module&>(result);
        tree.eval();
        nn::inplace::prepare(tree);
        run(result, *args);
        nn::inplace::convert(tree);
        return result;
      },
      arg("model"), arg("run_fn"), arg("run_args"), nb::kw_only(), arg("inplace") = false,
      "prepare, run_fn(prepared, *run_args), convert, in eval mode.");
  m.def(
      "quantize_dynamic",
      [](const nb::object& model, const std::map<std::string, QConfig>& by_name,
         const std::map<std::string, QConfig>& by_type, bool inplace) {
        return changed(model, inplace, [&](nn::Module& tree) {
          nn::inplace::quantize_dynamic(tree, dict_of(by_name, by_type),
                                        nn::get_dynamic_conv_module_mappings());
        });
      },
      arg("model"), arg("by_name") = std::map<std::string, QConfig>{},
      arg("by_type") = std::map<std::string, QConfig>{}, arg("inplace") = false,
      "Quantizes the weights of convolutions; their inputs are quantized as they come.");
}

}  // namespace

void bind_trees() {
  nb::module_ m = submodule("qconv.nn");
  bind_fusing(m);
  bind_steps(m);
}

}  // namespace qconv::python
