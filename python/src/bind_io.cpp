// Files in and out, and what the process runs on.
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>

#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;
using Path = std::filesystem::path;

nb::dict dict_of(const NamedTensors& arrays) {
  nb::dict result;
  for (const auto& [name, tensor] : arrays) result[name.c_str()] = tensor;
  return result;
}

NamedTensors arrays_of(const nb::dict& arrays) {
  NamedTensors result;
  for (auto [name, tensor] : arrays)
    result.emplace_back(nb::cast<std::string>(name), nb::cast<Tensor>(tensor));
  return result;
}

void bind_files(nb::module_& m) {
  m.def("load_safetensors", &load_safetensors, arg("path"), release_gil(),
        "The tensors of a .safetensors file by name; quantized ones have their parameters. FileError for "
        "anything that "
        "cannot be trusted.");
  m.def("load_safetensors_metadata", &load_safetensors_metadata, arg("path"), release_gil(),
        "The texts stored beside the tensors, by key.");
  m.def(
      "save_safetensors",
      [](const nb::dict& state, const Path& path, const Metadata& metadata) {
        const StateDict tensors = state_of_dict(state, "save_safetensors");
        const nb::gil_scoped_release nogil;
        save_safetensors(tensors, path, metadata);
      },
      arg("state_dict"), arg("path"), arg("metadata") = Metadata{}, "Writes a dict of tensors, atomically.");
  m.def("load_npy", &load_npy, arg("path"), release_gil(), "The array of a .npy file.");
  m.def("save_npy", &save_npy, arg("tensor"), arg("path"), release_gil(),
        "Writes a .npy file, atomically; TypeError for a quantized tensor.");
  m.def(
      "load_npz", [](const Path& path) { return dict_of(load_npz(path)); }, arg("path"),
      "The arrays of a .npz file by name.");
  m.def(
      "save_npz", [](const nb::dict& arrays, const Path& path) { save_npz(arrays_of(arrays), path); },
      arg("arrays"), arg("path"), "Writes a dict of arrays as .npz, atomically.");
  m.def("load_image", &load_image, arg("path"), release_gil(), "A PNG or JPEG file as uint8 (1, C, H, W).");
  m.def(
      "save_png", &save_png, arg("image"), arg("path"), release_gil(),
      "Writes a uint8 image (C, H, W) or (1, C, H, W) as PNG, C 1 or 3; TypeError or ValueError for others.");
}

TorchLoadOptions options_of(std::vector<std::string> safe_globals) {
  return {.safe_globals = std::move(safe_globals)};
}

void bind_torch_files(nb::module_& m) {
  const std::vector<std::string> none;
  nb::class_<TorchConvolution>(m, "TorchConvolution", "A quantized convolution module of a PyTorch file.")
      .def_ro("name", &TorchConvolution::name,
              "Where it is: 'layer1.0.conv1'; empty when it is the whole file.")
      .def_ro("class_name", &TorchConvolution::class_name, "PyTorch's class, in full.")
      .def(
          "make",
          [](const TorchConvolution& c, const std::string& rule) -> std::shared_ptr<nn::Module> {
            TorchConvolution found = c;
            found.state.rule = parse_rule(rule);
            return found.make();
          },
          arg("rule") = "fbgemm",
          "The module: qconv.nn.quantized.Conv2d or its like. No file says whose rounding its network is "
          "to have: for QNNPACK's, rule='qnnpack'.")
      .def("__repr__", [](const TorchConvolution& c) { return "<" + c.name + ": " + c.class_name + ">"; });
  nb::class_<TorchPackedParams>(m, "TorchPackedParams", "A packed-parameter object of a PyTorch file.")
      .def_ro("name", &TorchPackedParams::name)
      .def_ro("weight", &TorchPackedParams::weight)
      .def_ro("bias", &TorchPackedParams::bias)
      .def(
          "prepack", [](const TorchPackedParams& p) { return p.prepack(); },
          "What torch.ops.quantized.conv*_prepack would give.");
  nb::class_<TorchFile>(m, "TorchFile", "All that a PyTorch file holds, as far as it concerns convolutions.")
      .def_prop_ro(
          "kind", [](const TorchFile& f) { return std::string(to_string(f.kind)); },
          "'values', 'module' or 'torchscript': what the file was made by.")
      .def_prop_ro(
          "state", [](const TorchFile& f) { return f.state; }, "The tensors by name; see load_torch.")
      .def_ro("texts", &TorchFile::texts, "Entries that are no numbers, as text, by name.")
      .def_ro("convolutions", &TorchFile::convolutions)
      .def_ro("packed_params", &TorchFile::packed_params);
  m.def(
      "load_torch_file",
      [](const Path& path, std::vector<std::string> safe_globals) {
        return load_torch_file(path, options_of(std::move(safe_globals)));
      },
      arg("path"), nb::kw_only(), arg("safe_globals") = none, release_gil(),
      "A .pt or .pth file, read without PyTorch and without running anything in it. safe_globals: full "
      "names of more classes that may occur, as for torch.serialization.add_safe_globals. FileError for "
      "what cannot be read.");
  m.def(
      "load_torch",
      [](const Path& path, std::vector<std::string> safe_globals) {
        return load_torch(path, options_of(std::move(safe_globals)));
      },
      arg("path"), nb::kw_only(), arg("safe_globals") = none, release_gil(),
      "The tensors of a .pt or .pth file by name: a state dict, a checkpoint, a whole module or "
      "TorchScript. Nested names are joined by dots; None stays None. Read as load_torch_file.");
  m.def(
      "save_torch",
      [](const nb::dict& state, const Path& path) {
        const StateDict tensors = state_of_dict(state, "save_torch");
        const nb::gil_scoped_release nogil;
        save_torch(tensors, path);
      },
      arg("state_dict"), arg("path"),
      "Writes a state dict that torch.load reads and load_state_dict takes, atomically.");
  m.def(
      "save_torch_packed",
      [](const std::map<std::string, PackedParams>& packed, const Path& path) {
        save_torch_packed({packed.begin(), packed.end()}, path);
      },
      arg("packed"), arg("path"), release_gil(),
      "Writes a dict of PyTorch's packed-parameter objects; torch.load needs weights_only=False for them. "
      "ValueError for "
      "what they cannot hold: asymmetric padding, a padding mode other than zeros, values past 32767.");
}

void bind_process(nb::module_& m) {
  m.def("set_num_threads", &set_num_threads, arg("count"),
        "Threads that operators use from now on; ValueError below 1.");
  m.def("get_num_threads", &get_num_threads, "Threads that operators use.");
  m.def("list_engines", &list_engines, "The engines of this build, fastest first.");
  m.def("active_engine", &active_engine, "The engine in use: QCONV_ENGINE, else the first.");
  m.def(
      "list_isas",
      [] {
        std::vector<std::string> names;
        for (const Isa isa : list_isas()) names.emplace_back(to_string(isa));
        return names;
      },
      "The instruction sets that this build has kernels for, best first.");
  m.def(
      "active_isa", [] { return std::string(to_string(active_isa())); },
      "The instruction set in use: QCONV_ISA, else the best that this processor has.");
}

}  // namespace

void bind_io(nb::module_& m) {
  bind_files(m);
  bind_torch_files(m);
  bind_process(m);
}

}  // namespace qconv::python
