#include "engines/native/prepared_igemm.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "engines/native/epilogue.hpp"
#include "engines/native/indirection.hpp"
#include "engines/native/padded_lines.hpp"
#include "engines/native/pixel_runs.hpp"
#include "engines/native/tiling.hpp"
#include "support/cache_sizes.hpp"

namespace qconv::engines {
namespace {

// One sub-convolution of this problem.
struct PartPlan {
  const PackedPart* packed;
  Indirection indirection;
  std::optional<PaddedLines> padded;    // where the input is read from copies of its lines
  bool through;                         // its copies have PaddedLines::Layout::through
  AlignedBuffer<std::int32_t> initial;  // accumulator start, per lane
  bool skip;                            // taps that are all padding
};

// How the outputs are cut into tasks: each is one chunk of one part.
struct Cut {
  std::vector<Chunks> chunks;            // of each part
  std::vector<std::size_t> first_tasks;  // of each part
  std::size_t tasks = 0;
};

// Into how many ranges of column blocks each of so many tasks is cut, so that all threads end at about the
// same time. Every range plans the tiles of its chunk anew: no more of them than that takes.
std::size_t column_ranges(std::size_t tasks, std::size_t blocks, std::size_t threads) {
  if (threads == 1 || tasks == 0) return 1;
  constexpr std::size_t kTasksPerThread = 4;
  constexpr double kWorthARange = 0.97;
  const std::size_t least = std::clamp<std::size_t>(threads * kTasksPerThread / tasks, 1, blocks);
  std::size_t best = least;
  double best_time = std::numeric_limits<double>::max();
  for (std::size_t ranges = least; ranges <= std::min(blocks, 2 * threads * least); ++ranges) {
    const std::size_t turns = (tasks * ranges + threads - 1) / threads;
    const std::size_t longest = (blocks + ranges - 1) / ranges;
    const auto time = static_cast<double>(turns * longest);
    if (time >= best_time * kWorthARange) continue;
    best = ranges;
    best_time = time;
  }
  return best;
}

// Neighbouring tiles of a task: what the kernel gets for every block of columns. Those that read no padding
// are shifted copies of each other and share the pointers of the first.
struct TilePlan {
  std::size_t tiles;
  std::size_t rows;
  std::size_t taps;
  std::size_t first_row;       // into the offsets of outputs
  std::size_t first_pixel;     // into the pointers or the pairs of runs, and with them the indices of taps
  std::size_t first_span = 0;  // these two of kernels in tile registers
  std::size_t span_count = 0;
  std::int64_t input_shift = 0;
  std::int64_t output_shift = 0;
};

// Tiles whose pointers others may share: of one line, away from the padding.
struct Template {
  std::size_t plan;
  Segment segment;
};

// Memory of one thread, kept between calls.
struct Scratch {
  std::vector<const std::uint8_t*> lines;
  std::vector<std::int64_t> output_lines;
  std::vector<const std::uint8_t*> pixels;
  PixelRuns runs;
  std::vector<igemm::RowSpan> spans;
  std::vector<std::uint32_t> tap_indices;
  std::vector<std::int64_t> output_offsets;
  std::vector<std::int32_t> row_sums;
  std::vector<Segment> segments;
  std::vector<TilePlan> plans;
  std::vector<Template> templates;
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

// A line of the cache for every vector: none straddles two.
template <class T>
AlignedBuffer<T> filled(std::size_t count, T value) {
  AlignedBuffer<T> buffer(count);
  std::fill_n(buffer.data(), count, value);
  return buffer;
}

class PreparedIgemm final : public Prepared {
 public:
  PreparedIgemm(std::shared_ptr<const PackedIgemm> weights, const ConvProblem& problem,
                const Requantization& r)
      : weights_(std::move(weights)),
        problem_(problem),
        signed_(problem.input_dtype == DType::qint8),
        input_bias_(signed_ ? weights_->blocks.front().kernel->signed_bias
                            : weights_->blocks.front().kernel->unsigned_bias),
        input_zero_point_(raw_zero_point(problem.input_dtype, r.input_zero_point) + input_bias_) {
    bias_ = filled(weights_->lanes, 0.0F);
    multiplier_ = filled(weights_->lanes, 1.0F);
    if (!weights_->zero_points.empty()) zero_points_ = filled(weights_->lanes, 0);
    weights_->for_each_column([&](std::size_t oc, std::size_t lane) {
      bias_[lane] = r.bias[oc];
      multiplier_[lane] = r.multiplier[oc];
      if (!zero_points_.empty()) zero_points_[lane] = weights_->zero_points[oc];
    });
    epilogue_ = common_epilogue(problem, r);
    // In memory the padding holds the zero point as the input's own bytes do, or widened.
    const auto zero_byte = static_cast<std::uint8_t>(r.input_zero_point);
    const std::int64_t channel_bytes = weights_->channel_bytes;
    zeros_.assign(pixel_bytes() + igemm::kRunBytes, zero_byte);
    if (channel_bytes == 2) {
      for (std::size_t i = 0; i < zeros_.size(); ++i) {
        zeros_[i] = i % 2 == 0 ? static_cast<std::uint8_t>(input_zero_point_) : std::uint8_t{0};
      }
    }
    for (const PackedPart& part : weights_->parts) {
      const bool through = runs_through(part);
      const bool padded = weights_->padded_lines || through;
      const auto lines = weights_->fold == Fold::planes ? Indirection::Lines::padded_planes
                         : weights_->fold == Fold::rows ? Indirection::Lines::padded_rows
                         : padded                       ? Indirection::Lines::padded
                                                        : Indirection::Lines::input;
      PartPlan plan{&part, Indirection(problem, part.part, lines, channel_bytes), {}, through, {}, false};
      if (plan.indirection.planes() * plan.indirection.lines() * plan.indirection.width() == 0) continue;
      if (padded) {
        plan.padded.emplace(problem, part.part, zero_byte, channel_bytes,
                            weights_->fold == Fold::planes ? PaddedLines::Layout::planes
                            : through                      ? PaddedLines::Layout::through
                                                           : PaddedLines::Layout::lines);
      }
      plan.initial = initial_sums(part, r);
      plan.skip = plan.indirection.reads_padding() && zero_points_.empty();
      parts_.push_back(std::move(plan));
    }
    one_thread_ = cut(1);
    all_threads_ = cut(weights_->unit == nullptr ? kTasks : kTileTasks);
  }

