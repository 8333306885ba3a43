#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/nn/module.hpp>
#include <qconv/nn/quantized_conv.hpp>
#include <qconv/ops.hpp>
#include <qconv/packed_params.hpp>
#include <qconv/state_dict.hpp>

/// PyTorch's own files (.pt, .pth), read and written without PyTorch. docs/formats.md lists what is read.
///
/// Reading runs no code: a class or function that the file names stays a name, and one that PyTorch's own
/// networks do not have is a FileError that says which. Whatever the file claims, memory stays in proportion
/// to its size; tensors of a compressed one take at most 256 MiB plus 100 times its size. Everything throws
/// FileError, one line that begins with the file's name, for what it cannot read.
namespace qconv {

struct TorchLoadOptions {
  /// More classes that may occur, by their full names as in torch.serialization.add_safe_globals:
  /// "torchvision.models.quantization.resnet.QuantizableResNet". They are read as plain data: modules are
  /// found under their names, other objects are left out.
  std::vector<std::string> safe_globals;
};

/// What a file was made by.
enum class TorchFileKind {
  values,       ///< torch.save of anything but a module: a state dict, a checkpoint, a tensor, a list
  module,       ///< torch.save of a module
  torchscript,  ///< torch.jit.save
};
QCONV_API std::string_view to_string(TorchFileKind kind) noexcept;

/// A quantized convolution module of a file, with everything that it was saved with.
struct QCONV_API TorchConvolution {
  std::string name;        ///< where it is: "layer1.0.conv1"; empty when it is the whole file
  std::string class_name;  ///< "torch.ao.nn.intrinsic.quantized.modules.conv_relu.ConvReLU2d"
  nn::ConvKind kind;
  nn::quantized::ConvState state;

  /// The module: nn::quantized::Conv2d, nn::intrinsic::quantized::ConvReLU2d, ... by `kind`. No file says
  /// which engine's rounding its network is to have: for QNNPACK's set state.rule first. Throws as
  /// from_state.
  std::unique_ptr<nn::Module> make() const;
};

/// A packed-parameter object of a file (versions 1, 2 and 3): weight, bias and geometry, and no output scale.
struct QCONV_API TorchPackedParams {
  std::string name;
  ConvGeometry geometry;
  Tensor weight;
  std::optional<Tensor> bias;

  /// What torch.ops.quantized.conv*_prepack would give. Throws as ops::conv2d_prepack.
  PackedParams prepack(const ops::PrepackOptions& options = {}) const;
};

/// All that a file holds, as far as it concerns convolutions.
struct TorchFile {
  TorchFileKind kind = TorchFileKind::values;
  StateDict state;                             ///< see load_torch
  std::map<std::string, std::string> texts;    ///< entries that are no numbers, as text, by name
  std::vector<TorchConvolution> convolutions;  ///< of kinds module and torchscript
  std::vector<TorchPackedParams> packed_params;
};

QCONV_API TorchFile load_torch_file(const std::filesystem::path& path, const TorchLoadOptions& options = {});
QCONV_API TorchFile decode_torch_file(std::span<const std::byte> bytes, std::string_view name = "torch",
                                      const TorchLoadOptions& options = {});

/// The tensors of a file by name. A module, also a TorchScript one, gives what its state_dict() would:
/// "conv1.weight", "conv1.bias", "conv1.scale", "conv1.zero_point". Of anything else,
/// - keys of nested dicts and places in lists are joined by dots: {"model": {"fc.weight": t}} is
///   "model.fc.weight"; a key that is neither text nor integer is its place, "<0>"; a tensor that is the
///   whole file is called "tensor";
/// - None is an undefined tensor; a number is a 0-d tensor (int64, float64, a bool uint8), and a list of
///   numbers alone a 1-d one; other objects are left out (and are in TorchFile::texts);
/// - the packed pair "fc._packed_params._packed_params" of a quantized Linear becomes "fc.weight" and
///   "fc.bias", the names that PyTorch had first and still loads.
///
/// Tensors that shared memory share it; strides are kept. float16 and bfloat16 become float32, int16 and
/// uint16 int32, uint32 int64 and bool uint8; other dtypes that qconv has not are errors that name them.
QCONV_API StateDict load_torch(const std::filesystem::path& path, const TorchLoadOptions& options = {});
QCONV_API StateDict decode_torch(std::span<const std::byte> bytes, std::string_view name = "torch",
                                 const TorchLoadOptions& options = {});

/// Writes a state dict that torch.load (weights_only too) reads and load_state_dict takes: an OrderedDict of
/// tensors, None where one is undefined, in the layout of PyTorch 2.15, every payload 64-byte aligned.
/// Dense tensors whose memory overlaps share it in the file; dense ones keep their strides, others become row
/// major. Throws ValueError for more than 4 GiB or a name that is not UTF-8.
QCONV_API void save_torch(const StateDict& state, const std::filesystem::path& path);
QCONV_API std::vector<std::byte> encode_torch(const StateDict& state);

/// Packed convolutions by name.
using NamedPackedParams = std::vector<std::pair<std::string, PackedParams>>;

/// Writes a dict of PyTorch's packed-parameter objects (state version 2, which every PyTorch since 1.6
/// reads); torch.load needs weights_only=False for them. Throws ValueError for what they cannot hold:
/// asymmetric padding, a padding mode other than zeros, values past 32767.
QCONV_API void save_torch_packed(const NamedPackedParams& packed, const std::filesystem::path& path);
QCONV_API std::vector<std::byte> encode_torch_packed(const NamedPackedParams& packed);

}  // namespace qconv
