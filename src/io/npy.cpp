#include "io/npy.hpp"

#include <algorithm>

#include <qconv/io.hpp>

#include "io/atomic_file.hpp"
#include "io/byte_source.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// Reads a source from its beginning, piece by piece.
class Sequence {
 public:
  explicit Sequence(const ByteSource& source) : source_(source) {}
  void operator()(std::span<std::byte> target) {
    source_.read(position_, target);
    position_ += target.size();
  }

 private:
  const ByteSource& source_;
  std::uint64_t position_ = 0;
};

Tensor read_npy(const ByteSource& source) {
  const ReadNext next = Sequence(source);
  const NpyHeader header = read_npy_header(next, source.name());
  const std::uint64_t held = source.size() - header.header_bytes;
  check<FileError>(held >= header.data_bytes,
                   "{}: header promises {} bytes at {} but the file has {}; it is truncated", source.name(),
                   header.data_bytes, header.header_bytes, source.size());
  check<FileError>(held == header.data_bytes, "{}: {} bytes follow the array", source.name(),
                   held - header.data_bytes);
  return read_npy_data(header, next);
}

void write_npy(const Tensor& tensor, ByteSink& sink) {
  sink.write(npy_header_text(tensor.dtype(), tensor.sizes()));
  const Tensor dense = tensor.contiguous();
  sink.write(std::span(static_cast<const std::byte*>(dense.raw_data()), dense.nbytes()));
}

}  // namespace

Tensor read_npy_data(const NpyHeader& header, const ReadNext& read_next) {
  // Fortran order is row major with the dimensions in reverse.
  Shape stored = header.sizes;
  Shape reversal = header.sizes;
  for (int d = 0; d < reversal.rank(); ++d) reversal[d] = reversal.rank() - 1 - d;
  if (header.fortran_order) std::reverse(stored.begin(), stored.end());

  Tensor tensor = Tensor::empty(stored, header.dtype);
  const std::span bytes(static_cast<std::byte*>(tensor.raw_mutable_data()), tensor.nbytes());
  read_next(bytes);
  if (header.big_endian) {
    const std::size_t width = element_size(header.dtype);
    for (std::size_t at = 0; at < bytes.size(); at += width) {
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   bytes.begin() + static_cast<std::ptrdiff_t>(at + width));
    }
  }
  return header.fortran_order ? tensor.permute(reversal).contiguous() : tensor;
}

void check_npy_tensor(const Tensor& tensor, const std::string& who) {
  check(tensor.defined(), "{}: the tensor is undefined", who);
  check<TypeError>(
      !tensor.is_quantized(),
      "{}: .npy cannot hold the parameters of a {} tensor; save its int_repr() or dequantize(), or use "
      "safetensors",
      who, to_string(tensor.dtype()));
}

Tensor load_npy(const std::filesystem::path& path) { return read_npy(FileSource(path)); }

Tensor decode_npy(std::span<const std::byte> bytes, std::string_view name) {
  return read_npy(MemorySource(bytes, name));
}

void save_npy(const Tensor& tensor, const std::filesystem::path& path) {
  check_npy_tensor(tensor, "save_npy");
  AtomicFile file(path);
  write_npy(tensor, file);
  file.commit();
}

std::vector<std::byte> encode_npy(const Tensor& tensor) {
  check_npy_tensor(tensor, "encode_npy");
  MemorySink sink;
  write_npy(tensor, sink);
  return sink.take();
}

}  // namespace qconv
