// Float convolutions through oneDNN, the honest baseline that int8 is measured against.
#include <limits>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "engines/floating/float_plan.hpp"
#include "engines/floating/openmp.hpp"

namespace qconv::engines {
namespace {

using dnnl::memory;

// Sets the thread count of OpenMP regions that this thread starts; puts the old one back.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
};

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::dims dims_of(const ConvGeometry& g, const Spatial& s) {
  const auto used = g.used(s);
  return {used.begin(), used.end()};
}

memory::dims activation_dims(const ConvGeometry& g, std::int64_t batch, std::int64_t channels,
                             const Spatial& spatial) {
  memory::dims dims{batch, channels};
  for (const std::int64_t s : g.used(spatial)) dims.push_back(s);
  return dims;
}

memory::desc activation(const ConvGeometry& g, std::int64_t batch, std::int64_t channels,
                        const Spatial& spatial) {
  constexpr memory::format_tag tags[] = {memory::format_tag::nwc, memory::format_tag::nhwc,
                                         memory::format_tag::ndhwc};
  return {activation_dims(g, batch, channels, spatial), memory::data_type::f32, tags[g.ndim - 1]};
}

// Row-major strides of `dims`.
memory::dims row_major(const memory::dims& dims) {
  memory::dims strides(dims.size(), 1);
  for (std::size_t d = dims.size() - 1; d > 0; --d) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

// The weights as PyTorch has them, in the dimensions that oneDNN wants: ([groups,] out, in, kernel...). A
// transposed weight has its inputs in front, which is a matter of strides.
memory::desc weights_as_given(const ConvGeometry& g) {
  const std::int64_t in = g.in_channels_per_group();
  const std::int64_t out = g.out_channels_per_group();
  memory::dims given = g.transposed ? memory::dims{g.groups, in, out} : memory::dims{g.groups, out, in};
  for (const std::int64_t k : g.used(g.kernel)) given.push_back(k);
  memory::dims strides = row_major(given);
  if (g.transposed) {
    std::swap(given[1], given[2]);
    std::swap(strides[1], strides[2]);
  }
  if (g.groups == 1) {
    given.erase(given.begin());
    strides.erase(strides.begin());
  }
  return {given, memory::data_type::f32, strides};
}

memory::dims less_one(memory::dims dims) {
  for (auto& d : dims) --d;
  return dims;
}

struct Descriptors {
  memory::desc source, weights, bias, target;
};

dnnl::convolution_forward::primitive_desc describe(const FloatProblem& p, const Descriptors& d,
                                                   const dnnl::primitive_attr& attributes) {
  const ConvGeometry& g = p.geometry;
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference,
                                             dnnl::algorithm::convolution_direct, d.source, d.weights, d.bias,
                                             d.target, dims_of(g, g.stride), less_one(dims_of(g, g.dilation)),
                                             dims_of(g, g.padding_begin), dims_of(g, g.padding_end));
  return {desc, attributes, cpu()};
}

dnnl::deconvolution_forward::primitive_desc describe_transposed(const FloatProblem& p, const Descriptors& d) {
  const ConvGeometry& g = p.geometry;
  // oneDNN knows no output padding: it is less padding, maybe negative, at the end.
  Spatial end = g.padding_end;
  for (std::size_t i = 0; i < 3; ++i) end[i] -= g.output_padding[i];
  const dnnl::deconvolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, d.source, d.weights, d.bias,
      d.target, dims_of(g, g.stride), less_one(dims_of(g, g.dilation)), dims_of(g, g.padding_begin),
      dims_of(g, end));
  return {desc, cpu()};
}

