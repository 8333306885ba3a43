#pragma once

#include <filesystem>
#include <string>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// What a file holds, by the end of its name.
enum class FileKind { onnx, safetensors, torch, npy, npz, png, jpeg, other };

FileKind kind_of(const std::filesystem::path& path);
bool is_image(FileKind kind);

/// Throws FileError, naming the path, unless there is a file (or, where `folder` allows it, a folder).
void require_file(const std::filesystem::path& path, bool folder = false);

/// Throws FileError, naming the path, when no file could be written there for want of a folder or of the
/// right to write to it: better known before long work than after it.
void require_folder_for(const std::filesystem::path& path);

/// An array from an .npy file, or from an .npz archive: the array called `name`, or `images`, or the only
/// one. Throws FileError that lists the arrays there are when none is meant.
Tensor load_array(const std::filesystem::path& path, const std::string& name = {});

}  // namespace qconv::cli
