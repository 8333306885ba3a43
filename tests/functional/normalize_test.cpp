// Normalizations, means, and parts of tensors against plain loops over indices.
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

#include "functional/plain.hpp"
#include "functional/support.hpp"

namespace qconv {
namespace {

using test::for_each_index;
using test::Index;
using test::integers;
using test::random_float;
using test::random_int8;
using testing::HasSubstr;
using testing::ThrowsMessage;

Tensor vector(const std::vector<float>& v) {
  return Tensor::from_data(v, {static_cast<std::int64_t>(v.size())});
}

std::vector<Tensor> in_both_formats(const Tensor& x) {
  std::vector<Tensor> all{x.contiguous()};
  if (x.dim() >= 3 && x.dim() <= 5) all.push_back(x.contiguous(MemoryFormat::channels_last));
  return all;
}

// One number per channel.
struct Channels {
  std::vector<float> mean, var, weight, bias;

  explicit Channels(std::int64_t count) {
    for (std::int64_t c = 0; c < count; ++c) {
      const auto v = static_cast<float>(c);
      mean.push_back(0.25F * v - 1);
      var.push_back(0.5F + 0.1F * v);
      weight.push_back(c % 5 == 4 ? -0.3F : 0.7F + 0.01F * v);
      bias.push_back(0.3F - 0.02F * v);
    }
  }
};

const std::vector<Shape> kImages{
    {2, 5},       {3, 1},          {2, 5, 7},         {2, 33, 3},        {1, 130, 1},
    {2, 3, 4, 5}, {1, 64, 17, 16}, {2, 3, 2, 3, 300}, {2, 1, 3, 2},      {0, 3, 2, 2},
    {2, 0, 3, 3}, {1, 7, 1, 1},    {2, 4, 1, 1, 3},   {1, 2, 2, 2, 2, 2}};

TEST(BatchNorm, OfIntegersIsItsFormula) {
  for (const auto& [dtype, z, zo] :
       {std::tuple{quint8, 0, 255}, {quint8, 255, 3}, {qint8, -128, 127}, {qint8, 4, -9}}) {
    for (const Shape& sizes : kImages) {
      const Channels c(sizes[1]);
      for (const Tensor& x : in_both_formats(random_int8(sizes, dtype, 0.031, z, 1))) {
        for (const bool relu : {false, true}) {
          for (const bool affine : {false, true}) {
            const std::optional<Tensor> weight = affine ? std::optional(vector(c.weight)) : std::nullopt;
            const std::optional<Tensor> bias = affine ? std::optional(vector(c.bias)) : std::nullopt;
            const Tensor y =
                relu ? ops::batch_norm_relu(x, vector(c.mean), vector(c.var), weight, bias, 1e-3, 0.04, zo)
                     : ops::batch_norm(x, vector(c.mean), vector(c.var), weight, bias, 1e-3, 0.04, zo);
            ASSERT_EQ(y.sizes(), sizes);
            ASSERT_EQ(y.is_contiguous(), x.is_contiguous()) << sizes.to_string();
            const auto q = integers(x), got = integers(y);
            for_each_index(sizes, [&, z = z, zo = zo, dtype = dtype](std::size_t i, const Index& at) {
              const auto k = static_cast<std::size_t>(at[1]);
              const double f = (affine ? static_cast<double>(c.weight[k]) : 1.0) /
                               std::sqrt(static_cast<double>(c.var[k]) + 1e-3);
              const auto a = static_cast<float>(f * (0.031 / 0.04));
              const auto b = static_cast<float>(
                  ((affine ? static_cast<double>(c.bias[k]) : 0.0) - static_cast<double>(c.mean[k]) * f) /
                  0.04);
              const float scaled = a * static_cast<float>(q[i] - z);
              ASSERT_EQ(got[i], test::limited(scaled + b, zo, dtype, relu))
                  << sizes.to_string() << " at " << i;
            });
          }
        }
      }
    }
  }
}

TEST(BatchNorm, OfRealsIsItsFormula) {
  for (const Shape& sizes : kImages) {
    const Channels c(sizes[1]);
    for (const Tensor& x : in_both_formats(random_float(sizes, 3))) {
      const Tensor y =
          functional::batch_norm(x, vector(c.mean), vector(c.var), vector(c.weight), vector(c.bias), 1e-3);
      const auto v = x.to_vector<float>(), got = y.to_vector<float>();
      for_each_index(sizes, [&](std::size_t i, const Index& at) {
        const auto k = static_cast<std::size_t>(at[1]);
        const double f = static_cast<double>(c.weight[k]) / std::sqrt(static_cast<double>(c.var[k]) + 1e-3);
        const auto b =
            static_cast<float>(static_cast<double>(c.bias[k]) - static_cast<double>(c.mean[k]) * f);
        const float scaled = v[i] * static_cast<float>(f);
        ASSERT_EQ(got[i], scaled + b) << sizes.to_string();
      });
    }
  }
}

TEST(BatchNorm, ChecksItsArguments) {
  const Tensor q = random_int8({2, 3, 4}, quint8, 0.1, 0, 1);
  const Tensor ones = vector({1, 1, 1});
  const Tensor two = vector({1, 1});
  const auto norm = [&](const Tensor& x, const Tensor& mean, const Tensor& var,
                        const std::optional<Tensor>& weight, const std::optional<Tensor>& bias, double eps,
                        double scale, std::int64_t zero) {
    return [=] { ops::batch_norm(x, mean, var, weight, bias, eps, scale, zero); };
  };
  EXPECT_THAT(norm(q, two, ones, ones, ones, 0, 1, 0),
              ThrowsMessage<ValueError>(HasSubstr("batch_norm: running_mean must have 3 elements")));
  EXPECT_THAT(norm(q, ones, two, ones, ones, 0, 1, 0), ThrowsMessage<ValueError>(HasSubstr("running_var")));
  EXPECT_THAT(norm(q, ones, ones, two, ones, 0, 1, 0), ThrowsMessage<ValueError>(HasSubstr("weight")));
  EXPECT_THAT(norm(q, ones, ones, {}, two, 0, 1, 0), ThrowsMessage<ValueError>(HasSubstr("bias")));
  EXPECT_THAT(norm(q, ones, ones, {}, {}, -1, 1, 0), ThrowsMessage<ValueError>(HasSubstr("eps")));
  EXPECT_THAT(norm(q, ones, ones, {}, {}, 0, 0, 0), ThrowsMessage<ValueError>(HasSubstr("batch_norm")));
  EXPECT_THAT(norm(q, ones, ones, {}, {}, 0, 1, 256), ThrowsMessage<ValueError>(HasSubstr("batch_norm")));
  EXPECT_THAT(norm(q.dequantize(), ones, ones, {}, {}, 0, 1, 0),
              ThrowsMessage<TypeError>(HasSubstr("batch_norm")));
  EXPECT_THAT(norm(random_int8({3}, quint8, 1, 0, 1), ones, ones, {}, {}, 0, 1, 0),
              ThrowsMessage<ValueError>(HasSubstr("(N, C, ...)")));
  EXPECT_THAT([&] { ops::batch_norm_relu(q.dequantize(), ones, ones, {}, {}, 0, 1, 0); },
              ThrowsMessage<TypeError>(HasSubstr("batch_norm_relu")));
}

// (x - mean) / sqrt(var + eps) * gain + shift over the elements that share what `key` says, in double.
template <class Key, class Which>
std::vector<double> normalized(const Tensor& x, const Key& key, const Which& which,
                               const std::vector<float>& gain, const std::vector<float>& shift, double eps) {
  const auto v = x.to_vector<float>();
  std::map<Index, std::vector<double>> groups;
  for_each_index(x.sizes(), [&](std::size_t i, const Index& at) { groups[key(at)].push_back(v[i]); });
  std::vector<double> result(v.size());
  for_each_index(x.sizes(), [&](std::size_t i, const Index& at) {
    const auto& group = groups[key(at)];
    const auto count = static_cast<double>(group.size());
    const double mean = std::accumulate(group.begin(), group.end(), 0.0) / count;
    double squares = 0;
    for (const double e : group) squares += (e - mean) * (e - mean);
    const std::size_t k = which(at);
    result[i] =
        (static_cast<double>(v[i]) - mean) / std::sqrt(squares / count + eps) * static_cast<double>(gain[k]) +
        static_cast<double>(shift[k]);
  });
  return result;
}

void expect_near(const Tensor& y, const std::vector<double>& expected) {
  const auto got = y.to_vector<float>();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], 3e-6 * (1 + std::abs(expected[i])));
}

