#include "engines/native/prepared_depthwise.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "engines/native/epilogue.hpp"
#include "engines/source_index.hpp"

namespace qconv::engines {
namespace {

constexpr auto kStep = static_cast<std::int64_t>(depthwise::kStep);

// A stretch of output rows, whose columns stay in the first-level cache.
struct Stretch {
  std::int64_t first;
  std::int64_t outputs;
  std::vector<depthwise::Run> runs;
  depthwise::Direct direct{};
};

// One sub-convolution of this problem.
struct PartPlan {
  const PackedDepthwisePart* packed;
  AlignedBuffer<std::int32_t> parameters;  // of each block, as Args::parameters
  std::size_t groups = 0;
  std::vector<std::int64_t> rows;  // [depth][height in steps of output_rows][groups][4], as Args::rows
  std::array<std::int64_t, 4> tap_shifts{};
  std::vector<std::size_t> step_columns;
  std::size_t group_columns = 0;
  std::vector<Stretch> stretches;
  std::vector<std::int64_t> border;  // what Run::offsets point to
};

// Output rows that one call computes, of one image.
struct RowUnit {
  const PartPlan* part;
  const std::int64_t* rows;
  std::int64_t output;  // offset
  std::size_t output_rows;
};

// Memory of one thread, kept between calls.
AlignedBuffer<std::uint8_t>& scratch() {
  thread_local AlignedBuffer<std::uint8_t> memory;
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
    const std::int64_t row_bytes = problem.input[2] * problem.geometry.in_channels;
    zeros_.assign(static_cast<std::size_t>(row_bytes) + depthwise::kSlack,
                  static_cast<std::uint8_t>(r.input_zero_point));
    call_.epilogue = common_epilogue(problem, r);
    call_.zeros = zeros_.data();
    call_.signed_input = problem.input_dtype == DType::qint8;
    call_.output_flip = raw_flip(problem.output_dtype);
    parts_.reserve(weights_->parts.size());
    for (const PackedDepthwisePart& part : weights_->parts) {
      if (part.part[0].count(out_[0]) * part.part[1].count(out_[1]) * part.part[2].count(out_[2]) == 0)
        continue;
      parts_.push_back(plan_part(part, r));
      add_units(parts_.back());
    }
    constexpr std::int64_t kBandBytes = 256 * 1024;
    bands_ = static_cast<std::size_t>((problem.input_sizes().numel() + problem.output_sizes().numel()) /
                                      kBandBytes);
    const std::size_t columns = std::max(scratch_columns_, depthwise::kStreamColumns);
    scratch_bytes_ = 4 * kernel_.tap_bytes * (columns * kernel_.block + 128) + depthwise::kSlack;
  }

  // Tasks are bands of rows, so that threads write to no common cache line, and blocks of channels only where
  // there are too few rows. A band stays in the second-level cache for all blocks.
  void run(const RunArgs& args, ThreadPool& pool) const override {
    constexpr std::size_t kTasksPerThread = 4;
    const bool small = problem_.multiply_adds() < kSmallWork;  // then all runs on this thread
    const auto threads = small ? 1 : static_cast<std::size_t>(pool.num_threads());
    const std::size_t rows = units_.size() * static_cast<std::size_t>(problem_.batch);
    const std::size_t blocks = weights_->blocks.size();
    const std::size_t fewest = threads == 1 ? 1 : threads * kTasksPerThread;
    const std::size_t bands = std::min(std::max(fewest, bands_), rows);
    const std::size_t ranges = bands == 0 ? 1 : std::min((fewest - 1) / bands + 1, blocks);
    parallel_for(pool, bands * ranges, problem_.multiply_adds(), [&](std::size_t task) {
      const std::size_t band = task / ranges;
      const std::size_t range = task % ranges;
      for (std::size_t b = range * blocks / ranges; b < (range + 1) * blocks / ranges; ++b) {
        run_units(args, b, band * rows / bands, (band + 1) * rows / bands);
      }
    });
  }

