// Whole networks: load, run, look inside.
#include <nanobind/stl/filesystem.h>

#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;

std::optional<nb::tuple> sizes_of(const ValueInfo& info) {
  if (!info.sizes) return std::nullopt;
  return nb::tuple(nb::cast(*info.sizes));
}

void bind_infos(nb::module_& m) {
  nb::class_<ValueInfo>(m, "ValueInfo", "An input or output of a network, or of one of its layers.")
      .def_ro("name", &ValueInfo::name)
      .def_ro("dtype", &ValueInfo::dtype)
      .def_prop_ro("shape", &sizes_of,
                   "A tuple with -1 for a size that every run may choose; None when unknown.")
      .def_prop_ro("scale",
                   [](const ValueInfo& v) -> std::optional<double> {
                     return v.qparams ? std::optional(v.qparams->scales[0]) : std::nullopt;
                   })
      .def_prop_ro("zero_point",
                   [](const ValueInfo& v) -> std::optional<std::int64_t> {
                     return v.qparams ? std::optional(v.qparams->zero_points[0]) : std::nullopt;
                   })
      .def("__repr__", &ValueInfo::to_string);
  nb::class_<LayerInfo>(m, "LayerInfo", "One operation of a network.")
      .def_ro("name", &LayerInfo::name)
      .def_ro("op", &LayerInfo::op, "ONNX's name: 'Conv', 'MaxPool', ...")
      .def_ro("detail", &LayerInfo::detail, "What is fused into it.")
      .def_ro("inputs", &LayerInfo::inputs)
      .def_ro("output", &LayerInfo::output)
      .def_ro("parameters", &LayerInfo::parameters)
      .def_ro("weight_bytes", &LayerInfo::weight_bytes)
      .def_ro("weight_dtype", &LayerInfo::weight_dtype)
      .def_ro("multiply_adds", &LayerInfo::multiply_adds)
      .def_ro("engine", &LayerInfo::engine)
      .def_ro("kernel", &LayerInfo::kernel)
      .def_ro("quantized", &LayerInfo::quantized)
      .def("__repr__", [](const LayerInfo& l) { return "<" + l.op + " " + l.name + ">"; });
}

NetworkOptions options_of(const std::string& engine, std::size_t max_memory_bytes, bool run_only) {
  return {.engine = engine, .max_memory_bytes = max_memory_bytes, .run_only = run_only};
}

// Inputs by position or by name; one result alone, or a list in the order of outputs().
nb::object run(const Network& network, const nb::args& args, const nb::kwargs& kwargs) {
  std::vector<NamedTensor> named;
  std::vector<Tensor> inputs;
  for (const nb::handle a : args) {
    if (nb::isinstance<nb::dict>(a)) {
      for (auto [name, tensor] : nb::borrow<nb::dict>(a))
        named.emplace_back(nb::cast<std::string>(name), nb::cast<Tensor>(tensor));
    } else {
      inputs.push_back(nb::cast<Tensor>(a));
    }
  }
  for (auto [name, tensor] : kwargs)
    named.emplace_back(nb::cast<std::string>(name), nb::cast<Tensor>(tensor));
  if (!named.empty() && !inputs.empty())
    throw ValueError("Network.run: give all inputs by position, or all by name");
  std::vector<Tensor> results;
  {
    const nb::gil_scoped_release nogil;
    if (named.empty()) {
      results = network.run(inputs);
    } else {
      for (auto& [name, tensor] : network.run(named)) results.push_back(std::move(tensor));
    }
  }
  return results.size() == 1 ? nb::cast(results[0]) : nb::cast(results);
}

}  // namespace

void bind_network(nb::module_& m) {
  bind_infos(m);
  nb::class_<Network> network(
      m, "Network",
      "A network that is ready to run: float, quantized or mixed. Immutable; any number of threads may "
      "run one at once. Tensors are float32 at the border.");
  network
      .def(
          "__init__",
          [](Network* self, const std::filesystem::path& path, const std::string& engine,
             std::size_t max_memory, bool run_only) {
            new (self) Network(Network::load(path, options_of(engine, max_memory, run_only)));
          },
          arg("path"), nb::kw_only(), arg("engine") = "", arg("max_memory_bytes") = std::size_t{16} << 30,
          arg("run_only") = false, release_gil(),
          "Reads an ONNX file. With run_only, weights are let go once they are packed: less memory, no "
          "save(). FileError, one line that names the file and the node.")
      .def_static(
          "from_onnx",
          [](const nb::bytes& bytes, const std::string& name) {
            return Network::from_onnx(std::as_bytes(std::span(bytes.c_str(), bytes.size())), name);
          },
          arg("bytes"), arg("name") = "model",
          "Reads ONNX from memory; `name` stands for the file in messages.")
      .def(
          "to_onnx",
          [](const Network& n) {
            const std::string bytes = n.to_onnx();
            return nb::bytes(bytes.data(), bytes.size());
          },
          "The bytes that save() writes.")
      .def("save", &Network::save, arg("path"), release_gil(), "Writes ONNX, atomically.")
      .def_prop_ro("name", &Network::name)
      .def_prop_ro("inputs", &Network::inputs)
      .def_prop_ro("outputs", &Network::outputs)
      .def_prop_ro("parameters", &Network::parameters)
      .def_prop_ro("weight_bytes", &Network::weight_bytes)
      .def_prop_ro("quantized", &Network::quantized, "Whether any layer computes with integers.")
      .def("run", &run, "run(x), run(a, b), run({'name': x}) or run(name=x): one tensor, or a list of them.")
      .def("__call__", &run)
      .def(
          "layers",
          [](const Network& n, const std::vector<Shape>& input_shapes) { return n.layers(input_shapes); },
          arg("input_shapes") = std::vector<Shape>{},
          "The layers in the order in which they run; with shapes, all sizes and kernels are filled in.")
      .def(
          "summary",
          [](const Network& n, const std::vector<Shape>& input_shapes) { return n.summary(input_shapes); },
          arg("input_shapes") = std::vector<Shape>{}, "A table of the layers, for people.")
      .def("__repr__", [](const Network& n) {
        return "<qconv.Network " + n.name() + (n.quantized() ? ", quantized>" : ", float>");
      });
  bind_quantization(m, network);
  bind_search(m, network);
}

}  // namespace qconv::python