TEST(LayerNorm, OverAnyDimension) {
  for (const Shape& sizes :
       {Shape{7}, {3, 5}, {2, 3, 4}, {2, 3, 4, 5}, {2, 3, 2, 3, 4}, {1, 130, 2}, {2, 1, 3}, {0, 4}}) {
    for (int dim = -sizes.rank(); dim < sizes.rank(); ++dim) {
      const int at = dim < 0 ? dim + sizes.rank() : dim;
      const Channels c(sizes[at]);
      for (const Tensor& x : in_both_formats(random_float(sizes, 5))) {
        const Tensor y = functional::layer_norm(x, dim, vector(c.weight), vector(c.bias), 1e-4);
        EXPECT_EQ(y.is_contiguous(), x.is_contiguous());
        expect_near(
            y, normalized(
                   x,
                   [&](Index i) {
                     i[static_cast<std::size_t>(at)] = 0;
                     return i;
                   },
                   [&](const Index& i) { return static_cast<std::size_t>(i[static_cast<std::size_t>(at)]); },
                   c.weight, c.bias, 1e-4));
      }
    }
  }
  const Tensor x = random_float({2, 3}, 1);
  EXPECT_TRUE(
      equal(functional::layer_norm(x), functional::layer_norm(x, 1, vector({1, 1, 1}), vector({0, 0, 0}))));
  EXPECT_THAT([&] { functional::layer_norm(x, 2); },
              ThrowsMessage<ValueError>(HasSubstr("layer_norm: dimension 2")));
  EXPECT_THAT(
      [&] {
        functional::layer_norm(x, 1, vector({1, 1}));
      },
      ThrowsMessage<ValueError>(HasSubstr("layer_norm: weight must have 3 elements")));
  EXPECT_THAT(
      [&] {
        functional::layer_norm(x, 1, {}, random_float({1, 3}, 1));
      },
      ThrowsMessage<ValueError>(HasSubstr("bias")));
  EXPECT_THAT([&] { functional::layer_norm(x, 1, {}, {}, -1); }, ThrowsMessage<ValueError>(HasSubstr("eps")));
  EXPECT_THAT([&] { functional::layer_norm(Tensor::scalar(1.0F)); },
              ThrowsMessage<ValueError>(HasSubstr("layer_norm")));
  EXPECT_THROW(functional::layer_norm(random_int8({2, 3}, quint8, 1, 0, 1)), TypeError);
}

