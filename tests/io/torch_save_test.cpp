#include <cstring>

#include "io/torch_builder.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;

template <class T>
T at(const std::string& file, std::size_t position) {
  T value;
  std::memcpy(&value, file.data() + position, sizeof(value));
  return value;
}

// What the directory says of one entry.
struct Entry {
  std::string name;
  std::size_t payload;  // where its bytes begin
  std::string bytes;
  std::uint32_t crc;
};

// Follows the directory at the end of the archive, as every reader does.
std::vector<Entry> entries_of(const std::string& file) {
  std::vector<Entry> result;
  const std::size_t end = file.size() - 22;
  EXPECT_EQ(file.substr(end, 4), std::string("PK\x05\x06", 4));
  std::size_t here = at<std::uint32_t>(file, end + 16);
  for (int i = 0; i < at<std::uint16_t>(file, end + 10); ++i) {
    EXPECT_EQ(file.substr(here, 4), std::string("PK\x01\x02", 4));
    const std::size_t local = at<std::uint32_t>(file, here + 42);
    const std::size_t name_size = at<std::uint16_t>(file, here + 28);
    const std::size_t payload =
        local + 30 + at<std::uint16_t>(file, local + 26) + at<std::uint16_t>(file, local + 28);
    const std::size_t size = at<std::uint32_t>(file, here + 24);
    result.push_back({file.substr(here + 46, name_size), payload, file.substr(payload, size),
                      at<std::uint32_t>(file, here + 16)});
    EXPECT_EQ(result.back().name, file.substr(local + 30, name_size));
    here += 46 + name_size;
  }
  EXPECT_EQ(here, end);
  return result;
}

StateDict some_state() {
  StateDict state;
  state.set("weight", make_quantized(ramp<std::int8_t>({3, 2, 3, 3}),
                                     QParams::per_channel({0.5, 0.25, 0.1}, {0, -1, 2}, 0)));
  state.set("bias", Tensor());
  state.set("scale", Tensor::scalar(0.1F));
  state.set("zero_point", Tensor::scalar(std::int64_t{7}));
  state.set("empty", Tensor::empty({0, 3}, float32));
  return state;
}

void expect_same(const StateDict& got, const StateDict& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  auto other = got.begin();
  for (const auto& [name, tensor] : wanted) {
    SCOPED_TRACE(name);
    EXPECT_EQ(other->first, name);
    ASSERT_EQ(other->second.defined(), tensor.defined());
    if (tensor.defined()) {
      EXPECT_TRUE(equal(other->second, tensor));
      EXPECT_EQ(other->second.strides(), tensor.strides());
    }
    ++other;
  }
}

