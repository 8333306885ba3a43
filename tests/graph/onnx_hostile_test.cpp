// Models that are wrong, by accident or on purpose: one-line errors, no crash, no large memory.
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/error.hpp>

#include "graph/onnx_builder.hpp"
#include "io/allocation_probe.hpp"
#include "io/onnx.hpp"

namespace qconv {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_graph::ModelBuilder;
using testing_graph::small_conv;

constexpr std::size_t kSmall = std::size_t{20} << 20;

// The error that reading gives; it must be a FileError of one line, and cheap.
template <class Load>
std::string refusal(const Load& load) {
  std::string message = "accepted";
  const std::size_t largest = testing_io::largest_allocation([&] {
    try {
      load();
    } catch (const FileError& e) {
      message = e.what();
    }
  });
  EXPECT_LT(largest, kSmall) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}
std::string refusal(const ModelBuilder& b) {
  return refusal([&] { b.load(); });
}

TEST(HostileOnnx, SmallConvIsFine) { EXPECT_EQ(refusal(small_conv()), "accepted"); }

TEST(HostileOnnx, NotAModel) {
  const std::string text = "this is no model";
  EXPECT_THAT(refusal([&] { Network::from_onnx(std::as_bytes(std::span(text)), "a.onnx"); }),
              HasSubstr("a.onnx: "));
  EXPECT_THAT(refusal([&] { Network::from_onnx({}, "a.onnx"); }), HasSubstr("a.onnx: "));
  EXPECT_THAT(refusal([&] { Network::load("/nonexistent/a.onnx"); }),
              HasSubstr("/nonexistent/a.onnx: there is no such file"));
  EXPECT_THAT(refusal([&] { Network::load("/tmp"); }), HasSubstr("/tmp"));
}

TEST(HostileOnnx, UnknownOperatorsAreNamedBeforeAnythingElse) {
  ModelBuilder b = small_conv();
  b.node("Einsum", {"y"}, "z");
  EXPECT_THAT(refusal(b),
              AllOf(HasSubstr("node 'z_node' (Einsum)"), HasSubstr("AveragePool"), HasSubstr("Unsqueeze")));
  ModelBuilder c = small_conv();
  c.node("Conv", {"y", "w"}, "z").set_domain("com.microsoft");
  EXPECT_THAT(refusal(c), HasSubstr("of the domain 'com.microsoft'"));
}

TEST(HostileOnnx, Opsets) {
  for (const int opset : {0, 10, 22, 1000000}) {
    ModelBuilder b = small_conv();
    b.model.mutable_opset_import(0)->set_version(opset);
    EXPECT_THAT(refusal(b), HasSubstr("from 11 to 21"));
  }
  ModelBuilder b = small_conv();
  b.model.clear_opset_import();
  EXPECT_THAT(refusal(b), HasSubstr("no opset"));
}

TEST(HostileOnnx, NamesThatClash) {
  ModelBuilder twice = small_conv();
  twice.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(twice), HasSubstr("two nodes make the result 'y'"));
  ModelBuilder input = small_conv();
  input.node("Relu", {"y"}, "x");
  EXPECT_NE(refusal(input), "accepted");
  ModelBuilder initializer = small_conv();
  initializer.floats("w", {1}, 1);
  EXPECT_THAT(refusal(initializer), HasSubstr("two things are called 'w'"));
}

TEST(HostileOnnx, MissingThings) {
  ModelBuilder b = small_conv();
  b.graph().mutable_node(0)->set_input(1, "nowhere");
  EXPECT_THAT(refusal(b), AllOf(HasSubstr("node 'y_node' (Conv)"), HasSubstr("'nowhere'")));
  ModelBuilder c = small_conv();
  c.graph().mutable_node(0)->clear_input();
  EXPECT_THAT(refusal(c), HasSubstr("input 1 is missing"));
  ModelBuilder d = small_conv();
  d.graph().mutable_node(0)->clear_output();
  EXPECT_NE(refusal(d), "accepted");
  ModelBuilder e = small_conv();
  e.graph().clear_output();
  EXPECT_THAT(refusal(e), HasSubstr("no outputs"));
  ModelBuilder f = small_conv();
  f.output("nothing");
  EXPECT_THAT(refusal(f), HasSubstr("'nothing'"));
}