TEST(InstanceNorm, OverThePositionsOfEachChannel) {
  for (const Shape& sizes :
       {Shape{2, 3, 4}, {2, 3, 4, 5}, {1, 5, 1, 7}, {2, 3, 2, 3, 4}, {1, 2, 2, 2, 2, 2}, {0, 3, 4}}) {
    const Channels c(sizes[1]);
    for (const Tensor& x : in_both_formats(random_float(sizes, 6))) {
      const Tensor y = functional::instance_norm(x, vector(c.weight), vector(c.bias), 1e-4);
      EXPECT_EQ(y.is_contiguous(), x.is_contiguous());
      expect_near(y,
                  normalized(
                      x,
                      [](const Index& i) {
                        return Index{i[0], i[1]};
                      },
                      [](const Index& i) { return static_cast<std::size_t>(i[1]); }, c.weight, c.bias, 1e-4));
    }
  }
  EXPECT_THAT(
      [&] {
        functional::instance_norm(random_float({2, 3}, 1));
      },
      ThrowsMessage<ValueError>(HasSubstr("instance_norm: expected sizes (N, C, spatial...)")));
  EXPECT_THAT(
      [&] {
        functional::instance_norm(random_float({2, 3, 4}, 1), vector({1}));
      },
      ThrowsMessage<ValueError>(HasSubstr("instance_norm: weight must have 3 elements")));
}

