// Forged and damaged PyTorch files: each is an error of one line that takes little memory.
#include "io/torch_builder.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;

// Operations between the protocol and the end.
std::string raw(const std::string& operations) { return "\x80\x02" + operations + "."; }
std::string text_op(const std::string& text) {
  PickleWriter p;
  p.text(text);
  const std::string all = p.finish();
  return all.substr(2, all.size() - 3);
}
std::string global_op(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

TEST(TorchHostile, CallsOfOtherCodeAreNamedAndNotRun) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"__builtin__", "exec"},
                                                        {"subprocess", "Popen"},
                                                        {"torch.storage", "_load_from_bytes"},
                                                        {"torch", "load"},
                                                        {"torch.hub", "load"},
                                                        {"builtins", "getattr"}}) {
    const std::string call = raw(global_op(module, name) + "(" + text_op("touch /tmp/owned") + "tR");
    EXPECT_THAT(pickle_error(call),
                HasSubstr("entry 'archive/data.pkl': names '" + module + "." + name + "'"));
  }
  // The same name put together on the stack.
  const std::string stacked = raw(text_op("os") + text_op("system") + "\x93" + ")R");
  EXPECT_THAT(pickle_error(stacked), HasSubstr("names 'os.system'"));
  const std::string forged = raw(text_op("torch.nn.modules.\nfine") + text_op("X") + "\x93");
  EXPECT_THAT(pickle_error(forged), HasSubstr(R"(names 'torch.nn.modules.\x0afine.X')"));
  // All of them are named, whatever else the pickle does, and no more than a line of them.
  const std::string two = raw(global_op("os", "system") + ")R" + global_op("mine", "Net") + ")R" + "a");
  EXPECT_THAT(pickle_error(two), HasSubstr("names 'mine.Net', 'os.system', which"));
  std::string many;
  for (int i = 0; i < 2000; ++i) many += global_op("os", "f" + std::to_string(i));
  EXPECT_THAT(pickle_error(raw(many)), HasSubstr(" and 1992 more, which"));
  EXPECT_THAT(pickle_error(raw(global_op("torch.nn.modules", std::string(300, 'a')))),
              HasSubstr("too long a name"));
}

TEST(TorchHostile, TruncatedAnywhere) {
  for (const char* name : {"conv2d.pt", "net_state_legacy.pt", "net_state_deflated.pt"}) {
    const std::string whole = read_text(fs::path(QCONV_TEST_DATA) / "io" / "torch" / name);
    for (std::size_t size = 0; size < whole.size(); size += 7) {
      SCOPED_TRACE(fmt::format("{} cut to {}", name, size));
      torch_error(whole.substr(0, size));
    }
  }
}

TEST(TorchHostile, ArchivesThatAreNone) {
  EXPECT_THAT(torch_error("not a zip archive at all, and none of the old format"),
              HasSubstr("is not a readable zip archive"));
  EXPECT_THAT(torch_error(zip_of({ZipEntry::plain("a/other", "x")})),
              HasSubstr("zip archive without a data.pkl"));
  const std::string pickle = PickledTensor().pickle();
  const ZipEntry data = ZipEntry::plain("archive/data.pkl", pickle);
  for (const char* name : {"../data.pkl", "/data.pkl", "..", "archive/../../x", "a\\data.pkl", "x/.."}) {
    EXPECT_THAT(torch_error(zip_of({data, ZipEntry::plain(name, "x")})), HasSubstr("leaves its folder"));
  }
  EXPECT_THAT(torch_error(zip_of({data, data})), HasSubstr("is there twice"));
  EXPECT_THAT(torch_error(zip_of({data, ZipEntry::plain("b/data.pkl", pickle)})),
              HasSubstr("second data.pkl"));
  EXPECT_THAT(torch_error(zip_of({data, ZipEntry::plain("archive/byteorder", "middle")})),
              HasSubstr("is 'middle', expected little or big"));
}

