#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/tensor_files.hpp"

namespace qconv::cli {
namespace {

struct Options {
  std::string from;
  std::string to;
  bool dequantize = false;
};

void check_target_name(const std::string& to) {
  const FileKind kind = kind_of(to);
  if (kind == FileKind::safetensors || kind == FileKind::npz || kind == FileKind::npy ||
      kind == FileKind::png)
    return;
  throw UsageError(fmt::format("{}: expected a name that ends in .safetensors, .npz, .npy or .png", to));
}

int run(const Options& options) {
  check_target_name(options.to);
  Metadata metadata;
  NamedTensors tensors = load_tensors(options.from, &metadata);
  for (auto& [name, tensor] : tensors) {
    if (options.dequantize && tensor.defined() && tensor.is_quantized()) tensor = tensor.dequantize();
  }
  // A bias that is None has no place in a file of arrays.
  if (kind_of(options.to) != FileKind::safetensors) {
    std::erase_if(tensors, [](const auto& item) { return !item.second.defined(); });
  }
  save_tensors(tensors, options.to, metadata);
  write_out("wrote {}: {} {}\n", options.to, tensors.size(), tensors.size() == 1 ? "tensor" : "tensors");
  return kOk;
}

}  // namespace

Action add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("from", options->from, "A .safetensors, .npz, .npy, .png or .jpg file")
      ->required()
      ->type_name("FROM");
  app.add_option("to", options->to, "A .safetensors, .npz, .npy or .png file")->required()->type_name("TO");
  app.add_flag("--dequantize", options->dequantize,
               "Write quantized tensors as float32 (NumPy's files need that)");
  app.footer(
      "Writes the tensors of one file as another kind of file.\n\n"
      "Examples:\n"
      "  qconv convert state.safetensors state.npz --dequantize\n"
      "  qconv convert arrays.npz arrays.safetensors\n"
      "  qconv convert photo.jpg photo.npy");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
