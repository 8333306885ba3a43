#include "cli/torch_tables.hpp"

#include <fmt/ranges.h>

namespace qconv::cli {
namespace {

using Integers = std::vector<std::int64_t>;

// One convolution of a file, wherever its attributes came from.
struct Row {
  std::string name;
  std::string kind;
  std::int64_t in_channels;
  std::int64_t out_channels;
  Integers kernel_size, stride, padding, dilation, output_padding;
  std::int64_t groups;
  std::string padding_mode;
  std::string scale = "-";
};

std::string cell(const Integers& values) { return fmt::format("{}", fmt::join(values, "x")); }
// "-" for what every convolution has unless it says otherwise, so that the column may go.
std::string cell(const Integers& values, std::int64_t usual) {
  return values == Integers(values.size(), usual) ? "-" : cell(values);
}

Row row_of(const TorchConvolution& conv) {
  const nn::quantized::ConvState& s = conv.state;
  return {conv.name,
          nn::quantized::quantized_name(conv.kind),
          s.in_channels,
          s.out_channels,
          s.kernel_size,
          s.stride,
          s.padding,
          s.dilation,
          s.output_padding,
          s.groups,
          std::string(to_string(s.padding_mode)),
          conv.kind.dynamic ? "-" : fmt::format("{:.5g} ({})", s.scale, s.zero_point)};
}

Row row_of(const TorchPackedParams& packed) {
  const ConvGeometry& g = packed.geometry;
  const auto used = [&](const Spatial& s) {
    const auto values = g.used(s);
    return Integers(values.begin(), values.end());
  };
  return {packed.name,
          g.name(),
          g.in_channels,
          g.out_channels,
          used(g.kernel),
          used(g.stride),
          used(g.padding_begin),
          used(g.dilation),
          used(g.output_padding),
          g.groups,
          std::string(to_string(g.padding_mode))};
}

template <class Items>
void print_table(const Items& items, const char* what) {
  if (items.empty()) return;
  Table table({what, "kind", "in", "out", "kernel", "stride", "padding", "dilation", "output padding",
               "groups", "padding mode", "output scale (zero point)"});
  for (const auto& item : items) {
    const Row r = row_of(item);
    table.add({r.name.empty() ? "." : r.name, r.kind, std::to_string(r.in_channels),
               std::to_string(r.out_channels), cell(r.kernel_size), cell(r.stride, 1), cell(r.padding, 0),
               cell(r.dilation, 1), cell(r.output_padding, 0), r.groups == 1 ? "-" : std::to_string(r.groups),
               r.padding_mode == "zeros" ? "-" : r.padding_mode, r.scale});
  }
  write_out("\n");
  table.print();
}

Json json_of(const Row& r) {
  return {{"name", r.name},
          {"kind", r.kind},
          {"in_channels", r.in_channels},
          {"out_channels", r.out_channels},
          {"kernel_size", r.kernel_size},
          {"stride", r.stride},
          {"padding", r.padding},
          {"dilation", r.dilation},
          {"output_padding", r.output_padding},
          {"groups", r.groups},
          {"padding_mode", r.padding_mode}};
}

}  // namespace

void add_safe_globals(CLI::App& app, TorchLoadOptions& options) {
  app.add_option(
         "--safe-global", options.safe_globals,
         "A class that a .pt file may name beyond PyTorch's own, in full; may be repeated. Nothing of it "
         "is run")
      ->type_name("CLASS")
      ->allow_extra_args(false);
}

std::string_view describe(TorchFileKind kind) {
  switch (kind) {
    case TorchFileKind::values:
      return "values (torch.save)";
    case TorchFileKind::module:
      return "a module (torch.save)";
    case TorchFileKind::torchscript:
      return "a TorchScript module (torch.jit.save)";
  }
  return "";
}

void print_convolutions(const TorchFile& file) {
  print_table(file.convolutions, "convolution");
  print_table(file.packed_params, "packed parameters");
}

Json torch_json(const TorchFile& file) {
  Json json{{"kind", to_string(file.kind)}};
  json["convolutions"] = Json::array();
  for (const TorchConvolution& conv : file.convolutions) {
    Json one = json_of(row_of(conv));
    one["class"] = conv.class_name;
    one["scale"] = conv.state.scale;
    one["zero_point"] = conv.state.zero_point;
    one["bias"] = conv.state.bias.has_value();
    json["convolutions"].push_back(std::move(one));
  }
  json["packed_params"] = Json::array();
  for (const TorchPackedParams& packed : file.packed_params) {
    Json one = json_of(row_of(packed));
    one["bias"] = packed.bias.has_value();
    json["packed_params"].push_back(std::move(one));
  }
  return json;
}

}  // namespace qconv::cli