dnnl::primitive_attr attributes_of(const FloatPostOp& post_op, const memory::desc& target) {
  dnnl::post_ops ops;
  if (post_op.add) ops.append_binary(dnnl::algorithm::binary_add, target);
  if (post_op.min == 0.0F && !post_op.max) {
    ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  } else if (post_op.min || post_op.max) {
    ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_clip,
                       post_op.min.value_or(std::numeric_limits<float>::lowest()),
                       post_op.max.value_or(std::numeric_limits<float>::max()));
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

std::int64_t multiply_adds(const FloatProblem& p) {
  const ConvProblem problem{.geometry = p.geometry, .batch = p.batch, .input = p.input};
  return problem.multiply_adds();
}

class OneDnnPlan final : public FloatPlan {
 public:
  OneDnnPlan(const FloatProblem& problem, const float* weight, const float* bias, int threads)
      : problem_(problem), threads_(threads) {
    const ConvGeometry& g = problem.geometry;
    const OpenMpThreads with(threads);
    const memory::desc given = weights_as_given(g);
    Descriptors d{
        activation(g, problem.batch, g.in_channels, problem.input),
        memory::desc(given.dims(), memory::data_type::f32, memory::format_tag::any),
        bias ? memory::desc({g.out_channels}, memory::data_type::f32, memory::format_tag::x) : memory::desc(),
        activation(g, problem.batch, g.out_channels, problem.output())};
    source_ = d.source;
    target_ = d.target;
    if (g.transposed) {
      const auto described = describe_transposed(problem, d);
      adopt(described, dnnl::deconvolution_forward(described));
    } else {
      const auto described = describe(problem, d, attributes_of(problem.post_op, d.target));
      adopt(described, dnnl::convolution_forward(described));
    }
    dnnl::stream stream(cpu());
    // oneDNN takes no pointers to const, though it only reads these.
    const memory from(given, cpu(), const_cast<float*>(weight));
    weights_ = memory(weights_desc_, cpu());
    dnnl::reorder(from, weights_).execute(stream, const_cast<memory&>(from), weights_);
    if (bias) {
      bias_ = memory(d.bias, cpu());
      std::copy(bias, bias + g.out_channels, static_cast<float*>(bias_.get_data_handle()));
    }
    stream.wait();
  }

  std::string kernel() const override { return "onednn " + implementation_; }
  bool fast() const { return implementation_.find("ref") == std::string::npos; }

  void run(const FloatArgs& args, ThreadPool& pool) const override {
    const OpenMpThreads with(threads_);
    dnnl::stream stream(cpu());
    std::unordered_map<int, memory> arguments{
        {DNNL_ARG_SRC, memory(source_, cpu(), const_cast<float*>(args.input))},
        {DNNL_ARG_WEIGHTS, weights_},
        {DNNL_ARG_DST, memory(target_, cpu(), args.output)}};
    if (bias_) arguments.emplace(DNNL_ARG_BIAS, bias_);
    if (scratchpad_.get_size() > 0) arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, cpu()));
    if (args.addend && !problem_.geometry.transposed) {
      arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                        memory(target_, cpu(), const_cast<float*>(args.addend)));
    }
    primitive_.execute(stream, arguments);
    stream.wait();
    if (problem_.geometry.transposed) finish(args, pool);
  }

 private:
  template <class Described, class Primitive>
  void adopt(const Described& described, Primitive primitive) {
    primitive_ = std::move(primitive);
    weights_desc_ = described.weights_desc();
    scratchpad_ = described.scratchpad_desc();
    implementation_ = described.impl_info_str();
  }

  // oneDNN's deconvolutions have no fast post-ops.
  void finish(const FloatArgs& args, ThreadPool& pool) const { apply_post_op(problem_, args, pool); }

  FloatProblem problem_;
  int threads_;
  memory::desc source_, target_, weights_desc_, scratchpad_;
  memory weights_, bias_;
  dnnl::primitive primitive_;
  std::string implementation_;
};

}  // namespace

std::unique_ptr<const FloatPlan> prepare_onednn(const FloatProblem& problem, const float* weight,
                                                const float* bias, int threads) {
  // Less than some microseconds of work is done sooner than threads can meet.
  constexpr std::int64_t kSmall = 500'000;
  if (multiply_adds(problem) < kSmall) threads = 1;
  try {
    auto plan = std::make_unique<OneDnnPlan>(problem, weight, bias, threads);
    if (plan->fast()) return plan;
  } catch (const dnnl::error& e) {
    // Only a problem that oneDNN has no code for is a reason to go elsewhere.
    if (e.status == dnnl_out_of_memory) throw std::bad_alloc();
  }
  return nullptr;
}

std::string onednn_version() {
  const dnnl::version_t* v = dnnl::version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace qconv::engines
