#include "observers/value_range.hpp"

#include <algorithm>

#include "support/thread_pool.hpp"

namespace qconv {
namespace {

// Stretches of this many floats go to one thread.
constexpr std::int64_t kChunk = 1 << 16;
// Independent running minima, so that the compiler keeps them in vector registers.
constexpr int kLanes = 32;
constexpr std::int64_t kMaxBlocks = 16;

bool is_dense(const Tensor& x) { return x.is_contiguous() || x.is_contiguous(MemoryFormat::channels_last); }

ValueRange threaded_range(const float* x, std::int64_t count) {
  const auto chunks = static_cast<std::size_t>((count + kChunk - 1) / kChunk);
  std::vector<ValueRange> ranges(chunks);
  parallel_for(*current_pool(), chunks, count, [&](std::size_t c) {
    const std::int64_t begin = static_cast<std::int64_t>(c) * kChunk;
    ranges[c] = value_range(x + begin, std::min(kChunk, count - begin));
  });
  ValueRange all;
  for (const ValueRange& r : ranges) all = join(all, r);
  return all;
}

// `rows` rows of `channels` floats: each column's range. Row by row, so that memory is read in order.
void column_ranges(const float* x, std::int64_t rows, std::int64_t channels, ValueRange* ranges) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const float v = x[r * channels + c];
      ranges[c] = join(ranges[c], {v, v});
    }
  }
}

std::vector<ValueRange> threaded_column_ranges(const float* x, std::int64_t rows, std::int64_t channels) {
  // Each block has ranges of its own; no more than kMaxBlocks of them, or they could outweigh the data.
  const std::int64_t block = std::max(kChunk / channels, (rows + kMaxBlocks - 1) / kMaxBlocks);
  const auto blocks = static_cast<std::size_t>((rows + block - 1) / block);
  const auto width = static_cast<std::size_t>(channels);
  std::vector<ValueRange> partial(blocks * width);
  parallel_for(*current_pool(), blocks, rows * channels, [&](std::size_t b) {
    const std::int64_t begin = static_cast<std::int64_t>(b) * block;
    column_ranges(x + begin * channels, std::min(block, rows - begin), channels, &partial[b * width]);
  });
  std::vector<ValueRange> all(width);
  for (std::size_t i = 0; i < partial.size(); ++i) all[i % width] = join(all[i % width], partial[i]);
  return all;
}

// Memory that reads as [outer][channels][inner].
std::vector<ValueRange> threaded_run_ranges(const float* x, std::int64_t outer, std::int64_t channels,
                                            std::int64_t inner) {
  std::vector<ValueRange> ranges(static_cast<std::size_t>(channels));
  parallel_for(*current_pool(), ranges.size(), outer * channels * inner, [&](std::size_t c) {
    for (std::int64_t o = 0; o < outer; ++o) {
      const float* run = x + (o * channels + static_cast<std::int64_t>(c)) * inner;
      ranges[c] = join(ranges[c], value_range(run, inner));
    }
  });
  return ranges;
}

std::vector<ValueRange> dense_channel_ranges(const Tensor& x, int axis) {
  const std::int64_t channels = x.size(axis);
  // In memory order the channel changes every `inner` elements, in either format.
  const std::int64_t inner = channels == 1 ? x.numel() : x.stride(axis);
  const std::int64_t outer = x.numel() / (channels * inner);
  if (inner == 1) return threaded_column_ranges(x.data<float>(), outer, channels);
  return threaded_run_ranges(x.data<float>(), outer, channels, inner);
}

}  // namespace

ValueRange value_range(const float* x, std::int64_t count) noexcept {
  float lo[kLanes];
  float hi[kLanes];
  std::int32_t nan[kLanes] = {};
  const ValueRange none;
  std::fill(lo, lo + kLanes, none.min);
  std::fill(hi, hi + kLanes, none.max);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const float v = x[i + k];
      lo[k] = v < lo[k] ? v : lo[k];
      hi[k] = v > hi[k] ? v : hi[k];
      nan[k] |= v == v ? 0 : 1;
    }
  }
  ValueRange range;
  for (int k = 0; k < kLanes; ++k) {
    range = join(range, {lo[k], hi[k]});
    if (nan[k] != 0) range.min = range.max = std::numeric_limits<float>::quiet_NaN();
  }
  for (; i < count; ++i) range = join(range, {x[i], x[i]});
  return range;
}

ValueRange value_range(const Tensor& x) {
  ValueRange range;
  for_each_stretch(
      x, [&](const float* p, std::int64_t count) { range = join(range, threaded_range(p, count)); });
  return range;
}

std::vector<ValueRange> channel_ranges(const Tensor& x, int axis) {
  if (is_dense(x)) return dense_channel_ranges(x, axis);
  std::vector<ValueRange> ranges(static_cast<std::size_t>(x.size(axis)));
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const std::vector<ValueRange> slice = dense_channel_ranges(x.narrow(0, i, 1).contiguous(), axis);
    const std::size_t first = axis == 0 ? static_cast<std::size_t>(i) : 0;
    for (std::size_t c = 0; c < slice.size(); ++c) ranges[first + c] = join(ranges[first + c], slice[c]);
  }
  return ranges;
}

}  // namespace qconv
