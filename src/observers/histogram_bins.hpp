#pragma once

#include <span>
#include <vector>

#include <qconv/tensor.hpp>

namespace qconv {

/// The interval that a histogram's bins divide evenly.
struct BinRange {
  float min;
  float max;
  friend bool operator==(const BinRange&, const BinRange&) = default;
};

/// How many values of the float32 tensor fall into each of `bins` bins of `range`: bin
/// min(int((x - min) * bins / (max - min)), bins - 1), each step rounded to float32. Where min = max, the
/// range is [min - 1, max + 1]. Values outside are left out. Counted exactly, on all threads, and rounded to
/// float at the end. Formula: torch.histc.
std::vector<float> count_bins(const Tensor& x, BinRange range, std::int64_t bins);

/// The bin that count_bins puts `value` into.
std::int64_t bin_of(float value, BinRange range, std::int64_t bins);

/// The histogram over the wider range `to`: the contents of each bin of `from` (not a single value) are cut
/// into 16 equal pieces, evenly spaced, and each piece goes to the new bin that its middle falls into.
/// Formula: PyTorch 2.3's HistogramObserver._upscale_histogram, with linspace's fused multiply-add.
std::vector<float> respread(std::span<const float> counts, BinRange from, BinRange to);

}  // namespace qconv
