// The instruction set that QCONV_ISA names is the one that runs; without it, the best of this processor.
// CMake has this program run for each of the build.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>

#include "engines/native/native.hpp"
#include "engines/reference/reference.hpp"
#include "support/conv_case.hpp"
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
  for (const char* line : {"conv2d c64 k64 g1 i28x28 f3x3 p1x1", "conv2d c64 k64 g64 i6x6 f3x3 p1x1",
                           "conv2d c64 k64 g16 i6x6 f3x3 p1x1", "conv_transpose2d c8 k8 g1 i6x6 f2x2 s2x2"}) {
    const testing::ConvCase c = testing::make_case(ConvProblem::parse(line), 1);
    const auto packed = engines::native().pack(c.problem.geometry, {c.weights.data(), c.weight_zero_points});
    const auto plan = engines::native().prepare(packed, c.problem, c.requantization);
    EXPECT_THAT(plan->kernel_name(), ::testing::EndsWith("_" + std::string(to_string(wanted)))) << line;
    EXPECT_EQ(testing::run_case(engines::native(), c, *pool),
              testing::run_case(engines::reference(), c, *pool))
        << line;
  }
}

}  // namespace
}  // namespace qconv
