#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;
using testing::StartsWith;

std::string npy_of(const std::string& literal, std::size_t data_bytes = 0) {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(literal.size() & 0xff);
  file += static_cast<char>(literal.size() >> 8);
  return file + literal + std::string(data_bytes, '\0');
}

std::string npy_error(const std::string& file) {
  return file_error([&] { decode_npy(bytes_of(file), "a.npy"); });
}

TEST(Npy, ReadsWhatNumpyWrites) {
  EXPECT_TRUE(equal(load_npy(fixture("float32.npy")), ramp<float>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("float64.npy")), ramp<double>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("int32.npy")), ramp<std::int32_t>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("int64.npy")), ramp<std::int64_t>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("uint8.npy")), ramp<std::uint8_t>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("int8.npy")), ramp<std::int8_t>({2, 3, 4})));
  EXPECT_TRUE(equal(load_npy(fixture("scalar.npy")), ramp<double>({})));
  EXPECT_TRUE(equal(load_npy(fixture("empty.npy")), ramp<float>({0, 3})));
  EXPECT_TRUE(equal(load_npy(fixture("vector.npy")), ramp<std::int64_t>({5})));
  EXPECT_TRUE(equal(load_npy(fixture("version2.npy")), ramp<float>({4})));
}

TEST(Npy, ConvertsFortranOrderAndBigEndian) {
  const Tensor fortran = load_npy(fixture("fortran.npy"));
  EXPECT_TRUE(equal(fortran, ramp<float>({2, 3, 4})));
  EXPECT_TRUE(fortran.is_contiguous());
  EXPECT_TRUE(equal(load_npy(fixture("big_endian.npy")), ramp<std::int32_t>({2, 3, 4})));
}

TEST(Npy, WritesTheSameBytesAsNumpy) {
  EXPECT_EQ(text_of(encode_npy(ramp<float>({2, 3, 4}))), read_text(fixture("float32.npy")));
  EXPECT_EQ(text_of(encode_npy(ramp<std::uint8_t>({2, 3, 4}))), read_text(fixture("uint8.npy")));
  EXPECT_EQ(text_of(encode_npy(ramp<std::int64_t>({5}))), read_text(fixture("vector.npy")));
  EXPECT_EQ(text_of(encode_npy(ramp<double>({}))), read_text(fixture("scalar.npy")));
  EXPECT_EQ(text_of(encode_npy(ramp<float>({0, 3}))), read_text(fixture("empty.npy")));
}

TEST(Npy, SaveAndLoad) {
  const ScratchFolder folder;
  const Tensor view = ramp<float>({2, 5, 3}).transpose(0, 2);
  save_npy(view, folder / "a.npy");
  EXPECT_TRUE(equal(load_npy(folder / "a.npy"), view));
  EXPECT_THROW(save_npy(Tensor(), folder / "b.npy"), ValueError);
  EXPECT_THROW(save_npy(quantize_per_tensor(view, 1, 0, qint8), folder / "b.npy"), TypeError);
  EXPECT_EQ(folder.count(), 1u);
}

RC_GTEST_PROP(Npy, AnyShapeComesBack, ()) {
  const auto rank = *rc::gen::inRange(0, 9);
  Shape sizes;
  for (int d = 0; d < rank; ++d) sizes.push_back(*rc::gen::inRange<std::int64_t>(0, 4));
  RC_ASSERT(equal(decode_npy(encode_npy(ramp<float>(sizes))), ramp<float>(sizes)));
  RC_ASSERT(equal(decode_npy(encode_npy(ramp<std::int8_t>(sizes))), ramp<std::int8_t>(sizes)));
}

RC_GTEST_PROP(Npy, AnyPrefixAndAnyChangedByteIsReadOrRefused, ()) {
  std::vector<std::byte> bytes = encode_npy(ramp<std::int32_t>({3, 2}));
  const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  RC_ASSERT_THROWS_AS(decode_npy(std::span(bytes).first(at)), FileError);
  bytes[at] = static_cast<std::byte>(*rc::gen::inRange(0, 256));
  try {
    decode_npy(bytes);
  } catch (const FileError&) {
  }
}