TEST(TorchHostile, ZipBombs) {
  // A pickle that claims to unpack to a gigabyte, from bytes that could not.
  ZipEntry bomb = ZipEntry::deflated("archive/data.pkl", "x");
  bomb.size = 1 << 30;
  EXPECT_THAT(torch_error(zip_of({bomb})), HasSubstr("cannot come from"));
  // One that could, but is no pickle's size.
  bomb = ZipEntry::deflated("archive/data.pkl", std::string(60000, 'x'));
  bomb.size = 60000 * 1000;
  EXPECT_THAT(torch_error(zip_of({bomb})), HasSubstr("too many for an archive of"));
  ZipEntry wrong = ZipEntry::plain("archive/data/0", std::string(16, '\0'));
  wrong.crc ^= 1;
  EXPECT_THAT(torch_error(zip_of({ZipEntry::plain("archive/data.pkl", PickledTensor().pickle()), wrong})),
              HasSubstr("is damaged"));
}

TEST(TorchHostile, StoragesThatLie) {
  const auto error = [](PickledTensor t) { return pickle_error(t.pickle()); };
  EXPECT_THAT(error({.key = "7"}), HasSubstr("has no storage '7'"));
  EXPECT_THAT(error({.key = "../0"}), HasSubstr("has no storage '../0'"));
  EXPECT_THAT(error({.count = 5}), HasSubstr("a storage of 20 bytes is promised but it has 16"));
  EXPECT_THAT(error({.count = -1}), HasSubstr("has -1 elements"));
  EXPECT_THAT(error({.count = INT64_MAX}), HasSubstr("has 9223372036854775807 elements"));
  EXPECT_THAT(error({.storage_class = "DoubleStorage", .count = INT64_MAX}), HasSubstr("elements"));
  EXPECT_THAT(error({.storage_class = "ComplexFloatStorage"}),
              HasSubstr("storage '0' is a torch.ComplexFloatStorage, whose elements are not supported"));
  EXPECT_THAT(error({.storage_class = "QUInt4x2Storage"}), HasSubstr("QUInt4x2Storage"));
  PickleWriter both;
  both.mark();
  PickledTensor().write(both);
  PickledTensor{.storage_class = "IntStorage"}.write(both);
  both.tuple();
  EXPECT_THAT(pickle_error(both.finish()),
              HasSubstr("storage '0' is 4 elements of torch.FloatStorage and also 4 of torch.IntStorage"));
}

TEST(TorchHostile, TensorsThatLeaveTheirStorage) {
  const auto error = [](PickledTensor t) { return pickle_error(t.pickle()); };
  EXPECT_THAT(error({.offset = 1}), HasSubstr("leaves its storage of 4 elements"));
  EXPECT_THAT(error({.offset = -1}), HasSubstr("leaves its storage"));
  EXPECT_THAT(error({.offset = INT64_MAX}), HasSubstr("leaves its storage"));
  EXPECT_THAT(error({.sizes = {5}}), HasSubstr("leaves its storage"));
  EXPECT_THAT(error({.strides = {2}}), HasSubstr("leaves its storage"));
  EXPECT_THAT(error({.strides = {INT64_MAX}}), HasSubstr("leaves its storage"));
  EXPECT_THAT(error({.strides = {-1}}), HasSubstr("a size or stride of -1"));
  EXPECT_THAT(error({.sizes = {-4}}), HasSubstr("a size or stride of -4"));
  EXPECT_THAT(error({.sizes = {2, 2}}), HasSubstr("has sizes (2, 2) but strides (1,)"));
  EXPECT_THAT(error({.sizes = {1, 1, 1, 1, 1, 1, 1, 1, 1}, .strides = {1, 1, 1, 1, 1, 1, 1, 1, 1}}),
              HasSubstr("has 9 dimensions, expected at most 8"));
  EXPECT_THAT(error({.sizes = {INT64_MAX, 2}, .strides = {0, 0}}), HasSubstr("a tensor has sizes"));
  // Small in the file, and not when written out.
  EXPECT_THAT(error({.sizes = {1 << 20, 1 << 20}, .strides = {0, 0}}),
              HasSubstr("take more than a file of that size"));
}

