#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::ElementsAre;
using testing::HasSubstr;

// photo(height, width, channels) of make_fixtures.py as (1, C, H, W).
Tensor photo(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Tensor t = Tensor::empty({1, channels, height, width}, uint8, MemoryFormat::channels_last);
  std::uint8_t* p = t.mutable_data<std::uint8_t>();
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t c = 0; c < channels; ++c) *p++ = static_cast<std::uint8_t>(3 * x + 5 * y + 40 * c);
    }
  }
  return t;
}

std::string image_error(std::string_view file) {
  return file_error([&] { decode_image(bytes_of(file), "a.img"); });
}

TEST(Png, ReadsEveryColourType) {
  const Tensor rgb = load_image(fixture("rgb.png"));
  EXPECT_TRUE(equal(rgb, photo(11, 13, 3)));
  EXPECT_TRUE(rgb.is_contiguous(MemoryFormat::channels_last));
  EXPECT_TRUE(equal(load_image(fixture("rgba.png")), photo(11, 13, 3)));
  EXPECT_TRUE(equal(load_image(fixture("grey.png")), photo(11, 13, 1)));
  EXPECT_TRUE(equal(load_image(fixture("grey_alpha.png")), photo(11, 13, 1)));
  EXPECT_TRUE(equal(load_image(fixture("grey16.png")), photo(11, 13, 1)));
  for (const char* name : {"palette.png", "palette_alpha.png"}) {
    const Tensor palette = load_image(fixture(name));
    EXPECT_EQ(palette.sizes(), (Shape{1, 3, 2, 4}));
    EXPECT_THAT(palette.select(0, 0).select(1, 0).select(1, 2).to_vector<std::uint8_t>(),
                ElementsAre(70, 80, 90));
  }
  const Tensor bits = load_image(fixture("bits.png"));
  EXPECT_EQ(bits.sizes(), (Shape{1, 1, 9, 9}));
  EXPECT_EQ(bits.select(2, 4).select(2, 4).item(), 255);
  EXPECT_EQ(bits.select(2, 4).select(2, 5).item(), 0);
}

TEST(Png, SaveAndLoad) {
  const ScratchFolder folder;
  for (const std::int64_t channels : {1, 3}) {
    const Tensor image = photo(7, 5, channels);
    save_png(image, folder / "a.png");
    EXPECT_TRUE(equal(load_image(folder / "a.png"), image));
    save_png(image.contiguous().squeeze(0), folder / "a.png");
    EXPECT_TRUE(equal(load_image(folder / "a.png"), image));
  }
  EXPECT_THROW(save_png(ramp<float>({3, 4, 4}), folder / "b.png"), TypeError);
  EXPECT_THROW(save_png(ramp<std::uint8_t>({2, 4, 4}), folder / "b.png"), ValueError);
  EXPECT_THROW(save_png(ramp<std::uint8_t>({2, 3, 4, 4}), folder / "b.png"), ValueError);
  EXPECT_THROW(save_png(ramp<std::uint8_t>({3, 0, 4}), folder / "b.png"), ValueError);
  EXPECT_THROW(save_png(ramp<std::uint8_t>({4}), folder / "b.png"), ValueError);
  EXPECT_THROW(save_png(Tensor(), folder / "b.png"), ValueError);
  EXPECT_EQ(folder.count(), 1u);
}

RC_GTEST_PROP(Png, AnyPictureComesBack, ()) {
  const auto size = [] { return *rc::gen::inRange<std::int64_t>(1, 40); };
  const std::int64_t channels = *rc::gen::element(1, 3);
  Tensor image = Tensor::empty({1, channels, size(), size()}, uint8);
  for (std::int64_t i = 0; i < image.numel(); ++i) {
    image.mutable_data<std::uint8_t>()[i] = *rc::gen::arbitrary<std::uint8_t>();
  }
  RC_ASSERT(equal(decode_image(encode_png(image)), image));
}

