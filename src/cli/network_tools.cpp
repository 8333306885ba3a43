#include "cli/network_tools.hpp"

#include <charconv>

#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/tensor_stats.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

std::string output_text(const ValueInfo& output) {
  return fmt::format("{} {}", to_string(output.dtype), output.sizes ? sizes_text(*output.sizes) : "?");
}

std::string scale_text(const ValueInfo& output) {
  if (!output.qparams || output.qparams->is_per_channel()) return "-";
  return fmt::format("{:.5g} ({})", output.qparams->scales[0], output.qparams->zero_points[0]);
}

}  // namespace

Network load_network(const std::filesystem::path& path, const NetworkOptions& options) {
  require_file(path);
  check<FileError>(kind_of(path) == FileKind::onnx, "{}: expected a network, a name that ends in .onnx",
                   path.string());
  return Network::load(path, options);
}

const ValueInfo& only_input(const Network& network, const std::filesystem::path& path) {
  check(network.inputs().size() == 1, "{}: expected a network with one input, it has {}", path.string(),
        network.inputs().size());
  return network.inputs()[0];
}

std::int64_t channels_of(const ValueInfo& input) {
  if (!input.sizes || input.sizes->rank() < 2) return 0;
  return std::max<std::int64_t>(0, (*input.sizes)[1]);
}

BatchSource batches_of(const Dataset& data, std::int64_t channels, Progress& progress) {
  return [&data, channels, &progress, next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
    ranks().check_others();
    progress.set(next);
    if (next == data.size()) {
      next = 0;
      return std::nullopt;
    }
    return std::vector<Tensor>{data.sample(next++, channels)};
  };
}

Dataset share_of(const Dataset& data) {
  return data.part(static_cast<std::size_t>(ranks().rank()), static_cast<std::size_t>(ranks().size()));
}

Shape parse_sizes(const std::string& text, const std::string& option) {
  Shape sizes;
  const char* at = text.data();
  const char* end = text.data() + text.size();
  for (;;) {
    std::int64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value < 0 || sizes.rank() == kMaxRank || (next != end && *next != 'x')) {
      throw UsageError(fmt::format("{} {}: expected sizes such as 1x3x224x224", option, text));
    }
    sizes.push_back(value);
    if (next == end) return sizes;
    at = next + 1;
  }
}

Json to_json(const ValueInfo& value) {
  Json json{{"name", value.name}, {"dtype", to_string(value.dtype)}};
  json["sizes"] = value.sizes ? Json(value.sizes->vec()) : Json(nullptr);
  if (value.qparams && !value.qparams->is_per_channel()) {
    json["scale"] = value.qparams->scales[0];
    json["zero_point"] = value.qparams->zero_points[0];
  }
  return json;
}

Json to_json(const LayerInfo& layer) {
  Json json{{"name", layer.name}, {"op", layer.op}};
  if (!layer.detail.empty()) json["detail"] = layer.detail;
  json["inputs"] = Json::array();
  for (const ValueInfo& input : layer.inputs) json["inputs"].push_back(to_json(input));
  json["output"] = to_json(layer.output);
  json["quantized"] = layer.quantized;
  if (layer.parameters > 0) {
    json["parameters"] = layer.parameters;
    json["weight_bytes"] = layer.weight_bytes;
    json["weight_dtype"] = to_string(layer.weight_dtype);
  }
  if (layer.multiply_adds > 0) json["multiply_adds"] = layer.multiply_adds;
  if (!layer.engine.empty()) json["engine"] = layer.engine;
  if (!layer.kernel.empty()) json["kernel"] = layer.kernel;
  return json;
}

void print_layers(const Network& network, std::span<const LayerInfo> layers, std::span<const Shape> sizes) {
  Table table({"layer", "op", "fused", "output", "scale (zero point)", "weights", "parameters", "mult-adds",
               "kernel"});
  double multiply_adds = 0;
  for (const LayerInfo& layer : layers) {
    multiply_adds += static_cast<double>(layer.multiply_adds);
    table.add(
        {layer.name, layer.op, layer.detail.empty() ? "-" : layer.detail, output_text(layer.output),
         scale_text(layer.output), layer.parameters == 0 ? "-" : std::string(to_string(layer.weight_dtype)),
         layer.parameters == 0 ? "-" : std::to_string(layer.parameters),
         layer.multiply_adds == 0 ? "-"
                                  : fmt::format("{:.3g}M", static_cast<double>(layer.multiply_adds) * 1e-6),
         layer.kernel.empty() ? "-" : layer.kernel});
  }
  table.print();
  write_out("\n{} parameters in {}", network.parameters(),
            human_bytes(static_cast<double>(network.weight_bytes())));
  if (multiply_adds > 0) write_out(", {:.4g} million multiply-adds", multiply_adds * 1e-6);
  if (!sizes.empty()) {
    const MemoryUse memory = network.memory(sizes);
    write_out(", {} for tensors ({} without reuse)", human_bytes(static_cast<double>(memory.peak_bytes)),
              human_bytes(static_cast<double>(memory.bytes_without_reuse)));
  }
  write_out("\n");
}

}  // namespace qconv::cli
