// safetensors: 8 bytes of header length, a JSON header, then the bytes of the tensors back to back.
#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

#include <qconv/io.hpp>
#include <qconv/quantize.hpp>

#include "io/atomic_file.hpp"
#include "io/byte_source.hpp"
#include "io/io_error.hpp"
#include "io/safetensors_header.hpp"
#include "io/safetensors_qparams.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kReserved = "qconv.";
constexpr std::string_view kTensorKey = "qconv.tensor.";

Tensor read_tensor(const SafetensorsEntry& entry, const SafetensorsHeader& header, const ByteSource& source) {
  Tensor tensor = Tensor::empty(entry.sizes, entry.dtype);
  source.read(header.data_start + entry.begin,
              {static_cast<std::byte*>(tensor.raw_mutable_data()), tensor.nbytes()});
  return tensor;
}

// What the metadata says about quantized and undefined tensors, checked against the tensors in the file.
struct Descriptions {
  std::map<std::string_view, StoredQuantization> quantized;
  std::vector<std::string_view> undefined;
};

Descriptions read_descriptions(const SafetensorsHeader& header, const std::string& file) {
  const auto who = [&](std::string_view name) {
    return fmt::format("{}: metadata of tensor {}", file, printable(name));
  };
  std::map<std::string_view, const SafetensorsEntry*> entries;
  for (const SafetensorsEntry& entry : header.tensors) entries.emplace(entry.name, &entry);
  Descriptions result;
  for (const auto& [key, text] : header.metadata) {
    if (!key.starts_with(kTensorKey)) continue;
    const std::string_view name = std::string_view(key).substr(kTensorKey.size());
    const auto entry = entries.find(name);
    auto stored = parse_quantization(text, who(name));
    if (!stored) {
      check<FileError>(entry == entries.end(), "{}: says that there is no tensor, but there is one",
                       who(name));
      result.undefined.push_back(name);
      continue;
    }
    check<FileError>(entry != entries.end(), "{}: there is no such tensor", who(name));
    const SafetensorsEntry& integers = *entry->second;
    check<FileError>(info(stored->dtype).storage == integers.dtype,
                     "{}: {} cannot describe a tensor stored as {}", who(name), to_string(stored->dtype),
                     safetensors_name(integers.dtype));
    try {
      check_qparams(stored->qparams, integers.sizes, stored->dtype, who(name));
    } catch (const Error& error) {
      throw FileError(error.what());
    }
    result.quantized.emplace(name, std::move(*stored));
  }
  return result;
}

StateDict read_state(const ByteSource& source) {
  const SafetensorsHeader header = read_safetensors_header(source);
  Descriptions descriptions = read_descriptions(header, source.name());
  StateDict state;
  for (const SafetensorsEntry& entry : header.tensors) {
    Tensor tensor = read_tensor(entry, header, source);
    if (const auto at = descriptions.quantized.find(entry.name); at != descriptions.quantized.end()) {
      tensor = make_quantized(tensor, std::move(at->second.qparams));
    }
    state.set(entry.name, std::move(tensor));
  }
  for (const std::string_view name : descriptions.undefined) state.set(name, Tensor());
  return state;
}

// Where each tensor's bytes go: the widest elements first, so that every tensor is aligned for its elements,
// as the format's own writer does; among equals in the order of the state.
std::vector<const StateDict::Item*> storage_order(const StateDict& state) {
  std::vector<const StateDict::Item*> order;
  for (const StateDict::Item& item : state) {
    if (item.second.defined()) order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return element_size(a->second.dtype()) > element_size(b->second.dtype());
  });
  return order;
}

std::string json_text(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw ValueError(fmt::format("save_safetensors: {} is not UTF-8 text", printable(text)));
  }
}

Metadata full_metadata(const StateDict& state, const Metadata& metadata) {
  Metadata full = metadata;
  for (const auto& [key, text] : metadata) {
    check(!key.starts_with(kReserved),
          "save_safetensors: metadata keys that begin with '{}' are reserved, got {}", kReserved,
          printable(key));
  }
  for (const auto& [name, tensor] : state) {
    check(name != "__metadata__", "save_safetensors: a tensor cannot be called __metadata__");
    const std::string key = std::string(kTensorKey) + name;
    if (!tensor.defined()) {
      full[key] = "null";
    } else if (tensor.is_quantized()) {
      full[key] = quantization_text(tensor);
    }
  }
  return full;
}

std::string header_text(const StateDict& state, const Metadata& metadata,
                        const std::vector<const StateDict::Item*>& order) {
  std::map<const StateDict::Item*, std::uint64_t> begins;
  std::uint64_t at = 0;
  for (const StateDict::Item* item : order) {
    begins[item] = at;
    at += item->second.nbytes();
  }
  std::string text;
  const auto comma = [&] { text += text.empty() ? '{' : ','; };
  if (const Metadata full = full_metadata(state, metadata); !full.empty()) {
    comma();
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : full) text += fmt::format("{}:{},", json_text(key), json_text(value));
    text.back() = '}';
  }
  for (const StateDict::Item& item : state) {
    if (!item.second.defined()) continue;
    comma();
    const std::uint64_t begin = begins.at(&item);
    text += fmt::format(R"({}:{{"dtype":"{}","shape":[)", json_text(item.first),
                        safetensors_name(info(item.second.dtype()).storage));
    for (int d = 0; d < item.second.dim(); ++d) {
      text += fmt::format("{}{}", d == 0 ? "" : ",", item.second.size(d));
    }
    text += fmt::format(R"(],"data_offsets":[{},{}]}})", begin, begin + item.second.nbytes());
  }
  text += text.empty() ? "{}" : "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  check(text.size() <= kMaxSafetensorsHeader,
        "save_safetensors: a header of {} bytes is over the format's limit of {}", text.size(),
        kMaxSafetensorsHeader);
  return text;
}

void write_state(const StateDict& state, const Metadata& metadata, ByteSink& sink) {
  const std::vector<const StateDict::Item*> order = storage_order(state);
  const std::string header = header_text(state, metadata, order);
  const std::uint64_t length = header.size();
  sink.write(std::as_bytes(std::span(&length, 1)));
  sink.write(header);
  for (const StateDict::Item* item : order) {
    const Tensor dense = item->second.contiguous();
    sink.write(std::span(static_cast<const std::byte*>(dense.raw_data()), dense.nbytes()));
  }
}

}  // namespace

StateDict load_safetensors(const std::filesystem::path& path) { return read_state(FileSource(path)); }

StateDict decode_safetensors(std::span<const std::byte> bytes, std::string_view name) {
  return read_state(MemorySource(bytes, name));
}

Metadata load_safetensors_metadata(const std::filesystem::path& path) {
  Metadata metadata = read_safetensors_header(FileSource(path)).metadata;
  std::erase_if(metadata, [](const auto& item) { return item.first.starts_with(kReserved); });
  return metadata;
}

void save_safetensors(const StateDict& state, const std::filesystem::path& path, const Metadata& metadata) {
  AtomicFile file(path);
  write_state(state, metadata, file);
  file.commit();
}

std::vector<std::byte> encode_safetensors(const StateDict& state, const Metadata& metadata) {
  MemorySink sink;
  write_state(state, metadata, sink);
  return sink.take();
}

}  // namespace qconv