TEST(HostileOnnx, Cycles) {
  ModelBuilder b = small_conv();
  b.node("Add", {"y", "c"}, "a");
  b.node("Relu", {"a"}, "c");
  EXPECT_THAT(refusal(b), HasSubstr("cycle"));
  ModelBuilder self = small_conv();
  self.node("Relu", {"r"}, "r");
  EXPECT_THAT(refusal(self), HasSubstr("cycle"));
  // Deep, not cyclic, and in the wrong order: fine.
  ModelBuilder deep = small_conv();
  for (int i = 20000; i > 0; --i) {
    deep.node("Relu", {i == 1 ? "y" : "r" + std::to_string(i - 1)}, "r" + std::to_string(i));
  }
  deep.output("r20000");
  EXPECT_EQ(refusal(deep), "accepted");
}

TEST(HostileOnnx, InitializersOfTheWrongLength) {
  for (const std::size_t count : {0U, 53U, 55U}) {
    ModelBuilder b = small_conv();
    b.graph().clear_initializer();
    b.floats("w", {3, 2, 3, 3}, count);
    EXPECT_THAT(refusal(b), HasSubstr("tensor 'w': sizes (3, 2, 3, 3) ask for 54"));
  }
  ModelBuilder raw = small_conv();
  raw.graph().mutable_initializer(0)->clear_float_data();
  raw.graph().mutable_initializer(0)->set_raw_data(std::string(215, 'x'));
  EXPECT_THAT(refusal(raw), HasSubstr("216 bytes"));
  for (const std::vector<std::int64_t>& dims : {std::vector<std::int64_t>{1LL << 40, 1LL << 40},
                                                {-1, 2},
                                                {1LL << 47, 1},
                                                {0, 1LL << 62, 1LL << 62},
                                                {1, 1, 1, 1, 1, 1, 1, 1, 1}}) {
    ModelBuilder b = small_conv();
    b.floats("huge", dims, 2);
    EXPECT_THAT(refusal(b), HasSubstr("tensor 'huge'"));
  }
  ModelBuilder strange = small_conv();
  strange.tensor("s", {1}, onnx::TensorProto::STRING).add_string_data("x");
  EXPECT_THAT(refusal(strange), HasSubstr("element type 8"));
}

TEST(HostileOnnx, SizesThatDoNotFit) {
  ModelBuilder channels = small_conv();
  channels.graph()
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(1)
      ->set_dim_value(4);
  EXPECT_THAT(refusal(channels), HasSubstr("2 input channels"));
  ModelBuilder rank = small_conv();
  rank.graph()
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim()
      ->RemoveLast();
  EXPECT_THAT(refusal(rank), HasSubstr("4 dimensions"));
  ModelBuilder small = small_conv();
  small.graph()
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(2)
      ->set_dim_value(2);
  EXPECT_THAT(refusal(small), HasSubstr("too small"));
  ModelBuilder large = small_conv();
  large.graph()
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(2)
      ->set_dim_value(1LL << 40);
  EXPECT_THAT(refusal(large), HasSubstr("has a size of"));
}

TEST(HostileOnnx, AttributesOutOfRange) {
  const auto with = [](const std::string& name, const std::vector<std::int64_t>& values) {
    ModelBuilder b = small_conv();
    ModelBuilder::ints(*b.graph().mutable_node(0), name, values);
    return refusal(b);
  };
  EXPECT_THAT(with("strides", {0, 1}), HasSubstr("stride"));
  EXPECT_THAT(with("strides", {1}), HasSubstr("strides has 1 values"));
  EXPECT_THAT(with("strides", {1LL << 40, 1}), HasSubstr("out of range"));
  EXPECT_THAT(with("pads", {-1, 0, 0, 0}), HasSubstr("padding"));
  EXPECT_THAT(with("pads", {0, 0, 0}), HasSubstr("pads has 3 values"));
  EXPECT_THAT(with("dilations", {3, 3}), HasSubstr("too small"));
  EXPECT_THAT(with("kernel_shape", {5, 5}), HasSubstr("kernel_shape"));
  EXPECT_THAT(with("group", {2}), HasSubstr("not an integer"));
  EXPECT_THAT(with("strides", std::vector<std::int64_t>(100000, 1)), HasSubstr("100000 values"));
  ModelBuilder groups = small_conv();
  ModelBuilder::integer(*groups.graph().mutable_node(0), "group", 2);
  EXPECT_THAT(refusal(groups), HasSubstr("divisible by groups"));
  ModelBuilder automatic = small_conv();
  ModelBuilder::text(*automatic.graph().mutable_node(0), "auto_pad", "SAME");
  EXPECT_THAT(refusal(automatic), HasSubstr("auto_pad 'SAME'"));
}

