#include "engines/native/prepared_depthwise.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "engines/native/epilogue.hpp"
#include "engines/native/kernels/lane_order.hpp"
#include "engines/source_index.hpp"

namespace qconv::engines {
namespace {

// One sub-convolution of this problem. Offsets are bytes from the start of an image, -1 in zero padding.
struct PartPlan {
  const PackedDepthwisePart* packed;
  std::array<std::int64_t, 3> counts;  // outputs along each dimension
  std::array<std::vector<std::int64_t>, 2>
      rows;                          // depth, height: [output][tap], where that row of the input starts
  std::vector<std::int64_t> widths;  // where a position along the width lies, from first_width on
  std::int64_t first_width;
  std::vector<std::int32_t> initial;  // accumulator start, in lane order
};

// Memory of one thread, kept between calls.
struct Scratch {
  std::vector<const std::uint8_t*> pixels;
  std::vector<std::int64_t> output_offsets;
  std::vector<std::size_t> step_columns;
  AlignedBuffer<std::uint8_t> columns;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

class PreparedDepthwise final : public Prepared {
 public:
  PreparedDepthwise(std::shared_ptr<const PackedDepthwise> weights, const ConvProblem& problem,
                    const Requantization& r)
      : weights_(std::move(weights)),
        kernel_(*weights_->kernel_row),
        problem_(problem),
        out_(problem.output()) {
    const std::size_t padded = weights_->blocks * kernel_.block;
    bias_.resize(padded);
    multiplier_.resize(padded, 1.0F);
    for_each_lane([&](std::size_t channel, std::size_t at) {
      bias_[at] = r.bias[channel];
      multiplier_[at] = r.multiplier[channel];
    });
    epilogue_ = common_epilogue(problem, r);
    zeros_.assign(static_cast<std::size_t>(problem.geometry.in_channels),
                  static_cast<std::uint8_t>(r.input_zero_point));
    for (const PackedDepthwisePart& part : weights_->parts) {
      PartPlan plan = plan_part(part);
      if (plan.counts[0] * plan.counts[1] * plan.counts[2] == 0) continue;
      // Modulo 2^32: the whole sum is exact, its terms need not be.
      const auto za = static_cast<std::uint32_t>(raw_zero_point(problem.input_dtype, r.input_zero_point));
      plan.initial.resize(padded);
      for_each_lane([&](std::size_t channel, std::size_t at) {
        plan.initial[at] = static_cast<std::int32_t>(static_cast<std::uint32_t>(r.integer_bias[channel]) -
                                                     za * static_cast<std::uint32_t>(part.sums[channel]));
      });
      row_tasks_ += static_cast<std::size_t>(problem.batch * plan.counts[0] * plan.counts[1]);
      parts_.push_back(std::move(plan));
    }
    constexpr std::size_t kEnoughTasks = 32;
    ranges_ =
        std::clamp<std::size_t>(kEnoughTasks / std::max<std::size_t>(row_tasks_, 1), 1, weights_->blocks);
  }

  void run(const RunArgs& args, ThreadPool& pool) const override {
    parallel_for(pool, row_tasks_ * ranges_, problem_.multiply_adds(),
                 [&](std::size_t task) { run_task(args, task); });
  }

  std::string explain() const override {
    std::int64_t outputs = 0;
    std::int64_t columns = 0;
    for (const PartPlan& part : parts_) {
      const Phase& width = part.packed->part[2];
      const std::int64_t longest = std::min(stretch(part), part.counts[2]);
      outputs = std::max(outputs, longest);
      if (width.offsets.empty()) continue;
      const auto [least, most] = std::minmax_element(width.offsets.begin(), width.offsets.end());
      columns = std::max(
          columns, part.packed->layout.column_rows * ((longest - 1) * width.stride + *most - *least + 1));
    }
    const std::size_t bytes =
        static_cast<std::size_t>(columns) * depthwise::kStep * (kernel_.block + sizeof(void*));
    return fmt::format(
        "{} channels a block; {} tasks: a row in stretches of {} x 1/{} of {} blocks; {} parts; {}; {} bytes "
        "of scratch",
        kernel_.block, row_tasks_ * ranges_, outputs, ranges_, weights_->blocks, parts_.size(),
        problem_.multiply_adds() < kSmallWork ? "one thread" : "all threads", bytes);
  }

 private:
  // Calls f(channel, its index in arrays of whole blocks in lane order).
  template <class F>
  void for_each_lane(const F& f) const {
    const auto channels = static_cast<std::size_t>(problem_.geometry.out_channels);
    for (std::size_t at = 0; at < weights_->blocks * kernel_.block; ++at) {
      const std::size_t channel =
          at / kernel_.block * kernel_.block + lane_channel(at % kernel_.block, kernel_.block / 4);
      if (channel < channels) f(channel, at);
    }
  }

