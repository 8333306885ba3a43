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
      nb::sig("def fuse_modules(model: Module, modules_to_fuse: collections.abc.Sequence[str] | "
              "collections.abc.Sequence[collections.abc.Sequence[str]], inplace: bool = False) -> Module"),
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
      nb::sig("def fuse_modules_qat(model: Module, modules_to_fuse: collections.abc.Sequence[str] | "
              "collections.abc.Sequence[collections.abc.Sequence[str]], inplace: bool = False) -> Module"),
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

void bind_switches(nb::module_& m) {
  m.def("enable_observer", &nn::enable_observer, arg("mod"), arg("enabled") = true,
        "Lets every FakeQuantize in the tree observe.");
  m.def("disable_observer", &nn::disable_observer, arg("mod"),
        "Keeps every FakeQuantize in the tree from observing.");
  m.def("enable_fake_quant", &nn::enable_fake_quant, arg("mod"), arg("enabled") = true,
        "Lets every FakeQuantize in the tree quantize.");
  m.def("disable_fake_quant", &nn::disable_fake_quant, arg("mod"),
        "Lets what passes every FakeQuantize in the tree pass as it is.");
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
      nb::sig("def prepare(model: Module, inplace: bool = False) -> Module"), arg("model"),
      arg("inplace") = false,
      "Propagates qconfigs and gives each module that can be quantized an observer of its output.");
  m.def(
      "prepare_qat",
      [](const nb::object& model, bool inplace) {
        return changed(model, inplace, [](nn::Module& tree) { nn::inplace::prepare_qat(tree); });
      },
      nb::sig("def prepare_qat(model: Module, inplace: bool = False) -> Module"), arg("model"),
      arg("inplace") = false,
      "The same for quantization-aware training, with its modules. ValueError unless in training mode.");
  m.def(
      "convert",
      [](const nb::object& model, bool inplace) {
        return changed(model, inplace, [](nn::Module& tree) { nn::inplace::convert(tree); });
      },
      nb::sig("def convert(model: Module, inplace: bool = False) -> Module"), arg("model"),
      arg("inplace") = false,
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
      nb::sig("def quantize(model: Module, run_fn: collections.abc.Callable[..., object], *run_args: object, "
              "inplace: bool = False) -> Module"),
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
      nb::sig(
          "def quantize_dynamic(model: Module, by_name: collections.abc.Mapping[str, qconv.QConfig] = {}, "
          "by_type: collections.abc.Mapping[str, qconv.QConfig] = {}, inplace: bool = False) -> Module"),
      arg("model"), arg("by_name") = std::map<std::string, QConfig>{},
      arg("by_type") = std::map<std::string, QConfig>{}, arg("inplace") = false,
      "Quantizes the weights of convolutions; their inputs are quantized as they come.");
}

}  // namespace

void bind_trees() {
  nb::module_ m = submodule("qconv.nn");
  bind_fusing(m);
  bind_steps(m);
  bind_switches(m);
}

}  // namespace qconv::python
