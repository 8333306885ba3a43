// oneDNN as a peer of the benchmark; compiles with its 2.x and its 3.x interface.
//
//   onednn THREADS [best]
//
// Reads lines of a layer list on standard input and answers each with a line: "ok KERNEL MEDIAN_US MIN_US" or
// "no REASON". The first line is its version. Memory formats are the library's choice, weights are reordered
// beforehand, only the execute call is timed. With "best" every implementation that the library offers for a
// layer is tried, and the fastest is reported.
#include <cstdio>
#include <iostream>
#include <optional>

#include <dnnl.hpp>
#include <omp.h>

#include "peer.hpp"

namespace {

using dnnl::memory;
using peer::Layer;
using peer::Problem;

constexpr bool kVersion3 = DNNL_VERSION_MAJOR >= 3;

struct Answer {
  std::string kernel;
  peer::Timing timing;
};

memory::dims with_spatial(memory::dims sizes, const peer::Sizes& spatial) {
  sizes.insert(sizes.end(), spatial.begin(), spatial.end());
  return sizes;
}

memory::desc any_format(const memory::dims& sizes, memory::data_type type) {
  return {sizes, type, memory::format_tag::any};
}

memory::desc vector_of(std::int64_t count, memory::data_type type) {
  return {{count}, type, memory::format_tag::x};
}

// Dense and channels-last: (N, C, spatial...) in the order N, spatial, C.
memory::desc channels_last(const memory::dims& sizes) {
  memory::dims strides(sizes.size());
  memory::dim step = sizes[1];
  for (std::size_t d = sizes.size(); d-- > 2; step *= sizes[d]) strides[d] = step;
  strides[1] = 1;
  strides[0] = step;
  return {sizes, memory::data_type::u8, strides};
}

memory::dims weight_sizes(const Layer& layer) {
  memory::dims sizes;
  if (layer.groups > 1) sizes.push_back(layer.groups);
  sizes.push_back(layer.out_channels_per_group());
  sizes.push_back(layer.in_channels_per_group());
  return with_spatial(sizes, layer.kernel);
}

// How Problem keeps its weights: [out][kernel][in per group].
memory::desc plain_weights(const Layer& layer) {
  const std::int64_t channels = layer.in_channels_per_group();
  const std::int64_t per_output = peer::product(layer.kernel) * channels;
  memory::dims strides;
  if (layer.groups > 1) strides.push_back(layer.out_channels_per_group() * per_output);
  strides.push_back(per_output);
  strides.push_back(1);
  memory::dims spatial(layer.dimensions());
  memory::dim step = channels;
  for (std::size_t d = layer.dimensions(); d-- > 0; step *= layer.kernel[d]) spatial[d] = step;
  return {weight_sizes(layer), memory::data_type::s8, with_spatial(strides, spatial)};
}

#if DNNL_VERSION_MAJOR >= 3
using ConvolutionDesc = dnnl::convolution_forward::primitive_desc;
using DeconvolutionDesc = dnnl::deconvolution_forward::primitive_desc;
#else
// 2.x makes a descriptor of the operation first; these name its type.
struct ConvolutionDesc : dnnl::convolution_forward::primitive_desc {
  using Operation = dnnl::convolution_forward::desc;
  using dnnl::convolution_forward::primitive_desc::primitive_desc;
};
struct DeconvolutionDesc : dnnl::deconvolution_forward::primitive_desc {
  using Operation = dnnl::deconvolution_forward::desc;
  using dnnl::deconvolution_forward::primitive_desc::primitive_desc;
};
#endif

template <class Desc>
Desc describe(const dnnl::engine& engine, const Layer& layer, [[maybe_unused]] const Problem& problem) {
  const auto u8 = memory::data_type::u8;
  const memory::desc input = any_format(with_spatial({layer.batch, layer.in_channels}, layer.input), u8);
  const memory::desc output = any_format(with_spatial({layer.batch, layer.out_channels}, layer.output), u8);
  const memory::desc weights = any_format(weight_sizes(layer), memory::data_type::s8);
  const memory::desc bias =
      any_format({layer.out_channels}, kVersion3 ? memory::data_type::f32 : memory::data_type::s32);
  memory::dims dilation;
  memory::dims padding_end;
  for (std::size_t d = 0; d < layer.dimensions(); ++d) {
    dilation.push_back(layer.dilation[d] - 1);
    padding_end.push_back(layer.padding[d] - (layer.transposed ? layer.output_padding[d] : 0));
  }
  const auto algorithm =
      layer.transposed ? dnnl::algorithm::deconvolution_direct : dnnl::algorithm::convolution_direct;
  const auto inference = dnnl::prop_kind::forward_inference;
  dnnl::primitive_attr attributes;
#if DNNL_VERSION_MAJOR >= 3
  attributes.set_scales_mask(DNNL_ARG_SRC, 0);
  attributes.set_scales_mask(DNNL_ARG_WEIGHTS, layer.groups > 1 ? 3 : 1);
  attributes.set_scales_mask(DNNL_ARG_DST, 0);
  attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
  attributes.set_zero_points_mask(DNNL_ARG_DST, 0);
  return Desc(engine, inference, algorithm, input, weights, bias, output, layer.stride, dilation,
              layer.padding, padding_end, attributes, true);
#else
  attributes.set_output_scales(2, problem.multiplier);
  attributes.set_zero_points(DNNL_ARG_SRC, 0, {Problem::kInputZeroPoint});
  attributes.set_zero_points(DNNL_ARG_DST, 0, {Problem::kOutputZeroPoint});
  const typename Desc::Operation operation(inference, algorithm, input, weights, bias, output, layer.stride,
                                           dilation, layer.padding, padding_end);
  return Desc(operation, attributes, engine, true);
#endif
}

// Memory of its own for every argument, and the values of Problem in the library's formats.
class Arguments {
 public:
  template <class Desc>
  Arguments(const Desc& desc, const dnnl::engine& engine, dnnl::stream& stream, const Layer& layer,
            Problem& problem)
      : engine_(engine),
        output_(desc.dst_desc(), engine),
        plain_output_(channels_last(with_spatial({layer.batch, layer.out_channels}, layer.output))) {
    const memory::desc plain_input =
        channels_last(with_spatial({layer.batch, layer.in_channels}, layer.input));
    is_channels_last_ = desc.src_desc() == plain_input && desc.dst_desc() == plain_output_;
    add(DNNL_ARG_SRC, reordered(plain_input, problem.input.data(), desc.src_desc(), stream));
    add(DNNL_ARG_WEIGHTS,
        reordered(plain_weights(layer), problem.weights.data(), desc.weights_desc(), stream));
    add(DNNL_ARG_DST, output_);
    if constexpr (kVersion3) {
      for (std::size_t k = 0; k < problem.bias.size(); ++k) {
        bias_.push_back(static_cast<float>(problem.bias[k]) * scales_[0] * problem.weight_scale[k]);
      }
      const auto f32 = memory::data_type::f32;
      const auto s32 = memory::data_type::s32;
      add(DNNL_ARG_BIAS, view(layer.out_channels, f32, bias_.data()));
      add(kScales | DNNL_ARG_SRC, view(1, f32, &scales_[0]));
      add(kScales | DNNL_ARG_WEIGHTS, view(layer.out_channels, f32, problem.weight_scale.data()));
      add(kScales | DNNL_ARG_DST, view(1, f32, &scales_[1]));
      add(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, view(1, s32, &zero_points_[0]));
      add(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST, view(1, s32, &zero_points_[1]));
    } else {
      add(DNNL_ARG_BIAS, view(layer.out_channels, memory::data_type::s32, problem.bias.data()));
    }
  }

