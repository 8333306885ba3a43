#include "io/torch_convolution.hpp"

#include <algorithm>
#include <array>

#include <qconv/nn/dynamic.hpp>
#include <qconv/nn/intrinsic_quantized.hpp>
#include <qconv/nn/quantized.hpp>

#include "io/io_error.hpp"
#include "ops/prepack.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

namespace nnq = nn::quantized;
namespace nniq = nn::intrinsic::quantized;

// One class: what it is and how it is made.
struct ConvClass {
  nn::ConvKind kind;
  bool intrinsic;
  std::unique_ptr<nn::Module> (*make)(const nnq::ConvState& state);
};

template <class Module>
constexpr ConvClass conv_class() {
  return {Module::kKind, Module::kKind.post_op != PostOp::none,
          [](const nnq::ConvState& state) -> std::unique_ptr<nn::Module> {
            return std::make_unique<Module>(Module::from_state(state));
          }};
}

constexpr auto kClasses = std::to_array<ConvClass>({
    conv_class<nnq::Conv1d>(),
    conv_class<nnq::Conv2d>(),
    conv_class<nnq::Conv3d>(),
    conv_class<nnq::ConvTranspose1d>(),
    conv_class<nnq::ConvTranspose2d>(),
    conv_class<nnq::ConvTranspose3d>(),
    conv_class<nnq::dynamic::Conv1d>(),
    conv_class<nnq::dynamic::Conv2d>(),
    conv_class<nnq::dynamic::Conv3d>(),
    conv_class<nnq::dynamic::ConvTranspose1d>(),
    conv_class<nnq::dynamic::ConvTranspose2d>(),
    conv_class<nnq::dynamic::ConvTranspose3d>(),
    conv_class<nniq::ConvReLU1d>(),
    conv_class<nniq::ConvReLU2d>(),
    conv_class<nniq::ConvReLU3d>(),
    conv_class<nniq::ConvAdd2d>(),
    conv_class<nniq::ConvAddReLU2d>(),
});

// Reads the fields of one tuple, in the name of the module that it is the state of.
class Fields {
 public:
  Fields(const Pickle& pickle, const TorchTensors& tensors, std::string_view who)
      : pickle_(pickle), tensors_(tensors), who_(who) {}

  const PickleValue& expect(const PickleValue& value, PickleKind kind, std::string_view field) const {
    if (value.kind != kind) wrong(field);
    return value;
  }
  std::int64_t integer(const PickleValue& value, std::string_view field) const {
    return expect(value, PickleKind::integer, field).integer;
  }
  bool flag(const PickleValue& value, std::string_view field) const {
    return expect(value, PickleKind::boolean, field).integer != 0;
  }
  double number(const PickleValue& value, std::string_view field) const {
    if (value.kind == PickleKind::integer) return static_cast<double>(value.integer);
    if (value.kind == PickleKind::tensor) return only_number(value, field).item();
    return expect(value, PickleKind::real, field).real;
  }
  std::int64_t whole(const PickleValue& value, std::string_view field) const {
    if (value.kind != PickleKind::tensor) return integer(value, field);
    const Tensor one = only_number(value, field);
    if (one.dtype() != int64 && one.dtype() != int32) wrong(field);
    return static_cast<std::int64_t>(one.item());
  }
  std::vector<std::int64_t> integers(const PickleValue& value, std::string_view field) const {
    if (value.kind != PickleKind::tuple && value.kind != PickleKind::list) wrong(field);
    if (value.items.size() > 6) wrong(field);  // two for each of three dimensions
    std::vector<std::int64_t> result;
    for (const PickleRef ref : value.items) result.push_back(whole(pickle_[ref], field));
    return result;
  }
  const Tensor& tensor(const PickleValue& value, std::string_view field) const {
    return tensors_.tensor(expect(value, PickleKind::tensor, field));
  }
  std::optional<Tensor> optional_tensor(const PickleValue& value, std::string_view field) const {
    if (value.kind == PickleKind::none) return std::nullopt;
    return tensor(value, field);
  }
  [[noreturn]] void wrong(std::string_view field) const {
    throw FileError(fmt::format("{}: {} is not what a quantized convolution has there", who_, field));
  }

 private:
  Tensor only_number(const PickleValue& value, std::string_view field) const {
    const Tensor& one = tensors_.tensor(value);
    if (one.numel() != 1 || one.is_quantized()) wrong(field);
    return one;
  }