TEST(TorchHostile, QuantizersThatDoNotFit) {
  const auto per_tensor = [](double scale, std::int64_t zero_point) {
    return pickle_error(PickledTensor{
        .storage_class = "QInt32Storage", .quantizer = [=](PickleWriter& p) {
          p.mark();
          p.global("torch", "per_tensor_affine");
          p.real(scale);
          p.integer(zero_point);
          p.tuple();
        }}.pickle());
  };
  EXPECT_THAT(per_tensor(0, 0), HasSubstr("scale"));
  EXPECT_THAT(per_tensor(-1, 0), HasSubstr("scale"));
  EXPECT_THAT(per_tensor(std::numeric_limits<double>::quiet_NaN(), 0), HasSubstr("scale"));
  EXPECT_THAT(per_tensor(1, std::int64_t{1} << 40), HasSubstr("zero_point 1099511627776 is outside"));
  const auto per_channel = [](const char* scheme, auto scales, std::int64_t axis) {
    return pickle_error(PickledTensor{
        .storage_class = "QInt32Storage", .quantizer = [=](PickleWriter& p) {
          p.mark();
          p.global("torch", scheme);
          scales(p);
          p.tuple_of(std::vector<std::int64_t>{0, 0, 0, 0});
          p.integer(axis);
          p.tuple();
        }}.pickle());
  };
  const auto four = [](PickleWriter& p) { p.tuple_of(std::vector<std::int64_t>{1, 1, 1, 1}); };
  const auto three = [](PickleWriter& p) { p.tuple_of(std::vector<std::int64_t>{1, 1, 1}); };
  const auto text = [](PickleWriter& p) { p.text("1111"); };
  EXPECT_THAT(per_channel("per_channel_affine", three, 0), HasSubstr("scales"));
  EXPECT_THAT(per_channel("per_channel_affine", four, 1), HasSubstr("axis"));
  EXPECT_THAT(per_channel("per_channel_affine", four, 9), HasSubstr("along axis 9"));
  EXPECT_THAT(per_channel("per_channel_affine", text, 0), HasSubstr("neither a tensor nor a list"));
  EXPECT_THAT(per_channel("per_channel_affine_float_qparams", four, 0),
              HasSubstr("is quantized by torch.per_channel_affine_float_qparams"));
  EXPECT_THAT(pickle_error(PickledTensor{.storage_class = "QInt32Storage"}.pickle()),
              HasSubstr("a tensor of qint32 has no quantization parameters"));
}

TEST(TorchHostile, ValuesThatContainThemselves) {
  EXPECT_THAT(pickle_error(raw("]q\x01h\x01"
                               "a")),
              HasSubstr("contains itself"));
  EXPECT_THAT(pickle_error(raw("}q\x01" + text_op("me") + "h\x01s")), HasSubstr("'me' contains itself"));
  // A module that is its own child.
  const std::string module = global_op("torch.nn.modules.container", "Sequential") + ")\x81q\x01}" +
                             text_op("_modules") + "}" + text_op("child") + "h\x01ss" + "b";
  EXPECT_THAT(pickle_error(raw(module)), HasSubstr("'child' contains itself"));
}

TEST(TorchHostile, NestedOrSharedWithoutBound) {
  // Lists in lists, one level for each byte.
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "(";
  for (int i = 0; i < 100000; ++i) deep += "t";
  EXPECT_THAT(pickle_error(raw(deep), 16 << 20), HasSubstr("nested more than 200 deep"));
  // Each list holds the one before it twice: 2^60 numbers in three hundred bytes.
  std::string shared = "N";
  for (int i = 0; i < 60; ++i) {
    shared += std::string("q") + static_cast<char>(i + 1);
    shared += std::string("0]h") + static_cast<char>(i + 1) + "ah" + static_cast<char>(i + 1) + "a";
  }
  EXPECT_THAT(pickle_error(raw(shared), 64 << 20), HasSubstr("shared so often that they never end"));
  // One tensor of a megabyte under ten thousand names.
  PickleWriter p;
  p.op('(');
  const PickledTensor large{.count = 1 << 18, .sizes = {1 << 18}};
  large.write(p);
  std::string pickle = p.finish();
  pickle.pop_back();
  pickle += std::string("r\0\0\0\0", 5);
  for (int i = 0; i < 10000; ++i) pickle += std::string("j\0\0\0\0", 5);
  EXPECT_THAT(torch_error(torch_archive(pickle + "t.", {{"0", std::string(1 << 20, '\0')}}), 4 << 20),
              HasSubstr("take more than a file of that size"));
}

TEST(TorchHostile, CopiesThatGrow) {
  // Dicts made of one list of pairs over and over.
  std::string pickle = "(]q\x01(";
  for (int i = 0; i < 2000; ++i) pickle += "NN\x86";
  pickle += "e0";
  const std::string copy = "h\x02h\x01\x85R";
  pickle = global_op("collections", "OrderedDict") + "q\x02" + "0" + pickle;
  for (int i = 0; i < 20000; ++i) pickle += copy;
  EXPECT_THAT(pickle_error(raw(pickle + "t"), 64 << 20), HasSubstr("values"));
}

