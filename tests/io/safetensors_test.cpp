
#include "io/io_test_util.hpp"
#include "io/safetensors_header.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;
using testing::StartsWith;

// A file: the length of the header, the header, `data_bytes` zeros.
std::string file_of(const std::string& header, std::size_t data_bytes = 0) {
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  return file + header + std::string(data_bytes, '\0');
}

std::string safetensors_error(const std::string& file) {
  return file_error([&] { decode_safetensors(bytes_of(file), "m.safetensors"); });
}

StateDict round_trip(const StateDict& state) { return decode_safetensors(encode_safetensors(state)); }

void expect_equal(const StateDict& a, const StateDict& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    const Tensor* other = b.find(name);
    ASSERT_NE(other, nullptr) << name;
    EXPECT_TRUE(equal(tensor, *other)) << name;
  }
}

TEST(Safetensors, ReadsWhatTheFormatsOwnLibraryWrites) {
  const StateDict state = load_safetensors(fixture("plain.safetensors"));
  EXPECT_EQ(state.size(), 8u);
  EXPECT_TRUE(equal(*state.find("float32"), ramp<float>({2, 3})));
  EXPECT_TRUE(equal(*state.find("float64"), ramp<double>({2, 3})));
  EXPECT_TRUE(equal(*state.find("int32"), ramp<std::int32_t>({2, 3})));
  EXPECT_TRUE(equal(*state.find("int64"), ramp<std::int64_t>({2, 3})));
  EXPECT_TRUE(equal(*state.find("uint8"), ramp<std::uint8_t>({2, 3})));
  EXPECT_TRUE(equal(*state.find("int8"), ramp<std::int8_t>({2, 3})));
  EXPECT_TRUE(equal(*state.find("scalar"), ramp<float>({})));
  EXPECT_TRUE(equal(*state.find("empty"), ramp<float>({0, 3})));
  EXPECT_EQ(load_safetensors_metadata(fixture("plain.safetensors")), (Metadata{{"made by", "safetensors"}}));
}

TEST(Safetensors, KeepsEverythingOfAQuantizedModule) {
  StateDict state;
  const Tensor x = ramp<float>({4, 3, 2, 2});
  state.set("per_channel", quantize_per_channel(x, std::vector<double>{0.1, 1.0 / 3, 0x1p-30, 123.456},
                                                std::vector<std::int64_t>{0, -3, 127, -128}, 0, qint8));
  state.set("per_tensor", quantize_per_tensor(x, 0.1, 128, quint8));
  state.set("bias", Tensor());
  state.set("sums", quantize_per_tensor(x, 1e-5, 0, qint32));
  state.set("scale", Tensor::scalar(0.25F));
  state.set("zero_point", Tensor::scalar(std::int64_t{7}));
  state.set("name with \"quotes\" and \xc3\xa9", Tensor::zeros({0}, float64));
  const ScratchFolder folder;
  save_safetensors(state, folder / "m.safetensors", {{"licence", "none"}});
  const StateDict back = load_safetensors(folder / "m.safetensors");
  expect_equal(state, back);
  EXPECT_EQ(back.begin()->first, "per_channel");
  EXPECT_EQ(std::prev(back.end())->first, "bias");
  EXPECT_EQ(load_safetensors_metadata(folder / "m.safetensors"), (Metadata{{"licence", "none"}}));
}

TEST(Safetensors, StoresViewsRowMajor) {
  StateDict state;
  state.set("t", ramp<float>({3, 4}).transpose(0, 1));
  state.set("nhwc", ramp<std::int8_t>({2, 3, 4, 5}).contiguous(MemoryFormat::channels_last));
  state.set("cut", ramp<std::int32_t>({4, 6}).narrow(1, 2, 3));
  const StateDict back = round_trip(state);
  expect_equal(state, back);
  EXPECT_TRUE(back.find("nhwc")->is_contiguous());
}

TEST(Safetensors, AlignsEveryTensorForItsElements) {
  StateDict state;
  state.set("a", ramp<std::int8_t>({3}));
  state.set("b", ramp<double>({2}));
  state.set("c", ramp<float>({5}));
  const std::vector<std::byte> bytes = encode_safetensors(state);
  const SafetensorsHeader header = read_safetensors_header(MemorySource(bytes, "m"));
  EXPECT_EQ(header.data_start % 8, 0u);
  for (const SafetensorsEntry& entry : header.tensors) {
    EXPECT_EQ(entry.begin % element_size(entry.dtype), 0u) << entry.name;
  }
}