TEST(Mean, OverAnyDimensions) {
  for (const Shape& sizes : {Shape{5}, {3, 4}, {2, 3, 4}, {2, 3, 4, 5}, {2, 1, 3, 2, 2}, {2, 0, 3}}) {
    const int rank = sizes.rank();
    for (int mask = 0; mask < 1 << rank; ++mask) {
      std::vector<std::int64_t> dims;
      for (int d = rank - 1; d >= 0; --d) {
        if ((mask >> d & 1) != 0) dims.push_back(d % 2 == 0 ? d : d - rank);
      }
      const bool all = dims.empty();
      Shape kept = sizes;
      Shape dropped;
      for (int d = 0; d < rank; ++d) {
        if (all || (mask >> d & 1) != 0) {
          kept[d] = 1;
        } else {
          dropped.push_back(sizes[d]);
        }
      }
      for (const Tensor& x : in_both_formats(random_float(sizes, 8))) {
        const Tensor y = functional::mean(x, dims, true);
        ASSERT_EQ(y.sizes(), kept);
        const Tensor flat = functional::mean(x, dims);
        ASSERT_EQ(flat.sizes(), dropped);
        EXPECT_EQ(flat.to_vector<float>().size(), y.to_vector<float>().size());
        std::vector<double> sums(static_cast<std::size_t>(kept.numel())), counts(sums.size());
        const auto v = x.to_vector<float>();
        for_each_index(sizes, [&](std::size_t i, const Index& at) {
          sums[test::offset(at, kept)] += static_cast<double>(v[i]);
          counts[test::offset(at, kept)] += 1;
        });
        const auto got = y.to_vector<float>();
        for (std::size_t i = 0; i < got.size(); ++i) {
          // Sums of multiples of 1/64 are exact.
          const auto expected = static_cast<float>(sums[i] / counts[i]);
          ASSERT_TRUE(got[i] == expected || (counts[i] == 0 && std::isnan(got[i])))
              << got[i] << " " << expected;
        }
      }
    }
  }
  const Tensor x = random_float({2, 3}, 1);
  const auto mean = [&](std::vector<std::int64_t> dims) { return [=] { functional::mean(x, dims); }; };
  EXPECT_THAT(mean({2}), ThrowsMessage<ValueError>(HasSubstr("mean: dimension 2 is out of range")));
  EXPECT_THAT(mean({-3}), ThrowsMessage<ValueError>(HasSubstr("mean: dimension -3")));
  EXPECT_THAT(mean({1, -1}), ThrowsMessage<ValueError>(HasSubstr("twice")));
}

// What slice, index_select and expand give, against the elements of the input at the indices that `from`
// names.
template <class From>
void expect_picked(const Tensor& x, const Tensor& y, const Shape& sizes, const From& from) {
  ASSERT_EQ(y.sizes(), sizes);
  ASSERT_EQ(y.dtype(), x.dtype());
  const auto values = [](const Tensor& t) {
    if (t.is_quantized()) return integers(t);
    std::vector<int> v;
    for (const float f : t.to_vector<float>()) v.push_back(static_cast<int>(f * 64));
    return v;
  };
  const auto in = values(x), out = values(y);
  for_each_index(sizes, [&](std::size_t i, const Index& at) {
    ASSERT_EQ(out[i], in[test::offset(from(at), x.sizes())]) << i;
  });
  if (x.is_quantized()) {
    EXPECT_EQ(y.qparams(), x.qparams());
  }
}

std::vector<Tensor> of_every_dtype(const Shape& sizes) {
  std::vector<Tensor> all;
  for (const Tensor& t : {random_float(sizes, 1), random_int8(sizes, quint8, 0.1, 9, 2),
                          random_int8(sizes, qint8, 0.2, -3, 3)}) {
    for (const Tensor& f : in_both_formats(t)) all.push_back(f);
  }
  return all;
}

TEST(Slice, TakesEveryStepThElement) {
  struct Case {
    Shape sizes, first, step, count;
  };
  const Case cases[] = {{{9}, {2}, {3}, {3}},
                        {{9}, {8}, {-4}, {3}},
                        {{9}, {0}, {100}, {1}},
                        {{9}, {5}, {-100}, {1}},
                        {{9}, {4}, {1}, {0}},
                        {{9}, {400}, {-1}, {0}},
                        {{}, {}, {}, {}},
                        {{2, 3, 4, 5}, {0, 1, 0, 1}, {1, 1, 2, 3}, {2, 2, 2, 2}},
                        {{2, 3, 4, 5}, {1, 2, 3, 4}, {-1, -1, -1, -2}, {2, 3, 4, 3}},
                        {{2, 3, 4}, {1, 0, 3}, {-1, 1, -3}, {2, 3, 2}},
                        {{1, 2, 3, 4, 2}, {0, 1, 0, 2, 0}, {1, 1, 2, 1, 1}, {1, 1, 2, 2, 2}}};
  for (const Case& c : cases) {
    for (const Tensor& x : of_every_dtype(c.sizes)) {
      const Tensor y = functional::slice(x, c.first, c.step, c.count);
      expect_picked(x, y, c.count, [&](Index at) {
        for (std::size_t d = 0; d < at.size(); ++d)
          at[d] = c.first[static_cast<int>(d)] + at[d] * c.step[static_cast<int>(d)];
        return at;
      });
      if (y.numel() > 1 && x.dim() == 4) {
        EXPECT_EQ(y.is_contiguous(MemoryFormat::channels_last), x.is_contiguous(MemoryFormat::channels_last));
      }
    }
  }
}

