#include <memory>

#include "cli/command.hpp"
#include "cli/network_tools.hpp"
#include "cli/output.hpp"
#include "cli/runtime_options.hpp"
#include "cli/tensor_files.hpp"
#include "cli/tensor_stats.hpp"
#include "cli/torch_tables.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  std::string file;
  std::string input_size;
  bool json = false;
  TorchLoadOptions torch;
};

Json tensor_json(const std::string& name, const Tensor& tensor) {
  Json json{{"name", name}};
  if (!tensor.defined()) {
    json["dtype"] = nullptr;  // None: a bias that is not there
    return json;
  }
  json["dtype"] = to_string(tensor.dtype());
  json["sizes"] = tensor.sizes().vec();
  if (tensor.is_quantized()) {
    const QParams& qparams = tensor.qparams();
    if (qparams.is_per_channel()) {
      json["scales"] = qparams.scales;
      json["zero_points"] = qparams.zero_points;
      json["axis"] = qparams.axis;
    } else {
      json["scale"] = qparams.scales[0];
      json["zero_point"] = qparams.zero_points[0];
    }
  }
  const TensorStats stats = stats_of(tensor);
  json["min"] = stats.min;
  json["max"] = stats.max;
  json["mean"] = stats.mean;
  if (stats.not_finite > 0) json["not_finite"] = stats.not_finite;
  return json;
}

std::vector<std::string> tensor_row(const std::string& name, const Tensor& tensor) {
  if (!tensor.defined()) return {name, "none", "-", "-", "-", "-", "-"};
  const TensorStats stats = stats_of(tensor);
  std::string note = tensor.is_quantized() ? describe(tensor.qparams()) : "-";
  if (stats.not_finite > 0) note = fmt::format("{} not finite", stats.not_finite);
  return {name,
          std::string(to_string(tensor.dtype())),
          sizes_text(tensor.sizes()),
          fmt::format("{:.5g}", stats.min),
          fmt::format("{:.5g}", stats.max),
          fmt::format("{:.5g}", stats.mean),
          note};
}

void inspect_tensors(const Options& options) {
  Metadata metadata;
  NamedTensors tensors;
  TorchFile torch;
  const bool is_torch = kind_of(options.file) == FileKind::torch;
  if (is_torch) {
    torch = load_torch_file(options.file, options.torch);
    tensors.assign(torch.state.begin(), torch.state.end());
    metadata = torch.texts;
  } else {
    tensors = load_tensors(options.file, &metadata);
  }
  if (options.json) {
    Json json{{"file", options.file}, {"bytes", std::filesystem::file_size(options.file)}};
    if (is_torch) json.update(torch_json(torch));
    if (!metadata.empty()) json["metadata"] = metadata;
    json["tensors"] = Json::array();
    for (const auto& [name, tensor] : tensors) json["tensors"].push_back(tensor_json(name, tensor));
    write_json(json);
    return;
  }
  Table table({"name", "dtype", "sizes", "min", "max", "mean", "quantized with"});
  double bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    table.add(tensor_row(name, tensor));
    if (tensor.defined()) bytes += static_cast<double>(tensor.nbytes());
  }
  if (is_torch) write_out("{}: PyTorch file of {}\n\n", options.file, describe(torch.kind));
  table.print();
  if (is_torch) print_convolutions(torch);
  for (const auto& [key, value] : metadata) write_out("{} = {}\n", key, value);
  write_out("\n{} {}, {}\n", tensors.size(), tensors.size() == 1 ? "tensor" : "tensors", human_bytes(bytes));
}

void inspect_network(const Options& options) {
  const Network network = load_network(options.file);
  std::vector<Shape> sizes;
  if (!options.input_size.empty()) {
    only_input(network, options.file);
    sizes = {parse_sizes(options.input_size, "--input-size")};
  }
  const std::vector<LayerInfo> layers = naming(options.file, [&] { return network.layers(sizes); });
  if (options.json) {
    Json json{{"file", options.file},
              {"bytes", std::filesystem::file_size(options.file)},
              {"name", network.name()},
              {"quantized", network.quantized()},
              {"parameters", network.parameters()},
              {"weight_bytes", network.weight_bytes()}};
    for (const ValueInfo& value : network.inputs()) json["inputs"].push_back(to_json(value));
    for (const ValueInfo& value : network.outputs()) json["outputs"].push_back(to_json(value));
    for (const LayerInfo& layer : layers) json["layers"].push_back(to_json(layer));
    write_json(json);
    return;
  }
  write_out("{}: {}, {}\n", options.file, network.quantized() ? "quantized network" : "float network",
            human_bytes(static_cast<double>(std::filesystem::file_size(options.file))));
  for (const ValueInfo& value : network.inputs()) write_out("input   {}\n", value.to_string());
  for (const ValueInfo& value : network.outputs()) write_out("output  {}\n", value.to_string());
  write_out("\n");
  print_layers(network, layers, sizes);
}

int run(const Options& options) {
  options.runtime.apply();
  require_file(options.file);
  const FileKind kind = kind_of(options.file);
  check<FileError>(kind != FileKind::other,
                   "{}: cannot tell what it holds; expected a name that ends in .onnx, .safetensors, .pt, "
                   ".pth, .npy, .npz, "
                   ".png, .jpg or .jpeg",
                   options.file);
  if (kind == FileKind::onnx) {
    inspect_network(options);
  } else {
    if (!options.input_size.empty()) throw UsageError("--input-size is for networks (.onnx)");
    inspect_tensors(options);
  }
  return kOk;
}

}  // namespace

Action add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("file", options->file,
                 "A network (.onnx), tensors (.safetensors, .pt, .pth, .npy, .npz) or an image")
      ->required()
      ->type_name("FILE");
  app.add_option("--input-size", options->input_size,
                 "Sizes of a network's input, as in 1x3x224x224: fills in all sizes, kernels and costs")
      ->type_name("SIZES");
  app.add_flag("--json", options->json, "Print JSON");
  add_safe_globals(app, options->torch);
  options->runtime.add_to(app);
  app.footer(
      "Shows names, dtypes, sizes, value ranges and quantization parameters; of a network, its layers; of a "
      "module or TorchScript that PyTorch saved, its quantized convolutions.\n\n"
      "Examples:\n"
      "  qconv inspect model.onnx --input-size 1x3x224x224\n"
      "  qconv inspect state.safetensors\n"
      "  qconv inspect resnet18_int8.pt --safe-global "
      "torchvision.models.quantization.resnet.QuantizableResNet\n"
      "  qconv inspect examples/digits/test.npz --json");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
