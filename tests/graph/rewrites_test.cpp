// Functions, scales and transposes: what is recognized, what is not, and that no rewrite changes a result.
#include <cmath>
#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/onnx_builder.hpp"
#include "graph/passes/passes.hpp"
#include "io/onnx.hpp"

namespace qconv::graph {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

// A network under construction: every method returns the name of the result.
class Maker {
 public:
  explicit Maker(int opset = 17) : builder_(opset) {}

  std::string input(const std::vector<std::int64_t>& sizes) {
    const std::string name = "x" + std::to_string(inputs_++);
    builder_.input(name, sizes);
    return name;
  }
  std::string constant(const std::vector<std::int64_t>& sizes, const std::vector<float>& values) {
    const std::string name = fresh("c");
    onnx::TensorProto& t = builder_.tensor(name, sizes, onnx::TensorProto::FLOAT);
    for (const float v : values) t.add_float_data(v);
    return name;
  }
  std::string number(float v) { return constant({}, {v}); }
  // Numbers in [-1.5, 1.5).
  std::string noise(const std::vector<std::int64_t>& sizes) {
    std::vector<float> values(static_cast<std::size_t>(Shape(sizes).numel()));
    for (float& v : values) v = static_cast<float>(random_() % 3000) / 1000.0F - 1.5F;
    return constant(sizes, values);
  }
  std::string node(const std::string& op, const std::vector<std::string>& inputs) {
    std::string name = fresh("v");
    last_ = &builder_.node(op, inputs, name);
    return name;
  }
  std::string clip(const std::string& x, float lo, float hi) {
    return node("Clip", {x, number(lo), number(hi)});
  }
  std::string transpose(const std::string& x, const std::vector<std::int64_t>& permutation) {
    std::string y = node("Transpose", {x});
    testing_graph::ModelBuilder::ints(*last_, "perm", permutation);
    return y;
  }
  std::string hard_sigmoid(const std::string& x, float alpha) {
    std::string y = node("HardSigmoid", {x});
    onnx::AttributeProto& a = *last_->add_attribute();
    a.set_name("alpha");
    a.set_type(onnx::AttributeProto::FLOAT);
    a.set_f(alpha);
    return y;
  }
  void output(const std::string& name) { builder_.output(name); }

  Graph graph() const {
    const std::string bytes = builder_.bytes();
    return io::read_onnx(std::as_bytes(std::span(bytes)), "made");
  }

 private:
  std::string fresh(const std::string& prefix) { return prefix + std::to_string(++count_); }

  testing_graph::ModelBuilder builder_;
  onnx::NodeProto* last_ = nullptr;
  std::mt19937 random_{7};
  int count_ = 0;
  int inputs_ = 0;
};

std::vector<std::string> op_names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.emplace_back(op_name(node.op));
  return names;
}

Graph fused(Graph graph) {
  fuse(graph);
  return graph;
}

// Over [-20, 20], or wherever `reach` says.
std::vector<Tensor> inputs_of(const Graph& graph, float reach = 20) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs) {
    const Shape sizes = *graph.value(id).sizes;
    std::vector<float> values(static_cast<std::size_t>(sizes.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] =
          reach * (2 * static_cast<float>((i * 97) % values.size()) / static_cast<float>(values.size()) - 1) +
          0.013F;
    }
    inputs.push_back(Tensor::from_data(values, sizes));
  }
  return inputs;
}

void expect_same_results(const Graph& before, const Graph& after, float reach = 20) {
  const std::vector<Tensor> inputs = inputs_of(before, reach);
  const auto expected = Network(before, {}).run(inputs);
  const auto actual = Network(after, {}).run(inputs);
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].sizes(), expected[i].sizes());
    const auto a = actual[i].to_vector<float>();
    const auto e = expected[i].to_vector<float>();
    float largest = 0;
    for (const float v : e) largest = std::max(largest, std::abs(v));
    for (std::size_t j = 0; j < a.size(); ++j) ASSERT_NEAR(a[j], e[j], 2e-6F * (10 + largest));
    EXPECT_EQ(after.value(after.outputs[i]).name, before.value(before.outputs[i]).name);
  }
}

