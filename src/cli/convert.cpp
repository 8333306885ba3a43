#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/tensor_files.hpp"
#include "cli/torch_tables.hpp"

namespace qconv::cli {
namespace {

struct Options {
  std::string from;
  std::string to;
  bool dequantize = false;
  TorchLoadOptions torch;
};

void check_target_name(const std::string& to) {
  const FileKind kind = kind_of(to);
  if (kind == FileKind::safetensors || kind == FileKind::torch || kind == FileKind::npz ||
      kind == FileKind::npy || kind == FileKind::png)
    return;
  throw UsageError(
      fmt::format("{}: expected a name that ends in .safetensors, .pt, .pth, .npz, .npy or .png", to));
}

int run(const Options& options) {
  check_target_name(options.to);
  Metadata metadata;
  NamedTensors tensors = load_tensors(options.from, &metadata, options.torch);
  for (auto& [name, tensor] : tensors) {
    if (options.dequantize && tensor.defined() && tensor.is_quantized()) tensor = tensor.dequantize();
  }
  // A bias that is None has no place in a file of arrays.
  const FileKind kind = kind_of(options.to);
  if (kind != FileKind::safetensors && kind != FileKind::torch) {
    std::erase_if(tensors, [](const auto& item) { return !item.second.defined(); });
  }
  save_tensors(tensors, options.to, metadata);
  write_out("wrote {}: {} {}\n", options.to, tensors.size(), tensors.size() == 1 ? "tensor" : "tensors");
  return kOk;
}

}  // namespace

Action add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("from", options->from, "A .safetensors, .pt, .pth, .npz, .npy, .png or .jpg file")
      ->required()
      ->type_name("FROM");
  app.add_option("to", options->to, "A .safetensors, .pt, .pth, .npz, .npy or .png file")
      ->required()
      ->type_name("TO");
  app.add_flag("--dequantize", options->dequantize,
               "Write quantized tensors as float32 (NumPy's files need that)");
  add_safe_globals(app, options->torch);
  app.footer(
      "Writes the tensors of one file as another kind of file. A .pt file that it writes is a state dict: "
      "torch.load and load_state_dict take it.\n\n"
      "Examples:\n"
      "  qconv convert resnet18_int8.pt resnet18_int8.safetensors\n"
      "  qconv convert resnet18_int8.safetensors again.pt\n"
      "  qconv convert state.safetensors state.npz --dequantize\n"
      "  qconv convert arrays.npz arrays.safetensors\n"
      "  qconv convert photo.jpg photo.npy");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