TEST(TorchSave, HasTheRecordsOfPyTorch) {
  const std::string file = text_of(encode_torch(some_state()));
  const std::vector<Entry> entries = entries_of(file);
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    SCOPED_TRACE(entry.name);
    names.push_back(entry.name);
    EXPECT_EQ(entry.payload % 64, 0U);
    EXPECT_EQ(entry.crc, crc32(entry.bytes));
    // The descriptor behind the payload says the same; there is none behind nothing.
    if (entry.bytes.empty()) continue;
    const std::size_t behind = entry.payload + entry.bytes.size();
    EXPECT_EQ(file.substr(behind, 4), std::string("PK\x07\x08", 4));
    EXPECT_EQ(at<std::uint32_t>(file, behind + 4), entry.crc);
    EXPECT_EQ(at<std::uint32_t>(file, behind + 8), entry.bytes.size());
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "archive/data.pkl", "archive/.format_version", "archive/.storage_alignment",
                "archive/byteorder", "archive/data/0", "archive/data/1", "archive/data/2", "archive/data/3",
                "archive/data/4", "archive/data/5", "archive/version", "archive/.data/serialization_id"}));
  EXPECT_EQ(entries[1].bytes, "1");
  EXPECT_EQ(entries[2].bytes, "64");
  EXPECT_EQ(entries[3].bytes, "little");
  EXPECT_EQ(entries[10].bytes, "3\n");
  EXPECT_EQ(entries[11].bytes.size(), 40U);
  EXPECT_EQ(entries[4].bytes.size(), 54U);  // the weight, then its scales and zero points
  EXPECT_EQ(entries[5].bytes.size(), 24U);
  EXPECT_EQ(entries[8].bytes, std::string("\7\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(text_of(encode_torch(some_state())), file) << "the same state makes the same bytes";
}

TEST(TorchSave, KeepsNamesValuesAndOrder) {
  const ScratchFolder folder;
  save_torch(some_state(), folder / "a.pt");
  expect_same(load_torch(folder / "a.pt"), some_state());
  save(some_state(), folder / "b.PTH");
  expect_same(load(folder / "b.PTH"), some_state());
  expect_same(decode_torch(encode_torch(StateDict())), StateDict());
  EXPECT_EQ(folder.count(), 2U);
}

TEST(TorchSave, KeepsSharedMemoryAndDenseStrides) {
  StateDict state;
  const Tensor weight = ramp<float>({2, 3, 4, 5});
  state.set("a", weight);
  state.set("tied", weight);
  state.set("last", weight.clone(MemoryFormat::channels_last));
  state.set("turned", weight.permute({3, 0, 2, 1}));
  state.set("part", weight.narrow(3, 1, 2));
  const std::string file = text_of(encode_torch(state));
  const StateDict again = read_torch(file);
  EXPECT_EQ(again.find("a")->raw_data(), again.find("tied")->raw_data());
  EXPECT_EQ(again.find("a")->raw_data(), again.find("turned")->raw_data());
  EXPECT_EQ(again.find("last")->strides(), (Shape{60, 1, 15, 3}));
  EXPECT_EQ(again.find("turned")->strides(), (Shape{1, 60, 5, 20}));
  EXPECT_TRUE(again.find("part")->is_contiguous());
  for (const auto& [name, tensor] : state) EXPECT_TRUE(equal(*again.find(name), tensor)) << name;
  std::size_t storages = 0;
  for (const Entry& entry : entries_of(file)) storages += entry.name.starts_with("archive/data/") ? 1 : 0;
  EXPECT_EQ(storages, 3U);
}

TEST(TorchSave, KeepsOverlappingMemory) {
  const Tensor whole = Tensor::from_data(std::vector<float>(1000, 0.5F), {10, 100});
  StateDict state;
  state.set("rows", whole.narrow(0, 2, 3));
  state.set("whole", whole);
  state.set("row", whole.select(0, 4));
  state.set("columns", whole.narrow(1, 3, 5));  // with gaps: of its own
  state.set("other", Tensor::from_data(std::vector<std::int32_t>(10, 3), {10}));
  const std::vector<std::byte> bytes = encode_torch(state);
  EXPECT_LT(bytes.size(), 4000U + 200U + 4000U);
  const StateDict again = decode_torch(bytes);
  for (const auto& [name, tensor] : state) EXPECT_TRUE(equal(*again.find(name), tensor)) << name;
  const float* first = again.find("whole")->data<float>();
  EXPECT_EQ(again.find("rows")->data<float>(), first + 200);
  EXPECT_EQ(again.find("row")->data<float>(), first + 400);
}

RC_GTEST_PROP(TorchSave, KeepsEveryDType, ()) {
  const auto dtype = *rc::gen::element(float32, float64, int32, int64, uint8, int8, quint8, qint8, qint32);
  Shape sizes;
  for (int d = *rc::gen::inRange(0, 5); d > 0; --d) sizes.push_back(*rc::gen::inRange(0, 5));
  Tensor tensor = Tensor::empty(sizes, info(dtype).storage);
  auto* bytes = static_cast<std::uint8_t*>(tensor.raw_mutable_data());
  for (std::size_t i = 0; i < tensor.nbytes(); ++i)
    bytes[i] = static_cast<std::uint8_t>(*rc::gen::inRange(0, 256));
  if (is_quantized(dtype)) {
    tensor = make_quantized(tensor, QParams::per_tensor(*rc::gen::element(0.1, 1e-7, 3.0), 5));
  }
  StateDict state;
  state.set("x", tensor);
  const StateDict again = decode_torch(encode_torch(state));
  const Tensor& other = *again.find("x");
  RC_ASSERT(other.dtype() == dtype);
  RC_ASSERT(other.sizes() == sizes);
  // By its bytes: some of the floats are no numbers.
  RC_ASSERT(tensor.nbytes() == 0 || std::memcmp(other.raw_data(), tensor.raw_data(), tensor.nbytes()) == 0);
}

TEST(TorchSave, RefusesNamesThatAreNotUtf8) {
  StateDict state;
  state.set("na\xefve", Tensor::scalar(1.0F));
  try {
    encode_torch(state);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), R"(save_torch: 'na\xefve' is not UTF-8 text)");
  }
}