  const Pickle& pickle_;
  const TorchTensors& tensors_;
  std::string_view who_;
};

// What a packed state says, whatever its version.
struct PackedConfig {
  std::vector<std::int64_t> stride, padding, dilation, output_padding;
  std::int64_t groups = 1;
  bool transpose = false;
};

// Versions 2 and 3: dimensions, four lists of that length, groups, flags (bit 0: transposed).
PackedConfig config_of(const std::vector<std::int64_t>& values, const Fields& fields) {
  const std::size_t n =
      values.empty() ? 0 : static_cast<std::size_t>(std::clamp<std::int64_t>(values[0], 0, 4));
  if (n < 2 || n > 3 || values.size() != 3 + 4 * n) fields.wrong("the list of its configuration");
  const auto list = [&](std::size_t which) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(1 + which * n);
    return std::vector<std::int64_t>(first, first + static_cast<std::ptrdiff_t>(n));
  };
  const std::int64_t flags = values[2 + 4 * n];
  if (flags != 0 && flags != 1) fields.wrong("the flags of its configuration");
  return {list(0), list(1), list(2), list(3), values[1 + 4 * n], flags == 1};
}

ConvGeometry packed_geometry(const PackedConfig& config, const Tensor& weight, std::string_view who) {
  nnq::ConvState attributes;
  const int ndim = static_cast<int>(config.stride.size());
  check<FileError>(weight.defined() && weight.dim() == ndim + 2,
                   "{}: got a weight of sizes {} for {} spatial dimensions", who, weight.sizes(), ndim);
  for (int d = 0; d < ndim; ++d) attributes.kernel_size.push_back(weight.size(d + 2));
  check<FileError>(config.groups >= 1 && config.groups <= INT32_MAX && weight.size(0) <= INT32_MAX &&
                       weight.size(1) <= INT32_MAX,
                   "{}: has {} groups and a weight of sizes {}", who, config.groups, weight.sizes());
  const std::int64_t grouped = weight.size(1) * config.groups;
  attributes.in_channels = config.transpose ? weight.size(0) : grouped;
  attributes.out_channels = config.transpose ? grouped : weight.size(0);
  attributes.stride = config.stride;
  attributes.padding = config.padding;
  attributes.dilation = config.dilation;
  attributes.output_padding = config.output_padding;
  attributes.groups = config.groups;
  attributes.transposed = config.transpose;
  return attributes.geometry(who);
}

}  // namespace

std::optional<nn::ConvKind> quantized_conv_kind(std::string_view class_name) {
  if (!class_name.starts_with("torch.ao.nn.") && !class_name.starts_with("torch.nn.")) return std::nullopt;
  const auto has = [&](std::string_view part) { return class_name.find(part) != std::string_view::npos; };
  if (!has(".quantized.") || has(".reference.")) return std::nullopt;
  const std::string_view simple = class_name.substr(class_name.rfind('.') + 1);
  for (const ConvClass& known : kClasses) {
    if (known.intrinsic == has(".intrinsic.") && known.kind.dynamic == has(".dynamic.") &&
        known.kind.name() == simple) {
      return known.kind;
    }
  }
  return std::nullopt;
}

nnq::ConvState read_conv_state(const Pickle& pickle, const PickleValue& state, const TorchTensors& tensors,
                               std::string_view who) {
  const Fields fields(pickle, tensors, who);
  constexpr std::size_t kFields = 15;
  check<FileError>(state.kind == PickleKind::tuple && state.items.size() == kFields,
                   "{}: its state is not the {} fields of a quantized convolution", who, kFields);
  std::size_t next = 0;
  const auto field = [&]() -> const PickleValue& { return pickle.item(state, next++); };
  nnq::ConvState result;
  result.in_channels = fields.integer(field(), "in_channels");
  result.out_channels = fields.integer(field(), "out_channels");
  result.kernel_size = fields.integers(field(), "kernel_size");
  result.stride = fields.integers(field(), "stride");
  result.padding = fields.integers(field(), "padding");
  result.dilation = fields.integers(field(), "dilation");
  result.transposed = fields.flag(field(), "transposed");
  result.output_padding = fields.integers(field(), "output_padding");
  result.groups = fields.integer(field(), "groups");
  const std::string_view mode = fields.expect(field(), PickleKind::text, "padding_mode").text;
  result.weight = fields.tensor(field(), "weight");
  result.bias = fields.optional_tensor(field(), "bias");
  result.scale = fields.number(field(), "scale");
  result.zero_point = fields.whole(field(), "zero_point");
  result.training = fields.flag(field(), "training");
  try {
    result.padding_mode = parse_padding_mode(mode);
  } catch (const Error& error) {
    throw FileError(fmt::format("{}: {}", who, error.what()));
  }
  try {
    const ConvGeometry geometry = result.geometry(who);
    check(result.weight.sizes() == geometry.weight_sizes(), "{}: got a weight of sizes {}, expected {}", who,
          result.weight.sizes(), geometry.weight_sizes());
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    throw FileError(error.what());
  }
  return result;
}