using Spelling = std::function<std::string(Maker&, const std::string&)>;

// The operations that remain of a network of one function, after recognize_functions alone.
std::vector<std::string> recognized(const Spelling& spelling,
                                    const std::vector<std::int64_t>& sizes = {1, 401}) {
  Maker m;
  m.output(spelling(m, m.input(sizes)));
  const Graph before = m.graph();
  Graph after = before;
  const auto taken = static_cast<std::size_t>(recognize_functions(after));
  EXPECT_EQ(before.nodes.size() - after.nodes.size(), taken);
  expect_same_results(before, after);
  return op_names_of(after);
}

TEST(RecognizeFunctions, EverySpellingOfSilu) {
  const Spelling spellings[] = {
      [](Maker& m, auto x) {
        return m.node("Mul", {x, m.node("Sigmoid", {x})});
      },
      [](Maker& m, auto x) {
        return m.node("Mul", {m.node("Sigmoid", {x}), x});
      },
      [](Maker& m, auto x) {
        return m.node("Div", {x, m.node("Add", {m.number(1), m.node("Exp", {m.node("Neg", {x})})})});
      },
      [](Maker& m, auto x) {
        const auto sum = m.node("Add", {m.node("Exp", {m.node("Neg", {x})}), m.number(1)});
        return m.node("Mul", {x, m.node("Reciprocal", {sum})});
      },
      [](Maker& m, auto x) {
        const auto sum =
            m.node("Add", {m.node("Exp", {m.node("Mul", {x, m.number(-1)})}), m.constant({1}, {1})});
        return m.node("Mul", {m.node("Div", {m.number(1), sum}), x});
      },
      [](Maker& m, auto x) {
        return m.node("Mul", {m.node("Sigmoid", {m.node("Relu", {x})}), x});
      },
  };
  for (std::size_t i = 0; i + 1 < std::size(spellings); ++i) {
    EXPECT_THAT(recognized(spellings[i]), ElementsAre("Swish")) << i;
  }
  // Only for positive numbers.
  EXPECT_THAT(recognized(spellings[5]), ElementsAre("Relu", "Sigmoid", "Mul"));
}

TEST(RecognizeFunctions, EverySpellingOfHardSwish) {
  const Spelling spellings[] = {
      [](Maker& m, auto x) {
        return m.node("Div",
                      {m.node("Mul", {x, m.clip(m.node("Add", {x, m.number(3)}), 0, 6)}), m.number(6)});
      },
      [](Maker& m, auto x) {
        return m.node("Mul",
                      {x, m.node("Div", {m.clip(m.node("Add", {m.number(3), x}), 0, 6), m.number(6)})});
      },
      [](Maker& m, auto x) {
        return m.node("Mul", {m.hard_sigmoid(x, 1.0F / 6), x});
      },
      [](Maker& m, auto x) {
        const auto clip = m.clip(m.node("Add", {x, m.number(3)}), 0, 6);
        return m.node("Mul", {m.node("Mul", {x, clip}), m.number(1.0F / 6)});
      },
      [](Maker& m, auto x) {
        const auto least = m.node("Max", {m.node("Add", {x, m.number(3)}), m.number(0)});
        return m.node("Div", {m.node("Mul", {m.node("Min", {least, m.number(6)}), x}), m.number(6)});
      },
      [](Maker& m, auto x) {
        const auto line = m.node("Add", {m.node("Div", {x, m.number(6)}), m.number(0.5F)});
        return m.node("Mul", {x, m.clip(line, 0, 1)});
      },
  };
  for (std::size_t i = 0; i < std::size(spellings); ++i) {
    EXPECT_THAT(recognized(spellings[i]), ElementsAre("HardSwish")) << i;
  }
}

std::string erf_of(Maker& m, const std::string& x, float divisor) {
  return m.node("Add", {m.node("Erf", {m.node("Div", {x, m.number(divisor)})}), m.number(1)});
}