TEST(NpyForged, OtherDTypesAreNamed) {
  EXPECT_THAT(file_error([] { load_npy(fixture("float16.npy")); }),
              HasSubstr("dtype '<f2'; expected float32"));
  EXPECT_THAT(file_error([] { load_npy(fixture("bool.npy")); }), HasSubstr("dtype '|b1'"));
  EXPECT_THAT(file_error([] { load_npy(fixture("object.npy")); }), HasSubstr("dtype '|O'"));
  EXPECT_THAT(file_error([] { load_npy(fixture("record.npy")); }), HasSubstr("structured dtypes"));
}

TEST(NpyForged, SizesMustAgreeWithTheFile) {
  const std::string good = npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
  EXPECT_NO_THROW(decode_npy(bytes_of(good)));
  EXPECT_EQ(npy_error(good.substr(0, good.size() - 4)),
            "a.npy: header promises 24 bytes at 70 but the file has 90; it is truncated");
  EXPECT_THAT(npy_error(good + "x"), HasSubstr("1 bytes follow the array"));
  EXPECT_THAT(npy_error(good.substr(0, 9)), HasSubstr("truncated"));
  EXPECT_THAT(npy_error(good.substr(0, 40)), HasSubstr("truncated"));
}

TEST(NpyForged, AbsurdShapesTakeNoMemory) {
  const auto shape = [](const std::string& text) {
    return npy_error(npy_of("{'descr': '<f8', 'fortran_order': False, 'shape': " + text + "}", 8));
  };
  EXPECT_THAT(shape("(100000, 100000)"), HasSubstr("header promises 80000000000 bytes"));
  EXPECT_THAT(shape("(4294967296, 4294967296)"), HasSubstr("larger than an address space"));
  EXPECT_THAT(shape("(0, 9223372036854775807)"), HasSubstr("larger than an address space"));
  EXPECT_THAT(shape("(9223372036854775808,)"), HasSubstr("the shape holds '9223372036854775808,"));
  EXPECT_THAT(shape("(-1,)"), HasSubstr("the shape holds '-1,"));
  EXPECT_THAT(shape("(1, 1, 1, 1, 1, 1, 1, 1, 1)"), HasSubstr("more than 8 dimensions"));
  EXPECT_THAT(shape("(1)"), HasSubstr("is a number, expected a tuple"));
  EXPECT_THAT(shape("[1]"), HasSubstr("where '(' was expected"));
  EXPECT_THAT(shape("(1 1)"), HasSubstr("where ')' was expected"));
  EXPECT_THAT(shape("(,)"), HasSubstr("the shape holds"));
}

TEST(NpyForged, TheHeaderIsOneLiteralAndNothingElse) {
  EXPECT_THAT(npy_error("PK\x03\x04 not an array"), HasSubstr("does not begin as a .npy file"));
  EXPECT_THAT(npy_error(std::string("\x93NUMPY\x04\x00\x10\x00\x00\x00", 12)),
              HasSubstr("version 4 is not known"));
  EXPECT_THAT(npy_error(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)),
              HasSubstr("an array header of 4294967295 bytes is over the limit"));
  EXPECT_THAT(npy_error(npy_of("__import__('os')")), HasSubstr("where '{' was expected"));
  EXPECT_THAT(npy_error(npy_of("{'descr': '<f4'}")), HasSubstr("has no fortran_order"));
  EXPECT_THAT(npy_error(npy_of("{'descr': '<f4', 'descr': '<f4'}")), HasSubstr("two entries called 'descr'"));
  EXPECT_THAT(npy_error(npy_of("{'colour': 1}")), HasSubstr("unknown entry 'colour'"));
  EXPECT_THAT(npy_error(npy_of("{'descr")), HasSubstr("does not end"));
  EXPECT_THAT(npy_error(npy_of("{'fortran_order': 1}")), HasSubstr("expected True or False"));
  EXPECT_THAT(npy_error(npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': ()} or 1", 4)),
              HasSubstr("goes on after its end"));
  EXPECT_THAT(npy_error(npy_of("{'descr': '<f4' 'shape'")), HasSubstr("where '}' was expected"));
}

}  // namespace
}  // namespace qconv
