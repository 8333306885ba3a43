#include "engines/native/prepared_igemm.hpp"

#include <algorithm>
#include <cstring>

#include "engines/native/epilogue.hpp"
#include "engines/native/indirection.hpp"

namespace qconv::engines {
namespace {

// One sub-convolution of this problem.
struct PartPlan {
  const PackedPart* packed;
  Indirection indirection;
  std::vector<std::int32_t> initial;  // accumulator start, per padded output channel
  std::int64_t chunks;                // row chunks in one image
};

// Memory of one thread, kept between calls.
struct Scratch {
  std::vector<const std::uint8_t*> pixels;
  std::vector<std::int64_t> output_offsets;
  std::vector<std::int32_t> row_sums;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

class PreparedIgemm final : public Prepared {
 public:
  PreparedIgemm(std::shared_ptr<const PackedIgemm> weights, const ConvProblem& problem,
                const Requantization& r)
      : weights_(std::move(weights)),
        kernel_(*weights_->kernel_row),
        run_(problem.input_dtype == DType::qint8 ? kernel_.run_signed : kernel_.run_unsigned),
        problem_(problem) {
    const std::size_t block_columns = kernel_.columns;
    const std::size_t padded = weights_->blocks.size() * block_columns;
    bias_.resize(padded);
    multiplier_.resize(padded, 1.0F);
    if (!weights_->zero_points.empty()) zero_points_.resize(padded);
    for_each_column([&](std::size_t oc, std::size_t at) {
      bias_[at] = r.bias[oc];
      multiplier_[at] = r.multiplier[oc];
      if (!zero_points_.empty()) zero_points_[at] = weights_->zero_points[oc];
    });
    epilogue_ = common_epilogue(problem, r);
    const std::int32_t input_zero_point = raw_zero_point(problem.input_dtype, r.input_zero_point);
    // In memory the padding holds the zero point as the input's own bytes do.
    zeros_.assign(static_cast<std::size_t>(problem.geometry.in_channels),
                  static_cast<std::uint8_t>(r.input_zero_point));
    for (const PackedPart& part : weights_->parts) {
      PartPlan plan{&part, Indirection(problem, part.part), {}, 0};
      if (plan.indirection.rows() == 0) continue;
      plan.initial = initial_sums(part, r, input_zero_point, padded);
      parts_.push_back(std::move(plan));
    }
    plan_tasks();
  }

  void run(const RunArgs& args, ThreadPool& pool) const override {
    // A vector instruction makes dozens of these multiply-adds.
    parallel_for(pool, task_count_, problem_.multiply_adds() / 8,
                 [&](std::size_t task) { run_task(args, task); });
  }

 private:
  // Calls f(output channel, its index in arrays padded to whole tiles).
  template <class F>
  void for_each_column(const F& f) const {
    for (std::size_t b = 0; b < weights_->blocks.size(); ++b) {
      const ColumnBlock& block = weights_->blocks[b];
      for (std::int64_t c = 0; c < block.columns; ++c) {
        const std::size_t position =
            kernel_.position(static_cast<std::size_t>(c), static_cast<std::size_t>(block.columns));
        f(static_cast<std::size_t>(block.first + c), b * kernel_.columns + position);
      }
    }
  }

  // sum (a - za)(w - zw) = sum a w - za sum w - zw sum a + taps channels za zw; all but the terms with a are
  // known now. Modulo 2^32 throughout: the whole is exact, its terms need not be.
  std::vector<std::int32_t> initial_sums(const PackedPart& part, const Requantization& r,
                                         std::int32_t input_zero_point, std::size_t padded) const {
    std::vector<std::int32_t> initial(padded);
    const auto za = static_cast<std::uint32_t>(input_zero_point);
    const auto products = static_cast<std::uint32_t>(taps(part.part) * weights_->in_channels_per_group);
    for_each_column([&](std::size_t oc, std::size_t at) {
      std::uint32_t sum =
          static_cast<std::uint32_t>(r.integer_bias[oc]) - za * static_cast<std::uint32_t>(part.sums[oc]);
      if (!weights_->zero_points.empty())
        sum += products * za * static_cast<std::uint32_t>(weights_->zero_points[oc]);
      initial[at] = static_cast<std::int32_t>(sum);
    });
    return initial;
  }

  // Cuts the work: rows into chunks whose pointers and pixels stay in the first-level cache's reach, column
  // blocks into ranges when the rows alone give too few tasks.
  void plan_tasks() {
    constexpr std::int64_t kPointers = 4096;
    const auto tile = static_cast<std::int64_t>(kernel_.rows);
    std::int64_t most_taps = 1;
    std::int64_t most_rows = 1;
    for (const PartPlan& part : parts_) {
      most_taps = std::max(most_taps, part.indirection.taps());
      most_rows = std::max(most_rows, part.indirection.rows());
    }
    const std::int64_t tiles_in_cache = std::clamp<std::int64_t>(kPointers / (most_taps * tile), 1, 32);
    // Enough row chunks for a few threads, even of a small image.
    const std::int64_t tiles_for_threads = std::max<std::int64_t>(1, most_rows * problem_.batch / tile / 16);
    chunk_rows_ = tile * std::min(tiles_in_cache, tiles_for_threads);
    std::size_t row_tasks = 0;
    for (PartPlan& part : parts_) {
      part.chunks = (part.indirection.rows() + chunk_rows_ - 1) / chunk_rows_;
      row_tasks += static_cast<std::size_t>(part.chunks * problem_.batch);
    }
    constexpr std::size_t kEnoughTasks = 32;
    const std::size_t blocks = weights_->blocks.size();
    ranges_ = std::clamp<std::size_t>(kEnoughTasks / std::max<std::size_t>(row_tasks, 1), 1, blocks);
    task_count_ = row_tasks * ranges_;
  }

