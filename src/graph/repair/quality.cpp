#include "graph/repair/quality.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/error_sums.hpp"
#include "support/check.hpp"

namespace qconv {

std::string_view to_string(Metric metric) noexcept {
  switch (metric) {
    case Metric::top1:
      return "top1";
    case Metric::agreement:
      return "agreement";
    case Metric::sqnr:
      return "sqnr";
    case Metric::psnr:
      return "psnr";
  }
  return "";
}

}  // namespace qconv

namespace qconv::graph {
namespace {

// The index of the largest of `classes` scores that lie `stride` apart; the first of equal ones.
std::int64_t decision(const float* scores, std::int64_t classes, std::int64_t stride) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < classes; ++c) {
    if (scores[c * stride] > scores[best * stride]) best = c;
  }
  return best;
}

double ratio_db(double signal, double noise) {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return signal == 0 ? -std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
}

// Sums over the data for one network.
struct Tally {
  ErrorSums errors;
  double equal = 0;
  double decisions = 0;
  std::size_t samples = 0;
  std::size_t right = 0;

  void decide(const Shape& sizes, const std::vector<float>& expected, const std::vector<float>& actual,
              const std::vector<std::int64_t>& labels) {
    if (sizes.rank() < 2 || sizes[1] < 2 || expected.empty()) return;
    const std::int64_t inner = static_cast<std::int64_t>(expected.size()) / sizes[0] / sizes[1];
    for (std::int64_t n = 0; n < sizes[0]; ++n) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const auto at = static_cast<std::size_t>(n * sizes[1] * inner + i);
        const std::int64_t chosen = decision(actual.data() + at, sizes[1], inner);
        equal += chosen == decision(expected.data() + at, sizes[1], inner) ? 1 : 0;
        decisions += 1;
        if (!labels.empty() && i == 0)
          right += chosen == labels[samples + static_cast<std::size_t>(n)] ? 1 : 0;
      }
    }
  }

  Quality finish(double range, bool labelled) const {
    Quality q;
    const ErrorFigures figures = errors.figures();
    q.sqnr_db = figures.sqnr_db;
    q.cosine = figures.cosine;
    q.mse = errors.mean_square();
    q.psnr_db = ratio_db(range * range, q.mse);
    if (decisions > 0) q.agreement = 100 * equal / decisions;
    if (labelled) q.top1 = 100 * static_cast<double>(right) / static_cast<double>(samples);
    q.samples = samples;
    return q;
  }
};

std::size_t batch_size(const std::vector<Tensor>& results) {
  return results[0].dim() == 0 ? 1 : static_cast<std::size_t>(results[0].size(0));
}

}  // namespace

Judge::Judge(const Network& real, const BatchSource& data, std::vector<std::int64_t> labels)
    : data_(data), labels_(std::move(labels)) {
  float least = std::numeric_limits<float>::infinity();
  float most = -least;
  Tally tally;
  while (const std::optional<std::vector<Tensor>> batch = data_()) {
    const std::vector<Tensor> results = real.run(*batch, RunOptions{});
    std::vector<std::vector<float>>& kept = expected_.emplace_back();
    for (const Tensor& r : results) {
      check<TypeError>(r.dtype() == float32, "quality: a result of the network '{}' is {}, expected float32",
                       real.name(), to_string(r.dtype()));
      kept.push_back(r.to_vector<float>());
      for (const float v : kept.back()) {
        least = std::min(least, v);
        most = std::max(most, v);
      }
      tally.errors.add(kept.back(), kept.back());
    }
    const std::size_t samples = batch_size(results);
    if (!labels_.empty()) {
      check(results[0].dim() == 2,
            "quality: labels need one score per class, results of sizes (N, classes), got {}",
            results[0].sizes());
      check(tally.samples + samples <= labels_.size(), "quality: got {} labels, and more samples than that",
            labels_.size());
      for (std::size_t i = 0; i < samples; ++i) {
        const std::int64_t label = labels_[tally.samples + i];
        check(label >= 0 && label < results[0].size(1), "quality: label {} is not one of the {} classes",
              label, results[0].size(1));
      }
    }
    tally.decide(results[0].sizes(), kept[0], kept[0], labels_);
    tally.samples += samples;
  }
  check(!expected_.empty(), "quality: there is no evaluation data");
  check(labels_.empty() || labels_.size() == tally.samples, "quality: got {} labels for {} samples",
        labels_.size(), tally.samples);
  range_ = most > least ? static_cast<double>(most - least) : 0;
  real_ = tally.finish(range_, !labels_.empty());
}

Quality Judge::operator()(const Network& network) const {
  Tally tally;
  std::size_t b = 0;
  while (const std::optional<std::vector<Tensor>> batch = data_()) {
    const std::vector<Tensor> results = network.run(*batch, RunOptions{});
    check(b < expected_.size(), "quality: the evaluation data is not the same every time it is read");
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::vector<float> actual = results[i].to_vector<float>();
      check(actual.size() == expected_[b][i].size(),
            "quality: the evaluation data is not the same every time it is read");
      tally.errors.add(expected_[b][i], actual);
      if (i == 0) tally.decide(results[0].sizes(), expected_[b][0], actual, labels_);
    }
    tally.samples += batch_size(results);
    ++b;
  }
  check(
      b == expected_.size(),
      "quality: the evaluation data is needed more than once, and it came only once; give a list of batches, "
      "or a source that starts over after its end");
  return tally.finish(range_, !labels_.empty());
}

double value_of(const Quality& quality, Metric metric) noexcept {
  switch (metric) {
    case Metric::top1:
      return quality.top1;
    case Metric::agreement:
      return quality.agreement;
    case Metric::sqnr:
      return quality.sqnr_db;
    case Metric::psnr:
      return quality.psnr_db;
  }
  return 0;
}

bool holds(const Quality& quality, const Quality& real, Metric metric, double limit) noexcept {
  const double value = value_of(quality, metric);
  if (metric == Metric::sqnr || metric == Metric::psnr) return value >= limit;
  // Shares of the same samples: the difference is exact up to the rounding of percents.
  return value_of(real, metric) - value <= limit + 1e-9;
}

}  // namespace qconv::graph
