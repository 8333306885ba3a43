// Batches that run sample by sample: which may, and that they give the bytes of the whole batch.
#include "graph/samples.hpp"

#include <atomic>

#include <gtest/gtest.h>

#include <qconv/quantize_network.hpp>

#include "graph/executor.hpp"
#include "graph/random_network.hpp"
#include "support/cache_sizes.hpp"
#include "support/own_pool.hpp"
#include "support/thread_pool.hpp"

namespace qconv {
namespace {

using graph::Plan;
using testing_graph::ChainBuilder;
using testing_graph::ModelBuilder;
using testing_graph::random_tensor;

// Convolutions, a depthwise one among them, up to a classifier or not.
Network chain(std::int64_t size, bool classifier, std::int64_t channels = 8) {
  ChainBuilder builder(5, 3, size);
  builder.conv(channels, 3).conv(channels, 3, "Relu", true).conv(2 * channels, 1, "Clip6");
  if (classifier) builder.classify(7);
  return quantize(builder.load(), std::vector{random_tensor({4, 3, size, size}, 1)});
}

// What the whole batch gives: who watches the layers sees those of the batch.
Tensor run_whole(const Network& network, const Tensor& input) {
  int layers = 0;
  const auto watch = [&](const LayerResult& layer) {
    EXPECT_EQ(layer.output.size(0), input.size(0)) << layer.name;
    ++layers;
  };
  const std::vector<Tensor> outputs = network.run(std::span(&input, 1), {.tap = watch});
  EXPECT_GT(layers, 0);
  return outputs.at(0);
}

struct Plans {
  std::shared_ptr<const Plan> batch, single;
};

Plans plans_of(const Network& network, const Shape& sizes) {
  Shape one = sizes;
  one[0] = 1;
  return {network.executor().plan(std::span(&sizes, 1)), network.executor().plan(std::span(&one, 1))};
}

TEST(Samples, GiveTheBytesOfTheBatch) {
  const auto one = make_own_pool(1);
  const auto three = make_own_pool(3);
  for (const bool classifier : {false, true}) {
    const Network network = chain(12, classifier);
    for (const std::int64_t count : {2, 3, 7}) {
      const Tensor input = random_tensor({count, 3, 12, 12}, 9);
      const Tensor expected = run_whole(network, input);
      const Plans plans = plans_of(network, input.sizes());
      ASSERT_TRUE(graph::samples_are_independent(network.graph(), *plans.batch, *plans.single));
      for (ThreadPool* pool : {one.get(), three.get()}) {
        const PoolScope scope(pool);
        for (const Tensor& layout : {input, input.contiguous(MemoryFormat::channels_last)}) {
          const std::vector<Tensor> outputs =
              network.executor().run_samples(*plans.batch, *plans.single, std::span(&layout, 1));
          ASSERT_EQ(outputs.size(), 1U);
          EXPECT_TRUE(equal(outputs[0], expected))
              << count << " samples, " << pool->num_threads() << " threads";
          EXPECT_EQ(outputs[0].strides(), expected.strides());
        }
      }
    }
  }
}

TEST(Samples, RunAloneWhereTheBatchLeavesTheCache) {
  // One tensor of the batch is larger than the second-level cache.
  std::int64_t size = 128;
  while (2 * 16 * size * size <= cache_sizes().second) size += 64;
  const Network network = chain(size, true, 16);
  const Tensor input = random_tensor({2, 3, size, size}, 3);
  const Plans plans = plans_of(network, input.sizes());
  EXPECT_NE(plans.batch->single, nullptr);
  EXPECT_EQ(plans.single->single, nullptr);
  EXPECT_TRUE(equal(network.run(input), run_whole(network, input)));
  // Memory is that of the samples that run at the same time: both on two threads, one after the other on
  // three.
  for (const std::size_t threads : {1U, 2U, 3U}) {
    const auto pool = make_own_pool(static_cast<int>(threads));
    const PoolScope scope(pool.get());
    const std::size_t copies = threads == 2 ? 2 : 1;
    EXPECT_EQ(network.memory(std::span(&input.sizes(), 1)).peak_bytes,
              copies * plans.single->memory.peak_bytes)
        << threads << " threads";
  }
  // Small ones stay together, and so do those of float networks.
  EXPECT_EQ(plans_of(chain(12, true), {4, 3, 12, 12}).batch->single, nullptr);
  ChainBuilder real(5, 3, size);
  EXPECT_EQ(plans_of(real.conv(16, 3).load(), input.sizes()).batch->single, nullptr);
}

using Finish = std::function<void(ModelBuilder&, onnx::NodeProto&)>;

// Whether samples meet in a network of one node.
bool meet(const std::string& op, const Finish& finish) {
  ModelBuilder builder;
  builder.input("x", {-1, 3, 2, 2});
  finish(builder, builder.node(op, {"x"}, "y"));
  builder.output("y");
  const Network network = builder.load();
  const Plans plans = plans_of(network, {4, 3, 2, 2});
  return !graph::samples_are_independent(network.graph(), *plans.batch, *plans.single);
}

Finish with_axis(std::int64_t axis) {
  return [=](ModelBuilder&, onnx::NodeProto& node) { ModelBuilder::integer(node, "axis", axis); };
}
Finish with(const std::string& attribute, const std::vector<std::int64_t>& values) {
  return [=](ModelBuilder&, onnx::NodeProto& node) { ModelBuilder::ints(node, attribute, values); };
}
Finish with_shape(const std::vector<std::int64_t>& shape) {
  return [=](ModelBuilder& model, onnx::NodeProto& node) {
    model.integers("shape", shape);
    node.add_input("shape");
  };
}
Finish with_constant(const std::vector<std::int64_t>& sizes, std::size_t count) {
  return [=](ModelBuilder& model, onnx::NodeProto& node) {
    model.floats("c", sizes, count);
    node.add_input("c");
  };
}

TEST(Samples, ThatMeetAreFound) {
  EXPECT_FALSE(meet("Relu", [](auto&, auto&) {}));
  EXPECT_FALSE(meet("Softmax", with_axis(1)));
  EXPECT_TRUE(meet("Softmax", with_axis(0)));
  EXPECT_TRUE(meet("Softmax", with_axis(-4)));
  EXPECT_FALSE(meet("Transpose", with("perm", {0, 2, 3, 1})));
  EXPECT_TRUE(meet("Transpose", with("perm", {1, 0, 2, 3})));
  EXPECT_FALSE(meet("ReduceMean", with("axes", {2, 3})));
  EXPECT_TRUE(meet("ReduceMean", with("axes", {0})));
  EXPECT_TRUE(meet("ReduceMean", with("axes", {-4, 1})));
  EXPECT_FALSE(meet("Flatten", with_axis(1)));
  EXPECT_TRUE(meet("Flatten", with_axis(0)));
  EXPECT_TRUE(meet("Flatten", with_axis(2)));
  EXPECT_FALSE(meet("Reshape", with_shape({-1, 12})));
  EXPECT_TRUE(meet("Reshape", with_shape({-1, 6})));
  EXPECT_FALSE(meet("Add", with_constant({3, 1, 1}, 3)));
  EXPECT_FALSE(meet("Add", with_constant({1, 3, 2, 2}, 12)));
  EXPECT_TRUE(meet("Mul", with_constant({2, 1, 1, 1, 1}, 2)));
}

// Counts the tasks that it is given, and runs them.
class CountingPool final : public ThreadPool {
 public:
  int num_threads() const noexcept override { return 2; }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    tasks += count;
    for (std::size_t i = 0; i < count; ++i) task(context, i);
  }
  std::atomic<std::size_t> tasks = 0;
};

// Whatever float layers do, integer ones run on the caller's pool, if there is one.
TEST(Pools, OfTheCallerRunMixedNetworks) {
  ChainBuilder builder(5, 16, 48);
  const Network real = builder.conv(32, 3).conv(32, 3, "Softmax").load();
  const Tensor input = random_tensor({1, 16, 48, 48}, 2);
  const Network mixed = quantize(real, std::vector{input});
  const Tensor expected = mixed.run(input);
  EXPECT_TRUE(runs_on_own_pool());
  CountingPool pool;
  {
    const PoolScope scope(&pool);
    EXPECT_FALSE(runs_on_own_pool());
    EXPECT_TRUE(equal(mixed.run(input), expected));
    EXPECT_GT(pool.tasks, 0U);
  }
  pool.tasks = 0;
  set_thread_pool(&pool);
  EXPECT_FALSE(runs_on_own_pool());
  EXPECT_TRUE(equal(mixed.run(input), expected));
  EXPECT_GT(pool.tasks, 0U);
  set_thread_pool(nullptr);
  EXPECT_TRUE(runs_on_own_pool());
  pool.tasks = 0;
  EXPECT_TRUE(equal(mixed.run(input), expected));
  EXPECT_EQ(pool.tasks, 0U);
}

TEST(Samples, OfABatchOfFixedSizeStayTogether) {
  ModelBuilder builder;
  builder.input("x", {4, 3});
  builder.integers("shape", {3, 4});
  builder.node("Reshape", {"x", "shape"}, "y");
  builder.output("y");
  const Network network = builder.load();
  const Shape sizes{4, 3};
  EXPECT_EQ(network.executor().plan(std::span(&sizes, 1))->single, nullptr);
  EXPECT_EQ(network.run(random_tensor(sizes, 1)).sizes(), (Shape{3, 4}));
}

}  // namespace
}  // namespace qconv