RC_GTEST_PROP(Safetensors, ScalesComeBackToTheBit, ()) {
  const auto count = *rc::gen::inRange<std::int64_t>(1, 6);
  std::vector<double> scales;
  std::vector<std::int64_t> zero_points;
  for (std::int64_t i = 0; i < count; ++i) {
    // Any double whose float, and the reciprocal of that, is finite and not zero.
    const double mantissa = 1.0 + static_cast<double>(*rc::gen::arbitrary<std::uint64_t>()) * 0x1p-64;
    scales.push_back(std::ldexp(mantissa, *rc::gen::inRange(-120, 120)));
    zero_points.push_back(*rc::gen::inRange<std::int64_t>(-128, 128));
  }
  StateDict state;
  state.set("w", quantize_per_channel(Tensor::zeros({2, count}, float32), scales, zero_points, 1, qint8));
  state.set("x", quantize_per_tensor(Tensor::zeros({2}, float32), scales[0], 3, quint8));
  const StateDict back = round_trip(state);
  RC_ASSERT(back.find("w")->qparams().scales == scales);
  RC_ASSERT(back.find("w")->qparams().zero_points == zero_points);
  RC_ASSERT(back.find("x")->q_scale() == scales[0]);
}

RC_GTEST_PROP(Safetensors, AnyPrefixAndAnyChangedByteIsReadOrRefused, ()) {
  StateDict state;
  state.set("w", quantize_per_channel(ramp<float>({2, 3}), std::vector<double>{0.5, 0.25},
                                      std::vector<std::int64_t>{0, 1}, 0, qint8));
  state.set("b", Tensor());
  std::vector<std::byte> bytes = encode_safetensors(state);
  const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  RC_ASSERT_THROWS_AS(decode_safetensors(std::span(bytes).first(at)), FileError);
  bytes[at] = static_cast<std::byte>(*rc::gen::inRange(0, 256));
  try {
    decode_safetensors(bytes);
  } catch (const FileError&) {
  }
}

TEST(SafetensorsForged, TruncatedFilesSaySo) {
  const std::string good = file_of(R"({"w":{"dtype":"F32","shape":[10,20],"data_offsets":[0,800]}})", 800);
  EXPECT_NO_THROW(decode_safetensors(bytes_of(good)));
  EXPECT_EQ(
      safetensors_error(good.substr(0, 640)),
      "m.safetensors: header promises 800 bytes at 68 for tensor 'w' but the file has 640; it is truncated");
  EXPECT_THAT(safetensors_error(good.substr(0, 30)),
              HasSubstr("a header of 60 bytes is promised but the file has 30"));
  EXPECT_THAT(safetensors_error("abc"),
              HasSubstr("8 bytes are needed at 0 but the file has 3; it is truncated"));
  EXPECT_THAT(safetensors_error(""), HasSubstr("truncated"));
}

TEST(SafetensorsForged, AGiantHeaderLengthTakesNoMemory) {
  std::string file(64, '\xff');
  EXPECT_THAT(safetensors_error(file), HasSubstr("a header of 18446744073709551615 bytes is over the limit"));
  const std::uint64_t length = 99'999'999;
  file.replace(0, 8, reinterpret_cast<const char*>(&length), 8);
  EXPECT_THAT(safetensors_error(file),
              HasSubstr("a header of 99999999 bytes is promised but the file has 64"));
}

TEST(SafetensorsForged, AbsurdShapesTakeNoMemory) {
  EXPECT_THAT(
      safetensors_error(
          file_of(R"({"w":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,8]}})", 8)),
      HasSubstr(
          "tensor 'w' is F32 of shape (1000000, 1000000), 4000000000000 bytes, but its data_offsets hold 8"));
  EXPECT_THAT(safetensors_error(
                  file_of(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})")),
              HasSubstr("larger than an address space"));
  EXPECT_THAT(safetensors_error(
                  file_of(R"({"w":{"dtype":"U8","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}})")),
              HasSubstr("larger than an address space"));
  EXPECT_THAT(safetensors_error(
                  file_of(R"({"w":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})")),
              HasSubstr("18446744073709551615, which is too large"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","shape":[1e30],"data_offsets":[0,0]}})")),
              HasSubstr("the number '1e30' in its shape"));
  EXPECT_THAT(safetensors_error(
                  file_of(R"({"w":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1)),
              HasSubstr("more than 8 numbers"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1)),
              HasSubstr("the negative number -1 in its shape"));
}