TEST(RecognizeFunctions, EverySpellingOfGelu) {
  const float root = std::sqrt(2.0F);
  const Spelling spellings[] = {
      [=](Maker& m, auto x) {
        return m.node("Mul", {m.node("Mul", {x, m.number(0.5F)}), erf_of(m, x, root)});
      },
      [=](Maker& m, auto x) {
        return m.node("Mul", {m.node("Mul", {x, erf_of(m, x, root)}), m.number(0.5F)});
      },
      [=](Maker& m, auto x) {
        return m.node("Mul", {x, m.node("Mul", {m.number(0.5F), erf_of(m, x, root)})});
      },
      [=](Maker& m, auto x) {
        const auto erf = m.node("Erf", {m.node("Mul", {x, m.number(1 / root)})});
        return m.node("Div", {m.node("Mul", {m.node("Add", {m.number(1), erf}), x}), m.number(2)});
      },
  };
  for (std::size_t i = 0; i < std::size(spellings); ++i) {
    Maker m;
    EXPECT_THAT(recognized(spellings[i]), ElementsAre("Gelu")) << i;
    m.output(spellings[i](m, m.input({4})));
    Graph graph = m.graph();
    recognize_functions(graph);
    EXPECT_EQ(std::get<UnaryOp>(graph.nodes[0].op).function.kind, UnaryKind::gelu);
  }
}

TEST(RecognizeFunctions, TheTanhFormOfGelu) {
  const float factor = std::sqrt(2 / 3.14159265F);
  const auto finish = [](Maker& m, const std::string& x, const std::string& inner) {
    return m.node(
        "Mul", {m.node("Mul", {m.number(0.5F), x}), m.node("Add", {m.number(1), m.node("Tanh", {inner})})});
  };
  const Spelling spellings[] = {
      [=](Maker& m, auto x) {
        const auto cube = m.node("Mul", {m.number(0.044715F), m.node("Pow", {x, m.number(3)})});
        return finish(m, x, m.node("Mul", {m.number(factor), m.node("Add", {x, cube})}));
      },
      [=](Maker& m, auto x) {
        const auto cube = m.node("Mul", {m.node("Mul", {m.node("Mul", {x, x}), x}), m.number(0.044715F)});
        return finish(m, x, m.node("Mul", {m.node("Add", {cube, x}), m.number(factor)}));
      },
  };
  for (const Spelling& spelling : spellings) {
    EXPECT_THAT(recognized(spelling), ElementsAre("Gelu"));
    Maker m;
    m.output(spelling(m, m.input({4})));
    Graph graph = m.graph();
    recognize_functions(graph);
    EXPECT_EQ(std::get<UnaryOp>(graph.nodes[0].op).function.kind, UnaryKind::gelu_tanh);
  }
}

TEST(RecognizeFunctions, MishAndWhatIsInIt) {
  const auto softplus = [](Maker& m, const std::string& x) {
    return m.node("Log", {m.node("Add", {m.node("Exp", {x}), m.number(1)})});
  };
  EXPECT_THAT(recognized(softplus), ElementsAre("Softplus"));
  EXPECT_THAT(recognized([](Maker& m, auto x) {
                return m.node("Mul", {x, m.node("Tanh", {m.node("Softplus", {x})})});
              }),
              ElementsAre("Mish"));
  EXPECT_THAT(recognized([&](Maker& m, auto x) {
                return m.node("Mul", {m.node("Tanh", {softplus(m, x)}), x});
              }),
              ElementsAre("Mish"));
  EXPECT_THAT(recognized([](Maker& m, auto x) {
                return m.node("Div", {m.clip(m.node("Add", {x, m.number(3)}), 0, 6), m.number(6)});
              }),
              ElementsAre("HardSigmoid"));
  EXPECT_THAT(recognized([](Maker& m, auto x) {
                const auto sum = m.node("Add", {m.number(1), m.node("Exp", {m.node("Neg", {x})})});
                return m.node("Div", {m.number(1), sum});
              }),
              ElementsAre("Sigmoid"));
}