  void run(const RunArgs& args, ThreadPool& pool) const override {
    const std::int64_t work = this->work();
    const auto threads = static_cast<std::size_t>(work < kSmallWork ? 1 : pool.num_threads());
    const Cut& cut = threads == 1 ? one_thread_ : all_threads_;
    const std::size_t ranges = column_ranges(cut.tasks, weights_->blocks.size(), threads);
    parallel_for(pool, cut.tasks * ranges, work,
                 [&](std::size_t task) { run_task(args, cut, task / ranges, task % ranges, ranges); });
  }

  std::string explain() const override {
    const bool alone = work() < kSmallWork;
    const std::string threads = alone ? "one thread" : fmt::format("on several {}", explain(all_threads_));
    return fmt::format("tiles of {} rows; {} column blocks; {} parts; on one thread {}; {}",
                       weights_->tile_rows, weights_->blocks.size(), parts_.size(), explain(one_thread_),
                       threads);
  }

  std::string kernel_name() const override { return weights_->kernel(); }

 private:
  // A cut in words.
  std::string explain(const Cut& cut) const {
    std::int64_t rows = 0;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const PartPlan& part = parts_[i];
      const std::int64_t lines = cut.chunks[i].most_lines();
      const std::int64_t width = cut.chunks[i].most_width();
      const std::int64_t pointers =
          lines * (width * (part.indirection.taps() + 1) + part.indirection.row_taps());
      const std::size_t copied = part.padded ? part.padded->bytes(lines, width) : 0;
      rows = std::max(rows, lines * width);
      bytes = std::max(bytes, static_cast<std::size_t>(pointers) * sizeof(void*) + copied);
    }
    return fmt::format("{} chunks of {} rows with {} bytes of scratch", cut.tasks, rows, bytes);
  }

