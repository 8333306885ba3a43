#include <gtest/gtest.h>

#include <qconv/version.hpp>

namespace qconv {
namespace {

TEST(Version, IsTheSameInHeadersLibraryAndBuild) {
  EXPECT_EQ(version(), QCONV_PROJECT_VERSION);
  EXPECT_EQ(version(), std::to_string(QCONV_VERSION_MAJOR) + "." + std::to_string(QCONV_VERSION_MINOR) + "." +
                           std::to_string(QCONV_VERSION_PATCH));
}

}  // namespace
}  // namespace qconv