  PartPlan plan_part(const PackedDepthwisePart& part) const {
    const ConvGeometry& g = problem_.geometry;
    const Spatial& in = problem_.input;
    const PaddingMode mode = g.padding_mode;
    PartPlan plan{&part, {}, {}, {}, 0, {}};
    std::int64_t row_bytes = in[2] * g.in_channels;
    for (const std::size_t d : {1U, 0U}) {
      const Phase& phase = part.part[d];
      plan.counts[d] = phase.count(out_[d]);
      for (std::int64_t i = 0; i < plan.counts[d]; ++i) {
        for (const std::int64_t offset : phase.offsets) {
          const std::int64_t at = padded_index(mode, i * phase.stride + offset, in[d]);
          plan.rows[d].push_back(at < 0 ? -1 : at * row_bytes);
        }
      }
      row_bytes *= in[d];
    }
    const Phase& width = part.part[2];
    plan.counts[2] = width.count(out_[2]);
    if (width.offsets.empty()) return plan;
    const auto [least, most] = std::minmax_element(width.offsets.begin(), width.offsets.end());
    plan.first_width = *least;
    const std::int64_t last = (plan.counts[2] - 1) * width.stride + *most;
    for (std::int64_t i = plan.first_width; i <= last; ++i) {
      const std::int64_t at = padded_index_or_none(mode, i, in[2]);
      plan.widths.push_back(at < 0 ? -1 : at * g.in_channels);
    }
    return plan;
  }

  void run_task(const RunArgs& args, std::size_t task) const {
    const std::size_t range = task % ranges_;
    auto row = static_cast<std::int64_t>(task / ranges_);
    for (const PartPlan& part : parts_) {
      const std::int64_t rows = problem_.batch * part.counts[0] * part.counts[1];
      if (row < rows) return run_row(args, part, row, range);
      row -= rows;
    }
  }

  // How many outputs at a time, so that their columns stay in the first-level cache.
  std::int64_t stretch(const PartPlan& part) const {
    constexpr std::int64_t kScratchBytes = 16384;
    const std::int64_t column_bytes = static_cast<std::int64_t>(kernel_.block * depthwise::kStep);
    const std::int64_t per_output =
        std::max<std::int64_t>(part.packed->layout.column_rows * part.packed->part[2].stride, 1);
    return std::max<std::int64_t>(kScratchBytes / (column_bytes * per_output) / 4 * 4, 4);
  }

  // One output row of a part, in stretches.
  void run_row(const RunArgs& args, const PartPlan& part, std::int64_t row, std::size_t range) const {
    const std::int64_t h = row % part.counts[1];
    const std::int64_t d = row / part.counts[1] % part.counts[0];
    const std::int64_t n = row / part.counts[1] / part.counts[0];
    const std::int64_t most = stretch(part);
    for (std::int64_t first = 0; first < part.counts[2]; first += most) {
      run_stretch(args, part, {n, d, h}, first, std::min(most, part.counts[2] - first), range);
    }
  }

  void run_stretch(const RunArgs& args, const PartPlan& part, const std::array<std::int64_t, 3>& at,
                   std::int64_t first, std::int64_t outputs, std::size_t range) const {
    const ConvGeometry& g = problem_.geometry;
    const SubConvolution& sub = part.packed->part;
    Scratch& memory = scratch();
    depthwise::Args call{};
    fill_columns(static_cast<const std::uint8_t*>(args.input), part, at, first, outputs, memory, call);
    call.outputs = static_cast<std::size_t>(outputs);
    call.output_stride = static_cast<std::size_t>(sub[2].stride);
    call.flip = raw_flip(problem_.input_dtype);
    call.epilogue = epilogue_;
    memory.output_offsets.resize(call.outputs);
    const std::int64_t depth = sub[0].begin + at[1] * sub[0].step;
    const std::int64_t height = sub[1].begin + at[2] * sub[1].step;
    const std::int64_t row = ((at[0] * out_[0] + depth) * out_[1] + height) * out_[2];
    for (std::int64_t i = 0; i < outputs; ++i) {
      memory.output_offsets[static_cast<std::size_t>(i)] =
          (row + sub[2].begin + (first + i) * sub[2].step) * g.out_channels;
    }
    call.output_offsets = memory.output_offsets.data();
    for (std::size_t b = range * weights_->blocks / ranges_; b < (range + 1) * weights_->blocks / ranges_;
         ++b) {
      const std::size_t channel = b * kernel_.block;
      call.channels = std::min(kernel_.block, static_cast<std::size_t>(g.out_channels) - channel);
      call.channel_offset = channel;
      call.weights = weights_->values.data() + part.packed->block_offsets[b];
      call.output = static_cast<std::uint8_t*>(args.output) + channel;
      call.addend = args.addend ? static_cast<const std::uint8_t*>(args.addend) + channel : nullptr;
      call.epilogue.initial = part.initial.data() + channel;
      call.epilogue.bias = bias_.data() + channel;
      call.epilogue.multiplier = multiplier_.data() + channel;
      kernel_.run(call);
    }
  }

