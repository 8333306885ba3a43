#include "io/io_test_util.hpp"
#include "io/zip_builder.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;

std::string npy_text(const Tensor& t) { return text_of(encode_npy(t)); }

std::string npz_error(const std::string& file) {
  return file_error([&] { decode_npz(bytes_of(file), "a.npz"); });
}

TEST(Npz, ReadsWhatNumpyWrites) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const NamedTensors arrays = load_npz(fixture(name));
    ASSERT_EQ(arrays.size(), 3u);
    EXPECT_EQ(arrays[0].first, "images");
    EXPECT_TRUE(equal(arrays[0].second, ramp<std::uint8_t>({4, 8, 8})));
    EXPECT_EQ(arrays[1].first, "labels");
    EXPECT_TRUE(equal(arrays[1].second, ramp<std::int64_t>({4})));
    EXPECT_EQ(arrays[2].first, "empty");
    EXPECT_TRUE(equal(arrays[2].second, ramp<float>({0, 2})));
  }
}

TEST(Npz, SaveAndLoad) {
  const ScratchFolder folder;
  const NamedTensors arrays{{"x", ramp<float>({3, 4}).transpose(0, 1)},
                            {"group/y \xc3\xa9", ramp<std::int8_t>({2, 3, 4, 5})},
                            {"nothing", ramp<float>({0})}};
  save_npz(arrays, folder / "a.npz");
  const NamedTensors back = load_npz(folder / "a.npz");
  ASSERT_EQ(back.size(), arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_EQ(back[i].first, arrays[i].first);
    EXPECT_TRUE(equal(back[i].second, arrays[i].second));
  }
  EXPECT_EQ(encode_npz(arrays), encode_npz(arrays));
  save_npz({}, folder / "a.npz");
  EXPECT_TRUE(load_npz(folder / "a.npz").empty());
  EXPECT_EQ(folder.count(), 1u);
}

TEST(Npz, RefusesToSaveWhatCannotBeReadBack) {
  const Tensor t = ramp<float>({2});
  EXPECT_THROW(encode_npz({{"", t}}), ValueError);
  EXPECT_THROW(encode_npz({{"a", t}, {"a", t}}), ValueError);
  EXPECT_THROW(encode_npz({{std::string("a\0b", 3), t}}), ValueError);
  EXPECT_THROW(encode_npz({{"a", Tensor()}}), ValueError);
  EXPECT_THROW(encode_npz({{"a", quantize_per_tensor(t, 1, 0, quint8)}}), TypeError);
}

RC_GTEST_PROP(Npz, AnyChangedByteIsReadOrRefused, ()) {
  std::string bytes = read_text(fixture("deflated.npz"));
  bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = static_cast<char>(*rc::gen::inRange(0, 256));
  try {
    decode_npz(bytes_of(bytes));
  } catch (const FileError&) {
  }
}

TEST(NpzForged, TheHelperMakesSoundArchives) {
  const Tensor t = ramp<float>({5, 5});
  const NamedTensors back = decode_npz(
      bytes_of(zip_of({ZipEntry::plain("a.npy", npy_text(t)), ZipEntry::deflated("b.npy", npy_text(t))})));
  ASSERT_EQ(back.size(), 2u);
  EXPECT_TRUE(equal(back[0].second, t));
  EXPECT_TRUE(equal(back[1].second, t));
}

TEST(NpzForged, BrokenArchives) {
  EXPECT_THAT(npz_error("no archive at all"), HasSubstr("a.npz: is not a readable zip archive"));
  EXPECT_THAT(npz_error(""), HasSubstr("a.npz: is not a readable zip archive"));
  const std::string good = read_text(fixture("stored.npz"));
  EXPECT_THAT(npz_error(good.substr(0, good.size() / 2)), HasSubstr("is not a readable zip archive"));
}

TEST(NpzForged, EntriesMustBeArraysOnce) {
  const std::string array = npy_text(ramp<float>({2}));
  EXPECT_THAT(npz_error(zip_of({ZipEntry::plain("a.txt", "hello")})),
              HasSubstr("entry 'a.txt': is not a .npy array"));
  EXPECT_THAT(npz_error(zip_of({ZipEntry::plain("a.npy", "hello, this is no array")})),
              HasSubstr("entry 'a.npy': does not begin as a .npy file"));
  EXPECT_THAT(npz_error(zip_of({ZipEntry::plain("a.npy", array), ZipEntry::plain("a.npy", array)})),
              HasSubstr("entry 'a.npy': is there twice"));
  ZipEntry bzip = ZipEntry::plain("a.npy", array);
  bzip.method = 12;
  EXPECT_THAT(npz_error(zip_of({bzip})), HasSubstr("compression method 12 is not supported"));
}

TEST(NpzForged, ABadChecksumIsFound) {
  ZipEntry entry = ZipEntry::deflated("a.npy", npy_text(ramp<float>({20})));
  entry.crc ^= 1;
  EXPECT_THAT(npz_error(zip_of({entry})), HasSubstr("entry 'a.npy': is damaged"));
}

TEST(NpzForged, TheArrayHeaderMustAgreeWithTheArchive) {
  // Promises 80 GB in 64 bytes of data.
  std::string array = npy_text(ramp<std::uint8_t>({64}));
  const std::string small = "(64,), }       ";
  array.replace(array.find(small), small.size(), "(80000000000,)}");
  EXPECT_THAT(
      npz_error(zip_of({ZipEntry::deflated("a.npy", array)})),
      HasSubstr("the array header promises 80000000000 bytes but the archive says that 64 follow it"));
}

TEST(NpzForged, ZipBombsAreRefusedBeforeTheyUnpack) {
  // The archive claims more than deflate can make of so few bytes.
  ZipEntry claims = ZipEntry::deflated("a.npy", npy_text(ramp<std::uint8_t>({64})));
  claims.size = 4'000'000'000;
  EXPECT_THAT(npz_error(zip_of({claims})), HasSubstr("4000000000 bytes cannot come from"));
  ZipEntry stored = ZipEntry::plain("a.npy", npy_text(ramp<std::uint8_t>({64})));
  stored.size = 4'000'000'000;
  EXPECT_THAT(npz_error(zip_of({stored})),
              HasSubstr("4000000000 bytes cannot come from 192 compressed ones"));

  // What 300 MB of zeros deflate to is about this long; nothing looks at the bytes.
  ZipEntry zeros{"a.npy", std::string(300'000, '\0'), 8, 300'000'000, 0, UINT32_MAX};
  EXPECT_THAT(
      npz_error(zip_of({zeros})),
      HasSubstr(
          "the entries of this archive take more than 298446256 bytes, the limit for an archive of 300108"));

  // Many names for the same compressed bytes.
  std::vector<ZipEntry> entries{ZipEntry::deflated("0.npy", npy_text(Tensor::zeros({100'000}, uint8)))};
  for (int i = 1; i < 50; ++i) {
    entries.push_back(entries[0]);
    entries.back().name = fmt::format("{}.npy", i);
    entries.back().offset_of = 0;
  }
  EXPECT_THAT(npz_error(zip_of(entries)), HasSubstr("compressed bytes are promised but the archive has"));
}

}  // namespace
}  // namespace qconv