TEST(SafetensorsForged, RangesMustCoverTheFileOnce) {
  const auto two = [](const char* a, const char* b, std::size_t bytes) {
    return safetensors_error(file_of(fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},)"
                                                 R"("b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                                                 a, b),
                                     bytes));
  };
  EXPECT_THAT(two("[0,4]", "[2,6]", 6),
              HasSubstr("tensor 'b' begins at 2, inside the tensor before it, which ends at 4"));
  EXPECT_THAT(two("[0,4]", "[0,4]", 4), HasSubstr("inside the tensor before it"));
  EXPECT_THAT(two("[0,4]", "[6,10]", 10), HasSubstr("2 bytes before tensor 'b' belong to no tensor"));
  EXPECT_THAT(two("[0,4]", "[4,8]", 11), HasSubstr("3 bytes at the end belong to no tensor"));
  EXPECT_THAT(two("[4,0]", "[4,8]", 8), HasSubstr("ends at 0 before it begins at 4"));
  EXPECT_THAT(two("[0,4,8]", "[4,8]", 8), HasSubstr("more than 2 numbers"));
  EXPECT_THAT(two("[0]", "[4,8]", 8), HasSubstr("must be two numbers, got 1"));
  EXPECT_NO_THROW(
      decode_safetensors(bytes_of(file_of(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},)"
                                          R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                          R"("e":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})",
                                          8))));
}