TEST(Jpeg, ReadsTheSamePixelsAsPillow) {
  for (const std::string name : {"rgb", "progressive"}) {
    const Tensor expected = load_npy(fixture(name + "_jpg.npy")).permute({2, 0, 1}).unsqueeze(0);
    const Tensor image = load_image(fixture(name + ".jpg"));
    EXPECT_TRUE(equal(image, expected)) << name;
    EXPECT_TRUE(image.is_contiguous(MemoryFormat::channels_last));
  }
  EXPECT_TRUE(equal(load_image(fixture("grey.jpg")), load_npy(fixture("grey_jpg.npy")).view({1, 1, 24, 32})));
}

TEST(ImageForged, OtherFilesAreRefused) {
  EXPECT_THAT(image_error("GIF89a..."),
              HasSubstr("neither a PNG nor a JPEG image (it begins with 'GIF89a..')"));
  EXPECT_THAT(image_error(""), HasSubstr("neither a PNG nor a JPEG"));
  EXPECT_THAT(file_error([] { load_image(fixture("cmyk.jpg")); }), HasSubstr("4 colour components (CMYK)"));
}

TEST(ImageForged, EveryTruncationIsRefused) {
  for (const char* name : {"rgb.png", "palette.png", "rgb.jpg", "progressive.jpg", "grey.jpg"}) {
    const std::string good = read_text(fixture(name));
    const bool jpeg = std::string_view(name).ends_with(".jpg");
    // libjpeg does not need the two bytes of the end mark.
    for (std::size_t size = 0; size < good.size() - (jpeg ? 2 : 0); ++size) {
      EXPECT_THROW(decode_image(bytes_of(good.substr(0, size))), FileError) << name << " cut at " << size;
    }
  }
  EXPECT_THAT(image_error(read_text(fixture("rgb.png")).substr(0, 60)), HasSubstr("truncated"));
}

// The PNG with other sizes in its header and the checksum that belongs to them.
std::string resized_png(const std::string& png, std::uint32_t width, std::uint32_t height) {
  std::string result = png;
  const auto big_endian = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) result[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  big_endian(16, width);
  big_endian(20, height);
  big_endian(29, crc32(result.substr(12, 17)));
  return result;
}

TEST(ImageForged, AbsurdSizesTakeNoMemory) {
  const std::string png = read_text(fixture("rgb.png"));
  EXPECT_TRUE(equal(decode_image(bytes_of(resized_png(png, 13, 11))), photo(11, 13, 3)));
  EXPECT_THAT(image_error(resized_png(png, 30000, 30000)),
              HasSubstr("an image of 30000x30000 pixels is over the limit"));
  EXPECT_THAT(image_error(resized_png(png, 10000, 10000)),
              HasSubstr("header promises 10000x10000 pixels, more than a file of 80 bytes can hold"));
  EXPECT_THAT(image_error(resized_png(png, 70000, 1)), HasSubstr("not a sound PNG file"));
  EXPECT_THAT(image_error(resized_png(png, 0, 1)), HasSubstr("not a sound PNG file"));
  EXPECT_THAT(image_error(resized_png(png, 0xffffffff, 0xffffffff)), HasSubstr("not a sound PNG file"));

  std::string jpeg = read_text(fixture("rgb.jpg"));
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\x40\x00\x40\x00", 4);
  EXPECT_THAT(image_error(jpeg), HasSubstr("header promises 16384x16384 pixels, more than a file of"));
}

RC_GTEST_PROP(ImageForged, AnyChangedByteIsReadOrRefused, ()) {
  std::string bytes =
      read_text(fixture(*rc::gen::element<std::string>("rgb.png", "palette.png", "progressive.jpg")));
  for (int i = 0; i < 3; ++i) {
    bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = static_cast<char>(*rc::gen::inRange(0, 256));
  }
  try {
    decode_image(bytes_of(bytes));
  } catch (const FileError&) {
  }
}

}  // namespace
}  // namespace qconv