TEST(HostileOnnx, WhatIsComputedCannotBeAWeight) {
  ModelBuilder b = small_conv();
  b.input("v", {3, 2, 3, 3});
  b.graph().mutable_node(0)->set_input(1, "v");
  EXPECT_THAT(refusal(b), HasSubstr("the weight must be a constant"));
  ModelBuilder c = small_conv();
  ModelBuilder::integer(c.node("Cast", {"y"}, "z"), "to", onnx::TensorProto::INT64);
  EXPECT_THAT(refusal(c), HasSubstr("on sizes and constants only"));
}

TEST(HostileOnnx, ConstantsThatGrow) {
  ModelBuilder b = small_conv();
  b.integers("shape", {1 << 20, 1 << 20});
  b.node("ConstantOfShape", {"shape"}, "big");
  b.output("big");
  EXPECT_THAT(refusal(b), HasSubstr("too large"));
  ModelBuilder doubling = small_conv();
  doubling.integers("c0", {1, 2});
  for (int i = 0; i < 60; ++i) {
    const std::string from = "c" + std::to_string(i);
    ModelBuilder::integer(doubling.node("Concat", {from, from}, "c" + std::to_string(i + 1)), "axis", 0);
  }
  EXPECT_THAT(refusal(doubling), HasSubstr("too large"));
  ModelBuilder cross = small_conv();
  cross.floats("row", {1, 4000}, 4000);
  cross.floats("column", {4000, 1}, 4000);
  cross.node("Add", {"row", "column"}, "table");
  EXPECT_THAT(refusal(cross), HasSubstr("too large"));
}

TEST(HostileOnnx, RunsThatNeedTooMuchMemory) {
  ModelBuilder b;
  b.input("x", {1, 1, 4, 4});
  b.floats("scales", {4}, 0);
  for (const float s : {1.0F, 1.0F, 20000.0F, 20000.0F}) b.graph().mutable_initializer(0)->add_float_data(s);
  b.node("Resize", {"x", "", "scales"}, "y");
  b.output("y");
  const Network network = b.load();
  const Tensor x = Tensor::zeros({1, 1, 4, 4}, float32);
  const std::size_t largest = testing_io::largest_allocation([&] {
    EXPECT_THAT([&] { network.run(x); }, testing::ThrowsMessage<ValueError>(HasSubstr("max_memory_bytes")));
  });
  EXPECT_LT(largest, kSmall);
}

// What has no elements costs nothing, whatever sizes it has.
TEST(HostileOnnx, HugeSizesOfNothing) {
  ModelBuilder b;
  b.input("x", {1, 0, 4, 4});
  b.floats("scales", {4}, 0);
  for (const float s : {1.0F, 1.0F, 1e8F, 1e8F}) b.graph().mutable_initializer(0)->add_float_data(s);
  ModelBuilder::text(b.node("Resize", {"x", "", "scales"}, "y"), "mode", "cubic");
  b.output("y");
  const Network network = b.load();
  const std::size_t largest = testing_io::largest_allocation([&] {
    EXPECT_EQ(network.run(Tensor::zeros({1, 0, 4, 4}, float32)).numel(), 0);
  });
  EXPECT_LT(largest, kSmall);
}

TEST(HostileOnnx, NamesThatCannotBePrinted) {
  for (const std::string name : {"a\nb", "\x1b[2J", "a\x7f"}) {
    ModelBuilder node = small_conv();
    node.graph().mutable_node(0)->set_name(name);
    EXPECT_THAT(refusal(node), HasSubstr("control character"));
    ModelBuilder input;
    input.input(name, {1, 4});
    input.node("Relu", {name}, "y");
    input.output("y");
    EXPECT_THAT(refusal(input), HasSubstr("control character"));
    ModelBuilder result = small_conv();
    result.node("Relu", {"y"}, name);
    EXPECT_THAT(refusal(result), HasSubstr("control character"));
  }
}

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / "qconv_external";
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model");
    write(folder_ / "secret", std::string(216, '\0'));
    write(folder_ / "model" / "data", std::string(300, '\0'));
    fs::create_symlink(folder_ / "secret", folder_ / "model" / "link");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }

  std::string load(const std::string& location, const std::string& offset = "",
                   const std::string& length = "") {
    ModelBuilder b = small_conv();
    onnx::TensorProto& w = *b.graph().mutable_initializer(0);
    w.clear_float_data();
    w.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto entry = [&](const std::string& key, const std::string& value) {
      if (value.empty()) return;
      w.add_external_data()->set_key(key);
      w.mutable_external_data(w.external_data_size() - 1)->set_value(value);
    };
    entry("location", location);
    entry("offset", offset);
    entry("length", length);
    write(folder_ / "model" / "m.onnx", b.bytes());
    EXPECT_THAT(refusal(b), HasSubstr("another file"));
    return refusal([&] { Network::load(folder_ / "model" / "m.onnx"); });
  }

  fs::path folder_;
};

