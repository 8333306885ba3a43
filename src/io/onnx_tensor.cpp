#include "io/onnx_tensor.hpp"

#include <charconv>
#include <cstring>
#include <fstream>

#include <fmt/ranges.h>

#include "support/check.hpp"

namespace qconv::io {
namespace {

using onnx::TensorProto;

struct Element {
  DType dtype;
  std::size_t file_size;  // bytes of one element in raw data
};

Element element_of(const TensorProto& proto) {
  switch (proto.data_type()) {
    case TensorProto::FLOAT:
      return {DType::float32, 4};
    case TensorProto::DOUBLE:
      return {DType::float32, 8};
    case TensorProto::INT64:
      return {DType::int64, 8};
    case TensorProto::INT32:
      return {DType::int32, 4};
    case TensorProto::INT8:
      return {DType::int8, 1};
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return {DType::uint8, 1};
    default:
      break;
  }
  throw FileError(
      fmt::format("tensor '{}' has ONNX element type {}; supported are float32, float64, int64, int32, "
                  "int8, uint8 and bool",
                  proto.name(), proto.data_type()));
}

// Where the elements of a tensor lie, and how many bytes there are.
struct Bytes {
  const char* data = nullptr;
  std::size_t size = 0;
  std::string owned;
};

std::uint64_t parse_number(const TensorProto& proto, const std::string& key, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check<FileError>(error == std::errc() && end == text.data() + text.size(),
                   "tensor '{}': external data has {} '{}', expected a number", proto.name(), key, text);
  return value;
}

Bytes external_bytes(const TensorProto& proto, const std::filesystem::path& folder, std::size_t expected) {
  namespace fs = std::filesystem;
  std::string location;
  std::uint64_t offset = 0;
  std::uint64_t length = expected;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
  }
  check<FileError>(!folder.empty(),
                   "tensor '{}' has its data in another file, '{}'; load the model from its path",
                   proto.name(), location);
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "offset") offset = parse_number(proto, "offset", entry.value());
    if (entry.key() == "length") length = parse_number(proto, "length", entry.value());
  }
  check<FileError>(length == expected, "tensor '{}': external data has {} bytes, its sizes ask for {}",
                   proto.name(), length, expected);
  const fs::path relative(location);
  bool inside = !location.empty() && !relative.is_absolute() && location.find('\0') == std::string::npos;
  for (const fs::path& part : relative) inside = inside && part != "..";
  check<FileError>(inside, "tensor '{}': external data '{}' must be a file inside the model's folder",
                   proto.name(), location);
  // A symbolic link must not lead out of the folder either.
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  check<FileError>(!error, "tensor '{}': cannot resolve the folder '{}'", proto.name(), folder.string());
  const fs::path file = fs::canonical(folder / relative, error);
  check<FileError>(!error && fs::is_regular_file(file), "tensor '{}': there is no file '{}' beside the model",
                   proto.name(), location);
  const auto [stop, unused] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  check<FileError>(stop == root.end(),
                   "tensor '{}': external data '{}' must be a file inside the model's folder", proto.name(),
                   location);
  const std::uint64_t size = fs::file_size(file);
  check<FileError>(offset <= size && length <= size - offset,
                   "tensor '{}': bytes {} to {} are beyond the end of '{}' ({} bytes)", proto.name(), offset,
                   offset + length, location, size);
  Bytes bytes;
  bytes.owned.resize(expected);
  std::ifstream stream(file, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  stream.read(bytes.owned.data(), static_cast<std::streamsize>(expected));
  check<FileError>(stream.good(), "tensor '{}': cannot read '{}'", proto.name(), location);
  bytes.data = bytes.owned.data();
  bytes.size = expected;
  return bytes;
}

template <class To, class Field>
void copy_field(const TensorProto& proto, Tensor& out, const Field& field) {
  check<FileError>(field.size() == out.numel(), "tensor '{}': sizes {} ask for {} elements, the file has {}",
                   proto.name(), out.sizes().to_string(), out.numel(), field.size());
  To* to = out.mutable_data<To>();
  for (int i = 0; i < field.size(); ++i) to[i] = static_cast<To>(field[i]);
}

// The number of elements that a typed field holds: known before memory is taken.
std::int64_t field_size(const TensorProto& proto) {
  switch (proto.data_type()) {
    case TensorProto::FLOAT:
      return proto.float_data_size();
    case TensorProto::DOUBLE:
      return proto.double_data_size();
    case TensorProto::INT64:
      return proto.int64_data_size();
    default:
      return proto.int32_data_size();
  }
}