TEST(Slice, ChecksItsArguments) {
  const Tensor x = random_float({4, 5}, 1);
  const auto slice = [&](const Shape& first, const Shape& step, const Shape& sizes) {
    return [=] { functional::slice(x, first, step, sizes); };
  };
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(slice({0, 0}, {1, 0}, {1, 1}),
              ThrowsMessage<ValueError>(HasSubstr("slice: the step of dimension 1 is 0")));
  EXPECT_THAT(slice({0}, {1}, {1}), ThrowsMessage<ValueError>(HasSubstr("slice: ")));
  EXPECT_THAT(slice({0, 0}, {1, 1}, {5, 1}), ThrowsMessage<ValueError>(HasSubstr("of a dimension of 4")));
  EXPECT_THAT(slice({-1, 0}, {1, 1}, {1, 1}), ThrowsMessage<ValueError>(HasSubstr("of a dimension of 4")));
  EXPECT_THAT(slice({0, 4}, {1, -2}, {1, 4}), ThrowsMessage<ValueError>(HasSubstr("of a dimension of 5")));
  EXPECT_THAT(slice({0, 0}, {1, 1}, {1, -1}), ThrowsMessage<ValueError>(HasSubstr("slice: ")));
  EXPECT_THAT(slice({1, 0}, {kMost, 1}, {3, 1}), ThrowsMessage<ValueError>(HasSubstr("slice: ")));
  EXPECT_THAT(slice({kMost, 0}, {kMost, 1}, {2, 1}), ThrowsMessage<ValueError>(HasSubstr("slice: ")));
  EXPECT_THROW(functional::slice(Tensor(), {}, {}, {}), ValueError);
}

TEST(IndexSelect, TakesSlicesInOrder) {
  for (const Tensor& x : of_every_dtype({3, 4, 2, 5})) {
    for (int dim = 0; dim < 4; ++dim) {
      for (const std::vector<std::int64_t>& index : {std::vector<std::int64_t>{1, 0, -1, 1}, {-2}, {}}) {
        Shape sizes = x.sizes();
        sizes[dim] = static_cast<std::int64_t>(index.size());
        expect_picked(x, functional::index_select(x, dim, index), sizes, [&](Index at) {
          auto& i = at[static_cast<std::size_t>(dim)];
          i = index[static_cast<std::size_t>(i)];
          if (i < 0) i += x.size(dim);
          return at;
        });
      }
    }
  }
  const Tensor x = random_float({3, 4}, 1);
  const auto select = [&](int dim, std::vector<std::int64_t> index) {
    return [=] { functional::index_select(x, dim, index); };
  };
  EXPECT_THAT(select(1, {4}), ThrowsMessage<ValueError>(HasSubstr("index_select: index 4 is out of range")));
  EXPECT_THAT(select(1, {-5}), ThrowsMessage<ValueError>(HasSubstr("index_select: index -5")));
  EXPECT_THAT(select(1, {std::numeric_limits<std::int64_t>::min()}),
              ThrowsMessage<ValueError>(HasSubstr("index_select")));
  EXPECT_THAT(select(2, {0}), ThrowsMessage<ValueError>(HasSubstr("index_select: dimension 2")));
}

TEST(Expand, RepeatsAsBroadcastingDoes) {
  const std::pair<Shape, Shape> cases[] = {{{}, {3}},
                                           {{1}, {4}},
                                           {{3}, {2, 3}},
                                           {{2, 1, 3}, {2, 4, 3}},
                                           {{3, 1}, {2, 3, 4}},
                                           {{1, 3, 1, 1}, {2, 3, 4, 5}},
                                           {{2, 3, 4, 5}, {2, 3, 4, 5}},
                                           {{1, 2}, {0, 2}},
                                           {{1, 1}, {3, 0}}};
  for (const auto& [from, to] : cases) {
    for (const Tensor& x : of_every_dtype(from)) {
      expect_picked(x, functional::expand(x, to), to, [](const Index& at) { return at; });
    }
  }
  const Tensor x = random_float({2, 3}, 1);
  EXPECT_THAT([&] { functional::expand(x, {3}); }, ThrowsMessage<ValueError>(HasSubstr("expand: ")));
  EXPECT_THAT(
      [&] {
        functional::expand(x, {4, 3});
      },
      ThrowsMessage<ValueError>(HasSubstr("cannot be repeated to")));
  EXPECT_THAT([&] { functional::expand(random_float({1}, 1), {-1}); },
              ThrowsMessage<ValueError>(HasSubstr("")));
}

}  // namespace
}  // namespace qconv