TEST_F(ExternalData, OnlyFromFilesInsideTheFolder) {
  EXPECT_EQ(load("data"), "accepted");
  EXPECT_EQ(load("data", "84", "216"), "accepted");
  EXPECT_EQ(load("./data", "0"), "accepted");
  EXPECT_THAT(load("data", "85"), HasSubstr("beyond the end"));
  EXPECT_THAT(load("data", "18446744073709551615"), HasSubstr("beyond the end"));
  EXPECT_THAT(load("data", "-1"), HasSubstr("expected a number"));
  EXPECT_THAT(load("data", "0", "100"), HasSubstr("100 bytes"));
  EXPECT_THAT(load("absent"), HasSubstr("no file 'absent'"));
  EXPECT_THAT(load("../secret"), HasSubstr("inside the model's folder"));
  EXPECT_THAT(load("x/../../secret"), HasSubstr("inside the model's folder"));
  EXPECT_THAT(load((folder_ / "secret").string()), HasSubstr("inside the model's folder"));
  EXPECT_THAT(load("link"), HasSubstr("inside the model's folder"));
  EXPECT_THAT(load("."), Not(HasSubstr("accepted")));
  EXPECT_THAT(load("../../../../../../../../dev/zero"), HasSubstr("inside the model's folder"));
}

// x of these sizes through one node; `more` adds to the model and names the other inputs.
template <class More>
ModelBuilder one_node(const std::string& op, const std::vector<std::int64_t>& sizes, const More& more,
                      int opset = 17) {
  ModelBuilder b(opset);
  b.input("x", sizes);
  std::vector<std::string> inputs{"x"};
  for (const std::string& name : more(b)) inputs.push_back(name);
  b.node(op, inputs, "y");
  b.output("y");
  return b;
}

onnx::NodeProto& node_of(ModelBuilder& b) { return *b.graph().mutable_node(0); }

void real(onnx::NodeProto& n, const std::string& name, float value) {
  onnx::AttributeProto& a = *n.add_attribute();
  a.set_name(name);
  a.set_type(onnx::AttributeProto::FLOAT);
  a.set_f(value);
}

TEST(HostileOnnx, SplitsThatDoNotFit) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto with = [](const std::vector<std::int64_t>& lengths, std::int64_t size, int outputs) {
    ModelBuilder b = one_node("Split", {1, size}, [&](ModelBuilder& m) {
      if (lengths.empty()) return std::vector<std::string>{};
      m.integers("lengths", lengths);
      return std::vector<std::string>{"lengths"};
    });
    ModelBuilder::integer(node_of(b), "axis", 1);
    node_of(b).clear_output();
    for (int i = 0; i < outputs; ++i) node_of(b).add_output(i == 0 ? "y" : "y" + std::to_string(i));
    return refusal(b);
  };
  EXPECT_EQ(with({2, 4}, 6, 2), "accepted");
  EXPECT_EQ(with({}, 6, 4), "accepted");
  EXPECT_EQ(with({0, 6}, 6, 2), "accepted");
  EXPECT_EQ(with({}, 2, 5), "accepted");
  EXPECT_THAT(with({-2, 8}, 6, 2), HasSubstr("parts that do not fit a size of 6"));
  EXPECT_THAT(with({2, 5}, 6, 2), HasSubstr("parts that do not fit a size of 6"));
  EXPECT_THAT(with({2, 3}, 6, 2), HasSubstr("the parts make 5 of 6"));
  EXPECT_THAT(with({kMost, kMost}, 6, 2), HasSubstr("out of range"));
  EXPECT_THAT(with({kMost, kMost}, -1, 2), HasSubstr("out of range"));
  EXPECT_EQ(with({1 << 30, 1 << 30}, -1, 2), "accepted");
  EXPECT_THAT(with({-1, 3}, -1, 2), HasSubstr("parts that do not fit"));
  EXPECT_THAT(with({2, 2, 2}, 6, 2), HasSubstr("3 parts for 2 results"));
  EXPECT_THAT(with({}, 6, 0), HasSubstr("the node has no outputs"));
  EXPECT_THAT(with({}, -1, 2), HasSubstr("must be known"));
  ModelBuilder axis = one_node("Split", {1, 6}, [](ModelBuilder&) { return std::vector<std::string>{}; });
  ModelBuilder::integer(node_of(axis), "axis", 2);
  EXPECT_THAT(refusal(axis), HasSubstr("axis 2 is out of range"));
}

