#include "engines/native/prepared_winograd.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "engines/native/epilogue.hpp"
#include "engines/native/winograd_choice.hpp"
#include "engines/native/winograd_tiles.hpp"

namespace qconv::engines {
namespace {

using winograd::kPatch;
using winograd::kPoints;

constexpr std::int64_t kLine = 64;  // bytes
constexpr std::int64_t kLineShorts = kLine / static_cast<std::int64_t>(sizeof(std::int16_t));

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Memory of one thread, kept between calls.
struct Scratch {
  AlignedBuffer<std::int16_t> points;
  AlignedBuffer<std::int32_t> sums;
  std::vector<winograd::TileOutputs> outputs;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

template <class T>
void grow(AlignedBuffer<T>& buffer, std::int64_t count) {
  if (buffer.size() < static_cast<std::size_t>(count))
    buffer = AlignedBuffer<T>(static_cast<std::size_t>(count));
}

// How a run is cut: each task is one depth position, a block of tiles and a range of panels.
struct Cut {
  std::int64_t blocks;
  std::int64_t ranges;
};

class PreparedWinograd final : public Prepared {
 public:
  PreparedWinograd(std::shared_ptr<const PackedWinograd> weights, const ConvProblem& problem,
                   const Requantization& r)
      : weights_(std::move(weights)),
        transformed_(weights_->transformed()),
        steps_(*weights_->kernel_row().steps),
        transform_input_(problem.input_dtype == DType::qint8 ? steps_.transform_signed
                                                             : steps_.transform_unsigned),
        problem_(problem),
        out_(problem.output()),
        zero_point_(static_cast<std::int16_t>(r.input_zero_point)),
        epilogue_(common_epilogue(problem, r)),
        bias_(r.bias),
        multiplier_(r.multiplier) {
    const ConvGeometry& g = problem.geometry;
    const Spatial& in = problem.input;
    width_ = make_tile_axis(problem, 2, g.in_channels);
    height_ = make_tile_axis(problem, 1, g.in_channels * in[2]);
    for (std::size_t i = 0; i < kPoints; ++i) {
      inside_offsets_[i] = (static_cast<std::int64_t>(i / kPatch) * height_.step * in[2] +
                            static_cast<std::int64_t>(i % kPatch) * width_.step) *
                           g.in_channels;
    }
    depth_ = make_depth_taps(problem, g.in_channels * in[2] * in[1]);
    tiles_ = problem.batch * static_cast<std::int64_t>(height_.tiles.size() * width_.tiles.size());
    zeros_.assign(static_cast<std::size_t>(g.in_channels), static_cast<std::uint8_t>(r.input_zero_point));
    tap_stride_ = round_up(g.in_channels, kLineShorts);
    const std::int32_t za = raw_zero_point(problem.input_dtype, r.input_zero_point);
    for (std::int64_t oc = 0; oc < g.out_channels; ++oc) {
      const std::int64_t least = weights_->least_sum(oc, za);
      const auto middle = static_cast<std::int32_t>(least + (weights_->greatest_sum(oc, za) - least + 1) / 2);
      centre_.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(winograd::kCentreScale) *
                                                  static_cast<std::uint32_t>(middle)));
      initial_.push_back(middle + r.integer_bias[static_cast<std::size_t>(oc)]);
    }
    // Vectors are read whole.
    const auto padded = static_cast<std::size_t>(
        round_up(g.out_channels, static_cast<std::int64_t>(weights_->kernel_row().lanes)));
    centre_.resize(padded);
    initial_.resize(padded);
    bias_.resize(padded);
    multiplier_.resize(padded);
    block_tiles_ = winograd_block_tiles(weights_->kernel_row(), g);
    for (const auto& panel : transformed_.panels) {
      sum_columns_ =
          std::max(sum_columns_, panel.vectors * static_cast<std::int64_t>(weights_->kernel_row().lanes));
    }
  }

  void run(const RunArgs& args, ThreadPool& pool) const override {
    const Cut cut = cut_for(pool.num_threads());
    const auto depths = static_cast<std::int64_t>(depth_.size());
    parallel_for(pool, static_cast<std::size_t>(depths * cut.blocks * cut.ranges),
                 problem_.multiply_adds() / 16,
                 [&](std::size_t task) { run_task(args, cut, static_cast<std::int64_t>(task)); });
  }

