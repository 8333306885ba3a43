#include "io/torch_tensors.hpp"

#include <algorithm>

#include "io/io_error.hpp"
#include "io/promised_size.hpp"
#include "io/torch_globals.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kUntyped = "torch.storage.UntypedStorage";

[[noreturn]] void bad_arguments(const Pickle& pickle, std::string_view function) {
  throw FileError(fmt::format("{}: {} is given arguments that it does not take", pickle.who, function));
}

bool is_list(const PickleValue& value) {
  return value.kind == PickleKind::list || value.kind == PickleKind::tuple;
}

}  // namespace

const PickleValue& TorchTensors::Arguments::at(std::size_t i, PickleKind kind) const {
  if (i >= tuple.items.size() || pickle.item(tuple, i).kind != kind) bad_arguments(pickle, function);
  return pickle.item(tuple, i);
}

std::int64_t TorchTensors::Arguments::integer(std::size_t i) const {
  return at(i, PickleKind::integer).integer;
}

Shape TorchTensors::Arguments::shape(std::size_t i) const {
  if (i >= tuple.items.size() || !is_list(pickle.item(tuple, i))) bad_arguments(pickle, function);
  const PickleValue& list = pickle.item(tuple, i);
  check<FileError>(list.items.size() <= static_cast<std::size_t>(kMaxRank),
                   "{}: a tensor has {} dimensions, expected at most {}", pickle.who, list.items.size(),
                   kMaxRank);
  Shape shape;
  for (const PickleRef ref : list.items) {
    if (pickle[ref].kind != PickleKind::integer) bad_arguments(pickle, function);
    check<FileError>(pickle[ref].integer >= 0, "{}: a tensor has a size or stride of {}", pickle.who,
                     pickle[ref].integer);
    shape.push_back(pickle[ref].integer);
  }
  return shape;
}

std::size_t TorchTensors::read(Pickle& pickle, std::size_t begin) {
  std::size_t end = 0;
  try {
    end = read_pickle(pickle, *this, begin);
  } catch (const FileError&) {
    check_globals(pickle);  // what is wrong may come from a class that is not known
    throw;
  }
  check_globals(pickle);
  return end;
}

void TorchTensors::see_global(std::string_view name) {
  if (!is_allowed_global(name, safe_globals_)) unknown_.emplace(name);
}

void TorchTensors::check_globals(const Pickle& pickle) const {
  constexpr std::size_t kMostShown = 8;
  constexpr std::size_t kLongestShown = 120;
  if (unknown_.empty()) return;
  std::string names;
  std::size_t shown = 0;
  for (const std::string& name : unknown_) {
    if (shown == kMostShown) break;
    names += (shown++ == 0 ? "" : ", ") + printable(name, kLongestShown);
  }
  const bool more = unknown_.size() > shown;
  throw FileError(fmt::format(
      "{}: names {}{}, which PyTorch's own networks do not have; if you know what that is, name it in "
      "safe_globals (of the program: --safe-global): it is read as data and not run",
      pickle.who, names, more ? fmt::format(" and {} more", unknown_.size() - shown) : ""));
}

PickleRef TorchTensors::persistent(Pickle& pickle, PickleRef id) {
  // ("storage", class, key, device, number of elements)
  const Arguments parts{pickle, pickle[id], "a storage"};
  // The oldest files put the source of a class beside it: ("module", class, file, source).
  if (parts.tuple.kind == PickleKind::tuple && !parts.tuple.items.empty() &&
      parts.at(0, PickleKind::text).text == "module") {
    parts.at(1, PickleKind::global);
    return parts.tuple.items[1];
  }
  if (parts.tuple.kind != PickleKind::tuple || parts.at(0, PickleKind::text).text != "storage") {
    bad_arguments(pickle, "a storage");
  }
  const std::string_view type = parts.at(1, PickleKind::global).text;
  const std::string_view key = parts.at(2, PickleKind::text).text;
  const std::int64_t count = parts.integer(4);
  if (parts.tuple.items.size() > 5) parts.at(5, PickleKind::none);  // a view: of the oldest files
  check<FileError>(count >= 0, "{}: storage {} has {} elements", pickle.who, printable(key), count);
  const auto [at, is_new] = index_.emplace(key, stored_.size());
  if (is_new) {
    stored_.push_back({std::string(key), find_torch_dtype(type), std::string(type), count, Tensor()});
  } else {
    const Storage& known = stored_[at->second];
    check<FileError>(known.class_name == type && known.count == count,
                     "{}: storage {} is {} elements of {} and also {} of {}", pickle.who, printable(key),
                     known.count, known.class_name, count, type);
  }
  return pickle.add({.kind = PickleKind::storage, .integer = static_cast<std::int64_t>(at->second)});
}

PickleRef TorchTensors::add_tensor(Pickle& pickle, Tensor tensor) {
  tensors_.push_back(std::move(tensor));
  return pickle.add({.kind = PickleKind::tensor, .integer = static_cast<std::int64_t>(tensors_.size() - 1)});
}