TEST(RecognizeFunctions, NotWhatIsOnlyNear) {
  const auto gate = [](Maker& m, const std::string& x, const std::string& inner) {
    return m.node("Mul", {x, m.node("Sigmoid", {inner})});
  };
  EXPECT_THAT(recognized([&](Maker& m, auto x) {
                return gate(m, x, m.node("Mul", {x, m.number(1.702F)}));
              }),
              ElementsAre("Mul", "Sigmoid", "Mul"));
  EXPECT_THAT(recognized([&](Maker& m, auto x) {
                return gate(m, x, m.node("Add", {x, m.number(0.001F)}));
              }),
              ElementsAre("Add", "Sigmoid", "Mul"));
  EXPECT_THAT(recognized([&](Maker& m, auto x) { return erf_of(m, x, 1.4F); }),
              ElementsAre("Div", "Erf", "Add"));
  EXPECT_THAT(recognized([](Maker& m, auto x) {
                const auto clip = m.clip(m.node("Add", {x, m.number(3)}), 0, 5.9F);
                return m.node("Div", {m.node("Mul", {x, clip}), m.number(6)});
              }),
              ElementsAre("Add", "Clip", "Mul", "Div"));
  EXPECT_THAT(recognized([](Maker& m, auto x) {
                return m.node("Mul", {x, m.node("Tanh", {x})});
              }),
              ElementsAre("Tanh", "Mul"));
  // A limit beyond the numbers where functions bend is a limit all the same.
  for (const float most : {10.0F, 15.0F, 19.0F}) {
    EXPECT_THAT(recognized([&](Maker& m, auto x) { return m.clip(gate(m, x, x), -1, most); }),
                ElementsAre("Swish", "Clip"))
        << most;
  }
  EXPECT_THAT(recognized([&](Maker& m, auto x) { return m.clip(m.node("Sigmoid", {x}), 0, 2); }),
              ElementsAre("Sigmoid"));
  // A number per channel is none for all.
  EXPECT_THAT(recognized(
                  [&](Maker& m, auto x) {
                    return gate(m, x, m.node("Mul", {x, m.constant({3, 1}, {1, 1, 1})}));
                  },
                  {1, 3, 100}),
              ElementsAre("Mul", "Sigmoid", "Mul"));
  // A constant that adds dimensions.
  EXPECT_THAT(recognized([&](Maker& m, auto x) {
                return gate(m, x, m.node("Mul", {x, m.constant({1, 1, 1}, {1})}));
              }),
              ElementsAre("Mul", "Sigmoid", "Mul"));
}

TEST(RecognizeFunctions, NotWhenTheInsideIsUsedElsewhere) {
  {
    Maker m;  // an output of the network
    const auto x = m.input({1, 9});
    const auto inner = m.node("Sigmoid", {x});
    m.output(m.node("Mul", {x, inner}));
    m.output(inner);
    Graph graph = m.graph();
    EXPECT_EQ(recognize_functions(graph), 0);
  }
  {
    Maker m;  // read by another node
    const auto x = m.input({1, 9});
    const auto inner = m.node("Sigmoid", {x});
    m.output(m.node("Sub", {m.node("Mul", {x, inner}), m.node("Abs", {inner})}));
    const Graph before = m.graph();
    Graph graph = before;
    EXPECT_EQ(recognize_functions(graph), 0);
    expect_same_results(before, graph);
  }
  {
    Maker m;  // two different numbers
    const auto x = m.input({1, 9});
    m.output(m.node("Mul", {x, m.node("Sigmoid", {m.input({1, 9})})}));
    Graph graph = m.graph();
    EXPECT_EQ(recognize_functions(graph), 0);
  }
}

TEST(RecognizeFunctions, OneAfterTheOther) {
  Maker m;
  auto x = m.input({2, 30});
  for (int i = 0; i < 4; ++i) x = m.node("Mul", {x, m.node("Sigmoid", {x})});
  m.output(x);
  const Graph before = m.graph();
  Graph graph = before;
  EXPECT_EQ(recognize_functions(graph), 4);
  EXPECT_THAT(op_names_of(graph), ElementsAre("Swish", "Swish", "Swish", "Swish"));
  expect_same_results(before, graph);
}