bool is_packed_state(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != PickleKind::tuple || value.items.empty()) return false;
  const PickleValue& first = pickle.item(value, 0);
  if (value.items.size() == 3) {
    const bool two = first.kind == PickleKind::text && first.text == "2";
    const bool three = first.kind == PickleKind::integer && first.integer == 3;
    return (two || three) && pickle.item(value, 1).kind == PickleKind::list &&
           pickle.item(value, 2).kind == PickleKind::list;
  }
  return value.items.size() == 6 && first.kind == PickleKind::tensor &&
         pickle.item(value, 2).kind == PickleKind::list && pickle.item(value, 5).kind == PickleKind::tensor;
}

TorchPackedParams read_packed_state(const Pickle& pickle, const PickleValue& state,
                                    const TorchTensors& tensors, std::string_view who) {
  const Fields fields(pickle, tensors, who);
  check<FileError>(is_packed_state(pickle, state), "{}: is no packed convolution of version 1, 2 or 3", who);
  const auto field = [&](std::size_t i) -> const PickleValue& { return pickle.item(state, i); };
  // Element `i` of the list of optional tensors at `at`.
  const auto listed = [&](std::size_t at, std::size_t i, std::string_view what) -> const PickleValue& {
    if (i >= field(at).items.size()) fields.wrong(what);
    return pickle.item(field(at), i);
  };
  TorchPackedParams result;
  PackedConfig config;
  if (state.items.size() == 6) {  // version 1
    result.weight = fields.tensor(field(0), "the weight");
    result.bias = fields.optional_tensor(field(1), "the bias");
    config.stride = fields.integers(field(2), "the stride");
    config.padding = fields.integers(field(3), "the padding");
    config.dilation = fields.integers(field(4), "the dilation");
    config.groups = fields.whole(field(5), "the number of groups");
    config.output_padding.assign(config.stride.size(), 0);
  } else if (field(0).kind == PickleKind::text) {  // version 2
    const Tensor& packed = fields.tensor(listed(1, 0, "its configuration"), "its configuration");
    if (packed.dtype() != int32 || packed.dim() != 1 || packed.numel() > 15)
      fields.wrong("its configuration");
    const std::vector<std::int32_t> values = packed.to_vector<std::int32_t>();
    config = config_of({values.begin(), values.end()}, fields);
    result.weight = fields.tensor(listed(1, 1, "the weight"), "the weight");
    result.bias = fields.optional_tensor(listed(2, 0, "the bias"), "the bias");
  } else {  // version 3
    std::vector<std::int64_t> values;
    if (field(1).items.size() > 15) fields.wrong("its configuration");
    for (const PickleRef ref : field(1).items)
      values.push_back(fields.integer(pickle[ref], "its configuration"));
    config = config_of(values, fields);
    result.weight = fields.tensor(listed(2, 1, "the weight"), "the weight");
    result.bias = fields.optional_tensor(listed(2, 2, "the bias"), "the bias");
  }
  try {
    result.geometry = packed_geometry(config, result.weight, who);
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    throw FileError(error.what());
  }
  return result;
}

std::unique_ptr<nn::Module> TorchConvolution::make() const {
  const auto known =
      std::find_if(kClasses.begin(), kClasses.end(), [&](const ConvClass& row) { return row.kind == kind; });
  check<TypeError>(known != kClasses.end(), "{}: there is no quantized module {}", name, kind.name());
  return known->make(state);
}

PackedParams TorchPackedParams::prepack(const ops::PrepackOptions& options) const {
  std::vector<std::int64_t> padding;
  for (const Spatial& side : {geometry.padding_begin, geometry.padding_end}) {
    padding.insert(padding.end(), geometry.used(side).begin(), geometry.used(side).end());
  }
  return ops::prepack_copy(fmt::format("{}_prepack", geometry.name()), weight, bias, geometry,
                           Padding(std::move(padding)), options);
}

}  // namespace qconv