  bool is_channels_last() const { return is_channels_last_; }

  void run(const dnnl::primitive& primitive, const dnnl::stream& stream) const {
    if (dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(all_.size()), all_.data()) !=
        dnnl_success) {
      throw std::runtime_error("execution failed");
    }
  }

  std::vector<std::uint8_t> output(dnnl::stream& stream) {
    std::vector<std::uint8_t> values(plain_output_.get_size());
    memory plain(plain_output_, engine_, values.data());
    dnnl::reorder(output_, plain).execute(stream, output_, plain);
    stream.wait();
    return values;
  }

 private:
#if DNNL_VERSION_MAJOR >= 3
  static constexpr int kScales = DNNL_ARG_ATTR_SCALES;
#else
  static constexpr int kScales = 0;
#endif

  void add(int argument, const memory& value) {
    kept_.push_back(value);
    all_.push_back({argument, value.get()});
  }

  memory view(std::int64_t count, memory::data_type type, void* values) {
    return memory(vector_of(count, type), engine_, values);
  }

  memory reordered(const memory::desc& from, void* values, const memory::desc& to, dnnl::stream& stream) {
    memory source(from, engine_, values);
    memory result(to, engine_);
    dnnl::reorder(source, result).execute(stream, source, result);
    stream.wait();
    return result;
  }