  std::string explain() const override {
    return fmt::format(
        "{} blocks of {} channels x {} rows of tiles; bands of {} bytes; {}; {} bytes of scratch",
        weights_->blocks.size(), kernel_.block, units_.size() * static_cast<std::size_t>(problem_.batch),
        (problem_.input_sizes().numel() + problem_.output_sizes().numel()) /
            static_cast<std::int64_t>(std::max<std::size_t>(bands_, 1)),
        problem_.multiply_adds() < kSmallWork ? "one thread" : "all threads", scratch_bytes_);
  }

  std::string kernel_name() const override { return weights_->kernel(); }

 private:
  // Calls f(channel, block, lane).
  template <class F>
  void for_each_lane(const F& f) const {
    for (std::size_t b = 0; b < weights_->blocks.size(); ++b) {
      for (std::size_t lane = 0; lane < kernel_.block; ++lane) {
        const std::int64_t channel = weights_->channel(b, lane);
        if (channel >= 0) f(static_cast<std::size_t>(channel), b, lane);
      }
    }
  }

  PartPlan plan_part(const PackedDepthwisePart& part, const Requantization& r) {
    PartPlan plan;
    plan.packed = &part;
    // Modulo 2^32: the whole sum is exact, its terms need not be.
    const auto za = static_cast<std::uint32_t>(raw_zero_point(problem_.input_dtype, r.input_zero_point) +
                                               kernel_.input_bias);
    plan.parameters = AlignedBuffer<std::int32_t>(weights_->blocks.size() * 3 * kernel_.block);
    std::ranges::fill(plan.parameters.span(), 0);
    for_each_lane([&](std::size_t channel, std::size_t block, std::size_t lane) {
      std::int32_t* at = plan.parameters.data() + block * 3 * kernel_.block + lane;
      at[0] = static_cast<std::int32_t>(static_cast<std::uint32_t>(r.integer_bias[channel]) -
                                        za * static_cast<std::uint32_t>(part.sums[channel]));
      at[kernel_.block] = std::bit_cast<std::int32_t>(r.bias[channel]);
      at[2 * kernel_.block] = std::bit_cast<std::int32_t>(r.multiplier[channel]);
    });
    plan_rows(plan);
    if (part.layout.step_groups.empty()) {
      plan.stretches.push_back({0, part.part[2].count(out_[2]), {}});
    } else {
      plan_columns(plan);
    }
    return plan;
  }

  void plan_rows(PartPlan& plan) const {
    const ColumnLayout& layout = plan.packed->layout;
    const Phase& depth = plan.packed->part[0];
    const Phase& height = plan.packed->part[1];
    const Spatial& in = problem_.input;
    const PaddingMode mode = problem_.geometry.padding_mode;
    const std::int64_t row_bytes = in[2] * problem_.geometry.in_channels;
    plan.groups = layout.row_depths.size() / depthwise::kStep;
    for (std::int64_t d = 0; d < depth.count(out_[0]); ++d) {
      for (std::int64_t h = 0; h < height.count(out_[1]); h += layout.output_rows) {
        for (std::size_t i = 0; i < layout.row_depths.size(); ++i) {
          std::int64_t offset = -1;
          if (layout.row_depths[i] >= 0) {
            const std::int64_t tap = depth.offsets[static_cast<std::size_t>(layout.row_depths[i])];
            const std::int64_t slice = padded_index_or_none(mode, d * depth.stride + tap, in[0]);
            const std::int64_t row =
                padded_index_or_none(mode, h * height.stride + layout.row_heights[i], in[1]);
            if (slice >= 0 && row >= 0) offset = (slice * in[1] + row) * row_bytes;
          }
          plan.rows.push_back(offset);
        }
      }
    }
  }

