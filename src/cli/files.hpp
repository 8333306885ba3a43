#pragma once

#include <filesystem>
#include <string>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// What a file holds, by the end of its name.
enum class FileKind { onnx, safetensors, npy, npz, png, jpeg, other };

FileKind kind_of(const std::filesystem::path& path);
bool is_image(FileKind kind);

/// "expected a name that ends in .onnx, .safetensors, ...": the end of an error message.
std::string known_endings();

/// Throws FileError, naming the path, unless there is a file (or, where `folder` allows it, a folder).
void require_file(const std::filesystem::path& path, bool folder = false);

/// An array from an .npy file, or from an .npz archive: the array called `name`, or `images`, or the only
/// one. Throws FileError that lists the arrays there are when none is meant.
Tensor load_array(const std::filesystem::path& path, const std::string& name = {});

}  // namespace qconv::cli