// The sizes that a Slice of x (4, 5) gives, or why not.
std::string sliced(const std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& ends,
                   const std::vector<std::int64_t>& axes, const std::vector<std::int64_t>& steps) {
  const ModelBuilder b = one_node("Slice", {4, 5}, [&](ModelBuilder& m) {
    m.integers("starts", starts);
    m.integers("ends", ends);
    m.integers("axes", axes);
    m.integers("steps", steps);
    return std::vector<std::string>{"starts", "ends", "axes", "steps"};
  });
  const std::string refused = refusal(b);
  if (refused != "accepted") return refused;
  return b.load().run(Tensor::zeros({4, 5}, float32)).sizes().to_string();
}

TEST(HostileOnnx, SlicesOfWhatIsComputed) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(sliced({0}, {kMost}, {1}, {2}), "(4, 3)");
  EXPECT_EQ(sliced({kMost}, {kLeast}, {0}, {-1}), "(4, 5)");
  EXPECT_EQ(sliced({-1}, {-100}, {-1}, {-3}), "(4, 2)");
  EXPECT_EQ(sliced({kLeast}, {kMost}, {0}, {1}), "(4, 5)");
  EXPECT_EQ(sliced({kMost}, {kMost}, {0}, {1}), "(0, 5)");
  EXPECT_EQ(sliced({kLeast}, {kLeast}, {0}, {-1}), "(0, 5)");
  EXPECT_EQ(sliced({3}, {1}, {0}, {1}), "(0, 5)");
  EXPECT_EQ(sliced({1}, {4}, {0}, {(1LL << 31) - 1}), "(1, 5)");
  EXPECT_THAT(sliced({0}, {1}, {0}, {0}), HasSubstr("a step of 0 is not possible"));
  EXPECT_THAT(sliced({0}, {1}, {0}, {kLeast}), HasSubstr("is not possible"));
  EXPECT_THAT(sliced({0}, {1}, {2}, {1}), HasSubstr("axis 2 is out of range"));
  EXPECT_THAT(sliced({0}, {1}, {kLeast}, {1}), HasSubstr("out of range"));
  EXPECT_THAT(sliced({0, 0}, {1}, {0}, {1}), HasSubstr("2 starts, 1 ends"));
  EXPECT_THAT(sliced({0, 0, 0}, {1, 1, 1}, {0, 1, 2}, {1, 1, 1}), HasSubstr("out of range"));
}

TEST(HostileOnnx, GathersOutOfRange) {
  const auto with = [](const std::vector<std::int64_t>& index, std::int64_t axis) {
    ModelBuilder b = one_node("Gather", {3, 4}, [&](ModelBuilder& m) {
      m.integers("index", index);
      return std::vector<std::string>{"index"};
    });
    ModelBuilder::integer(node_of(b), "axis", axis);
    return refusal(b);
  };
  EXPECT_EQ(with({0, -4, 3}, 1), "accepted");
  EXPECT_EQ(with({}, 1), "accepted");
  EXPECT_THAT(with({4}, 1), HasSubstr("index 4 is out of range for a size of 4"));
  EXPECT_THAT(with({-5}, -1), HasSubstr("index -5 is out of range"));
  EXPECT_THAT(with({std::numeric_limits<std::int64_t>::min()}, 0), HasSubstr("out of range"));
  EXPECT_THAT(with({0}, 2), HasSubstr("axis 2 is out of range"));
  // Known only when it runs.
  ModelBuilder late = one_node("Gather", {-1, 4}, [&](ModelBuilder& m) {
    m.integers("index", {2});
    return std::vector<std::string>{"index"};
  });
  const Network network = late.load();
  EXPECT_EQ(network.run(Tensor::zeros({3, 4}, float32)).sizes(), (Shape{1, 4}));
  EXPECT_THROW(network.run(Tensor::zeros({2, 4}, float32)), ValueError);
  ModelBuilder computed =
      one_node("Gather", {3, 4}, [](ModelBuilder&) { return std::vector<std::string>{"x"}; });
  EXPECT_THAT(refusal(computed), HasSubstr("the indices must be a constant"));
}

