#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;

TEST(NoImages, EveryFunctionNamesTheOption) {
  const auto names_option = HasSubstr("QCONV_WITH_IMAGES=ON");
  const Tensor image = ramp<std::uint8_t>({3, 4, 4});
  EXPECT_THAT(file_error([] { load_image(fixture("rgb.png")); }), names_option);
  EXPECT_THAT(file_error([] { decode_image({}); }), names_option);
  EXPECT_THAT(file_error([&] { save_png(image, "a.png"); }), names_option);
  EXPECT_THAT(file_error([&] { encode_png(image); }), names_option);
}

}  // namespace
}  // namespace qconv
