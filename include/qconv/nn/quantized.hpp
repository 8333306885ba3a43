#pragma once

#include <qconv/nn/quantized_conv.hpp>
#include <qconv/nn/reference.hpp>

/// Quantized convolution modules: PyTorch's `torch.ao.nn.quantized`.
namespace qconv::nn::quantized {

/// PyTorch's `torch.ao.nn.quantized.Conv1d`; inputs are (N, C, L).
class QCONV_API Conv1d final : public ConvOf<Conv1d, nn::Conv1d, reference::Conv1d, ConvKind{.ndim = 1}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.quantized.Conv2d`; inputs are (N, C, H, W).
class QCONV_API Conv2d final : public ConvOf<Conv2d, nn::Conv2d, reference::Conv2d, ConvKind{.ndim = 2}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.quantized.Conv3d`; inputs are (N, C, D, H, W).
class QCONV_API Conv3d final : public ConvOf<Conv3d, nn::Conv3d, reference::Conv3d, ConvKind{.ndim = 3}> {
 public:
  using ConvOf::ConvOf;
};
/// PyTorch's `torch.ao.nn.quantized.ConvTranspose1d`; inputs are (N, C, L).
class QCONV_API ConvTranspose1d final
    : public ConvTransposeOf<ConvTranspose1d, nn::ConvTranspose1d, reference::ConvTranspose1d,
                             ConvKind{.ndim = 1, .transposed = true}> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};
/// PyTorch's `torch.ao.nn.quantized.ConvTranspose2d`; inputs are (N, C, H, W).
class QCONV_API ConvTranspose2d final
    : public ConvTransposeOf<ConvTranspose2d, nn::ConvTranspose2d, reference::ConvTranspose2d,
                             ConvKind{.ndim = 2, .transposed = true}> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};
/// PyTorch's `torch.ao.nn.quantized.ConvTranspose3d`; inputs are (N, C, D, H, W).
class QCONV_API ConvTranspose3d final
    : public ConvTransposeOf<ConvTranspose3d, nn::ConvTranspose3d, reference::ConvTranspose3d,
                             ConvKind{.ndim = 3, .transposed = true}> {
 public:
  using ConvTransposeOf::ConvTransposeOf;
};

}  // namespace qconv::nn::quantized
