#pragma once

#include <qconv/nn/intrinsic.hpp>
#include <qconv/nn/quantized_conv.hpp>
#include <qconv/nn/reference.hpp>

/// Quantized convolutions with what follows them built in: PyTorch's `torch.ao.nn.intrinsic.quantized`.
namespace qconv::nn::intrinsic::quantized {

/// Never below the output's zero point.
class QCONV_API ConvReLU1d final
    : public nn::quantized::ConvOf<ConvReLU1d, intrinsic::ConvReLU1d, nn::quantized::reference::Conv1d,
                                   ConvKind{.ndim = 1, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};
/// Never below the output's zero point.
class QCONV_API ConvReLU2d final
    : public nn::quantized::ConvOf<ConvReLU2d, intrinsic::ConvReLU2d, nn::quantized::reference::Conv2d,
                                   ConvKind{.ndim = 2, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};
/// Never below the output's zero point.
class QCONV_API ConvReLU3d final
    : public nn::quantized::ConvOf<ConvReLU3d, intrinsic::ConvReLU3d, nn::quantized::reference::Conv3d,
                                   ConvKind{.ndim = 3, .post_op = PostOp::relu}> {
 public:
  using ConvOf::ConvOf;
};

/// forward(input, extra): the convolution plus a tensor of the output's sizes, rounded once.
class QCONV_API ConvAdd2d final
    : public nn::quantized::ConvOf<ConvAdd2d, intrinsic::ConvAdd2d, nn::quantized::reference::Conv2d,
                                   ConvKind{.ndim = 2, .post_op = PostOp::add}> {
 public:
  using ConvOf::ConvOf;
};
/// The same, never below the output's zero point.
class QCONV_API ConvAddReLU2d final
    : public nn::quantized::ConvOf<ConvAddReLU2d, intrinsic::ConvAddReLU2d, nn::quantized::reference::Conv2d,
                                   ConvKind{.ndim = 2, .post_op = PostOp::add_relu}> {
 public:
  using ConvOf::ConvOf;
};

}  // namespace qconv::nn::intrinsic::quantized
