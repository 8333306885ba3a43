#include "cli/tensor_files.hpp"

#include "support/check.hpp"

namespace qconv::cli {

NamedTensors load_tensors(const std::string& file, Metadata* metadata, const TorchLoadOptions& torch) {
  require_file(file);
  switch (kind_of(file)) {
    case FileKind::safetensors: {
      if (metadata != nullptr) *metadata = load_safetensors_metadata(file);
      const StateDict state = load_safetensors(file);
      return {state.begin(), state.end()};
    }
    case FileKind::torch: {
      TorchFile all = load_torch_file(file, torch);
      if (metadata != nullptr) *metadata = std::move(all.texts);
      return {all.state.begin(), all.state.end()};
    }
    case FileKind::npz:
      return load_npz(file);
    case FileKind::npy:
      return {{"array", load_npy(file)}};
    case FileKind::png:
    case FileKind::jpeg:
      return {{"image", load_image(file)}};
    default:
      throw FileError(fmt::format(
          "{}: cannot read tensors from it; expected a name that ends in .safetensors, .pt, .pth, "
          ".npz, .npy, .png, .jpg or .jpeg",
          file));
  }
}

void save_tensors(const NamedTensors& tensors, const std::string& file, const Metadata& metadata) {
  const FileKind kind = kind_of(file);
  if (kind == FileKind::safetensors || kind == FileKind::torch) {
    StateDict state;
    for (const auto& [name, tensor] : tensors) state.set(name, tensor);
    if (kind == FileKind::torch) {
      save_torch(state, file);
    } else {
      save_safetensors(state, file, metadata);
    }
    return;
  }
  if (kind == FileKind::npz) {
    save_npz(tensors, file);
    return;
  }
  check(tensors.size() == 1, "{}: holds one tensor, got {}; write .npz, .safetensors or .pt", file,
        tensors.size());
  if (kind == FileKind::npy) {
    save_npy(tensors[0].second, file);
  } else {
    save_png(tensors[0].second, file);
  }
}

}  // namespace qconv::cli
