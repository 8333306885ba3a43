#include <qconv/torch_file.hpp>

#include "io/byte_source.hpp"
#include "io/torch_archive.hpp"
#include "io/torch_contents.hpp"
#include "io/zip_archive.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

TorchFile read_file(const ByteSource& source, const TorchLoadOptions& options) {
  TorchFile file;
  const std::uint64_t most_bytes = most_unpacked_bytes(source.size());
  const auto add = [&](std::string_view name) {
    return [&file, most_bytes, name](const Pickle& pickle, const TorchTensors& tensors) {
      const PickleValue& root = pickle[pickle.root];
      if (name.empty() && root.kind == PickleKind::object && root.items.size() > 2 &&
          pickle.item(pickle[pickle.root], 0).text.find("ScriptObject") == std::string_view::npos) {
        file.kind = TorchFileKind::module;
      }
      add_contents(pickle, tensors, name, most_bytes, file);
    };
  };
  if (is_legacy_torch(source)) {
    read_legacy_torch(source, options.safe_globals, add(""));
    return file;
  }
  const TorchArchive archive(source);
  archive.read("data", options.safe_globals, add(""));
  if (archive.is_script()) {
    file.kind = TorchFileKind::torchscript;
    archive.read("constants", options.safe_globals, add("constants"));
  }
  return file;
}

}  // namespace

std::string_view to_string(TorchFileKind kind) noexcept {
  switch (kind) {
    case TorchFileKind::values:
      return "values";
    case TorchFileKind::module:
      return "module";
    case TorchFileKind::torchscript:
      return "TorchScript module";
  }
  return "";
}

TorchFile load_torch_file(const std::filesystem::path& path, const TorchLoadOptions& options) {
  return read_file(FileSource(path), options);
}
TorchFile decode_torch_file(std::span<const std::byte> bytes, std::string_view name,
                            const TorchLoadOptions& options) {
  return read_file(MemorySource(bytes, name), options);
}
StateDict load_torch(const std::filesystem::path& path, const TorchLoadOptions& options) {
  return load_torch_file(path, options).state;
}
StateDict decode_torch(std::span<const std::byte> bytes, std::string_view name,
                       const TorchLoadOptions& options) {
  return decode_torch_file(bytes, name, options).state;
}

}  // namespace qconv
