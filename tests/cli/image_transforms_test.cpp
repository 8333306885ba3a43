#include "cli/image_transforms.hpp"

#include <gmock/gmock.h>

#include <qconv/error.hpp>

namespace qconv::cli {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Bytes with a formula, so that others can make the same picture.
Tensor pattern(std::int64_t channels, std::int64_t height, std::int64_t width) {
  std::vector<float> values;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        values.push_back(static_cast<float>((37 * x + 91 * y + 53 * c + x * y * 7) % 256));
      }
    }
  }
  return Tensor::from_data(values, {1, channels, height, width});
}

std::vector<float> resized(const Tensor& image, const std::string& size) {
  return ImageTransforms{.resize = size}.apply(image, true).to_vector<float>();
}

// Image.fromarray(pattern).resize((width, height), Image.BILINEAR) in Pillow 12.
TEST(ImageTransforms, ResizesAsPillowDoes) {
  EXPECT_THAT(resized(pattern(1, 5, 7), "3x4"),
              ElementsAreArray({60, 122, 117, 149, 145, 117, 130, 151, 101, 157, 144, 158}));
  EXPECT_THAT(
      resized(pattern(1, 4, 3), "6x8"),
      ElementsAreArray({0,   2,   16,  30,  44,  58,  72,  74,  46,  48,  63,  79,  94,  109, 124, 127,
                        106, 109, 126, 143, 152, 153, 153, 154, 167, 170, 188, 207, 186, 125, 64,  53,
                        100, 103, 123, 144, 141, 113, 85,  81,  17,  21,  42,  64,  86,  108, 129, 133}));
  EXPECT_THAT(resized(pattern(1, 9, 6), "3x2"), ElementsAreArray({115, 121, 122, 139, 124, 130}));
  EXPECT_THAT(resized(pattern(1, 11, 13), "5x7"),
              ElementsAreArray({95,  124, 112, 136, 107, 116, 122, 118, 134, 144, 141, 130,
                                130, 135, 112, 122, 137, 151, 107, 144, 132, 131, 129, 132,
                                125, 128, 131, 129, 145, 168, 127, 102, 153, 112, 135}));
}

TEST(ImageTransforms, OneNumberIsTheShorterSide) {
  const auto sizes = [](std::int64_t height, std::int64_t width, const std::string& size) {
    return ImageTransforms{.resize = size}.apply(pattern(3, height, width), true).sizes();
  };
  EXPECT_EQ(sizes(20, 31, "10"), (Shape{1, 3, 10, 15}));
  EXPECT_EQ(sizes(31, 20, "40"), (Shape{1, 3, 62, 40}));
  EXPECT_EQ(sizes(31, 20, "8x9"), (Shape{1, 3, 8, 9}));
}

TEST(ImageTransforms, KeepsFractionsOfFloats) {
  const Tensor image = Tensor::from_data(std::vector<float>{-1, 1000.5F}, {1, 1, 1, 2});
  EXPECT_THAT(ImageTransforms{.resize = "1x1"}.apply(image, false).to_vector<float>(),
              testing::ElementsAre(499.75F));
}

TEST(ImageTransforms, CropsTheMiddleAndTurnsTheChannels) {
  const Tensor image = pattern(3, 5, 6);
  const Tensor result = ImageTransforms{.crop = "3x2", .channel_order = "bgr"}.apply(image, true);
  ASSERT_EQ(result.sizes(), (Shape{1, 3, 3, 2}));
  const auto expected = [&](int c) {
    return image.narrow(1, c, 1).narrow(2, 1, 3).narrow(3, 2, 2).contiguous();
  };
  for (int c = 0; c < 3; ++c) {
    EXPECT_TRUE(equal(result.narrow(1, c, 1).contiguous(), expected(2 - c)));
  }
  EXPECT_EQ(ImageTransforms{.crop = "4"}.apply(image, true).sizes(), (Shape{1, 3, 4, 4}));
  EXPECT_TRUE(equal(ImageTransforms{}.apply(image, true), image));
}

TEST(ImageTransforms, ExplainsWhatDoesNotFit) {
  EXPECT_THAT([] { ImageTransforms{.crop = "6"}.apply(pattern(1, 5, 9), true); },
              ThrowsMessage<ValueError>(HasSubstr("--crop 6x6 is larger than the image of 5x9")));
  EXPECT_THAT([] { ImageTransforms{.channel_order = "bgr"}.apply(pattern(1, 5, 9), true); },
              ThrowsMessage<ValueError>(HasSubstr("--channel-order bgr needs data with 3 channels, got 1")));
  EXPECT_THAT([] { ImageTransforms{.resize = "6"}.apply(pattern(1, 5, 9).squeeze(0), true); },
              ThrowsMessage<ValueError>(HasSubstr("need images (N, C, H, W), got sizes (1, 5, 9)")));
}

}  // namespace
}  // namespace qconv::cli
