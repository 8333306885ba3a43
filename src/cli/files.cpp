#include "cli/files.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/ranges.h>
#include <unistd.h>

#include <qconv/io.hpp>

#include "support/check.hpp"

namespace qconv::cli {

FileKind kind_of(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".onnx") return FileKind::onnx;
  if (extension == ".safetensors") return FileKind::safetensors;
  if (extension == ".pt" || extension == ".pth") return FileKind::torch;
  if (extension == ".npy") return FileKind::npy;
  if (extension == ".npz") return FileKind::npz;
  if (extension == ".png") return FileKind::png;
  if (extension == ".jpg" || extension == ".jpeg") return FileKind::jpeg;
  return FileKind::other;
}

bool is_image(FileKind kind) { return kind == FileKind::png || kind == FileKind::jpeg; }

void require_file(const std::filesystem::path& path, bool folder) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  check<FileError>(std::filesystem::exists(status), "{}: no such file", path.string());
  if (std::filesystem::is_directory(status)) {
    check<FileError>(folder, "{}: is a folder, expected a file", path.string());
  }
}

void require_folder_for(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) return;  // the file is in another folder
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  check<FileError>(std::filesystem::is_directory(folder, error), "{}: cannot write: there is no folder {}",
                   path.string(), folder.string());
  check<FileError>(access(folder.c_str(), W_OK | X_OK) == 0,
                   "{}: cannot write: no right to write to folder {}", path.string(), folder.string());
}

Tensor load_array(const std::filesystem::path& path, const std::string& name) {
  if (kind_of(path) == FileKind::npy) return load_npy(path);
  const NamedTensors arrays = load_npz(path);
  std::vector<std::string> names;
  for (const auto& [key, tensor] : arrays) names.push_back(key);
  for (const std::string& wanted : {name, name.empty() ? std::string("images") : name}) {
    const auto found = std::find(names.begin(), names.end(), wanted);
    if (!wanted.empty() && found != names.end()) {
      return arrays[static_cast<std::size_t>(found - names.begin())].second;
    }
  }
  if (name.empty() && arrays.size() == 1) return arrays[0].second;
  throw FileError(fmt::format("{}: no array called '{}'; there are {}", path.string(),
                              name.empty() ? "images" : name, fmt::join(names, ", ")));
}

}  // namespace qconv::cli