  // Width positions that are equal modulo the stride make one sequence of columns, so that the next output
  // always reads the next column.
  void plan_columns(PartPlan& plan) {
    const ColumnLayout& layout = plan.packed->layout;
    const Phase& width = plan.packed->part[2];
    const std::int64_t least = *std::min_element(layout.step_offsets.begin(), layout.step_offsets.end());
    std::vector<std::int64_t> extra(static_cast<std::size_t>(width.stride),
                                    -1);  // columns beyond the outputs
    for (const std::int64_t offset : layout.step_offsets) {
      auto& most = extra[static_cast<std::size_t>((offset - least) % width.stride)];
      most = std::max(most, (offset - least) / width.stride);
    }
    const std::int64_t count = width.count(out_[2]);
    const std::int64_t stretch = stretch_outputs(plan, count, extra);
    std::vector<std::int64_t> begin;  // of each sequence
    std::int64_t columns = 0;
    for (const std::int64_t most : extra) {
      begin.push_back(columns);
      if (most >= 0) columns += stretch + most;
    }
    plan.group_columns = static_cast<std::size_t>(columns);
    for (std::size_t j = 0; j < layout.step_groups.size(); ++j) {
      const std::int64_t at = layout.step_offsets[j] - least;
      plan.step_columns.push_back(
          static_cast<std::size_t>(layout.step_groups[j] * columns +
                                   begin[static_cast<std::size_t>(at % width.stride)] + at / width.stride));
    }
    for (std::int64_t t = 0; t < kStep; ++t) {
      plan.tap_shifts[static_cast<std::size_t>(t)] = t * layout.width_spacing * problem_.geometry.in_channels;
    }
    for (std::int64_t first = 0; first < count; first += stretch) {
      Stretch& s = plan.stretches.emplace_back(Stretch{first, std::min(stretch, count - first), {}});
      for (std::size_t phase = 0; phase < extra.size(); ++phase) {
        if (extra[phase] < 0) continue;
        const std::int64_t position = first * width.stride + least + static_cast<std::int64_t>(phase);
        add_runs(plan, s, begin[phase], position, s.outputs + extra[phase]);
      }
    }
    if (has_few_columns(layout, width)) {
      for (Stretch& s : plan.stretches) set_direct(plan, s);
    }
    // `border` has stopped growing.
    for (Stretch& s : plan.stretches) {
      for (depthwise::Run& run : s.runs) {
        if (run.step == 0) run.offsets = plan.border.data() + run.first;
      }
    }
    scratch_columns_ = std::max(scratch_columns_, plan.groups * plan.group_columns);
  }

  // Whether an output reads three columns, and the next one begins with the second or third of them.
  static bool has_few_columns(const ColumnLayout& layout, const Phase& width) {
    const std::vector<std::int64_t>& at = layout.step_offsets;
    if (layout.output_rows > 2 || layout.width_spacing != 0 || at.size() != 3) return false;
    if (layout.row_depths.size() != depthwise::kStep || at[1] - at[0] != at[2] - at[1]) return false;
    const bool three_rows = layout.output_rows == 1 && layout.row_depths.back() < 0;
    return width.stride == at[1] - at[0] ||
           (width.stride == at[2] - at[0] && (layout.output_rows == 2 || three_rows));
  }

  // Not where more than the ends of the stretch is padding.
  void set_direct(const PartPlan& plan, Stretch& stretch) const {
    const std::vector<std::int64_t>& steps = plan.packed->layout.step_offsets;
    const std::int64_t stride = plan.packed->part[2].stride;
    const std::int64_t spacing = steps[1] - steps[0];
    const std::int64_t channels = problem_.geometry.in_channels;
    const std::int64_t in = problem_.input[2];
    const std::int64_t first = stretch.first * stride + steps[0];
    const std::int64_t last = (stretch.first + stretch.outputs - 1) * stride + steps[2];
    if (std::min(first + spacing, last - spacing) < 0) return;
    if (std::max(first + spacing, last - spacing) >= in) return;
    const auto offset = [&](std::int64_t column) {
      const std::int64_t at = padded_index_or_none(problem_.geometry.padding_mode, column, in);
      return at < 0 ? -1 : at * channels;
    };
    stretch.direct = {offset(first), (first + spacing) * channels, offset(last), spacing * channels,
                      static_cast<int>(stride / spacing)};
  }