  // The pointers of every column that a stretch of outputs reads, and which columns its steps start at.
  void fill_columns(const std::uint8_t* input, const PartPlan& part, const std::array<std::int64_t, 3>& at,
                    std::int64_t first, std::int64_t outputs, Scratch& memory, depthwise::Args& call) const {
    const ColumnLayout& layout = part.packed->layout;
    const Phase& width = part.packed->part[2];
    const Spatial& in = problem_.input;
    const std::uint8_t* image = input + at[0] * in[0] * in[1] * in[2] * problem_.geometry.in_channels;
    memory.step_columns.clear();
    memory.pixels.clear();
    call.steps = layout.step_rows.size();
    if (call.steps > 0) {
      // The width positions from the first column to the last, relative to PartPlan::widths.
      const auto [least, most] = std::minmax_element(layout.step_offsets.begin(), layout.step_offsets.end());
      const std::int64_t begin = first * width.stride + *least - part.first_width;
      const std::int64_t count = (outputs - 1) * width.stride + *most - *least + 1;
      memory.pixels.resize(static_cast<std::size_t>(layout.column_rows * count) * depthwise::kStep);
      const std::uint8_t** pixels = memory.pixels.data();
      for (std::int64_t group = 0; group < layout.column_rows; ++group) {
        for (std::size_t t = 0; t < depthwise::kStep; ++t) {
          const auto tap = static_cast<std::int64_t>(t);
          const std::int64_t kernel_row =
              layout.along_width ? group : group * static_cast<std::int64_t>(depthwise::kStep) + tap;
          const std::int64_t shift = layout.along_width ? tap * layout.width_spacing : 0;
          fill_row(input_row(image, part, at, kernel_row), part, begin + shift, count, pixels + t);
        }
        pixels += static_cast<std::size_t>(count) * depthwise::kStep;
      }
      for (std::size_t j = 0; j < call.steps; ++j) {
        memory.step_columns.push_back(
            static_cast<std::size_t>(layout.step_rows[j] * count + layout.step_offsets[j] - *least));
      }
    }
    call.columns = memory.pixels.size() / depthwise::kStep;
    const std::size_t bytes = call.columns * kernel_.block * depthwise::kStep;
    if (memory.columns.size() < bytes) memory.columns = AlignedBuffer<std::uint8_t>(bytes);
    call.pixels = memory.pixels.data();
    call.scratch = memory.columns.data();
    call.step_columns = memory.step_columns.data();
  }

  // Where the input row of a kernel row starts; null when it lies in zero padding, or when there is no such
  // kernel row.
  static const std::uint8_t* input_row(const std::uint8_t* image, const PartPlan& part,
                                       const std::array<std::int64_t, 3>& at, std::int64_t kernel_row) {
    if (kernel_row >= part.packed->layout.kernel_rows) return nullptr;
    const SubConvolution& sub = part.packed->part;
    const auto depths = static_cast<std::int64_t>(sub[0].taps.size());
    const auto heights = static_cast<std::int64_t>(sub[1].taps.size());
    const std::int64_t depth = part.rows[0][static_cast<std::size_t>(at[1] * depths + kernel_row / heights)];
    const std::int64_t height =
        part.rows[1][static_cast<std::size_t>(at[2] * heights + kernel_row % heights)];
    return depth < 0 || height < 0 ? nullptr : image + depth + height;
  }

  // Every fourth pointer: the pixels of an input row at the width positions [begin, begin + count).
  void fill_row(const std::uint8_t* row, const PartPlan& part, std::int64_t begin, std::int64_t count,
                const std::uint8_t** pixels) const {
    const auto positions = static_cast<std::int64_t>(part.widths.size());
    for (std::int64_t i = begin; i < begin + count; ++i, pixels += depthwise::kStep) {
      const std::int64_t width = i >= 0 && i < positions ? part.widths[static_cast<std::size_t>(i)] : -1;
      *pixels = row == nullptr || width < 0 ? zeros_.data() : row + width;
    }
  }

  std::shared_ptr<const PackedDepthwise> weights_;
  const depthwise::Kernel& kernel_;
  ConvProblem problem_;
  Spatial out_;
  std::vector<float> bias_;  // these two in lane order
  std::vector<float> multiplier_;
  Epilogue epilogue_{};
  std::vector<std::uint8_t> zeros_;  // one pixel of padding
  std::vector<PartPlan> parts_;
  std::size_t row_tasks_ = 0;
  std::size_t ranges_ = 1;  // of channel blocks, per output row
};

}  // namespace

std::unique_ptr<const Prepared> prepare_depthwise(std::shared_ptr<const PackedDepthwise> weights,
                                                  const ConvProblem& problem,
                                                  const Requantization& requantization) {
  return std::make_unique<PreparedDepthwise>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
