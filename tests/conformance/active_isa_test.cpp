// The instruction set that QCONV_ISA names is the one that runs; without it, the best of this processor.
// CMake has this program run for each of the build.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>
#include <qconv/network_ops.hpp>

#include "engines/native/kernels/rows/rows.hpp"
#include "engines/native/native.hpp"
#include "engines/reference/reference.hpp"
#include "functional/plain.hpp"
#include "functional/support.hpp"
#include "support/conv_case.hpp"
#include "support/cpu.hpp"
#include "support/environment.hpp"

namespace qconv {
namespace {

// What QCONV_ISA asks for.
Isa wanted_isa() {
  if (const auto name = environment_text("QCONV_ISA")) return parse_isa(*name).value();
  const std::vector<Isa> isas = list_isas();
  return *std::find_if(isas.begin(), isas.end(), supported);
}

TEST(ActiveIsa, IsTheOneAskedForOrTheBest) {
  const Isa wanted = wanted_isa();
  if (!supported(wanted)) {
    EXPECT_FALSE(QCONV_EMULATED) << "the emulator lacks " << to_string(wanted);
    EXPECT_THROW(active_isa(), ValueError);
    return;
  }
  ASSERT_EQ(active_isa(), wanted);
  const auto pool = testing::make_pool(1);
  struct Wanted {
    const char* line;
    Isa isa;
  };
  const Isa vectors = vector_isa(wanted);
  for (const auto& [line, isa] : {Wanted{"conv2d c64 k64 g1 i28x28 f3x3 p1x1", wanted},
                                  {"conv2d c64 k64 g64 i6x6 f3x3 p1x1", vectors},
                                  {"conv2d c64 k64 g16 i6x6 f3x3 p1x1", vectors},
                                  {"conv_transpose2d c8 k8 g1 i6x6 f2x2 s2x2", vectors}}) {
    const testing::ConvCase c = testing::make_case(ConvProblem::parse(line), 1);
    const auto packed = testing::pack_case(engines::native(), c);
    const auto plan = engines::native().prepare(packed, c.problem, c.requantization);
    EXPECT_THAT(plan->kernel_name(), ::testing::EndsWith("_" + std::string(to_string(isa)))) << line;
    EXPECT_EQ(testing::run_case(engines::native(), c, *pool),
              testing::run_case(engines::reference(), c, *pool))
        << line;
  }
}

// The operators between convolutions, which choose their kernels by themselves.
TEST(ActiveIsa, RunsTheElementwiseOperators) {
  if (!supported(wanted_isa())) {
    EXPECT_THROW(engines::rows::kernels(false), ValueError);
    return;
  }
  for (const DType dtype : {DType::quint8, DType::qint8}) {
    const int z = dtype == DType::quint8 ? 200 : -100;
    for (std::int64_t channels = 1; channels <= 130; channels += channels < 70 ? 1 : 20) {
      const Shape sizes{2, channels, 3};
      const Tensor a = test::random_int8(sizes, dtype, 0.05, z, 1);
      const Tensor b = test::random_int8(sizes, dtype, 0.07, 5, 2).contiguous(MemoryFormat::channels_last);
      const Tensor ones =
          Tensor::from_data(std::vector<float>(static_cast<std::size_t>(channels), 1), {channels});
      const auto qa = test::integers(a), qb = test::integers(b);
      const auto sum = test::integers(ops::add(a, b, 0.1, 9));
      const auto product = test::integers(ops::mul(b, a, 0.4, 9));
      const auto norm = test::integers(ops::batch_norm(b, ones, ones, ones, ones, 0, 0.03, 9));
      const auto tanh = test::integers(ops::unary(a, {UnaryKind::tanh}, 0.008, 3));
      const auto most = test::integers(ops::max_pool(a, {.kernel_size = 3}));
      const auto mean = test::integers(ops::avg_pool(b, {.kernel_size = 3}));
      for (std::size_t i = 0; i < qa.size(); ++i) {
        const float ra = 0.05F * static_cast<float>(qa[i] - z);
        const float rb = 0.07F * static_cast<float>(qb[i] - 5);
        ASSERT_EQ(sum[i], test::limited((ra + rb) * (1 / 0.1F), 9, dtype, false));
        const auto integer = static_cast<float>((qa[i] - z) * (qb[i] - 5));
        ASSERT_EQ(product[i],
                  test::limited(integer * static_cast<float>(0.07 * 0.05 / 0.4), 9, dtype, false));
        // (x - 1) / 1 + 1
        const auto scaled = static_cast<float>(qb[i] - 5) * static_cast<float>(0.07 / 0.03);
        ASSERT_EQ(norm[i], test::limited(scaled, 9, dtype, false));
        const auto curve = static_cast<float>(std::tanh(static_cast<double>(ra)));
        ASSERT_EQ(tanh[i], test::limited(curve * (1 / 0.008F), 3, dtype, false));
      }
      for (std::size_t i = 0; i < most.size(); ++i) {
        const int* row = qa.data() + 3 * i;
        ASSERT_EQ(most[i], std::max({row[0], row[1], row[2]}));
        const auto total = static_cast<float>(qb[3 * i] + qb[3 * i + 1] + qb[3 * i + 2] - 15);
        ASSERT_EQ(mean[i], test::limited(total * static_cast<float>(1.0 / 3), 5, dtype, false));
      }
    }
  }
}

}  // namespace
}  // namespace qconv