TEST(FoldScale, IntoTheConvolutionBefore) {
  Maker m;
  auto x = m.node("Conv", {m.input({1, 3, 5, 5}), m.noise({4, 3, 1, 1})});
  x = m.node("Mul", {x, m.number(0.5F)});
  x = m.node("Sub", {m.noise({4, 1, 1}), x});
  x = m.node("Div", {x, m.number(3)});
  m.output(m.node("Add", {x, m.noise({1, 4, 1, 1})}));
  const Graph before = m.graph();
  Graph after = before;
  EXPECT_GT(fold_scale(after), 0);
  expect_same_results(before, after, 1);
  expect_same_results(before, fused(before), 1);
}

TEST(FoldScale, NumbersBecomeOneFunction) {
  Maker m;
  auto x = m.node("Mul", {m.input({2, 3, 4}), m.number(2)});
  x = m.node("Add", {m.number(3), x});
  x = m.node("Div", {m.node("Sub", {x, m.number(1)}), m.number(4)});
  m.output(m.node("Sub", {m.number(1), x}));
  const Graph before = m.graph();
  Graph after = before;
  fold_scale(after);
  ASSERT_THAT(op_names_of(after), ElementsAre("Affine"));
  EXPECT_EQ(std::get<UnaryOp>(after.nodes[0].op).function, (Unary{UnaryKind::affine, -0.5F, 0.5F}));
  expect_same_results(before, after);
}

TEST(FoldScale, NotIntoNumbersThatOverflow) {
  for (const float factor : {1e30F, 1e-30F}) {
    Maker m;
    auto x = m.node("Mul", {m.input({2, 3, 4}), m.number(1 / factor)});
    x = m.node("Mul", {x, m.number(factor)});
    x = m.node("Mul", {x, m.number(factor)});
    x = m.node("Mul", {x, m.number(1 / factor)});
    m.output(x);
    const Graph before = m.graph();
    Graph after = before;
    fold_scale(after);
    expect_same_results(before, after, 0.01F);
    Maker n;
    n.output(n.node("Mul", {n.node("Mul", {n.input({3}), n.number(factor)}), n.number(factor)}));
    Graph kept = n.graph();
    fold_scale(kept);
    EXPECT_THAT(op_names_of(kept), ElementsAre("Affine", "Affine"));
  }
  Maker zero;
  zero.output(zero.node("Div", {zero.input({3}), zero.number(0)}));
  Graph graph = zero.graph();
  EXPECT_EQ(fold_scale(graph), 0);
}

TEST(FoldScale, NumbersOfOtherDimensionsStay) {
  Maker m;
  const auto x = m.input({2, 3, 4, 5});
  m.output(m.node("Mul", {x, m.noise({5})}));
  m.output(m.node("Mul", {x, m.noise({2, 1, 1, 1})}));
  m.output(m.node("Mul", {x, m.noise({1, 1, 3, 1, 1})}));
  m.output(m.node("Max", {x, m.noise({3, 1, 1})}));
  m.output(m.node("Div", {m.noise({3, 1, 1}), x}));
  const Graph before = m.graph();
  Graph after = before;
  EXPECT_EQ(fold_scale(after), 0);
  expect_same_results(before, fused(before));
}

TEST(FoldScale, ABiasStaysOne) {
  for (const bool wide : {false, true}) {
    Maker m;
    const std::vector<std::int64_t> sizes =
        wide ? std::vector<std::int64_t>{2, 3, 4} : std::vector<std::int64_t>{2, 4};
    m.output(m.node("Add", {m.node("MatMul", {m.input(sizes), m.noise({4, 1})}), m.number(2)}));
    const Graph before = m.graph();
    const Graph after = fused(before);
    EXPECT_THAT(op_names_of(after), ElementsAre("Gemm"));
    expect_same_results(before, after, 1);
  }
}