PickleRef TorchTensors::call(Pickle& pickle, PickleRef function, PickleRef arguments) {
  const std::string_view name = pickle[function].text;
  const Arguments given{pickle, pickle[arguments], name};
  const auto first = [&] {
    if (given.tuple.items.empty()) bad_arguments(pickle, name);
    return given.tuple.items[0];
  };
  if (name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor") {
    return add_tensor(pickle, rebuild(given, nullptr, nullptr));
  }
  if (name == "torch._utils._rebuild_tensor_v3") {
    const std::string_view dtype = given.at(6, PickleKind::global).text;
    const TorchDType* row = find_torch_dtype(dtype);
    check<FileError>(row != nullptr, "{}: a tensor has dtype {}, which is not supported", pickle.who, dtype);
    return add_tensor(pickle, rebuild(given, row, nullptr));
  }
  if (name == "torch._utils._rebuild_qtensor") {
    return add_tensor(pickle, rebuild(given, nullptr, &given.at(4, PickleKind::tuple)));
  }
  if (name == "torch._utils._rebuild_parameter" || name == "torch._utils._rebuild_parameter_with_state") {
    given.at(0, PickleKind::tensor);
    return first();
  }
  if (name == "torch._tensor._rebuild_from_type_v2") {
    // (function, class, its arguments, attributes); one level only, so that nothing recurses.
    const std::string_view inner = given.at(0, PickleKind::global).text;
    given.at(2, PickleKind::tuple);
    if (inner == name) bad_arguments(pickle, name);
    return call(pickle, given.tuple.items[0], given.tuple.items[2]);
  }
  if (name == "torch.Size" || name.starts_with("torch.jit._pickle.")) return first();
  if (name == "_codecs.encode") {
    return pickle.add({.kind = PickleKind::bytes, .text = given.at(0, PickleKind::text).text});
  }
  PickleValue object{.kind = PickleKind::object, .items = {function, arguments}};
  // An FX network is called into being with its attributes.
  if (name == "torch.fx.graph_module.reduce_graph_module") {
    given.at(0, PickleKind::dict);
    object.items.push_back(first());
  }
  return pickle.add(std::move(object));
}

TorchTensors::Storage& TorchTensors::storage(const Arguments& arguments, const TorchDType* untyped_as) {
  Storage& found = stored_[static_cast<std::size_t>(arguments.at(0, PickleKind::storage).integer)];
  const std::string& who = arguments.pickle.who;
  if (found.dtype == nullptr && found.class_name == kUntyped && untyped_as != nullptr) {
    check<FileError>(found.count % static_cast<std::int64_t>(untyped_as->size) == 0,
                     "{}: storage {} of {} bytes does not hold elements of {}", who, printable(found.key),
                     found.count, untyped_as->name);
    found.count /= static_cast<std::int64_t>(untyped_as->size);
    found.dtype = untyped_as;
  }
  check<FileError>(found.dtype != nullptr, "{}: storage {} is a {}, whose elements are not supported", who,
                   printable(found.key), found.class_name);
  if (untyped_as != nullptr && found.dtype != untyped_as) {
    throw FileError(fmt::format("{}: storage {} is both {} and {}", who, printable(found.key),
                                found.dtype->name, untyped_as->name));
  }
  if (found.elements.defined()) return found;

  const TorchDType& dtype = *found.dtype;
  std::uint64_t bytes = 0;
  check<FileError>(!__builtin_mul_overflow(static_cast<std::uint64_t>(found.count), dtype.size, &bytes),
                   "{}: storage {} has {} elements", who, printable(found.key), found.count);
  Tensor raw = storages_.read(found.key, bytes);
  auto* first = static_cast<std::byte*>(raw.raw_mutable_data());
  if (storages_.big_endian()) swap_bytes({first, raw.nbytes()}, dtype.size);
  const DType plain = info(dtype.dtype).storage;
  if (dtype.convert == nullptr) {
    auto owner = std::make_shared<Tensor>(raw);
    found.elements = Tensor::from_blob(first, {found.count}, {1}, plain, std::move(owner));
  } else {
    found.elements = Tensor::empty({found.count}, plain);
    dtype.convert({first, raw.nbytes()}, found.elements.raw_mutable_data());
  }
  return found;
}

