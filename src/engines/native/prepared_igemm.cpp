#include "engines/native/prepared_igemm.hpp"

#include <algorithm>
#include <optional>

#include "engines/native/epilogue.hpp"
#include "engines/native/indirection.hpp"
#include "engines/native/padded_lines.hpp"
#include "engines/native/tiling.hpp"

namespace qconv::engines {
namespace {

// One sub-convolution of this problem.
struct PartPlan {
  const PackedPart* packed;
  Indirection indirection;
  std::optional<PaddedLines> padded;  // of convolutions that take kernel rows whole
  std::vector<std::int32_t> initial;  // accumulator start, per lane
  bool skip;                          // taps that are all padding
  Chunks chunks;
  std::size_t first_task;
};

// One tile of a task: what the kernel gets for every block of columns.
struct TilePlan {
  std::size_t rows;
  std::size_t first_row;  // of the task
  std::size_t taps;
  std::size_t first_pixel;
};

// Memory of one thread, kept between calls.
struct Scratch {
  std::vector<const std::uint8_t*> lines;
  std::vector<const std::uint8_t*> pixels;
  std::vector<std::uint32_t> tap_indices;
  std::vector<std::int64_t> output_offsets;
  std::vector<std::int32_t> row_sums;
  std::vector<Segment> segments;
  std::vector<TilePlan> tiles;
  AlignedBuffer<std::uint8_t> padded;
  AlignedBuffer<std::int32_t> initial;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

template <class T>
void grow(AlignedBuffer<T>& buffer, std::size_t count) {
  if (buffer.size() < count) buffer = AlignedBuffer<T>(count);
}

class PreparedIgemm final : public Prepared {
 public:
  PreparedIgemm(std::shared_ptr<const PackedIgemm> weights, const ConvProblem& problem, const Requantization& r)
      : weights_(std::move(weights)),
        problem_(problem),
        signed_(problem.input_dtype == DType::qint8),
        input_zero_point_(raw_zero_point(problem.input_dtype, r.input_zero_point)) {
    bias_.resize(weights_->lanes);
    multiplier_.resize(weights_->lanes, 1.0F);
    if (!weights_->zero_points.empty()) zero_points_.resize(weights_->lanes);
    weights_->for_each_column([&](std::size_t oc, std::size_t lane) {
      bias_[lane] = r.bias[oc];
      multiplier_[lane] = r.multiplier[oc];
      if (!zero_points_.empty()) zero_points_[lane] = weights_->zero_points[oc];
    });
    epilogue_ = common_epilogue(problem, r);
    // In memory the padding holds the zero point as the input's own bytes do.
    const auto zero_byte = static_cast<std::uint8_t>(r.input_zero_point);
    zeros_.assign(static_cast<std::size_t>(std::max(problem.geometry.in_channels, weights_->tap_channels)), zero_byte);
    for (const PackedPart& part : weights_->parts) {
      PartPlan plan{&part, Indirection(problem, part.part, weights_->whole_rows), {}, {}, false, {}, 0};
      if (plan.indirection.planes() * plan.indirection.lines() * plan.indirection.width() == 0) continue;
      if (weights_->whole_rows) plan.padded.emplace(problem, part.part, zero_byte);
      plan.initial = initial_sums(part, r);
      plan.skip = plan.indirection.reads_padding() && zero_points_.empty();
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
  // sum (a - za)(w - zw) = sum a w - za sum w - zw sum a + taps channels za zw; all but the terms with a are
  // known now. Modulo 2^32 throughout: the whole is exact, its terms need not be.
  std::vector<std::int32_t> initial_sums(const PackedPart& part, const Requantization& r) const {
    std::vector<std::int32_t> initial(weights_->lanes);
    const auto za = static_cast<std::uint32_t>(input_zero_point_);
    const auto products = static_cast<std::uint32_t>(part.taps * weights_->tap_channels);
    weights_->for_each_column([&](std::size_t oc, std::size_t lane) {
      std::uint32_t sum =
          static_cast<std::uint32_t>(r.integer_bias[oc]) - za * static_cast<std::uint32_t>(part.sums[lane]);
      if (!zero_points_.empty()) sum += products * za * static_cast<std::uint32_t>(zero_points_[lane]);
      initial[lane] = static_cast<std::int32_t>(sum);
    });
    return initial;
  }

  // Cuts the work: outputs into chunks whose pointers and pixels stay within the caches' reach, and column blocks into
  // ranges. The larger of input and weights is cut first, so that it is not read again for every part of the other.
  void plan_tasks() {
    constexpr std::int64_t kPointers = 4096;
    constexpr std::int64_t kMostRows = 192;
    constexpr std::int64_t kEnoughTasks = 16;
    const auto blocks = static_cast<std::int64_t>(weights_->blocks.size());
    const bool weights_first = static_cast<std::int64_t>(weights_->values.size()) > problem_.input_sizes().numel();
    ranges_ = weights_first ? static_cast<std::size_t>(std::min(blocks, kEnoughTasks)) : 1;
    std::int64_t row_tasks = 0;
    for (PartPlan& part : parts_) {
      const Indirection& i = part.indirection;
      const std::int64_t rows = i.planes() * i.lines() * i.width();
      const std::int64_t cached = kPointers / std::max<std::int64_t>(i.taps(), 1);
      const std::int64_t wanted = rows * static_cast<std::int64_t>(ranges_) / kEnoughTasks;
      part.chunks = Chunks(i, std::max(weights_->tile_rows, std::min({wanted, cached, kMostRows})));
      part.first_task = static_cast<std::size_t>(row_tasks);
      row_tasks += part.chunks.count();
    }
    if (!weights_first && row_tasks > 0) {
      ranges_ = static_cast<std::size_t>(std::clamp<std::int64_t>(kEnoughTasks / row_tasks, 1, blocks));
    }
    task_count_ = static_cast<std::size_t>(row_tasks) * ranges_;
  }

  void run_task(const RunArgs& args, std::size_t task) const {
    const std::size_t range = task % ranges_;
    const std::size_t row_task = task / ranges_;
    const auto next = std::upper_bound(parts_.begin(), parts_.end(), row_task,
                                       [](std::size_t t, const PartPlan& part) { return t < part.first_task; });
    const PartPlan& part = *std::prev(next);
    plan_tiles(args, part, part.chunks.chunk(static_cast<std::int64_t>(row_task - part.first_task)));
    const std::size_t blocks = weights_->blocks.size();
    std::int64_t summed_group = -1;
    for (std::size_t b = range * blocks / ranges_; b < (range + 1) * blocks / ranges_; ++b) {
      if (!zero_points_.empty() && weights_->blocks[b].group != summed_group) {
        summed_group = weights_->blocks[b].group;
        sum_rows(scratch(), summed_group);
      }
      run_block(args, part, b);
    }
  }

  // The pointers and offsets of all tiles of a chunk.
  void plan_tiles(const RunArgs& args, const PartPlan& part, const Chunk& chunk) const {
    const Indirection& indirection = part.indirection;
    const auto* input = static_cast<const std::uint8_t*>(args.input);
    Scratch& memory = scratch();
    memory.lines.resize(static_cast<std::size_t>(chunk.lines * indirection.row_taps()));
    Indirection::Source source{memory.lines.data(), chunk.first_x, zeros_.data()};
    if (part.padded) {
      grow(memory.padded, part.padded->bytes(chunk.lines, chunk.width));
      part.padded->copy(chunk, input, memory.padded.data(), memory.lines.data());
      source.first_x = 0;
    } else {
      indirection.input_lines(chunk.plane, chunk.first_line, chunk.lines, input, memory.lines.data());
    }
    const auto taps = static_cast<std::size_t>(indirection.taps());
    const auto rows = static_cast<std::size_t>(chunk.lines * chunk.width);
    memory.pixels.resize(rows * taps);
    memory.output_offsets.resize(rows);
    memory.tiles.clear();
    memory.tap_indices.clear();
    std::size_t row = 0;
    for_each_tile(chunk, weights_->tile_rows, memory.segments, [&](const auto& segments, std::size_t tile_rows) {
      TilePlan tile{tile_rows, row, 0, row * taps};
      memory.tap_indices.resize(memory.tap_indices.size() + taps);
      tile.taps = indirection.fill(source, segments, tile_rows, part.skip, memory.pixels.data() + tile.first_pixel,
                                   memory.tap_indices.data() + memory.tap_indices.size() - taps);
      for (const Segment& s : segments) {
        const std::int64_t line = indirection.output_line(chunk.plane, chunk.first_line + s.line);
        for (std::int64_t i = 0; i < s.count; ++i) {
          memory.output_offsets[row++] = line + indirection.output_offset(chunk.first_x + s.x + i);
        }
      }
      memory.tiles.push_back(tile);
    });
  }

  void run_block(const RunArgs& args, const PartPlan& part, std::size_t b) const {
    const ColumnBlock& block = weights_->blocks[b];
    const igemm::Function kernel = signed_ ? block.kernel->run_signed : block.kernel->run_unsigned;
    const auto taps = static_cast<std::size_t>(part.indirection.taps());
    Scratch& memory = scratch();
    igemm::Args call{};
    call.columns = static_cast<std::size_t>(block.columns);
    call.channels = static_cast<std::size_t>(weights_->tap_channels);
    call.channel_offset = static_cast<std::size_t>(block.group * weights_->in_channels_per_group);
    call.weights = weights_->values.data() + part.packed->block_offsets[b];
    call.tap_bytes = weights_->steps * block.kernel->columns * igemm::kStep;
    call.spread = weights_->spread.data();
    call.steps = weights_->steps;
    call.output = static_cast<std::uint8_t*>(args.output) + block.first;
    call.addend = args.addend ? static_cast<const std::uint8_t*>(args.addend) + block.first : nullptr;
    call.epilogue = epilogue_;
    call.epilogue.bias = bias_.data() + block.lane;
    call.epilogue.multiplier = multiplier_.data() + block.lane;
    if (!zero_points_.empty()) call.epilogue.weight_zero_points = zero_points_.data() + block.lane;
    std::size_t first_tap = 0;
    for (const TilePlan& tile : memory.tiles) {
      call.rows = tile.rows;
      call.taps = tile.taps;
      call.pixels = memory.pixels.data() + tile.first_pixel;
      call.tap_indices = memory.tap_indices.data() + first_tap;
      call.output_offsets = memory.output_offsets.data() + tile.first_row;
      if (!zero_points_.empty()) call.row_sums = memory.row_sums.data() + tile.first_row;
      call.epilogue.initial = tile.taps == taps ? part.initial.data() + block.lane
                                                : initial_without(part, block, call, memory.initial);
      kernel(call);
      first_tap += taps;
    }
  }

  // The accumulator start of a tile that leaves out taps: these would have read zero points, so that their part of
  // the correction goes, too.
  const std::int32_t* initial_without(const PartPlan& part, const ColumnBlock& block, const igemm::Args& call,
                                      AlignedBuffer<std::int32_t>& to) const {
    grow(to, block.kernel->columns);
    std::copy_n(part.initial.data() + block.lane, block.kernel->columns, to.data());
    std::size_t kept = 0;
    for (std::uint32_t tap = 0; tap < static_cast<std::uint32_t>(part.packed->taps); ++tap) {
      if (kept < call.taps && call.tap_indices[kept] == tap) {
        ++kept;
        continue;
      }
      const std::int32_t* sums = part.packed->tap_sums.data() + tap * weights_->lanes + block.lane;
      for (std::size_t c = 0; c < block.kernel->columns; ++c) {
        to[c] = static_cast<std::int32_t>(static_cast<std::uint32_t>(to[c]) +
                                          static_cast<std::uint32_t>(input_zero_point_) *
                                              static_cast<std::uint32_t>(sums[c]));
      }
    }
    return to.data();
  }

  // The sum of what each row reads of one group, for weights with zero points.
  void sum_rows(Scratch& memory, std::int64_t group) const {
    const std::int64_t channels = weights_->tap_channels;
    const std::uint8_t flip = raw_flip(problem_.input_dtype);
    memory.row_sums.assign(memory.output_offsets.size(), 0);
    for (const TilePlan& tile : memory.tiles) {
      const std::uint8_t* const* pixels = memory.pixels.data() + tile.first_pixel;
      for (std::size_t i = 0; i < tile.taps * tile.rows; ++i) {
        const std::uint8_t* p = pixels[i] + group * weights_->in_channels_per_group;
        std::int32_t sum = 0;
        for (std::int64_t c = 0; c < channels; ++c) sum += p[c] ^ flip;
        memory.row_sums[tile.first_row + i % tile.rows] += sum;
      }
    }
  }

  std::shared_ptr<const PackedIgemm> weights_;
  ConvProblem problem_;
  bool signed_;
  std::int32_t input_zero_point_;  // as the kernels read the input, unsigned
  std::vector<float> bias_;        // these three per lane
  std::vector<float> multiplier_;
  std::vector<std::int32_t> zero_points_;  // empty when all are 0
  Epilogue epilogue_{};
  std::vector<std::uint8_t> zeros_;  // what a tap in zero padding reads
  std::vector<PartPlan> parts_;
  std::size_t ranges_ = 1;  // of column blocks, per chunk
  std::size_t task_count_ = 0;
};

}  // namespace

std::unique_ptr<const Prepared> prepare_igemm(std::shared_ptr<const PackedIgemm> weights,
                                              const ConvProblem& problem,
                                              const Requantization& requantization) {
  return std::make_unique<PreparedIgemm>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