  void run_task(const RunArgs& args, std::size_t task) const {
    const std::size_t range = task % ranges_;
    auto row_task = static_cast<std::int64_t>(task / ranges_);
    for (const PartPlan& part : parts_) {
      const std::int64_t tasks = part.chunks * problem_.batch;
      if (row_task < tasks)
        return run_chunk(args, part, row_task / part.chunks, row_task % part.chunks, range);
      row_task -= tasks;
    }
  }

  void run_chunk(const RunArgs& args, const PartPlan& part, std::int64_t n, std::int64_t chunk,
                 std::size_t range) const {
    const Spatial out = problem_.output();
    const Spatial& in = problem_.input;
    const std::int64_t first = chunk * chunk_rows_;
    const std::int64_t rows = std::min(chunk_rows_, part.indirection.rows() - first);
    const auto tile = static_cast<std::int64_t>(kernel_.rows);
    const std::int64_t tap_count = part.indirection.taps();
    Scratch& memory = scratch();
    memory.pixels.resize(static_cast<std::size_t>((rows + tile - 1) / tile * tile * tap_count));
    memory.output_offsets.resize(static_cast<std::size_t>(rows));
    memory.row_sums.resize(static_cast<std::size_t>(rows));
    const auto* image = static_cast<const std::uint8_t*>(args.input) +
                        n * in[0] * in[1] * in[2] * problem_.geometry.in_channels;
    part.indirection.fill(first, rows, tile, image, zeros_.data(), memory.pixels.data(),
                          memory.output_offsets.data());

    const std::int64_t out_image = n * out[0] * out[1] * out[2] * problem_.geometry.out_channels;
    igemm::Args call{};
    call.taps = static_cast<std::size_t>(tap_count);
    call.channels = static_cast<std::size_t>(weights_->in_channels_per_group);
    call.epilogue = epilogue_;
    const std::size_t blocks = weights_->blocks.size();
    std::int64_t summed_group = -1;
    for (std::size_t b = range * blocks / ranges_; b < (range + 1) * blocks / ranges_; ++b) {
      const ColumnBlock& block = weights_->blocks[b];
      call.columns = static_cast<std::size_t>(block.columns);
      call.channel_offset = static_cast<std::size_t>(block.group * weights_->in_channels_per_group);
      call.weights = weights_->values.data() + part.packed->block_offsets[b];
      call.output = static_cast<std::uint8_t*>(args.output) + out_image + block.first;
      call.addend =
          args.addend ? static_cast<const std::uint8_t*>(args.addend) + out_image + block.first : nullptr;
      call.epilogue.initial = part.initial.data() + b * kernel_.columns;
      call.epilogue.bias = bias_.data() + b * kernel_.columns;
      call.epilogue.multiplier = multiplier_.data() + b * kernel_.columns;
      if (!zero_points_.empty()) {
        call.epilogue.weight_zero_points = zero_points_.data() + b * kernel_.columns;
        if (block.group != summed_group) sum_rows(memory, rows, tap_count, block.group);
        summed_group = block.group;
      }
      for (std::int64_t row = 0; row < rows; row += tile) {
        call.rows = static_cast<std::size_t>(std::min(tile, rows - row));
        call.pixels = memory.pixels.data() + row * tap_count;
        call.output_offsets = memory.output_offsets.data() + row;
        call.row_sums = memory.row_sums.data() + row;
        run_(call);
      }
    }
  }

  // The sum of what each row reads of one group, for weights with zero points.
  void sum_rows(Scratch& memory, std::int64_t rows, std::int64_t tap_count, std::int64_t group) const {
    const auto tile = static_cast<std::int64_t>(kernel_.rows);
    const std::int64_t channels = weights_->in_channels_per_group;
    const std::uint8_t flip = raw_flip(problem_.input_dtype);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::uint8_t** pixels = memory.pixels.data() + r / tile * tile * tap_count + r % tile;
      std::int32_t sum = 0;
      for (std::int64_t t = 0; t < tap_count; ++t) {
        const std::uint8_t* p = pixels[t * tile] + group * channels;
        for (std::int64_t c = 0; c < channels; ++c) sum += p[c] ^ flip;
      }
      memory.row_sums[static_cast<std::size_t>(r)] = sum;
    }
  }

  std::shared_ptr<const PackedIgemm> weights_;
  const igemm::Kernel& kernel_;
  igemm::Function run_;
  ConvProblem problem_;
  std::vector<float> bias_;  // these three padded to whole tiles
  std::vector<float> multiplier_;
  std::vector<std::int32_t> zero_points_;  // empty when all are 0
  Epilogue epilogue_{};
  std::vector<std::uint8_t> zeros_;  // one pixel of padding
  std::vector<PartPlan> parts_;
  std::int64_t chunk_rows_ = 0;
  std::size_t ranges_ = 1;  // of column blocks, per row chunk
  std::size_t task_count_ = 0;
};

}  // namespace

std::unique_ptr<const Prepared> prepare_igemm(std::shared_ptr<const PackedIgemm> weights,
                                              const ConvProblem& problem,
                                              const Requantization& requantization) {
  return std::make_unique<PreparedIgemm>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
