#pragma once

#include <functional>
#include <map>
#include <string>

#include <qconv/torch_file.hpp>

#include "io/pickle_writer.hpp"
#include "io/zip_builder.hpp"

namespace qconv::testing_io {

/// A PyTorch archive around a pickle and its storages, by key.
inline std::string torch_archive(const std::string& pickle,
                                 const std::map<std::string, std::string>& storages = {}) {
  std::vector<ZipEntry> entries{ZipEntry::plain("archive/data.pkl", pickle)};
  for (const auto& [key, bytes] : storages) entries.push_back(ZipEntry::plain("archive/data/" + key, bytes));
  return zip_of(entries);
}

/// A tensor as a pickle tells of it; every field can lie.
struct PickledTensor {
  std::string storage_class = "FloatStorage";
  std::string key = "0";
  std::int64_t count = 4;
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes{4};
  std::vector<std::int64_t> strides{1};
  /// Writes the quantizer; then it is a quantized tensor.
  std::function<void(PickleWriter&)> quantizer = {};

  void write(PickleWriter& p) const {
    p.global("torch._utils", quantizer ? "_rebuild_qtensor" : "_rebuild_tensor_v2");
    p.mark();
    p.mark();
    p.text("storage");
    p.global("torch", storage_class);
    p.text(key);
    p.text("cpu");
    p.integer(count);
    p.tuple();
    p.op('Q');
    p.integer(offset);
    p.tuple_of(sizes);
    p.tuple_of(strides);
    if (quantizer) quantizer(p);
    p.boolean(false);
    p.ordered_dict();
    p.tuple();
    p.op('R');
  }
  /// A pickle of the tensor alone.
  std::string pickle() const {
    PickleWriter p;
    write(p);
    return p.finish();
  }
};

inline StateDict read_torch(const std::string& file) { return decode_torch(bytes_of(file), "x.pt"); }

/// The message of the FileError for such a file; it must take little memory to say so.
inline std::string torch_error(const std::string& file, std::size_t most_bytes = 1 << 20) {
  const std::string message = file_error([&] { read_torch(file); }, most_bytes);
  EXPECT_EQ(message.substr(0, 4), "x.pt") << message;
  return message;
}
/// The same for a pickle in an archive with one storage of four floats.
inline std::string pickle_error(const std::string& pickle, std::size_t most_bytes = 1 << 20) {
  return torch_error(torch_archive(pickle, {{"0", std::string(16, '\0')}}), most_bytes);
}

}  // namespace qconv::testing_io