  // How many outputs make a stretch.
  std::int64_t stretch_outputs(const PartPlan& plan, std::int64_t count,
                               const std::vector<std::int64_t>& extra) const {
    constexpr std::int64_t kFewest = 16;
    constexpr auto kColumns = static_cast<std::int64_t>(depthwise::kStreamColumns);
    const std::int64_t budget = (kColumns - 1) / static_cast<std::int64_t>(plan.groups);
    std::int64_t sequences = 0;
    std::int64_t overlap = 0;
    for (const std::int64_t most : extra) {
      if (most < 0) continue;
      ++sequences;
      overlap += most;
    }
    const std::int64_t outputs = std::max({(budget - overlap) / sequences, overlap, kFewest});
    const std::int64_t stretches = (count - 1) / outputs + 1;
    return ((count - 1) / stretches / kStep + 1) * kStep;
  }

  // The columns of `count` width positions, a stride apart: evenly spaced runs inside the input, and tables
  // in the padding.
  void add_runs(PartPlan& plan, Stretch& stretch, std::int64_t column, std::int64_t position,
                std::int64_t count) const {
    const std::int64_t channels = problem_.geometry.in_channels;
    const std::int64_t stride = plan.packed->part[2].stride;
    const std::int64_t spacing = plan.packed->layout.width_spacing;
    const std::int64_t in = problem_.input[2];
    const std::int64_t low = std::min<std::int64_t>(0, (kStep - 1) * spacing);
    const std::int64_t high = std::max<std::int64_t>(0, (kStep - 1) * spacing);
    const std::size_t old_runs = stretch.runs.size();
    for (std::int64_t i = 0; i < count; ++i, position += stride) {
      const bool inside = position + low >= 0 && position + high < in;
      if (stretch.runs.size() == old_runs || (stretch.runs.back().step != 0) != inside) {
        stretch.runs.push_back(
            {.column = static_cast<std::size_t>(column + i),
             .count = 0,
             .offsets = nullptr,
             .first = inside ? position * channels : static_cast<std::int64_t>(plan.border.size()),
             .step = inside ? stride * channels : 0});
      }
      ++stretch.runs.back().count;
      if (inside) continue;
      for (std::int64_t t = 0; t < kStep; ++t) {
        const std::int64_t at =
            padded_index_or_none(problem_.geometry.padding_mode, position + t * spacing, in);
        plan.border.push_back(at < 0 ? -1 : at * channels);
      }
    }
  }

  void add_units(const PartPlan& plan) {
    const SubConvolution& sub = plan.packed->part;
    const std::int64_t rows = plan.packed->layout.output_rows;
    const std::int64_t* table = plan.rows.data();
    for (std::int64_t d = 0; d < sub[0].count(out_[0]); ++d) {
      const std::int64_t depth = sub[0].begin + d * sub[0].step;
      for (std::int64_t h = 0; h < sub[1].count(out_[1]); h += rows) {
        const std::int64_t height = sub[1].begin + h * sub[1].step;
        const std::int64_t output =
            ((depth * out_[1] + height) * out_[2] + sub[2].begin) * weights_->geometry.out_channels;
        units_.push_back(
            {&plan, table, output, static_cast<std::size_t>(std::min(rows, sub[1].count(out_[1]) - h))});
        table += plan.groups * depthwise::kStep;
      }
    }
  }