TEST(TorchHostile, MoreValuesThanBytesCouldHold) {
  // A file of nothing but empty lists.
  const std::string lists = raw("(" + std::string(3 << 20, ']') + "l");
  EXPECT_THAT(pickle_error(lists, 32 << 20), HasSubstr("has more than 1835"));
  // What is one value for all does not count.
  const std::string nones = raw("(" + std::string(1 << 20, 'N') + "l");
  EXPECT_THAT(pickle_error(raw("}" + text_op("x") + nones.substr(2, nones.size() - 3) + "s"), 64 << 20),
              HasSubstr("has more than 131072 entries"));
}

TEST(TorchHostile, PicklesThatDoNotHoldTogether) {
  EXPECT_THAT(pickle_error(raw("")), HasSubstr("takes a value that is not there"));
  EXPECT_THAT(pickle_error(raw("t")), HasSubstr("takes a mark that is not there"));
  EXPECT_THAT(pickle_error(raw("N(\x85")), HasSubstr("takes a value that is not there"));
  EXPECT_THAT(pickle_error(raw("h\x05")), HasSubstr("reads memo 5, which is empty"));
  EXPECT_THAT(pickle_error(raw(std::string("Nr\xff\xff\xff\x7f", 6))), HasSubstr("no number for a memo"));
  EXPECT_THAT(pickle_error(raw("NNs")), HasSubstr("takes a value that is not there"));
  EXPECT_THAT(pickle_error(raw("NNNs")), HasSubstr("SETITEMS does not fit"));
  EXPECT_THAT(pickle_error(raw("NNa")), HasSubstr("appends to what is no list"));
  EXPECT_THAT(pickle_error(raw("}(Nu")), HasSubstr("a key without a value"));
  EXPECT_THAT(pickle_error(raw("N)R")), HasSubstr("REDUCE does not fit"));
  EXPECT_THAT(pickle_error(raw("N)\x81")), HasSubstr("NEWOBJ does not fit"));
  EXPECT_THAT(pickle_error(raw("NNb")), HasSubstr("BUILD does not fit"));
  EXPECT_THAT(pickle_error(raw("NQ")), HasSubstr("is given arguments that it does not take"));
  EXPECT_THAT(pickle_error(raw("I1\n")), HasSubstr("operation 0x49 is none that PyTorch writes"));
  EXPECT_THAT(pickle_error("\x80\x01N."), HasSubstr("pickle of protocol 1, expected 2 to 5"));
  EXPECT_THAT(pickle_error("\x80\x06N."), HasSubstr("pickle of protocol 6"));
  EXPECT_THAT(pickle_error(raw("N") + "N."), HasSubstr("2 bytes behind its end"));
  EXPECT_THAT(pickle_error(raw("X\xff\xff\xff\xff")), HasSubstr("it is truncated"));
  EXPECT_THAT(pickle_error(raw("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")), HasSubstr("it is truncated"));
  for (const char* function : {"_rebuild_tensor_v2", "_rebuild_qtensor", "_rebuild_parameter",
                               "_rebuild_tensor_v3", "_rebuild_parameter_with_state"}) {
    EXPECT_THAT(pickle_error(raw(global_op("torch._utils", function) + ")R")),
                HasSubstr("is given arguments that it does not take"));
  }
  const std::string from_type = global_op("torch._tensor", "_rebuild_from_type_v2");
  EXPECT_THAT(pickle_error(raw(from_type + "(" + from_type + "N)t" + "R")), HasSubstr("does not take"));
}

TEST(TorchHostile, NamesThatCannotBe) {
  const auto dict = [](const std::vector<std::string>& keys) {
    std::string pickle = "}(";
    for (const std::string& key : keys) pickle += text_op(key) + "N";
    return pickle_error(raw(pickle + "u"));
  };
  EXPECT_THAT(dict({"a", "a"}), HasSubstr("two entries called 'a'"));
  EXPECT_THAT(dict({"a\033[2J"}), HasSubstr(R"('a\x1b[2J' holds a control character)"));
  EXPECT_THAT(dict({std::string(1001, 'a')}), HasSubstr("a name of 1001 letters"));
  EXPECT_THAT(pickle_error(raw("}(" + text_op("a.b") + "N" + text_op("a") + "}" + text_op("b") + "Nsu")),
              HasSubstr("two entries called 'a.b'"));
}