TEST(SafetensorsForged, TheHeaderMustBeSoundJson) {
  EXPECT_THAT(safetensors_error(file_of("[]")), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(safetensors_error(file_of("{\"w\":")), HasSubstr("not valid JSON (at byte"));
  EXPECT_THAT(safetensors_error(file_of("{} {}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(safetensors_error(file_of("{\"\xff\":{}}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":3})")),
              HasSubstr("has a number for 'w', expected an object"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{}})")),
              HasSubstr("two entries called 'w'"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","dtype":"I8"}})")),
              HasSubstr("two fields called 'dtype'"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","colour":1}})")),
              HasSubstr("unknown field 'colour'"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":{"dtype":"U8","shape":[0]}})")),
              HasSubstr("tensor 'w' has no data_offsets"));
  EXPECT_THAT(safetensors_error(file_of(R"({"__metadata__":{"a":"1","a":"2"}})")),
              HasSubstr("two entries called 'a'"));
  EXPECT_THAT(safetensors_error(file_of(R"({"__metadata__":{"a":1}})")),
              HasSubstr("metadata 'a' is a number"));
  EXPECT_THAT(safetensors_error(file_of(R"({"__metadata__":null})")), HasSubstr("has null for __metadata__"));
  const std::string deep = R"({"w":{"dtype":"U8","shape":)" + std::string(100'000, '[');
  EXPECT_THAT(safetensors_error(file_of(deep)),
              HasSubstr("has a list in its shape, expected a list of numbers"));
  EXPECT_THAT(safetensors_error(file_of(R"({"w":)" + std::string(100'000, '{'))),
              HasSubstr("not valid JSON"));
}

TEST(SafetensorsForged, OtherDTypesAreNamed) {
  EXPECT_THAT(file_error([] { load_safetensors(fixture("float16.safetensors")); }),
              HasSubstr("tensor 'half' has dtype 'F16'; expected F64, F32, I64, I32, U8 or I8"));
  EXPECT_THAT(safetensors_error(file_of("{\"a\\nb\":{\"dtype\":\"BF\\u001b[31m\"}}")),
              HasSubstr("tensor 'a\\x0ab' has dtype 'BF\\x1b[31m'"));
}

TEST(SafetensorsForged, QuantizationMustFitItsTensor) {
  const auto described = [](const std::string& text) {
    const std::string escaped = nlohmann::json(text).dump();
    return safetensors_error(
        file_of(fmt::format(R"({{"__metadata__":{{"qconv.tensor.w":{}}},)"
                            R"("w":{{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}}}})",
                            escaped),
                6));
  };
  EXPECT_THAT(described("{"), HasSubstr("metadata of tensor 'w': is not valid JSON"));
  EXPECT_THAT(described("3"), HasSubstr("must be an object or null"));
  EXPECT_THAT(described("null"), HasSubstr("says that there is no tensor, but there is one"));
  EXPECT_THAT(described(std::string(100'000, '[')), HasSubstr("nested too deeply"));
  EXPECT_THAT(described(R"({"scale":[[1]]})"), HasSubstr("nested too deeply"));
  EXPECT_THAT(described(R"({"scale":1,"scale":2})"), HasSubstr("two fields called 'scale'"));
  EXPECT_THAT(described(R"({"dtype":"float32"})"),
              HasSubstr("dtype is 'float32', expected quint8, qint8 or qint32"));
  EXPECT_THAT(described(R"({"dtype":"qint8"})"), HasSubstr("has no scheme"));
  const auto per_tensor = [&](const char* dtype, const char* scale, const char* zero_point) {
    return described(
        fmt::format(R"({{"dtype":"{}","scheme":"per_tensor_affine","scale":{},"zero_point":{}}})", dtype,
                    scale, zero_point));
  };
  EXPECT_THAT(per_tensor("quint8", "1", "0"), HasSubstr("quint8 cannot describe a tensor stored as I8"));
  EXPECT_THAT(per_tensor("qint8", "0", "0"), HasSubstr("scale must be positive and finite"));
  EXPECT_THAT(per_tensor("qint8", "1e999", "0"), HasSubstr("not valid JSON"));
  EXPECT_THAT(per_tensor("qint8", "\"1\"", "0"), HasSubstr("every scale must be a number"));
  EXPECT_THAT(per_tensor("qint8", "1", "128"), HasSubstr("zero_point 128 is outside the range of qint8"));
  EXPECT_THAT(per_tensor("qint8", "1", "0.5"), HasSubstr("zero_point must hold integers"));
  EXPECT_THAT(per_tensor("qint8", "1", "18446744073709551615"), HasSubstr("zero_point must hold integers"));
  const auto per_channel = [&](const char* axis, const char* scales, const char* zero_points) {
    return described(fmt::format(
        R"({{"dtype":"qint8","scheme":"per_channel_affine","axis":{},"scale":{},"zero_point":{}}})", axis,
        scales, zero_points));
  };
  EXPECT_THAT(per_channel("0", "[1,1,1]", "[0,0,0]"),
              HasSubstr("got 3 scales for dimension 0 of sizes (2, 3)"));
  EXPECT_THAT(per_channel("0", "[1,1]", "[0]"), HasSubstr("got 2 scales but 1 zero points"));
  EXPECT_THAT(per_channel("2", "[1]", "[0]"), HasSubstr("channel axis 2 is out of range"));
  EXPECT_THAT(per_channel("-1", "[1]", "[0]"), HasSubstr("axis -1 is out of range"));
  EXPECT_THAT(per_channel("0", "1", "0"), HasSubstr("scale and zero_point must be lists"));
  EXPECT_THAT(
      safetensors_error(file_of(
          R"({"__metadata__":{"qconv.tensor.ghost":)"
          R"("{\"dtype\":\"qint8\",\"scheme\":\"per_tensor_affine\",\"scale\":1,\"zero_point\":0}"}})")),
      HasSubstr("metadata of tensor 'ghost': there is no such tensor"));
}

TEST(SafetensorsSave, RefusesWhatTheFormatCannotHold) {
  StateDict state;
  state.set("__metadata__", ramp<float>({2}));
  EXPECT_THROW(encode_safetensors(state), ValueError);
  StateDict latin;
  latin.set("\xff", ramp<float>({2}));
  EXPECT_THROW(encode_safetensors(latin), ValueError);
  EXPECT_THROW(encode_safetensors(StateDict(), {{"qconv.tensor.x", "null"}}), ValueError);
}

TEST(SafetensorsSave, AnEmptyStateIsAFile) { EXPECT_EQ(round_trip(StateDict()).size(), 0u); }

TEST(Safetensors, FilesThatAreNoFilesAreRefused) {
  EXPECT_THAT(file_error([] { load_safetensors("/nonexistent/m.safetensors"); }),
              StartsWith("/nonexistent/m.safetensors: cannot open: No such file"));
  EXPECT_THAT(file_error([] { load_safetensors("/dev/zero"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(file_error([] { load_safetensors("/tmp"); }), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace qconv