  dnnl::engine engine_;
  memory output_;
  memory::desc plain_output_;
  bool is_channels_last_ = false;
  std::vector<float> bias_;
  float scales_[2] = {Problem::kInputScale, Problem::kOutputScale};
  std::int32_t zero_points_[2] = {Problem::kInputZeroPoint, Problem::kOutputZeroPoint};
  std::vector<memory> kept_;
  std::vector<dnnl_exec_arg_t> all_;
};

template <class Desc, class Primitive>
Answer measure(const Layer& layer, bool best) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  Problem problem(layer);
  Desc desc = describe<Desc>(engine, layer, problem);
  if (!desc) throw std::runtime_error("not supported");
  std::optional<Answer> fastest;
  do {
    std::string kernel = desc.impl_info_str();
    const bool is_reference = kernel.find("ref") != std::string::npos;
    if (is_reference && fastest) continue;
    Arguments arguments(desc, engine, stream, layer, problem);
    const Primitive primitive(desc);
    const double first = peer::seconds_of([&] { arguments.run(primitive, stream); });
    if (problem.worst_difference(arguments.output(stream)) > 1) {
      throw std::runtime_error("wrong result by " + kernel);
    }
    if (!arguments.is_channels_last()) kernel += "/own_layout";
    const peer::Timing timing = first > 2 ? peer::Timing{first * 1e6, first * 1e6}
                                          : peer::time_calls([&] { arguments.run(primitive, stream); });
    if (!fastest || timing.min_us < fastest->timing.min_us) fastest = Answer{kernel, timing};
  } while (best && desc.next_impl());
  return *fastest;
}

Answer measure(const Layer& layer, bool best) {
  return layer.transposed ? measure<DeconvolutionDesc, dnnl::deconvolution_forward>(layer, best)
                          : measure<ConvolutionDesc, dnnl::convolution_forward>(layer, best);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  if (threads < 1) {
    std::fprintf(stderr, "usage: onednn THREADS [best]\n");
    return 2;
  }
  const bool best = argc > 2 && std::string(argv[2]) == "best";
  omp_set_num_threads(threads);
  const dnnl_version_t* version = dnnl_version();
  std::printf("%d.%d.%d\n", version->major, version->minor, version->patch);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    try {
      const Answer answer = measure(peer::parse_layer(line), best);
      std::printf("ok %s %.3f %.3f\n", answer.kernel.c_str(), answer.timing.median_us, answer.timing.min_us);
    } catch (const std::exception& error) {
      std::printf("no %s\n", error.what());
    }
    std::fflush(stdout);
  }
  return 0;
}
