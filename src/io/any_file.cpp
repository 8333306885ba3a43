#include <algorithm>
#include <array>
#include <cctype>

#include <qconv/io.hpp>
#include <qconv/torch_file.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

struct FileFormat {
  std::string_view ending;
  StateDict (*load)(const std::filesystem::path& path);
  void (*save)(const StateDict& state, const std::filesystem::path& path);
};

StateDict load_torch_state(const std::filesystem::path& path) { return load_torch(path); }

StateDict load_arrays(const std::filesystem::path& path) {
  StateDict state;
  for (const auto& [name, tensor] : load_npz(path)) state.set(name, tensor);
  return state;
}

void save_arrays(const StateDict& state, const std::filesystem::path& path) {
  NamedTensors arrays;
  for (const auto& item : state) {
    if (item.second.defined()) arrays.push_back(item);
  }
  save_npz(arrays, path);
}

constexpr auto kFormats = std::to_array<FileFormat>({
    {".pt", load_torch_state, save_torch},
    {".pth", load_torch_state, save_torch},
    {".safetensors", load_safetensors,
     [](const StateDict& state, const std::filesystem::path& path) { save_safetensors(state, path); }},
    {".npz", load_arrays, save_arrays},
});

const FileFormat& format_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const FileFormat& f) { return f.ending == ending; });
  check<FileError>(found != kFormats.end(),
                   "{}: cannot tell its kind; expected a name that ends in .pt, .pth, .safetensors or .npz",
                   path.string());
  return *found;
}

}  // namespace

StateDict load(const std::filesystem::path& path) { return format_of(path).load(path); }
void save(const StateDict& state, const std::filesystem::path& path) { format_of(path).save(state, path); }

}  // namespace qconv
