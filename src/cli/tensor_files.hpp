#pragma once

#include <string>

#include <qconv/io.hpp>
#include <qconv/torch_file.hpp>

#include "cli/files.hpp"

namespace qconv::cli {

/// All tensors of a .safetensors, .pt, .pth, .npz, .npy or image file ("array" and "image" where the file has
/// no names); `metadata` receives that of a safetensors file, or the texts of PyTorch's. Throws FileError for
/// any other ending.
NamedTensors load_tensors(const std::string& file, Metadata* metadata = nullptr,
                          const TorchLoadOptions& torch = {});

/// The opposite, by the ending of the name. Throws FileError for one that cannot be written and ValueError
/// when the format cannot hold the tensors.
void save_tensors(const NamedTensors& tensors, const std::string& file, const Metadata& metadata = {});

}  // namespace qconv::cli