TEST(HostileOnnx, ExpandsToHugeSizes) {
  const auto with = [](const std::vector<std::int64_t>& shape) {
    return one_node("Expand", {1, 3}, [&](ModelBuilder& m) {
      m.integers("shape", shape);
      return std::vector<std::string>{"shape"};
    });
  };
  EXPECT_THAT(refusal(with({1LL << 40, 3})), HasSubstr("too large"));
  EXPECT_THAT(refusal(with({-1, 3})), HasSubstr("a size of -1 is not possible"));
  EXPECT_THAT(refusal(with({2, 4})), HasSubstr("do not fit together"));
  EXPECT_THAT(refusal(with(std::vector<std::int64_t>(9, 1))), HasSubstr("at most 8"));
  EXPECT_EQ(refusal(with({1, 1})), "accepted");
  for (const auto& shape : {std::vector<std::int64_t>{(1LL << 31) - 1, 3},
                            {1 << 30, 1 << 30, 1, 3},
                            {1 << 30, 1 << 30, 1 << 30, 3}}) {
    const std::size_t largest = testing_io::largest_allocation([&] {
      EXPECT_THROW(
          {
            const Network network = with(shape).load();
            network.run(Tensor::zeros({1, 3}, float32));
          },
          Error);
    });
    EXPECT_LT(largest, kSmall);
  }
  ModelBuilder constant = small_conv();
  constant.floats("one", {1}, 1);
  constant.integers("shape", {1 << 20, 1 << 20});
  constant.node("Expand", {"one", "shape"}, "big");
  constant.output("big");
  EXPECT_THAT(refusal(constant), HasSubstr("too large"));
}

TEST(HostileOnnx, MeansOverWrongAxes) {
  for (const int opset : {13, 18}) {
    const auto with = [&](const std::vector<std::int64_t>& axes) {
      ModelBuilder b = one_node(
          "ReduceMean", {2, 3, 4, 5},
          [&](ModelBuilder& m) {
            if (opset < 18) return std::vector<std::string>{};
            m.integers("axes", axes);
            return std::vector<std::string>{"axes"};
          },
          opset);
      if (opset < 18) ModelBuilder::ints(node_of(b), "axes", axes);
      return refusal(b);
    };
    EXPECT_EQ(with({0, -1}), "accepted");
    EXPECT_EQ(with({}), "accepted");
    EXPECT_THAT(with({1, 1}), HasSubstr("twice"));
    EXPECT_THAT(with({1, -3}), HasSubstr("twice"));
    EXPECT_THAT(with({2, 2}), HasSubstr("twice"));
    EXPECT_THAT(with({4}), HasSubstr("axis 4 is out of range"));
    EXPECT_THAT(with({-5}), HasSubstr("axis -5 is out of range"));
    EXPECT_THAT(with({-8}), HasSubstr("axis -8 is out of range"));
  }
}

