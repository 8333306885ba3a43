// Random geometry: folding, fake quantization and the modules for training agree with what they stand for.
#include <rapidcheck.h>

#include <qconv/nn/fusion.hpp>
#include <qconv/nn/intrinsic_qat.hpp>

#include "nn/training_support.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds

std::int64_t between(std::int64_t low, std::int64_t high) { return *rc::gen::inRange(low, high + 1); }

struct DrawnConv {
  nn::ConvOptions options;
  std::int64_t size = 1;
  std::uint32_t seed = 0;
};

DrawnConv draw_conv() {
  DrawnConv d;
  const std::int64_t kernel = between(1, 3);
  d.options.groups = between(1, 3);
  d.options.in_channels = d.options.groups * between(1, 3);
  d.options.out_channels = d.options.groups * between(1, 3);
  d.options.kernel_size = kernel;
  d.options.stride = between(1, 2);
  d.options.padding = between(0, kernel / 2);
  d.options.padding_mode = static_cast<PaddingMode>(between(0, 3));
  d.options.bias = between(0, 1) == 1;
  d.size = kernel + between(1, 4);
  d.seed = *rc::gen::arbitrary<std::uint32_t>() % 100000;
  return d;
}

template <class Norm>
Norm drawn_norm(const DrawnConv& d) {
  Norm bn(d.options.out_channels);
  randomize(bn, d.seed);
  return bn;
}

template <class Conv, class Norm>
void folding_keeps_the_function() {
  RC_ASSERT(rc::check([] {
    const DrawnConv d = draw_conv();
    Conv conv = [&] {
      if constexpr (std::constructible_from<Conv, nn::ConvTransposeOptions>) {
        return Conv(d.options.in_channels, d.options.out_channels, d.options.kernel_size, d.options.stride, 0,
                    0, d.options.groups, d.options.bias);
      } else {
        return Conv(d.options);
      }
    }();
    Norm bn = drawn_norm<Norm>(d);
    conv.eval();
    bn.eval();
    const Tensor x = random_floats(input_sizes(Norm::kDims, conv.in_channels, d.size), d.seed + 7);
    RC_ASSERT(near(nn::fuse_conv_bn_eval(conv, bn).forward(x), bn.forward(conv.forward(x)), 1e-4));
  }));
}

TEST(TrainingProperty, FoldingKeepsTheFunction) {
  folding_keeps_the_function<nn::Conv1d, nn::BatchNorm1d>();
  folding_keeps_the_function<nn::Conv2d, nn::BatchNorm2d>();
  folding_keeps_the_function<nn::Conv3d, nn::BatchNorm3d>();
  folding_keeps_the_function<nn::ConvTranspose1d, nn::BatchNorm1d>();
  folding_keeps_the_function<nn::ConvTranspose2d, nn::BatchNorm2d>();
  folding_keeps_the_function<nn::ConvTranspose3d, nn::BatchNorm3d>();
}

// One float module, its module for training, and what quantized class that becomes.
template <class F, class Q, class Quantized>
struct Trained {
  using Float = F;
  using Qat = Q;
  using Result = Quantized;
};

template <class Float>
Float drawn_float(const DrawnConv& d) {
  if constexpr (requires(Float f) { f.bn; }) {
    using Norm = decltype(std::declval<Float>().bn);
    return Float(decltype(std::declval<Float>().conv)(d.options), drawn_norm<Norm>(d));
  } else if constexpr (requires(Float f) { f.conv; }) {
    return Float(decltype(std::declval<Float>().conv)(d.options));
  } else {
    return Float(d.options);
  }
}

template <class T>
class TrainedModule : public ::testing::Test {};

