#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "graph/onnx_builder.hpp"

namespace qconv::testing_graph {

/// Numbers between -1 and 1 that look random, the same every time.
class Numbers {
 public:
  explicit Numbers(unsigned seed) : state_(seed * 2654435761U + 12345U) {}
  float next() {
    state_ = state_ * 1664525U + 1013904223U;
    return static_cast<float>(state_ >> 8) / 8388608.0F - 1.0F;
  }
  std::vector<float> many(std::size_t count, float scale = 1) {
    std::vector<float> values(count);
    for (float& v : values) v = scale * next();
    return values;
  }

 private:
  std::uint32_t state_;
};

inline Tensor random_tensor(const Shape& sizes, unsigned seed) {
  return Tensor::from_data(Numbers(seed).many(static_cast<std::size_t>(sizes.numel())), sizes);
}

/// A network of convolutions, one behind the other, whose channels may be rescaled without changing what it
/// computes.
class ChainBuilder {
 public:
  explicit ChainBuilder(unsigned seed, std::int64_t channels = 3, std::int64_t size = 8)
      : numbers_(seed), channels_(channels) {
    builder_.input("x", {-1, channels, size, size});
  }

  /// 3 x 3 with padding, or 1 x 1, with small biases. `spread` multiplies channel c by spread^(c / (channels
  /// - 1) - 1/2), and the next layer's by the inverse. `activation` is an ONNX operator, "Clip6" or nothing.
  ChainBuilder& conv(std::int64_t outputs, std::int64_t kernel, const std::string& activation = "Relu",
                     bool depthwise = false, float spread = 1) {
    const std::string name = "conv" + std::to_string(++count_);
    const std::int64_t columns = depthwise ? 1 : channels_;
    std::vector<float> weight =
        numbers_.many(static_cast<std::size_t>(outputs * columns * kernel * kernel),
                      1.5F / std::sqrt(static_cast<float>(columns * kernel * kernel)));
    std::vector<float> bias = numbers_.many(static_cast<std::size_t>(outputs), 0.05F);
    const auto taps = static_cast<std::size_t>(kernel * kernel);
    std::vector<float> own(static_cast<std::size_t>(outputs), 1.0F);
    for (std::size_t c = 0; c < own.size(); ++c) {
      own[c] = std::pow(
          spread, own.size() == 1 ? 0.0F : static_cast<float>(c) / static_cast<float>(own.size() - 1) - 0.5F);
      bias[c] *= own[c];
    }
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const std::size_t out = i / taps / static_cast<std::size_t>(columns);
      const std::size_t in = depthwise ? out : i / taps % static_cast<std::size_t>(columns);
      weight[i] *= own[out] / (before_.empty() ? 1.0F : before_[in]);
    }
    before_ = own;
    tensor(name + ".w", {outputs, columns, kernel, kernel}, weight);
    tensor(name + ".b", {outputs}, bias);
    onnx::NodeProto& node = builder_.node("Conv", {value_, name + ".w", name + ".b"}, name);
    if (kernel == 3) ModelBuilder::ints(node, "pads", {1, 1, 1, 1});
    if (depthwise) ModelBuilder::integer(node, "group", outputs);
    channels_ = outputs;
    value_ = name;
    if (activation == "Clip6") {
      if (count_of_limits_++ == 0) {
        tensor("zero", {}, {0.0F});
        tensor("six", {}, {6.0F});
      }
      builder_.node("Clip", {value_, "zero", "six"}, name + ".act");
      value_ = name + ".act";
    } else if (!activation.empty()) {
      builder_.node(activation, {value_}, name + ".act");
      value_ = name + ".act";
    }
    return *this;
  }
  /// Global average pooling and a linear layer.
  ChainBuilder& classify(std::int64_t classes) {
    builder_.node("GlobalAveragePool", {value_}, "pooled");
    builder_.node("Flatten", {"pooled"}, "flat");
    std::vector<float> weight = numbers_.many(static_cast<std::size_t>(classes * channels_));
    for (std::size_t i = 0; i < weight.size(); ++i) {
      weight[i] /= before_[i % static_cast<std::size_t>(channels_)];
    }
    tensor("fc.w", {classes, channels_}, weight);
    tensor("fc.b", {classes}, numbers_.many(static_cast<std::size_t>(classes), 0.01F));
    onnx::NodeProto& node = builder_.node("Gemm", {"flat", "fc.w", "fc.b"}, "scores");
    ModelBuilder::integer(node, "transB", 1);
    value_ = "scores";
    return *this;
  }
  Network load() {
    builder_.output(value_);
    return builder_.load();
  }
  ModelBuilder& builder() { return builder_; }
  void tensor(const std::string& name, const std::vector<std::int64_t>& dims,
              const std::vector<float>& values) {
    onnx::TensorProto& t = builder_.tensor(name, dims, onnx::TensorProto::FLOAT);
    for (const float v : values) t.add_float_data(v);
  }

 private:
  ModelBuilder builder_;
  Numbers numbers_;
  std::int64_t channels_;
  std::string value_ = "x";
  std::vector<float> before_;
  int count_ = 0;
  int count_of_limits_ = 0;
};

}  // namespace qconv::testing_graph