TEST(HostileOnnx, NormalizationsThatDoNotFit) {
  const auto norm = [](const std::string& op, std::int64_t scale, std::int64_t bias, int opset,
                       std::int64_t groups = -1) {
    ModelBuilder b = one_node(
        op, {2, 4, 3, 6},
        [&](ModelBuilder& m) {
          m.floats("scale", {scale}, static_cast<std::size_t>(scale));
          m.floats("bias", {bias}, static_cast<std::size_t>(bias));
          return std::vector<std::string>{"scale", "bias"};
        },
        opset);
    if (groups >= 0) ModelBuilder::integer(node_of(b), "num_groups", groups);
    return b;
  };
  EXPECT_EQ(refusal(norm("LayerNormalization", 6, 6, 17)), "accepted");
  EXPECT_THAT(refusal(norm("LayerNormalization", 5, 5, 17)), HasSubstr("a scale of 5 elements over axis"));
  EXPECT_THAT(refusal(norm("LayerNormalization", 6, 5, 17)),
              HasSubstr("scale and bias have different sizes"));
  ModelBuilder axis = norm("LayerNormalization", 6, 6, 17);
  ModelBuilder::integer(node_of(axis), "axis", 2);
  EXPECT_THAT(refusal(axis), HasSubstr("normalization over the last dimension is supported"));
  ModelBuilder more = norm("LayerNormalization", 6, 6, 17);
  node_of(more).add_output("mean");
  EXPECT_THAT(refusal(more), HasSubstr("its mean and deviation"));
  for (const float epsilon : {-1.0F, std::nanf(""), HUGE_VALF}) {
    ModelBuilder b = norm("LayerNormalization", 6, 6, 17);
    real(node_of(b), "epsilon", epsilon);
    EXPECT_THAT(refusal(b), HasSubstr("epsilon"));
  }
  EXPECT_EQ(refusal(norm("InstanceNormalization", 4, 4, 17)), "accepted");
  EXPECT_THAT(refusal(norm("InstanceNormalization", 3, 3, 17)),
              HasSubstr("expected an input (N, 3, spatial...)"));
  EXPECT_THAT(refusal(norm("InstanceNormalization", 4, 3, 17)), HasSubstr("different sizes"));
  EXPECT_EQ(refusal(norm("GroupNormalization", 2, 2, 18, 2)), "accepted");
  EXPECT_EQ(refusal(norm("GroupNormalization", 4, 4, 21, 2)), "accepted");
  EXPECT_THAT(refusal(norm("GroupNormalization", 4, 4, 21, 0)), HasSubstr("0 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 4, 4, 21)), HasSubstr("0 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 4, 4, 21, 3)), HasSubstr("3 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 4, 4, 18, 2)), HasSubstr("2 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 3, 3, 18, 3)), HasSubstr("3 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 1, 1, 21, 1)), HasSubstr("1 groups"));
  EXPECT_THAT(refusal(norm("GroupNormalization", 8, 8, 21, 2)), HasSubstr("2 groups"));
}

TEST(HostileOnnx, FunctionsWithWrongParameters) {
  const auto slope = [](const std::vector<std::int64_t>& sizes) {
    return refusal(one_node("PRelu", {2, 3, 4, 4}, [&](ModelBuilder& m) {
      std::size_t count = 1;
      for (const std::int64_t s : sizes) count *= static_cast<std::size_t>(s);
      m.floats("slope", sizes, count);
      return std::vector<std::string>{"slope"};
    }));
  };
  EXPECT_EQ(slope({3, 1, 1}), "accepted");
  EXPECT_EQ(slope({1}), "accepted");
  EXPECT_EQ(slope({}), "accepted");
  EXPECT_THAT(slope({2, 1, 1}), HasSubstr("a slope of sizes (2, 1, 1)"));
  EXPECT_THAT(slope({5, 1, 1, 1, 1}), HasSubstr("a slope of sizes"));
  EXPECT_THAT(slope({1, 1, 1, 1, 1}), HasSubstr("a slope of sizes"));
  EXPECT_THAT(slope({0}), HasSubstr("a slope of sizes"));
  for (const float value : {std::nanf(""), HUGE_VALF}) {
    ModelBuilder pow = one_node("Pow", {2, 3}, [&](ModelBuilder& m) {
      m.tensor("exponent", {}, onnx::TensorProto::FLOAT).add_float_data(value);
      return std::vector<std::string>{"exponent"};
    });
    EXPECT_THAT(refusal(pow), HasSubstr("an exponent of"));
    for (const std::string op : {"Elu", "LeakyRelu", "HardSigmoid"}) {
      ModelBuilder b = one_node(op, {2, 3}, [](ModelBuilder&) { return std::vector<std::string>{}; });
      real(node_of(b), "alpha", value);
      EXPECT_THAT(refusal(b), HasSubstr("must be finite")) << op;
    }
  }
  // Sizes are integers, also where they are known only when it runs.
  ModelBuilder sizes = one_node("Shape", {-1, 3}, [](ModelBuilder&) { return std::vector<std::string>{}; });
  sizes.node("Erf", {"y"}, "z");
  EXPECT_THAT(refusal(sizes), HasSubstr("Erf computes with float32, got int64"));
  ModelBuilder gelu = one_node(
      "Gelu", {2, 3}, [](ModelBuilder&) { return std::vector<std::string>{}; }, 20);
  ModelBuilder::text(node_of(gelu), "approximate", "quick");
  EXPECT_THAT(refusal(gelu), HasSubstr("approximate 'quick' is not known"));
  for (const std::string op : {"Max", "Min", "Mul", "Pow"}) {
    ModelBuilder three = one_node(op, {2, 3}, [](ModelBuilder&) {
      return std::vector<std::string>{"x", "x"};
    });
    EXPECT_THAT(refusal(three), HasSubstr("expected two inputs, got 3")) << op;
    ModelBuilder one = one_node(op, {2, 3}, [](ModelBuilder&) { return std::vector<std::string>{}; });
    EXPECT_NE(refusal(one), "accepted") << op;
    ModelBuilder integers = one_node(op, {2, 3}, [](ModelBuilder& m) {
      m.integers("i", {1, 2, 3});
      return std::vector<std::string>{"i"};
    });
    EXPECT_THAT(refusal(integers), HasSubstr("operands of dtype float32 and int64")) << op;
  }
}