  // Units of all images, for one block.
  void run_units(const RunArgs& args, std::size_t b, std::size_t begin, std::size_t end) const {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t in_image = problem_.input[0] * problem_.input[1] * problem_.input[2] * g.in_channels;
    const std::int64_t out_image = out_[0] * out_[1] * out_[2] * g.out_channels;
    const auto channel = static_cast<std::int64_t>(weights_->blocks[b].channel);
    depthwise::Args call = call_;
    AlignedBuffer<std::uint8_t>& memory = scratch();
    if (memory.size() < scratch_bytes_) memory = AlignedBuffer<std::uint8_t>(scratch_bytes_);
    call.scratch = memory.data();
    const PartPlan* part = nullptr;
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t n = row / units_.size();
      const RowUnit& unit = units_[row - n * units_.size()];
      if (part != unit.part) {
        part = unit.part;
        set_part(call, *part, b);
      }
      const auto image = static_cast<std::int64_t>(n);
      call.image = static_cast<const std::uint8_t*>(args.input) + image * in_image + channel;
      run_unit(args, unit, image * out_image + unit.output + channel, call);
    }
  }

  void set_part(depthwise::Args& call, const PartPlan& plan, std::size_t b) const {
    const DepthwiseBlock& block = weights_->blocks[b];
    const SubConvolution& sub = plan.packed->part;
    call.channels = block.channels;
    call.pixels = block.pixels;
    call.groups = plan.groups;
    call.tap_shifts = plan.tap_shifts.data();
    const std::size_t streams = 4 * kernel_.tap_bytes;
    call.column_bytes = kernel_.block * (block.pixels == 1 ? streams : 1) / block.pixels;
    const std::size_t stream = plan.groups * plan.group_columns * call.column_bytes + kernel_.block;
    const std::size_t usual = depthwise::kStreamColumns * kernel_.block;
    call.stream_bytes = block.pixels == 1 ? kernel_.block : stream <= usual ? usual : (stream + 63) / 64 * 64;
    call.group_columns = plan.group_columns;
    call.steps = plan.step_columns.size();
    call.step_columns = plan.step_columns.data();
    call.weights = weights_->values.data() + plan.packed->block_offsets[b];
    call.output_step = sub[2].step * problem_.geometry.out_channels;
    call.output_row_step = sub[1].step * out_[2] * problem_.geometry.out_channels;
    call.parameters = plan.parameters.data() + b * 3 * kernel_.block;
  }

  void run_unit(const RunArgs& args, const RowUnit& unit, std::int64_t output, depthwise::Args& call) const {
    call.rows = unit.rows;
    call.output_rows = unit.output_rows;
    for (const Stretch& stretch : unit.part->stretches) {
      const std::int64_t at = output + stretch.first * call.output_step;
      call.runs = stretch.runs.data();
      call.run_count = stretch.runs.size();
      call.direct = stretch.direct;
      call.outputs = static_cast<std::size_t>(stretch.outputs);
      call.output = static_cast<std::uint8_t*>(args.output) + at;
      call.addend = args.addend ? static_cast<const std::uint8_t*>(args.addend) + at : nullptr;
      kernel_.run(call);
    }
  }

  std::shared_ptr<const PackedDepthwise> weights_;
  const depthwise::Kernel& kernel_;
  ConvProblem problem_;
  Spatial out_;
  std::vector<std::uint8_t> zeros_;
  std::vector<PartPlan> parts_;
  std::vector<RowUnit> units_;       // of one image
  std::size_t scratch_columns_ = 0;  // of the part that needs most
  std::size_t scratch_bytes_ = 0;
  std::size_t bands_ = 0;   // of rows, at least
  depthwise::Args call_{};  // what all calls have in common
};

}  // namespace

std::unique_ptr<const Prepared> prepare_depthwise(std::shared_ptr<const PackedDepthwise> weights,
                                                  const ConvProblem& problem,
                                                  const Requantization& requantization) {
  return std::make_unique<PreparedDepthwise>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