  // What parallel_for wants to know: a vector instruction makes dozens of multiply-adds, a tile's thousands.
  std::int64_t work() const { return problem_.multiply_adds() / (weights_->unit == nullptr ? 8 : 32); }

  // sum (a - za)(w - zw) = sum a w - za sum w - zw sum a + taps channels za zw; all but the terms with a are
  // known now. Modulo 2^32 throughout: the whole is exact, its terms need not be.
  AlignedBuffer<std::int32_t> initial_sums(const PackedPart& part, const Requantization& r) const {
    AlignedBuffer<std::int32_t> initial = filled(weights_->lanes, 0);
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

  // Enough for several threads. Those of tile registers copy lines that their neighbours copy, too.
  static constexpr std::int64_t kTasks = 16;
  static constexpr std::int64_t kTileTasks = 8;

  // Cuts the outputs into chunks whose pointers and pixels stay within the caches' reach, and small enough
  // for so many tasks: each plans its tiles anew, so no more of them than asked for. But not where the
  // weights are larger than the input, since every chunk reads them all: there run() cuts the column blocks.
  Cut cut(std::int64_t tasks) const {
    constexpr std::int64_t kPointers = 4096;
    constexpr std::int64_t kInputBytes = 65536;
    constexpr std::int64_t kFewRows = 192;
    const auto blocks = static_cast<std::int64_t>(weights_->blocks.size());
    const bool weights_first =
        static_cast<std::int64_t>(weights_->values.size()) > problem_.input_sizes().numel();
    const std::int64_t ranges = weights_first ? std::min(blocks, tasks) : 1;
    const std::int64_t most_rows =
        std::max(kFewRows / weights_->channel_bytes, kInputBytes / problem_.geometry.in_channels);
    // Copies that run through lines may take a quarter of the second-level cache.
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t most_through =
        std::max(kFewRows, cache_sizes().second / 4 / (g.in_channels * g.stride[1] * g.stride[2]));
    Cut cut;
    for (const PartPlan& part : parts_) {
      const Indirection& i = part.indirection;
      const std::int64_t rows = i.planes() * i.lines() * i.width();
      const std::int64_t cached =
          part.through ? most_through : kPointers / std::max<std::int64_t>(i.taps(), 1);
      const std::int64_t wanted = (rows * ranges + tasks - 1) / tasks;
      cut.chunks.emplace_back(
          i,
          std::max(weights_->tile_rows, std::min({wanted, cached, part.through ? most_through : most_rows})));
      cut.first_tasks.push_back(cut.tasks);
      cut.tasks += static_cast<std::size_t>(cut.chunks.back().count());
    }
    return cut;
  }

  // Whether tiles are to run through all lines of outputs, over copies with PaddedLines::Layout::through:
  // when more than one tap reads each copy, and few of the rows are no outputs. Tiles of long lines are
  // shifted copies of each other as they are.
  bool runs_through(const PackedPart& part) const {
    if (weights_->unit == nullptr || taps(part.part) < 2) return false;
    const std::int64_t width = part.part[2].count(problem_.output()[2]);
    const Phase& phase = part.part[2];
    const std::int64_t between = (phase.most_offset() - phase.least_offset()) / phase.stride;
    return width < kLongLine * weights_->tile_rows && 2 * between <= width;
  }

  // Bytes of a pixel, or of a row of the kernel, with the channels of all groups.
  std::size_t pixel_bytes() const {
    return static_cast<std::size_t>(std::max(problem_.geometry.in_channels, weights_->tap_channels) *
                                    weights_->channel_bytes);
  }
  // What is read of it: tile registers read beyond it.
  std::size_t pixel_extent() const {
    const auto group = static_cast<std::size_t>(weights_->tap_channels * weights_->channel_bytes);
    return pixel_bytes() - group + weights_->steps * igemm::kStep;
  }

  // One chunk and one of `ranges` ranges of column blocks.
  void run_task(const RunArgs& args, const Cut& cut, std::size_t task, std::size_t range,
                std::size_t ranges) const {
    const auto next = std::upper_bound(cut.first_tasks.begin(), cut.first_tasks.end(), task);
    const auto i = static_cast<std::size_t>(next - cut.first_tasks.begin()) - 1;
    const PartPlan& part = parts_[i];
    plan_tiles(args, part, cut.chunks[i].chunk(static_cast<std::int64_t>(task - cut.first_tasks[i])));
    const std::size_t blocks = weights_->blocks.size();
    if (weights_->unit != nullptr) weights_->unit->begin();
    for (std::size_t b = range * blocks / ranges; b < (range + 1) * blocks / ranges; ++b) {
      run_block(args, part, b);
    }
    if (weights_->unit != nullptr) weights_->unit->end();
  }

  // The pointers and offsets of all tiles of a chunk.
  void plan_tiles(const RunArgs& args, const PartPlan& part, const Chunk& chunk) const {
    const Indirection& indirection = part.indirection;
    const auto* input = static_cast<const std::uint8_t*>(args.input);
    Scratch& memory = scratch();
    memory.lines.resize(static_cast<std::size_t>(chunk.lines * indirection.row_taps()));
    PixelRuns::Memory readable{.source = {memory.lines.data(), chunk.first_x, zeros_.data()},
                               .end = input + problem_.input_sizes().numel(),
                               .bytes = pixel_bytes(),
                               .extent = pixel_extent(),
                               .unit = weights_->unit};
    Indirection::Source& source = readable.source;
    if (part.padded) {
      // The last run of a tile may be half beyond the last output.
      const auto beyond = static_cast<std::size_t>(weights_->tile_rows * indirection.input_offset(1));
      grow(memory.padded, part.padded->bytes(chunk.lines, chunk.width) + readable.extent + beyond);
      readable.end = memory.padded.data() + memory.padded.size();
      part.padded->copy(chunk, input, memory.padded.data(), memory.lines.data());
      source.first_x = 0;
    } else {
      indirection.input_lines(chunk.plane, chunk.first_line, chunk.lines, input, memory.lines.data());
    }
    memory.output_lines.clear();
    for (std::int64_t line = 0; line < chunk.lines; ++line) {
      memory.output_lines.push_back(indirection.output_line(chunk.plane, chunk.first_line + line) +
                                    indirection.output_offset(chunk.first_x));
    }
    memory.spans.clear();
    memory.output_offsets.clear();
    memory.plans.clear();
    memory.templates.clear();
    const std::size_t most_pixels = static_cast<std::size_t>(chunk.lines * chunk.width * indirection.taps());
    memory.tap_indices.resize(most_pixels);
    if (part.through) return plan_through(part, readable, chunk, memory);
    std::int64_t unit = 1;
    if (weights_->unit == nullptr) {
      memory.pixels.resize(most_pixels);
    } else {
      unit = igemm::kRunPixels;
      memory.runs.start(chunk.lines * ((chunk.width - 1) / weights_->tile_rows + 1), indirection.taps(),
                        readable.extent);
    }
    // Neighbouring tiles of a line: those at its ends that reach into the padding one by one, the others as
    // one.
    const auto plan_line = [&](Segment s, std::int64_t tiles) {
      const std::int64_t begin = indirection.inside_begin() - source.first_x;
      const std::int64_t end = indirection.inside_end() - source.first_x;
      while (tiles > 0) {
        std::int64_t now = 1;
        const bool inside = s.x >= begin && s.x + s.count <= end;
        if (inside && zero_points_.empty()) now = std::min(tiles, (end - s.x) / s.count);
        bool shares = inside;
        if (inside && weights_->unit != nullptr) {
          // The last tile of the input may have to be copied.
          if (now > 1 && !PixelRuns::in_place(indirection, readable, s, now)) --now;
          shares = PixelRuns::in_place(indirection, readable, s, now);
          if (!shares) now = 1;
        }
        if (!shares || !share(indirection, memory, s, now)) {
          memory.segments.assign(1, s);
          plan_tile(part, readable, static_cast<std::size_t>(s.count), memory);
          memory.plans.back().tiles = static_cast<std::size_t>(now);
          if (shares) memory.templates.push_back({memory.plans.size() - 1, s});
        }
        s.x += now * s.count;
        tiles -= now;
      }
    };
    for_each_tile(chunk, weights_->tile_rows, unit, memory.segments, plan_line,
                  [&](const auto&, std::size_t rows) { plan_tile(part, readable, rows, memory); });
  }

  // Tiles that run through all lines of the chunk: all their pointers are shifts of those of the first.
  void plan_through(const PartPlan& part, const PixelRuns::Memory& readable, const Chunk& chunk,
                    Scratch& memory) const {
    const Indirection& indirection = part.indirection;
    memory.runs.start(1, indirection.taps(), readable.extent);
    memory.segments.assign(1, {0, 0, 1});
    const std::size_t taps =
        memory.runs.add_tile(indirection, readable, memory.segments, false, memory.tap_indices.data());
    memory.runs.continue_runs(indirection.input_offset(1));
    const std::int64_t line_step = part.padded->line_step(chunk.width);
    const std::int64_t all = (chunk.lines - 1) * line_step + chunk.width;
    for (std::int64_t first = 0; first < all; first += weights_->tile_rows) {
      TilePlan tile{1,    static_cast<std::size_t>(std::min(weights_->tile_rows, all - first)),
                    taps, memory.output_offsets.size(),
                    0,    memory.spans.size()};
      tile.input_shift = indirection.input_offset(first);
      const std::int64_t end = first + static_cast<std::int64_t>(tile.rows);
      for (std::int64_t line = first / line_step; line * line_step < end; ++line) {
        const std::int64_t begin = std::max(first, line * line_step);
        const std::int64_t stop = std::min(end, line * line_step + chunk.width);
        if (begin >= stop) continue;
        memory.spans.push_back(
            {static_cast<std::uint32_t>(begin - first), static_cast<std::uint32_t>(stop - begin)});
        const std::int64_t output = memory.output_lines[static_cast<std::size_t>(line)];
        for (std::int64_t i = begin; i < stop; ++i) {
          memory.output_offsets.push_back(output + indirection.output_offset(i - line * line_step));
        }
      }
      tile.span_count = memory.spans.size() - tile.first_span;
      if (tile.span_count > 0) memory.plans.push_back(tile);
    }
  }

  static std::int64_t output_of(const Indirection& indirection, const Scratch& memory, const Segment& s) {
    return memory.output_lines[static_cast<std::size_t>(s.line)] + indirection.output_offset(s.x);
  }

  // Adds a tile of the outputs in Scratch::segments.
  static void plan_tile(const PartPlan& part, const PixelRuns::Memory& readable, std::size_t rows,
                        Scratch& memory) {
    const std::size_t first_row = memory.output_offsets.size();
    std::size_t first_pixel = first_row * static_cast<std::size_t>(part.indirection.taps());
    std::size_t taps = 0;
    if (readable.unit == nullptr) {
      taps =
          part.indirection.fill(readable.source, memory.segments, rows, part.skip,
                                memory.pixels.data() + first_pixel, memory.tap_indices.data() + first_pixel);
    } else {
      first_pixel = memory.runs.size() / 2;
      taps = memory.runs.add_tile(part.indirection, readable, memory.segments, part.skip,
                                  memory.tap_indices.data() + first_pixel);
    }
    for (const Segment& s : memory.segments) {
      const std::int64_t first = output_of(part.indirection, memory, s);
      for (std::int64_t i = 0; i < s.count; ++i) {
        memory.output_offsets.push_back(first + part.indirection.output_offset(i));
      }
    }
    memory.plans.push_back({1, rows, taps, first_row, first_pixel, memory.spans.size(), 1});
    memory.spans.push_back({0, static_cast<std::uint32_t>(rows)});
  }

  // Adds tiles that share the pointers of earlier ones of as many outputs whose input lines are as far apart.
  static bool share(const Indirection& indirection, Scratch& memory, const Segment& s, std::int64_t tiles) {
    const std::int64_t taps = indirection.row_taps();
    for (const Template& t : memory.templates) {
      if (t.segment.count != s.count || taps == 0) continue;
      const std::uint8_t* const* lines = memory.lines.data() + s.line * taps;
      const std::uint8_t* const* others = memory.lines.data() + t.segment.line * taps;
      if (lines[0] == nullptr || others[0] == nullptr) continue;
      const std::int64_t shift = lines[0] - others[0];
      const bool alike = std::equal(lines, lines + taps, others, [&](const auto* line, const auto* other) {
        return line != nullptr && other != nullptr && line - other == shift;
      });
      if (!alike) continue;
      TilePlan plan = memory.plans[t.plan];
      plan.tiles = static_cast<std::size_t>(tiles);
      plan.input_shift = shift + indirection.input_offset(s.x - t.segment.x);
      plan.output_shift = output_of(indirection, memory, s) - output_of(indirection, memory, t.segment);
      memory.plans.push_back(plan);
      return true;
    }
    return false;
  }

  void run_block(const RunArgs& args, const PartPlan& part, std::size_t b) const {
    const ColumnBlock& block = weights_->blocks[b];
    const igemm::Function kernel = signed_ ? block.kernel->run_signed : block.kernel->run_unsigned;
    const auto taps = static_cast<std::size_t>(part.indirection.taps());
    Scratch& memory = scratch();
    igemm::Args call{};
    call.columns = static_cast<std::size_t>(block.columns);
    call.channels = static_cast<std::size_t>(weights_->tap_channels * weights_->channel_bytes);
    const std::int64_t group_offset = block.group * weights_->in_channels_per_group * weights_->channel_bytes;
    call.weights = weights_->values.data() + part.packed->block_offsets[b];
    call.tap_bytes = weights_->steps * block.kernel->columns * igemm::kStep;
    call.spread = weights_->spread.data();
    call.steps = weights_->steps;
    auto* output = static_cast<std::uint8_t*>(args.output) + block.first;
    const auto* addend = args.addend ? static_cast<const std::uint8_t*>(args.addend) + block.first : nullptr;
    call.epilogue = epilogue_;
    call.epilogue.bias = bias_.data() + block.lane;
    call.epilogue.multiplier = multiplier_.data() + block.lane;
    if (!zero_points_.empty()) call.epilogue.weight_zero_points = zero_points_.data() + block.lane;
    // The next block's weights follow this one's. They are fetched late, not to be gone again when their turn
    // comes, but early enough for memory: a tile fetches one line of every `vectors` that it reads.
    constexpr std::size_t kTilesAhead = 2;
    const auto line_bytes = static_cast<std::int64_t>(block.kernel->lanes() * igemm::kStep);
    const std::int8_t* const end = weights_->values.data() + weights_->values.size();
    const auto block_bytes = part.packed->taps * static_cast<std::int64_t>(call.tap_bytes);
    constexpr std::int64_t kNearBytes = 20 * 1024;
    call.near = block_bytes <= kNearBytes;
    call.ahead = call.weights + block_bytes;
    call.ahead_end = call.ahead + std::min(block_bytes, end - call.ahead);
    std::size_t left = 0;
    for (const TilePlan& tile : memory.plans) left += tile.tiles;
    for (const TilePlan& tile : memory.plans) {
      call.tiles = tile.tiles;
      call.input_step = part.indirection.input_offset(static_cast<std::int64_t>(tile.rows));
      call.output_step = part.indirection.output_offset(static_cast<std::int64_t>(tile.rows));
      call.rows = tile.rows;
      call.taps = tile.taps;
      if (weights_->unit == nullptr) {
        call.pixels = memory.pixels.data() + tile.first_pixel;
      } else {
        call.runs = memory.runs.data() + 2 * tile.first_pixel;
        call.spans = memory.spans.data() + tile.first_span;
        call.span_count = tile.span_count;
      }
      call.tap_indices = memory.tap_indices.data() + tile.first_pixel;
      call.channel_offset = group_offset + tile.input_shift;
      call.output_offsets = memory.output_offsets.data() + tile.first_row;
      call.output = output + tile.output_shift;
      call.addend = addend == nullptr ? nullptr : addend + tile.output_shift;
      if (!zero_points_.empty()) {
        sum_rows(tile, group_offset, memory.row_sums);
        call.row_sums = memory.row_sums.data();
      }
      call.epilogue.initial = tile.taps == taps ? part.initial.data() + block.lane
                                                : initial_without(part, block, call, memory.initial);
      call.ahead_tile = left - std::min(left, kTilesAhead * block.kernel->vectors);
      kernel(call);
      left -= tile.tiles;
      const std::size_t fetching = tile.tiles - std::min(tile.tiles, call.ahead_tile);
      const auto lines = static_cast<std::int64_t>(fetching * tile.taps * weights_->steps);
      call.ahead += std::min(lines * line_bytes, call.ahead_end - call.ahead);
    }
  }

  // The accumulator start of a tile that leaves out taps: these would have read zero points, so that their
  // part of the correction goes, too.
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
  void sum_rows(const TilePlan& tile, std::int64_t group_offset, std::vector<std::int32_t>& sums) const {
    const std::int64_t channels = weights_->tap_channels;
    const std::uint8_t flip = raw_flip(problem_.input_dtype);
    sums.assign(tile.rows, 0);
    for (std::size_t i = 0; i < tile.taps * tile.rows; ++i) {
      const std::uint8_t* p = pixel_of(tile, i / tile.rows, i % tile.rows) + group_offset + tile.input_shift;
      auto sum = static_cast<std::int32_t>(channels) * input_bias_;
      if (weights_->channel_bytes == 2) {
        const auto* words = reinterpret_cast<const std::uint16_t*>(p);
        for (std::int64_t c = 0; c < channels; ++c) sum += words[c];
      } else {
        for (std::int64_t c = 0; c < channels; ++c) sum += p[c] ^ flip;
      }
      sums[i % tile.rows] += sum;
    }
  }

  const std::uint8_t* pixel_of(const TilePlan& tile, std::size_t tap, std::size_t row) const {
    if (weights_->unit == nullptr) return scratch().pixels[tile.first_pixel + tap * tile.rows + row];
    const igemm::PixelRun& run =
        scratch().runs.data()[2 * (tile.first_pixel + tap) + row / igemm::kRunPixels];
    return run.first + static_cast<std::int64_t>(row % igemm::kRunPixels) * run.step;
  }

  std::shared_ptr<const PackedIgemm> weights_;
  ConvProblem problem_;
  bool signed_;
  std::int32_t input_bias_;
  std::int32_t input_zero_point_;  // as the kernels read the input
  AlignedBuffer<float> bias_;      // these three per lane
  AlignedBuffer<float> multiplier_;
  AlignedBuffer<std::int32_t> zero_points_;  // empty when all are 0
  Epilogue epilogue_{};
  std::vector<std::uint8_t> zeros_;  // what a tap in zero padding reads
  std::vector<PartPlan> parts_;
  Cut one_thread_;
  Cut all_threads_;
};

}  // namespace

std::unique_ptr<const Prepared> prepare_igemm(std::shared_ptr<const PackedIgemm> weights,
                                              const ConvProblem& problem,
                                              const Requantization& requantization) {
  return std::make_unique<PreparedIgemm>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