// Old files have lists where newer ones have tensors.
TEST(TorchLoad, TakesPerChannelParametersAsLists) {
  PickleWriter p;
  PickledTensor{.storage_class = "QInt8Storage",
                .count = 6,
                .sizes = {3, 2},
                .strides = {1, 3},
                .quantizer =
                    [](PickleWriter& q) {
                      q.mark();
                      q.global("torch", "per_channel_affine");
                      q.op(']');
                      q.mark();
                      q.real(0.1);
                      q.real(0.25);
                      q.op('e');
                      q.tuple_of(std::vector<std::int64_t>{-7, 3});
                      q.integer(1);
                      q.tuple();
                    }}
      .write(p);
  const StateDict state = read_torch(torch_archive(p.finish(), {{"0", "\1\2\3\4\5\6"}}));
  const Tensor& tensor = *state.find("tensor");
  EXPECT_EQ(tensor.qparams(), QParams::per_channel({0.1, 0.25}, {-7, 3}, 1));
  EXPECT_EQ(tensor.strides(), (Shape{1, 3}));
  EXPECT_EQ(tensor.to_vector<std::int8_t>(), (std::vector<std::int8_t>{1, 4, 2, 5, 3, 6}));
}

NamedPackedParams packed_examples() {
  const auto weight = [](const Shape& sizes) {
    return make_quantized(ramp<std::int8_t>(sizes), QParams::per_tensor(0.25, 1));
  };
  const Tensor bias = ramp<float>({4});
  return {{"conv1d", ops::conv1d_prepack(weight({4, 3, 5}), bias, 2, 1, 1, 1)},
          {"conv2d", ops::conv2d_prepack(weight({4, 1, 3, 2}), std::nullopt, {2, 1}, {1, 0}, {1, 2}, 2)},
          {"conv3d", ops::conv3d_prepack(weight({4, 2, 1, 2, 3}), bias, 1, {0, 1, 2}, 1, 1)},
          {"transpose", ops::conv_transpose2d_prepack(weight({2, 4, 2, 2}), bias, 2, 0, {1, 0}, 1, 1)}};
}

TEST(TorchSavePacked, ComesBackInVersion2) {
  const ScratchFolder folder;
  const NamedPackedParams packed = packed_examples();
  save_torch_packed(packed, folder / "packed.pt");
  const TorchFile file = load_torch_file(folder / "packed.pt");
  ASSERT_EQ(file.packed_params.size(), packed.size());
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const TorchPackedParams& read = file.packed_params[i];
    SCOPED_TRACE(read.name);
    EXPECT_EQ(read.name, packed[i].first);
    const ConvPackedParams& original = *packed[i].second;
    const bool one = original.geometry().ndim == 1;  // PyTorch's are of height 1
    EXPECT_TRUE(equal(read.weight, one ? original.weight().unsqueeze(2) : original.weight()));
    EXPECT_EQ(read.bias.has_value(), original.bias().has_value());
    ConvGeometry expected = original.geometry();
    if (one) expected.ndim = 2;
    EXPECT_EQ(read.geometry, expected);
    EXPECT_EQ(read.prepack()->geometry(), expected);
  }
}

TEST(TorchSavePacked, RefusesWhatPyTorchCannotHold) {
  const Tensor weight = make_quantized(ramp<std::int8_t>({1, 1, 2, 2}), QParams::per_tensor(0.25, 0));
  const auto error = [&](const PackedParams& packed) -> std::string {
    try {
      encode_torch_packed({{"p", packed}});
    } catch (const ValueError& caught) {
      return caught.what();
    }
    return "";
  };
  EXPECT_EQ(error(ops::conv2d_prepack(weight, std::nullopt, 1, {0, 0, 1, 1}, 1, 1)),
            "save_torch_packed: 'p': PyTorch's packed convolutions have no asymmetric padding");
  EXPECT_EQ(
      error(ops::conv2d_prepack(weight, std::nullopt, 1, 1, 1, 1, {.padding_mode = PaddingMode::reflect})),
      "save_torch_packed: 'p': PyTorch's packed convolutions pad with zeros, got reflect");
  EXPECT_EQ(error(ops::conv2d_prepack(weight, std::nullopt, 40000, 0, 1, 1)),
            "save_torch_packed: 'p': 40000 does not fit the 16 bits that PyTorch has for it");
  EXPECT_EQ(error(nullptr), "save_torch_packed: 'p' is null");
}

TEST(AnyFile, GoesByTheEndOfTheName) {
  const ScratchFolder folder;
  StateDict state;
  state.set("x", ramp<float>({2, 3}));
  for (const char* name : {"a.pt", "a.pth", "a.safetensors", "a.npz", "A.NPZ"}) {
    SCOPED_TRACE(name);
    save(state, folder / name);
    expect_same(load(folder / name), state);
  }
  state.set("none", Tensor());
  save(state, folder / "a.npz");
  EXPECT_EQ(load(folder / "a.npz").size(), 1U);
  EXPECT_THAT(
      file_error([&] { save(state, folder / "a.txt"); }),
      HasSubstr("a.txt: cannot tell its kind; expected a name that ends in .pt, .pth, .safetensors or .npz"));
  EXPECT_THAT(file_error([&] { load(folder / "a"); }), HasSubstr("cannot tell its kind"));
}

}  // namespace
}  // namespace qconv
