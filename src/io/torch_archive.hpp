#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/byte_source.hpp"
#include "io/pickle.hpp"
#include "io/torch_tensors.hpp"
#include "io/zip_archive.hpp"

namespace qconv {

/// The zip archive that torch.save and torch.jit.save write: a root folder of any name with data.pkl, the
/// storages in data/ and, of TorchScript, constants.pkl with its storages in constants/. Entries may come in
/// any order, and version, byteorder and the like may be missing.
class TorchArchive {
 public:
  /// Throws FileError.
  explicit TorchArchive(const ByteSource& source);

  bool is_script() const { return find("constants.pkl") != nullptr; }

  /// Reads ROOT/NAME.pkl, whose storages are in ROOT/NAME/, and hands it to `body`.
  using Body = std::function<void(const Pickle&, const TorchTensors&)>;
  void read(const std::string& name, const std::vector<std::string>& safe_globals, const Body& body) const;

 private:
  const ZipEntry* find(const std::string& inside) const;
  std::vector<std::byte> bytes_of(const ZipEntry& entry) const;

  ZipArchive archive_;
  std::map<std::string, const ZipEntry*, std::less<>> entries_;
  std::string root_;  // ends in a slash unless empty
  bool big_endian_ = false;
};

/// Whether the file has the layout of PyTorch before 1.6: pickles and storages back to back.
bool is_legacy_torch(const ByteSource& source);
/// Reads such a file and hands its pickle to `body`.
void read_legacy_torch(const ByteSource& source, const std::vector<std::string>& safe_globals,
                       const TorchArchive::Body& body);

/// How many values a pickle in a file of that size may have.
std::size_t most_pickle_values(std::uint64_t file_size);

}  // namespace qconv