namespace iqat = nn::intrinsic::qat;
using AllTrained = ::testing::Types<
    Trained<nn::Conv1d, nn::qat::Conv1d, nnq::Conv1d>, Trained<nn::Conv2d, nn::qat::Conv2d, nnq::Conv2d>,
    Trained<nn::Conv3d, nn::qat::Conv3d, nnq::Conv3d>,
    Trained<nni::ConvReLU1d, iqat::ConvReLU1d, nniq::ConvReLU1d>,
    Trained<nni::ConvReLU2d, iqat::ConvReLU2d, nniq::ConvReLU2d>,
    Trained<nni::ConvReLU3d, iqat::ConvReLU3d, nniq::ConvReLU3d>,
    Trained<nni::ConvBn1d, iqat::ConvBn1d, nnq::Conv1d>, Trained<nni::ConvBn2d, iqat::ConvBn2d, nnq::Conv2d>,
    Trained<nni::ConvBn3d, iqat::ConvBn3d, nnq::Conv3d>,
    Trained<nni::ConvBnReLU1d, iqat::ConvBnReLU1d, nniq::ConvReLU1d>,
    Trained<nni::ConvBnReLU2d, iqat::ConvBnReLU2d, nniq::ConvReLU2d>,
    Trained<nni::ConvBnReLU3d, iqat::ConvBnReLU3d, nniq::ConvReLU3d>>;
TYPED_TEST_SUITE(TrainedModule, AllTrained);

TYPED_TEST(TrainedModule, AgreesWithItsFloatModule) {
  using T = TypeParam;
  RC_ASSERT(rc::check([] {
    const DrawnConv d = draw_conv();
    auto module = drawn_float<typename T::Float>(d);
    module.qconfig =
        get_default_qat_qconfig(between(0, 1) == 1 ? "x86" : "qnnpack", static_cast<int>(between(0, 1)));
    auto qat = T::Qat::from_float(module);
    RC_ASSERT(qat.name() == module.name());
    const Tensor x =
        random_floats(input_sizes(T::Qat::kKind.ndim, d.options.in_channels, d.size), d.seed + 7);
    module.eval();
    qat.eval();
    const Tensor expected = module.forward(x);

    // Without fake quantization it is the same function, before and after to_float.
    auto& fake = dynamic_cast<FakeQuantize&>(*qat.weight_fake_quant);
    fake.disable_fake_quant();
    RC_ASSERT(near(qat.forward(x), expected, 1e-4));
    RC_ASSERT(near(qat.to_float().forward(x), expected, 1e-4));
    fake.enable_fake_quant();

    // The state goes round, and what it becomes is near.
    qat.activation_post_process = qat.qconfig->activation();
    qat.forward(x);
    auto again = drawn_float<typename T::Float>(d);
    again.qconfig = module.qconfig;
    auto other = T::Qat::from_float(again);
    other.activation_post_process = other.qconfig->activation();
    other.eval();
    other.load_state_dict(qat.state_dict());
    RC_ASSERT(equal(other.forward(x), qat.forward(x)));
    const auto quantized = T::Result::from_float(qat);
    const Tensor qx = quantize_per_tensor(x, 2.0 / 255, 128, quint8);
    // Half a step of input and weight for each of up to 81 products, and one of the output.
    RC_ASSERT(near(quantized.forward(qx).dequantize(), expected, 0.12 + quantized.scale));
  }));
}

TEST(TrainingProperty, FakeQuantizationIsQuantizingAndBack) {
  RC_ASSERT(rc::check([] {
    const double scale = std::exp(static_cast<double>(between(-600, 200)) / 100);
    const bool is_signed = between(0, 1) == 1;
    const DType dtype = is_signed ? qint8 : quint8;
    const std::int64_t low = is_signed ? -128 : 0;
    const std::int64_t zero_point = low + between(0, 255);
    const auto reach = static_cast<float>(scale * 300);
    const Tensor x = random_floats({97}, static_cast<std::uint32_t>(between(0, 1 << 20)), -reach, reach);
    RC_ASSERT(equal(fake_quantize_per_tensor_affine(x, scale, zero_point, low, low + 255),
                    quantize_per_tensor(x, scale, zero_point, dtype).dequantize()));
  }));
}

}  // namespace
}  // namespace qconv