void copy_typed(const TensorProto& proto, Tensor& out) {
  switch (proto.data_type()) {
    case TensorProto::FLOAT:
      return copy_field<float>(proto, out, proto.float_data());
    case TensorProto::DOUBLE:
      return copy_field<float>(proto, out, proto.double_data());
    case TensorProto::INT64:
      return copy_field<std::int64_t>(proto, out, proto.int64_data());
    case TensorProto::INT32:
      return copy_field<std::int32_t>(proto, out, proto.int32_data());
    case TensorProto::INT8:
      return copy_field<std::int8_t>(proto, out, proto.int32_data());
    default:
      return copy_field<std::uint8_t>(proto, out, proto.int32_data());
  }
}

}  // namespace

Tensor tensor_from_onnx(TensorProto& proto, const std::filesystem::path& folder) {
  const Element element = element_of(proto);
  check<FileError>(proto.dims_size() <= kMaxRank, "tensor '{}' has {} dimensions; at most {} are supported",
                   proto.name(), proto.dims_size(), kMaxRank);
  check<FileError>(!proto.has_segment(), "tensor '{}' is split into segments, which are not supported",
                   proto.name());
  Shape sizes;
  std::uint64_t count = 1;
  for (const std::int64_t d : proto.dims()) {
    // Zeros count as ones here: the strides of an empty tensor must be possible too.
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(d, 1));
    check<FileError>(
        d >= 0 && !__builtin_mul_overflow(count, factor, &count) && count < (std::uint64_t{1} << 48),
        "tensor '{}': sizes [{}] are not possible", proto.name(),
        fmt::join(proto.dims().begin(), proto.dims().end(), ", "));
    sizes.push_back(d);
  }
  count = static_cast<std::uint64_t>(sizes.numel());
  const bool external = proto.data_location() == TensorProto::EXTERNAL;
  if (!external && !proto.has_raw_data()) {
    check<FileError>(static_cast<std::uint64_t>(field_size(proto)) == count,
                     "tensor '{}': sizes {} ask for {} elements, the file has {}", proto.name(),
                     sizes.to_string(), count, field_size(proto));
    Tensor out = Tensor::empty(sizes, element.dtype);
    copy_typed(proto, out);
    return out;
  }
  const std::size_t expected = static_cast<std::size_t>(count) * element.file_size;
  const Bytes bytes = external ? external_bytes(proto, folder, expected)
                               : Bytes{proto.raw_data().data(), proto.raw_data().size(), {}};
  check<FileError>(bytes.size == expected, "tensor '{}': sizes {} ask for {} bytes, the file has {}",
                   proto.name(), sizes.to_string(), expected, bytes.size);
  if (!external && proto.data_type() != TensorProto::DOUBLE) {
    // The elements stay where the parser put them: weights are most of a file.
    const std::shared_ptr<std::string> owner(proto.release_raw_data());
    return Tensor::from_blob(owner->data(), sizes, dense_strides(sizes, MemoryFormat::contiguous),
                             element.dtype, owner);
  }
  Tensor out = Tensor::empty(sizes, element.dtype);
  const char* source = external ? bytes.owned.data() : bytes.data;
  if (proto.data_type() == TensorProto::DOUBLE) {
    for (std::size_t i = 0; i < count; ++i) {
      double v = 0;
      std::memcpy(&v, source + 8 * i, 8);
      out.mutable_data<float>()[i] = static_cast<float>(v);
    }
  } else if (expected > 0) {
    std::memcpy(out.raw_mutable_data(), source, expected);
  }
  return out;
}

TensorProto tensor_to_onnx(const Tensor& tensor, const std::string& name) {
  TensorProto proto;
  proto.set_name(name);
  for (const std::int64_t s : tensor.sizes()) proto.add_dims(s);
  switch (info(tensor.dtype()).storage) {
    case DType::float32:
      proto.set_data_type(TensorProto::FLOAT);
      break;
    case DType::int64:
      proto.set_data_type(TensorProto::INT64);
      break;
    case DType::int32:
      proto.set_data_type(TensorProto::INT32);
      break;
    case DType::int8:
      proto.set_data_type(TensorProto::INT8);
      break;
    case DType::uint8:
      proto.set_data_type(TensorProto::UINT8);
      break;
    default:
      throw TypeError(fmt::format("tensor '{}': {} is not written to ONNX", name, to_string(tensor.dtype())));
  }
  const Tensor dense = tensor.contiguous();
  proto.set_raw_data(dense.raw_data(), dense.nbytes());
  return proto;
}

}  // namespace qconv::io