TEST(TorchHostile, ModulesWhoseStateIsAnothers) {
  const std::string conv = global_op("torch.ao.nn.quantized.modules.conv", "Conv2d") + ")\x81";
  EXPECT_THAT(pickle_error(raw(conv + ")b")), HasSubstr("not the 15 fields of a quantized convolution"));
  EXPECT_THAT(pickle_error(raw(conv + "(NNNNNNNNNNNNNNNtb")),
              HasSubstr("in_channels is not what a quantized convolution has there"));
  // (channels in and out, five lists, transposed, groups, mode, weight, bias, scale, zero point, training)
  const auto fifteen = [&](std::int64_t in, std::int64_t groups, const std::string& mode,
                           std::vector<std::int64_t> kernel, bool transposed) {
    PickleWriter p;
    p.global("torch.ao.nn.quantized.modules.conv", "Conv2d");
    p.op(')');
    p.op('\x81');
    p.mark();
    p.integer(in);
    p.integer(2);
    p.tuple_of(kernel);
    for (const std::int64_t v : {1, 0, 1}) p.tuple_of(std::vector<std::int64_t>(kernel.size(), v));
    p.boolean(transposed);
    p.tuple_of(std::vector<std::int64_t>(kernel.size(), 0));
    p.integer(groups);
    p.text(mode);
    PickledTensor().write(p);
    p.none();
    p.real(1.0);
    p.integer(0);
    p.boolean(false);
    p.tuple();
    p.op('b');
    return pickle_error(p.finish());
  };
  EXPECT_THAT(fifteen(2, 1, "zeros", {1, 1}, false),
              HasSubstr("got a weight of sizes (4,), expected (2, 2, 1, 1)"));
  EXPECT_THAT(fifteen(2, 0, "zeros", {1, 1}, false), HasSubstr("groups"));
  EXPECT_THAT(fifteen(-2, 1, "zeros", {1, 1}, false), HasSubstr("channels"));
  EXPECT_THAT(fifteen(2, 1, "mirror", {1, 1}, false), HasSubstr("mirror"));
  EXPECT_THAT(fifteen(2, 1, "zeros", {1, 1, 1, 1, 1, 1, 1}, false), HasSubstr("kernel_size is not what"));
  EXPECT_THAT(fifteen(2, 1, "zeros", {}, false), HasSubstr("x.pt"));
}

TEST(TorchHostile, PackedParametersThatLie) {
  const auto version3 = [](const std::vector<std::int64_t>& config) {
    PickleWriter p;
    p.mark();
    p.integer(3);
    p.op(']');
    p.mark();
    for (const std::int64_t v : config) p.integer(v);
    p.op('e');
    p.op(']');
    p.mark();
    p.none();
    PickledTensor{.sizes = {1, 1, 2, 2}, .strides = {4, 4, 2, 1}}.write(p);
    p.none();
    p.op('e');
    p.tuple();
    return p.finish();
  };
  EXPECT_THAT(pickle_error(version3({})), HasSubstr("its configuration is not what"));
  EXPECT_THAT(pickle_error(version3({2, 1, 1, 0, 0, 1, 1, 0, 0, 1, 2})), HasSubstr("flags"));
  EXPECT_THAT(pickle_error(version3({INT64_MAX, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0})),
              HasSubstr("its configuration"));
  EXPECT_THAT(pickle_error(version3({2, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0})), HasSubstr("has 0 groups"));
  EXPECT_THAT(pickle_error(version3({2, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0})), HasSubstr("stride"));
  EXPECT_THAT(pickle_error(version3({2, 1, 1, -1, 0, 1, 1, 0, 0, 1, 0})), HasSubstr("padding"));
  EXPECT_THAT(pickle_error(version3({3, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0})),
              HasSubstr("3 spatial dimensions"));
  // A float weight reads as a value and cannot be packed.
  const TorchFile file = decode_torch_file(
      bytes_of(torch_archive(version3({2, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0}), {{"0", std::string(16, '\0')}})));
  ASSERT_EQ(file.packed_params.size(), 1U);
  EXPECT_THROW(file.packed_params[0].prepack(), TypeError);
}

}  // namespace
}  // namespace qconv