  std::string explain() const override {
    const Cut cut = cut_for(1);
    return fmt::format("{} tiles of 4 x 4 at each of {} depths; {} tasks on one thread; {} panels of weights",
                       tiles_, depth_.size(),
                       static_cast<std::int64_t>(depth_.size()) * cut.blocks * cut.ranges, panels());
  }

  std::string kernel_name() const override { return weights_->kernel_row().name; }

 private:
  std::int64_t panels() const { return static_cast<std::int64_t>(transformed_.panels.size()); }

  Cut cut_for(int threads) const {
    const auto depths = static_cast<std::int64_t>(depth_.size());
    std::int64_t blocks = (tiles_ + block_tiles_ - 1) / block_tiles_;
    if (threads <= 1) return {blocks, 1};
    if (blocks * depths >= threads || panels() == 1) {
      while (blocks * depths % threads != 0 && blocks < tiles_) ++blocks;
      return {blocks, 1};
    }
    return {blocks, std::min<std::int64_t>(panels(), threads)};
  }

  void run_task(const RunArgs& args, const Cut& cut, std::int64_t task) const {
    const std::int64_t range = task % cut.ranges;
    const std::int64_t block = task / cut.ranges % cut.blocks;
    const std::int64_t depth = task / cut.ranges / cut.blocks;
    const DepthTaps& taps = depth_[static_cast<std::size_t>(depth)];
    const std::int64_t first = block * tiles_ / cut.blocks;
    const std::int64_t tiles = (block + 1) * tiles_ / cut.blocks - first;
    Scratch& memory = scratch();
    const std::int64_t tile_stride = static_cast<std::int64_t>(taps.sources.size()) * tap_stride_;
    // An odd number of lines: the points of a tile spread over all sets of the caches.
    const std::int64_t point_stride = (tiles * tile_stride / kLineShorts | 1) * kLineShorts;
    grow(memory.points, static_cast<std::int64_t>(kPoints) * point_stride);
    grow(memory.sums, tiles * static_cast<std::int64_t>(kPoints) * sum_columns_);
    memory.outputs.resize(static_cast<std::size_t>(tiles));
    for (std::int64_t i = 0; i < tiles; ++i) {
      memory.outputs[static_cast<std::size_t>(i)] =
          load_tile(args, first + i, depth, memory.points.data() + i * tile_stride, point_stride);
    }

    const ConvGeometry& g = problem_.geometry;
    winograd::MultiplyArgs multiply{};
    multiply.tiles = static_cast<std::size_t>(tiles);
    multiply.taps = taps.sources.size();
    multiply.pairs = static_cast<std::size_t>((g.in_channels + 1) / 2);
    multiply.points = memory.points.data();
    multiply.point_stride = static_cast<std::size_t>(point_stride);
    multiply.tile_stride = static_cast<std::size_t>(tile_stride);
    multiply.tap_stride = static_cast<std::size_t>(tap_stride_);
    multiply.sums = memory.sums.data();
    winograd::OutputArgs output{};
    output.tiles = multiply.tiles;
    output.sums = memory.sums.data();
    output.positions = memory.outputs.data();
    output.row_stride = out_[2] * g.out_channels * height_.step;
    output.column_stride = g.out_channels * width_.step;
    output.epilogue = epilogue_;
    for (std::int64_t p = range * panels() / cut.ranges; p < (range + 1) * panels() / cut.ranges; ++p) {
      const WinogradWeights::Panel& panel = transformed_.panels[static_cast<std::size_t>(p)];
      const std::size_t tap_weights =
          multiply.pairs * static_cast<std::size_t>(panel.vectors) * weights_->kernel_row().lanes * 2;
      multiply.vectors = static_cast<std::size_t>(panel.vectors);
      multiply.weights =
          transformed_.values.data() + panel.offset + static_cast<std::size_t>(taps.first) * tap_weights;
      multiply.weights_stride = static_cast<std::size_t>(g.kernel[0]) * tap_weights;
      steps_.multiply(multiply);
      output.columns = static_cast<std::size_t>(panel.columns);
      output.centre = centre_.data() + panel.first;
      output.output = static_cast<std::uint8_t*>(args.output) + panel.first;
      output.addend = args.addend ? static_cast<const std::uint8_t*>(args.addend) + panel.first : nullptr;
      output.epilogue.initial = initial_.data() + panel.first;
      output.epilogue.bias = bias_.data() + panel.first;
      output.epilogue.multiplier = multiplier_.data() + panel.first;
      steps_.transform_output(output);
    }
  }