TEST(MoveTranspose, NoneIsLeftOfAConvNextBlock) {
  for (const int rank : {3, 4, 5}) {
    std::vector<std::int64_t> sizes{2, 4};
    std::vector<std::int64_t> last{0};
    std::vector<std::int64_t> first{0, rank - 1};
    for (int d = 2; d < rank; ++d) {
      sizes.push_back(d + 1);
      last.push_back(d);
      first.push_back(d - 1);
    }
    last.push_back(1);
    Maker m;
    const auto x = m.input(sizes);
    auto y = m.node("LayerNormalization", {m.transpose(x, last), m.noise({4}), m.noise({4})});
    y = m.node("Add", {m.noise({8}), m.node("MatMul", {y, m.noise({4, 8})})});
    y = m.node("Mul", {y, m.node("Sigmoid", {y})});
    y = m.node("Mul", {m.number(0.5F), m.node("MatMul", {y, m.noise({8, 4})})});
    y = m.node("Mul", {m.noise({4}), m.node("Add", {y, m.noise({1, 1, 4})})});
    m.output(m.node("Add", {x, m.transpose(y, first)}));
    const Graph before = m.graph();
    const Graph after = fused(before);
    EXPECT_THAT(op_names_of(after), ElementsAre("LayerNormalization", "Conv", "Swish", "Conv")) << rank;
    expect_same_results(before, after, 2);
  }
}

TEST(MoveTranspose, OutputsKeepTheirNames) {
  Maker m;
  const auto x = m.input({1, 2, 3, 4});
  const auto last = m.transpose(x, {0, 2, 3, 1});
  const auto tanh = m.node("Tanh", {last});
  const auto back = m.transpose(tanh, {0, 3, 1, 2});
  m.output(last);
  m.output(tanh);
  m.output(back);
  m.output(m.node("Relu", {back}));
  const Graph before = m.graph();
  const Graph after = fused(before);
  expect_same_results(before, after);
  const Network network(after, {});
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(network.outputs()[i].name, before.value(before.outputs[i]).name);
}

TEST(MoveTranspose, ReadersOnBothSides) {
  Maker m;
  const auto x = m.input({2, 3, 4, 4});
  const auto last = m.node("LayerNormalization", {m.transpose(x, {0, 2, 3, 1}), m.noise({3}), m.noise({3})});
  const auto first = m.transpose(last, {0, 3, 1, 2});
  m.output(m.node("Mul", {first, x}));
  m.output(m.node("Max", {last, m.noise({4, 3})}));
  m.output(m.transpose(m.node("Abs", {last}), {0, 3, 1, 2}));
  const Graph before = m.graph();
  const Graph after = fused(before);
  expect_same_results(before, after);
  EXPECT_LE(std::ranges::count(op_names_of(after), "Transpose"),
            std::ranges::count(op_names_of(before), "Transpose"));
}

TEST(MoveTranspose, OnlyWhatMayMove) {
  const auto kept = [](const Spelling& spelling, const std::vector<std::int64_t>& sizes) {
    Maker m;
    m.output(spelling(m, m.input(sizes)));
    const Graph before = m.graph();
    const Graph after = fused(before);
    expect_same_results(before, after, 2);
    return op_names_of(after);
  };
  // A constant per position, one with more dimensions, and a permutation that only looks alike.
  EXPECT_THAT(
      kept(
          [](Maker& m, auto x) {
            return m.transpose(m.node("Mul", {m.transpose(x, {0, 2, 3, 1}), m.noise({2, 1})}), {0, 3, 1, 2});
          },
          {1, 3, 2, 2}),
      Contains("Transpose").Times(2));
  EXPECT_THAT(kept(
                  [](Maker& m, auto x) {
                    return m.node("Mul", {m.transpose(x, {0, 2, 3, 1}), m.noise({1, 1, 1, 1, 3})});
                  },
                  {1, 3, 2, 2}),
              Contains("Transpose"));
  EXPECT_THAT(kept(
                  [](Maker& m, auto x) {
                    return m.transpose(m.node("Tanh", {m.transpose(x, {0, 2, 1, 3})}), {0, 3, 1, 2});
                  },
                  {1, 3, 2, 2}),
              Contains("Transpose").Times(2));
  EXPECT_THAT(kept(
                  [](Maker& m, auto x) {
                    return m.transpose(m.node("Softmax", {m.transpose(x, {0, 2, 3, 1})}), {0, 3, 1, 2});
                  },
                  {1, 3, 2, 2}),
              Contains("Transpose").Times(2));
  // One channel, and more dimensions than convolutions have.
  EXPECT_THAT(
      kept(
          [](Maker& m, auto x) {
            return m.transpose(m.node("Add", {m.transpose(x, {0, 2, 3, 1}), m.number(1)}), {0, 3, 1, 2});
          },
          {2, 1, 3, 2}),
      Not(Contains("Transpose")));
  EXPECT_THAT(kept(
                  [](Maker& m, auto x) {
                    return m.node("MatMul", {m.transpose(x, {0, 2, 3, 4, 5, 1}), m.noise({3, 2})});
                  },
                  {1, 3, 2, 1, 2, 2}),
              ElementsAre("Transpose", "Gemm"));
}