// What passes do must not grow faster than the network.
TEST(HostileOnnx, LongChainsLoadInTime) {
  const auto seconds = [](const std::string& kind, int length) {
    ModelBuilder b(17);
    b.input("x", {1, 2, 2, 2});
    b.tensor("two", {}, onnx::TensorProto::FLOAT).add_float_data(1.0F);
    b.floats("channels", {1, 2, 1, 1}, 2);
    b.floats("w", {2, 2, 1, 1}, 4);
    b.node("Conv", {"x", "w"}, "v0");
    for (int i = 0; i < length; ++i) {
      const std::string from = "v" + std::to_string(i);
      const std::string to = "v" + std::to_string(i + 1);
      if (kind == "Sigmoid" || kind == "Relu" || kind == "Exp") {
        b.node(kind, {from}, to);
      } else if (kind == "Swish") {
        b.node("Sigmoid", {from}, to + "s");
        b.node("Mul", {from, to + "s"}, to);
      } else if (kind == "Square") {
        b.node("Mul", {from, from}, to);
      } else if (kind == "Shared") {
        b.node("Add", {from, "v0"}, to);
      } else if (kind == "Transpose") {
        ModelBuilder::ints(b.node("Transpose", {from}, to), "perm", {0, 2, 3, 1});
      } else if (kind == "Norm") {
        b.node("Mul", {from, "channels"}, to);
      } else {
        b.node(kind, {from, "two"}, to);
      }
    }
    b.output("v" + std::to_string(length));
    const std::string bytes = b.bytes();
    const std::clock_t start = std::clock();
    Network::from_onnx(std::as_bytes(std::span(bytes)), "chain");
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  for (const char* kind :
       {"Sigmoid", "Relu", "Exp", "Swish", "Square", "Shared", "Transpose", "Norm", "Mul", "Add", "Max"}) {
    const double few = seconds(kind, 1000);
    const double many = seconds(kind, 10000);
    EXPECT_LT(many, 30 * few + 0.1) << kind << ": 1000 nodes take " << few << " s, 10000 nodes " << many
                                    << " s";
  }
}

// Damaged copies of good models: an Error or a network, never anything else.
TEST(HostileOnnx, DamagedModels) {
  const fs::path models = fs::path(QCONV_TEST_DATA) / "graph" / "models";
  for (const char* name :
       {"qdq_conv_uint8", "torch_opset11", "unet", "pad_arithmetic", "conv_transpose2d_same", "convnext",
        "shuffle", "group_norm_21", "unary_patterns"}) {
    std::ifstream stream(models / (std::string(name) + ".onnx"), std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(stream)), {});
    std::uint32_t state = 99;
    const auto random = [&](std::size_t below) {
      state = state * 1664525U + 1013904223U;
      return static_cast<std::size_t>(state >> 8) % below;
    };
    for (int i = 0; i < 400; ++i) {
      std::string bytes = good;
      if (i % 4 == 0) {
        bytes.resize(random(bytes.size()));
      } else {
        for (std::size_t flips = 1 + random(4); flips > 0; --flips) {
          bytes[random(bytes.size())] = static_cast<char>(random(256));
        }
      }
      const std::size_t largest = testing_io::largest_allocation([&] {
        try {
          Network::from_onnx(std::as_bytes(std::span(bytes)), name);
        } catch (const FileError& e) {
          EXPECT_EQ(std::string_view(e.what()).find('\n'), std::string_view::npos);
        }
      });
      EXPECT_LT(largest, kSmall) << name << " " << i;
    }
  }
}

}  // namespace
}  // namespace qconv