Tensor TorchTensors::rebuild(const Arguments& arguments, const TorchDType* untyped_as,
                             const PickleValue* params) {
  Storage& stored = storage(arguments, untyped_as);
  const std::string& who = arguments.pickle.who;
  const DType dtype = stored.dtype->dtype;
  const std::int64_t offset = arguments.integer(1);
  const Shape sizes = arguments.shape(2);
  const Shape strides = arguments.shape(3);
  check<FileError>(sizes.rank() == strides.rank(), "{}: a tensor has sizes {} but strides {}", who, sizes,
                   strides);
  check<FileError>((params != nullptr) == is_quantized(dtype),
                   "{}: a tensor of {} {} quantization parameters", who, to_string(dtype),
                   params != nullptr ? "has" : "has no");
  check<FileError>(promised_bytes(sizes, dtype).has_value(), "{}: a tensor has sizes {}", who, sizes);
  // The last element, one past which the tensor ends.
  std::int64_t end = offset;
  bool inside = offset >= 0;
  for (int d = 0; d < sizes.rank(); ++d) {
    std::int64_t step = 0;
    inside = inside && !__builtin_mul_overflow(std::max<std::int64_t>(sizes[d] - 1, 0), strides[d], &step) &&
             !__builtin_add_overflow(end, step, &end);
  }
  const std::int64_t numel = sizes.numel();
  inside = inside && (numel == 0 || end < stored.count);
  check<FileError>(inside, "{}: a tensor of sizes {} and strides {} at {} leaves its storage of {} elements",
                   who, sizes, strides, offset, stored.count);

  std::optional<QParams> qparams;
  if (params != nullptr) {
    qparams = quantizer(arguments.pickle, *params);
    try {
      check_qparams(*qparams, sizes, dtype, who);
    } catch (const Error& error) {
      throw FileError(error.what());
    }
  }
  auto owner = std::make_shared<Tensor>(stored.elements);
  auto* first = static_cast<std::byte*>(owner->raw_mutable_data());
  if (numel > 0) first += static_cast<std::size_t>(offset) * element_size(dtype);
  return Tensor::from_blob(first, sizes, strides, dtype, std::move(owner), std::move(qparams));
}

template <class T>
std::vector<T> TorchTensors::numbers(const Pickle& pickle, const PickleValue& value, const char* what) const {
  if (is_list(value)) {
    std::vector<T> result;
    for (const PickleRef ref : value.items) {
      const PickleValue& number = pickle[ref];
      const bool is_integer = number.kind == PickleKind::integer;
      check<FileError>(is_integer || (std::is_same_v<T, double> && number.kind == PickleKind::real),
                       "{}: {} are something other than numbers", pickle.who, what);
      result.push_back(is_integer ? static_cast<T>(number.integer) : static_cast<T>(number.real));
    }
    return result;
  }
  check<FileError>(value.kind == PickleKind::tensor, "{}: {} are neither a tensor nor a list", pickle.who,
                   what);
  const Tensor& t = tensor(value);
  check<FileError>(t.dim() == 1 && t.is_contiguous() && !t.is_quantized(),
                   "{}: {} are a tensor of sizes {}, expected one contiguous dimension", pickle.who, what,
                   t.sizes());
  const auto converted = [&](const auto* first) { return std::vector<T>(first, first + t.numel()); };
  if (t.dtype() == float64 && std::is_same_v<T, double>) return converted(t.data<double>());
  if (t.dtype() == float32 && std::is_same_v<T, double>) return converted(t.data<float>());
  if (t.dtype() == int64) return converted(t.data<std::int64_t>());
  if (t.dtype() == int32) return converted(t.data<std::int32_t>());
  throw FileError(fmt::format("{}: {} are a tensor of {}", pickle.who, what, to_string(t.dtype())));
}

QParams TorchTensors::quantizer(const Pickle& pickle, const PickleValue& params) {
  const Arguments parts{pickle, params, "a quantizer"};
  const std::string_view scheme = parts.at(0, PickleKind::global).text;
  if (scheme == "torch.per_tensor_affine") {
    if (params.items.size() < 2) bad_arguments(pickle, "a quantizer");
    const PickleValue& scale = pickle.item(params, 1);
    const bool whole = scale.kind == PickleKind::integer;
    if (!whole) parts.at(1, PickleKind::real);
    return QParams::per_tensor(whole ? static_cast<double>(scale.integer) : scale.real, parts.integer(2));
  }
  check<FileError>(scheme == "torch.per_channel_affine",
                   "{}: a tensor is quantized by {}, expected torch.per_tensor_affine or "
                   "torch.per_channel_affine",
                   pickle.who, scheme);
  if (params.items.size() < 4) bad_arguments(pickle, "a quantizer");
  const std::int64_t axis = parts.integer(3);
  check<FileError>(axis >= 0 && axis < kMaxRank, "{}: a tensor is quantized along axis {}", pickle.who, axis);
  // Many tensors may name one list of scales.
  const PickleValue& scales = pickle.item(params, 1);
  const std::uint64_t count = scales.kind == PickleKind::tensor
                                  ? static_cast<std::uint64_t>(tensor(scales).numel())
                                  : scales.items.size();
  qparams_bytes_ += count * (sizeof(double) + sizeof(std::int64_t));
  check<FileError>(qparams_bytes_ <= storages_.most_bytes(), "{}: the scales of all tensors take {} bytes",
                   pickle.who, qparams_bytes_);
  return QParams::per_channel(numbers<double>(pickle, scales, "scales"),
                              numbers<std::int64_t>(pickle, pickle.item(params, 2), "zero points"),
                              static_cast<int>(axis));
}

}  // namespace qconv