// Networks of random operators: fusing changes no result.
TEST(Rewrites, NeverChangeWhatANetworkComputes) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) { return random() % n; };
    Maker m;
    // Values with the channels first and last, of sizes (1, 3, 2, 4) and (1, 2, 4, 3).
    std::vector<std::string> values[2];
    values[0].push_back(m.input({1, 3, 2, 4}));
    values[1].push_back(m.transpose(values[0][0], {0, 2, 3, 1}));
    std::vector<std::string> all;
    for (int step = 0; step < 12; ++step) {
      const std::size_t last = below(2);
      auto& from = values[last];
      // Mostly the newest, so that chains form.
      const auto x = from[below(3) == 0 ? below(from.size()) : from.size() - 1];
      const auto other = from[below(from.size())];
      const std::vector<std::int64_t> channels =
          last == 1 ? std::vector<std::int64_t>{3} : std::vector<std::int64_t>{3, 1, 1};
      std::string y;
      std::size_t to = last;
      switch (below(14)) {
        case 0:
          y = m.node("Mul", {x, m.noise(channels)});
          break;
        case 1:
          y = m.node("Add", {m.noise(channels), x});
          break;
        case 2:
          y = m.node(below(2) == 0 ? "Sub" : "Mul", {m.number(0.75F), x});
          break;
        case 3:
          y = m.node("Div", {x, m.number(2.5F)});
          break;
        case 4:
          y = m.node("Mul", {x, m.node("Sigmoid", {x})});
          break;
        case 5:
          y = m.node("Mul", {m.node("Tanh", {x}), m.node("Tanh", {other})});
          break;
        case 6:
          y = m.node(below(2) == 0 ? "Relu" : "Abs", {x});
          break;
        case 7:
          y = m.clip(x, -1, 2);
          break;
        case 8:
          y = m.node("Add", {x, other});
          break;
        case 9:
          y = last == 1 ? m.node("LayerNormalization", {x, m.noise({3}), m.noise({3})})
                        : m.node("Conv", {x, m.noise({3, 3, 1, 1}), m.noise({3})});
          break;
        case 10:
          y = last == 1 ? m.node("MatMul", {x, m.noise({3, 3})}) : m.node("Conv", {x, m.noise({3, 3, 1, 1})});
          break;
        default:
          y = m.transpose(
              x, last == 1 ? std::vector<std::int64_t>{0, 3, 1, 2} : std::vector<std::int64_t>{0, 2, 3, 1});
          to = 1 - last;
      }
      values[to].push_back(y);
      all.push_back(y);
    }
    m.output(all.back());
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      if (below(6) == 0) m.output(all[i]);
    }
    SCOPED_TRACE(seed);
    const Graph before = m.graph();
    const Graph after = fused(before);
    EXPECT_LE(after.nodes.size(), 2 * before.nodes.size());
    ASSERT_NO_FATAL_FAILURE(expect_same_results(before, after, 2));
    // Nor does a second time, nor writing and reading.
    ASSERT_NO_FATAL_FAILURE(expect_same_results(before, fused(after), 2));
    const std::string bytes = io::write_onnx(after);
    const Graph again = fused(io::read_onnx(std::as_bytes(std::span(bytes)), "again"));
    ASSERT_NO_FATAL_FAILURE(expect_same_results(before, again, 2));
  }
}

}  // namespace
}  // namespace qconv::graph