  // Transforms the input of one tile, counted over the batch, at every depth tap.
  winograd::TileOutputs load_tile(const RunArgs& args, std::int64_t index, std::int64_t depth,
                                  std::int16_t* points, std::int64_t point_stride) const {
    const auto wide = static_cast<std::int64_t>(width_.tiles.size());
    const auto high = static_cast<std::int64_t>(height_.tiles.size());
    const TileAxis::Tile& column = width_.tiles[static_cast<std::size_t>(index % wide)];
    const TileAxis::Tile& row = height_.tiles[static_cast<std::size_t>(index / wide % high)];
    const std::int64_t n = index / wide / high;
    const Spatial& in = problem_.input;
    const ConvGeometry& g = problem_.geometry;
    const auto* image =
        static_cast<const std::uint8_t*>(args.input) + n * in[0] * in[1] * in[2] * g.in_channels;
    std::array<const std::uint8_t*, kPoints> pixels;
    winograd::InputArgs call{};
    call.pixels = pixels.data();
    call.channels = static_cast<std::size_t>(g.in_channels);
    call.zero_point = zero_point_;
    call.points = points;
    call.point_stride = static_cast<std::size_t>(point_stride);
    for (const std::int64_t plane : depth_[static_cast<std::size_t>(depth)].sources) {
      if (row.inside && column.inside) {
        const std::uint8_t* corner = image + plane + row.sources[0] + column.sources[0];
        for (std::size_t i = 0; i < kPoints; ++i) pixels[i] = corner + inside_offsets_[i];
      } else {
        std::size_t i = 0;
        for (const std::int64_t y : row.sources) {
          for (const std::int64_t x : column.sources) {
            pixels[i++] = y < 0 || x < 0 ? zeros_.data() : image + plane + y + x;
          }
        }
      }
      transform_input_(call);
      call.points += tap_stride_;
    }
    const std::int64_t pixel = ((n * out_[0] + depth) * out_[1] + row.first) * out_[2] + column.first;
    return {pixel * g.out_channels, static_cast<std::size_t>(row.count),
            static_cast<std::size_t>(column.count)};
  }

  std::shared_ptr<const PackedWinograd> weights_;
  const WinogradWeights& transformed_;
  const winograd::Steps& steps_;
  void (*transform_input_)(const winograd::InputArgs&) noexcept;
  ConvProblem problem_;
  Spatial out_;
  std::int16_t zero_point_;  // of the input
  Epilogue epilogue_;
  std::vector<float> bias_;  // these four padded to whole vectors
  std::vector<float> multiplier_;
  std::vector<std::int32_t> centre_;
  std::vector<std::int32_t> initial_;
  std::vector<std::uint8_t> zeros_;                   // one pixel of padding
  std::array<std::int64_t, kPoints> inside_offsets_;  // of a patch away from the border
  TileAxis width_;
  TileAxis height_;
  std::vector<DepthTaps> depth_;
  std::int64_t tiles_ = 0;        // in the whole batch, at one depth
  std::int64_t tap_stride_ = 0;   // elements of a transformed pixel
  std::int64_t block_tiles_ = 0;  // at most, in a task
  std::int64_t sum_columns_ = 0;  // of the widest panel
};

}  // namespace

std::unique_ptr<const Prepared> prepare_winograd(std::shared_ptr<const PackedWinograd> weights,
                                                 const ConvProblem& problem,
                                                 const Requantization& requantization) {
  return std::make_unique<PreparedWinograd>(std::move(weights), problem, requantization);
}

}  // namespace qconv::engines
