// Random geometry: a module equals the operators called by hand, also after its state went round.
#include <rapidcheck.h>

#include "nn/module_kinds.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds

struct Drawn {
  nn::ConvOptions options;
  std::int64_t output_padding = 0;
  std::int64_t size = 1;
  DType dtype = quint8;
  std::uint32_t seed = 0;
};

Drawn draw(bool transposed) {
  const auto in = [](std::int64_t low, std::int64_t high) { return *rc::gen::inRange(low, high + 1); };
  Drawn d;
  const std::int64_t kernel = in(1, 3), stride = in(1, 3), dilation = in(1, 2);
  d.options.groups = in(1, 3);
  d.options.in_channels = d.options.groups * in(1, 4);
  d.options.out_channels = d.options.groups * in(1, 4);
  d.options.kernel_size = kernel;
  d.options.stride = stride;
  d.options.dilation = dilation;
  d.options.bias = in(0, 1) == 1;
  d.size = in(1, 7) + dilation * (kernel - 1);
  const std::int64_t padding = in(0, std::min<std::int64_t>(2, d.size - 1));
  d.options.padding = transposed ? std::min(padding, dilation * (kernel - 1) / 2) : padding;
  if (!transposed) d.options.padding_mode = static_cast<PaddingMode>(in(0, 3));
  d.output_padding = in(0, std::max(stride, dilation) - 1);
  d.dtype = in(0, 1) == 1 ? quint8 : qint8;
  d.seed = *rc::gen::arbitrary<std::uint32_t>();
  return d;
}

template <class Quantized>
Quantized make(const Drawn& d) {
  if constexpr (Quantized::kKind.transposed) {
    return Quantized(nn::ConvTransposeOptions{
        d.options.in_channels, d.options.out_channels, d.options.kernel_size, d.options.stride,
        d.options.padding, d.output_padding, d.options.groups, d.options.bias, d.options.dilation});
  } else {
    return Quantized(d.options);
  }
}

template <class Quantized>
void module_equals_operator(const auto& prepack_and_run) {
  RC_ASSERT(rc::check([&] {
    const Drawn d = draw(Quantized::kKind.transposed);
    Quantized m = make<Quantized>(d);
    const Tensor w = quantize_per_tensor(random_floats(m.geometry("test").weight_sizes(), d.seed), 1.0 / 100,
                                         static_cast<std::int64_t>(d.seed % 7) - 3, qint8);
    m.set_weight_bias(
        w, d.options.bias ? std::optional(random_floats({m.out_channels}, d.seed + 1)) : std::nullopt);
    m.scale = 0.02;
    m.zero_point = 60;
    const Tensor x = quantize_per_tensor(
        random_floats(input_sizes(Quantized::kKind.ndim, m.in_channels, d.size), d.seed + 2), 1.0 / 127,
        d.dtype == quint8 ? 100 : -10, d.dtype);
    const Tensor y = m.forward(x);
    RC_ASSERT(equal(y, prepack_and_run(m, w, x)));
    Quantized other = make<Quantized>(d);
    other.load_state_dict(m.state_dict());
    RC_ASSERT(equal(other.forward(x).int_repr(), y.int_repr()));
    RC_ASSERT(equal(Quantized::from_state(m.getstate()).forward(x), y));
  }));
}

#define QCONV_PROPERTY(N)                                                                                    \
  TEST(ModuleProperty, Conv##N##d) {                                                                         \
    module_equals_operator<nnq::Conv##N##d>([](const auto& m, const Tensor& w, const Tensor& x) {            \
      return ops::conv##N##d(x,                                                                              \
                             ops::conv##N##d_prepack(w, m.bias(), m.stride, m.padding, m.dilation, m.groups, \
                                                     {.padding_mode = m.padding_mode}),                      \
                             m.scale, m.zero_point);                                                         \
    });                                                                                                      \
  }                                                                                                          \
  TEST(ModuleProperty, ConvReLU##N##d) {                                                                     \
    module_equals_operator<nniq::ConvReLU##N##d>([](const auto& m, const Tensor& w, const Tensor& x) {       \
      return ops::conv##N##d_relu(x,                                                                         \
                                  ops::conv##N##d_prepack(w, m.bias(), m.stride, m.padding, m.dilation,      \
                                                          m.groups, {.padding_mode = m.padding_mode}),       \
                                  m.scale, m.zero_point);                                                    \
    });                                                                                                      \
  }                                                                                                          \
  TEST(ModuleProperty, ConvTranspose##N##d) {                                                                \
    module_equals_operator<nnq::ConvTranspose##N##d>([](const auto& m, const Tensor& w, const Tensor& x) {   \
      return ops::conv_transpose##N##d(                                                                      \
          x,                                                                                                 \
          ops::conv_transpose##N##d_prepack(w, m.bias(), m.stride, m.padding, m.output_padding, m.dilation,  \
                                            m.groups),                                                       \
          m.scale, m.zero_point);                                                                            \
    });                                                                                                      \
  }

QCONV_PROPERTY(1)
QCONV_PROPERTY(2)
QCONV_PROPERTY(3)

}  // namespace
}  // namespace qconv
