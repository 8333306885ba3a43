#include <algorithm>
#include <optional>
#include <tuple>

#include <nlohmann/json.hpp>

#include <qconv/torch_file.hpp>

#include "io/atomic_file.hpp"
#include "io/io_error.hpp"
#include "io/pickle_writer.hpp"
#include "io/torch_dtype.hpp"
#include "io/zip_writer.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kTorchRoot = "archive/";

std::string_view after_dot(std::string_view name) { return name.substr(name.rfind('.') + 1); }

// Whether the elements lie without gaps or overlap, in any order of dimensions.
bool is_dense(const Tensor& tensor) {
  std::vector<std::pair<std::int64_t, std::int64_t>> dims;  // stride, size
  for (int d = 0; d < tensor.dim(); ++d) {
    if (tensor.size(d) != 1) dims.emplace_back(tensor.stride(d), tensor.size(d));
  }
  std::sort(dims.begin(), dims.end());
  std::int64_t expected = 1;
  for (const auto& [stride, size] : dims) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

// A pickle with the storages that its tensors lie in.
class Archive {
 public:
  explicit Archive(std::string_view who) : who_(who) {}

  PickleWriter pickle;

  // Tells of the tensors to come, so that those whose memory overlaps get one storage.
  void expect(const StateDict& state) {
    std::vector<Block> blocks;
    for (const auto& [name, tensor] : state) {
      if (!tensor.defined() || tensor.numel() == 0 || !is_dense(tensor)) continue;
      const auto* begin = static_cast<const std::byte*>(tensor.raw_data());
      blocks.push_back({tensor.dtype(), begin, begin + tensor.nbytes(), std::nullopt});
    }
    std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
      return std::tie(a.dtype, a.begin) < std::tie(b.dtype, b.begin);
    });
    for (const Block& block : blocks) {
      const bool overlaps =
          !blocks_.empty() && blocks_.back().dtype == block.dtype && block.begin < blocks_.back().end;
      if (overlaps) {
        blocks_.back().end = std::max(blocks_.back().end, block.end);
      } else {
        blocks_.push_back(block);
      }
    }
  }

  void text(std::string_view value) {
    try {
      static_cast<void>(nlohmann::json(std::string(value)).dump());
    } catch (const nlohmann::json::exception&) {
      throw ValueError(fmt::format("{}: {} is not UTF-8 text", who_, printable(value)));
    }
    pickle.text(value);
  }

  void tensor(const Tensor& given) {
    const Tensor dense = is_dense(given) ? given : given.contiguous();
    const bool quantized = dense.is_quantized();
    pickle.global("torch._utils", quantized ? "_rebuild_qtensor" : "_rebuild_tensor_v2");
    pickle.mark();
    pickle.integer(storage(dense));
    pickle.tuple_of(dense.sizes());
    pickle.tuple_of(dense.strides());
    if (quantized) quantizer(dense.qparams());
    pickle.boolean(false);
    pickle.ordered_dict();
    pickle.tuple();
    pickle.op('R');
  }

  void optional_tensor(const Tensor* given) {
    if (given != nullptr && given->defined()) {
      tensor(*given);
    } else {
      pickle.none();
    }
  }

  // 1-D int16, which no Tensor holds.
  void shorts(std::string_view bytes) {
    const auto count = static_cast<std::int64_t>(bytes.size() / sizeof(std::int16_t));
    pickle.global("torch._utils", "_rebuild_tensor_v2");
    pickle.mark();
    storage_id("torch.ShortStorage", add({.text = std::string(bytes)}), count);
    pickle.integer(0);
    pickle.tuple_of(std::vector{count});
    pickle.tuple_of(std::vector{std::int64_t{1}});
    pickle.boolean(false);
    pickle.ordered_dict();
    pickle.tuple();
    pickle.op('R');
  }

  // Writes the entries that PyTorch does, in its order.
  void write(ByteSink& sink) {
    const std::string data = pickle.finish();
    AlignedZipWriter zip(sink);
    std::uint32_t identity = fingerprint(data);
    const auto add_entry = [&](std::string_view name, auto bytes) {
      zip.add(std::string(kTorchRoot) + std::string(name), bytes, who_);
    };
    add_entry("data.pkl", std::string_view(data));
    add_entry(".format_version", std::string_view("1"));
    add_entry(".storage_alignment", std::string_view("64"));
    add_entry("byteorder", std::string_view("little"));
    for (std::size_t i = 0; i < storages_.size(); ++i) {
      const std::span<const std::byte> bytes = storages_[i].bytes();
      identity = identity * 31 + fingerprint({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      add_entry(fmt::format("data/{}", i), bytes);
    }
    add_entry("version", std::string_view("3\n"));
    // Forty digits; the same state makes the same file.
    const std::string id = fmt::format("{:040}", identity);
    add_entry(".data/serialization_id", std::string_view(id));
    zip.finish();
  }

 private:
  struct Storage {
    Tensor tensor = {};                      // that has its memory to itself
    std::string text = {};                   // where there is no tensor
    std::span<const std::byte> shared = {};  // of several tensors, which the caller keeps
    std::span<const std::byte> bytes() const {
      if (!shared.empty()) return shared;
      if (!tensor.defined()) return std::as_bytes(std::span(text));
      return {static_cast<const std::byte*>(tensor.raw_data()), tensor.nbytes()};
    }
  };
  // Memory of one tensor or of several that overlap.
  struct Block {
    DType dtype;
    const std::byte* begin;
    const std::byte* end;
    std::optional<std::size_t> storage;
  };

  static std::uint32_t fingerprint(std::string_view bytes) {
    std::uint32_t a = 1;
    std::uint32_t b = 0;
    for (const char c : bytes) {
      a += static_cast<unsigned char>(c);
      b += a;
    }
    return (b << 16) ^ a;
  }

  std::size_t add(Storage stored) {
    storages_.push_back(std::move(stored));
    return storages_.size() - 1;
  }

  // Writes the storage that the tensor lies in; the place of its first element there.
  std::int64_t storage(const Tensor& dense) {
    const TorchDType& row = torch_dtype_for(dense.dtype());
    const auto* begin = static_cast<const std::byte*>(dense.raw_data());
    const auto width = static_cast<std::ptrdiff_t>(element_size(dense.dtype()));
    const auto next =
        std::upper_bound(blocks_.begin(), blocks_.end(), std::pair(dense.dtype(), begin),
                         [](const auto& key, const Block& b) { return key < std::pair(b.dtype, b.begin); });
    const auto block = next == blocks_.begin() ? blocks_.end() : std::prev(next);
    if (block == blocks_.end() || block->dtype != dense.dtype() || begin >= block->end ||
        (begin - block->begin) % width != 0) {
      storage_id(row.storage, add({.tensor = dense}), dense.numel());
      return 0;
    }
    if (!block->storage) block->storage = add({.shared = {block->begin, block->end}});
    storage_id(row.storage, *block->storage, (block->end - block->begin) / width);
    return (begin - block->begin) / width;
  }

  void storage_id(std::string_view type, std::size_t at, std::int64_t count) {
    pickle.mark();
    pickle.text("storage");
    pickle.global("torch", after_dot(type));
    pickle.text(std::to_string(at));
    pickle.text("cpu");
    pickle.integer(count);
    pickle.tuple();
    pickle.op('Q');
  }

  void quantizer(const QParams& qparams) {
    pickle.mark();
    if (qparams.is_per_channel()) {
      const auto count = static_cast<std::int64_t>(qparams.scales.size());
      pickle.global("torch", "per_channel_affine");
      tensor(Tensor::from_data(qparams.scales, {count}));
      tensor(Tensor::from_data(qparams.zero_points, {count}));
      pickle.integer(qparams.axis);
    } else {
      pickle.global("torch", "per_tensor_affine");
      pickle.real(qparams.scales[0]);
      pickle.integer(qparams.zero_points[0]);
    }
    pickle.tuple();
  }

  std::string_view who_;
  std::vector<Storage> storages_;
  std::vector<Block> blocks_;
};

void write_state(const StateDict& state, ByteSink& sink) {
  Archive archive("save_torch");
  archive.expect(state);
  archive.pickle.ordered_dict();
  archive.pickle.mark();
  for (const auto& [name, tensor] : state) {
    archive.text(name);
    archive.optional_tensor(&tensor);
  }
  archive.pickle.op('u');
  archive.write(sink);
}

// ("2", [configuration and weight], [bias]). One-dimensional convolutions are two-dimensional ones of
// height 1.
void write_packed(const ConvPackedParams& packed, std::string_view name, Archive& archive) {
  const std::string who = fmt::format("save_torch_packed: {}", printable(name));
  const ConvGeometry& g = packed.geometry();
  check(g.padding_begin == g.padding_end, "{}: PyTorch's packed convolutions have no asymmetric padding",
        who);
  check(g.padding_mode == PaddingMode::zeros, "{}: PyTorch's packed convolutions pad with zeros, got {}", who,
        to_string(g.padding_mode));
  const std::size_t ndim = g.ndim == 3 ? 3 : 2;
  std::string values;
  const auto put = [&](std::int64_t value) {
    check(value >= 0 && value <= INT16_MAX, "{}: {} does not fit the 16 bits that PyTorch has for it", who,
          value);
    const auto narrow = static_cast<std::int16_t>(value);
    values.append(reinterpret_cast<const char*>(&narrow), sizeof(narrow));
  };
  put(static_cast<std::int64_t>(ndim));
  for (const Spatial& list : {g.stride, g.padding_begin, g.dilation, g.output_padding}) {
    for (const std::int64_t value : std::span(list).last(ndim)) put(value);
  }
  put(g.groups);
  put(g.transposed ? 1 : 0);

  PickleWriter& pickle = archive.pickle;
  pickle.global("torch", "ScriptObject");
  pickle.op(')');
  pickle.op('\x81');
  pickle.mark();
  {
    pickle.mark();
    pickle.text("2");
    pickle.op(']');
    pickle.mark();
    archive.shorts(values);
    archive.tensor(g.ndim == 1 ? packed.weight().unsqueeze(2) : packed.weight());
    pickle.op('e');
    pickle.op(']');
    archive.optional_tensor(packed.bias() ? &*packed.bias() : nullptr);
    pickle.op('a');
    pickle.tuple();
  }
  pickle.text(fmt::format("__torch__.torch.classes.quantized.Conv{}dPackedParamsBase", ndim));
  pickle.tuple();
  pickle.op('b');
}

void write_all_packed(const NamedPackedParams& packed, ByteSink& sink) {
  Archive archive("save_torch_packed");
  archive.pickle.op('}');
  archive.pickle.mark();
  for (const auto& [name, params] : packed) {
    check(params != nullptr, "save_torch_packed: {} is null", printable(name));
    archive.text(name);
    write_packed(*params, name, archive);
  }
  archive.pickle.op('u');
  archive.write(sink);
}

// The two places that bytes go to.
template <class Write>
void to_file(const std::filesystem::path& path, const Write& write) {
  AtomicFile file(path);
  write(file);
  file.commit();
}
template <class Write>
std::vector<std::byte> to_memory(const Write& write) {
  MemorySink sink;
  write(sink);
  return sink.take();
}

}  // namespace

void save_torch(const StateDict& state, const std::filesystem::path& path) {
  to_file(path, [&](ByteSink& sink) { write_state(state, sink); });
}

std::vector<std::byte> encode_torch(const StateDict& state) {
  return to_memory([&](ByteSink& sink) { write_state(state, sink); });
}

void save_torch_packed(const NamedPackedParams& packed, const std::filesystem::path& path) {
  to_file(path, [&](ByteSink& sink) { write_all_packed(packed, sink); });
}

std::vector<std::byte> encode_torch_packed(const NamedPackedParams& packed) {
  return to_memory([&](ByteSink& sink) { write_all_packed(packed, sink); });
}

}  // namespace qconv
