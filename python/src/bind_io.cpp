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
  m.def("load_safetensors_metadata", &load_safetensors_metadata, arg("path"), release_gil());
  m.def("save_safetensors", &save_safetensors, arg("state_dict"), arg("path"), arg("metadata") = Metadata{},
        release_gil(), "Writes a dict of tensors, atomically.");
  m.def("load_npy", &load_npy, arg("path"), release_gil());
  m.def("save_npy", &save_npy, arg("tensor"), arg("path"), release_gil());
  m.def(
      "load_npz", [](const Path& path) { return dict_of(load_npz(path)); }, arg("path"));
  m.def(
      "save_npz", [](const nb::dict& arrays, const Path& path) { save_npz(arrays_of(arrays), path); },
      arg("arrays"), arg("path"));
  m.def("load_image", &load_image, arg("path"), release_gil(), "A PNG or JPEG file as uint8 (1, C, H, W).");
  m.def("save_png", &save_png, arg("image"), arg("path"), release_gil());
}

void bind_process(nb::module_& m) {
  m.def("set_num_threads", &set_num_threads, arg("count"),
        "Threads that operators use from now on; ValueError below 1.");
  m.def("get_num_threads", &get_num_threads);
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
  bind_process(m);
}

}  // namespace qconv::python
