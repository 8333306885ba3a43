#include <algorithm>
#include <cmath>
#include <optional>

#include <qconv/quantize_search.hpp>

#include "graph/quantizer.hpp"
#include "graph/repair/quality.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

using graph::Judge;
using graph::Node;
using graph::Precision;
using graph::Precisions;
using graph::Quantizer;

// Makes networks, judges them and counts.
class Search {
 public:
  Search(const Network& network, const BatchSource& batches, const SearchOptions& options, bool finer)
      : options_(options),
        judge_(network, options.evaluation ? options.evaluation : batches, options.labels),
        quantizer_(network, batches, options.quantize, finer) {}

  const std::vector<const Node*>& layers() const { return quantizer_.layers(); }
  const Quality& real() const { return judge_.real(); }
  std::size_t evaluations() const { return evaluations_; }
  Network build(const Precisions& precisions) const { return quantizer_.build(precisions); }

  Quality judge(const Network& network, std::string_view what) {
    const Quality quality = judge_(network);
    ++evaluations_;
    if (options_.progress) options_.progress(what, evaluations_);
    return quality;
  }
  Quality judge(const Precisions& precisions, std::string_view what) {
    return judge(build(precisions), what);
  }
  bool good(const Quality& quality) const {
    return graph::holds(quality, real(), options_.metric, options_.limit);
  }

  // Only those in int8 for which `quantized(index)` says so.
  template <class Quantized>
  Precisions only(const Quantized& quantized) const {
    Precisions precisions;
    for (std::size_t i = 0; i < layers().size(); ++i) {
      if (!quantized(i)) precisions[layers()[i]->name] = Precision::real;
    }
    return precisions;
  }
  Quality alone(std::size_t layer) {
    return judge(only([&](std::size_t i) { return i == layer; }), layers()[layer]->name);
  }

 private:
  const SearchOptions& options_;
  Judge judge_;
  Quantizer quantizer_;
  std::size_t evaluations_ = 0;
};

void check_search(const SearchOptions& options, const Quality& real) {
  check(std::isfinite(options.limit), "quantize_within: the limit is {}, expected a number", options.limit);
  const bool decibels = options.metric == Metric::sqnr || options.metric == Metric::psnr;
  check(decibels || options.limit >= 0, "quantize_within: the limit is {} points of {}, expected 0 or more",
        options.limit, to_string(options.metric));
  check(options.metric != Metric::top1 || !options.labels.empty(),
        "quantize_within: the metric top1 needs labels; give them, or use agreement, which compares with the "
        "float network");
  check(options.metric != Metric::agreement || !std::isnan(real.agreement),
        "quantize_within: the metric agreement needs results (N, classes, ...) with at least 2 classes; use "
        "sqnr "
        "or psnr");
}

// Layers that may be given a precision other than the one asked, the most sensitive first; the best choice of
// them that still holds the metric.
class Choice {
 public:
  Choice(Search& search, std::vector<std::string> ranked, Precisions fixed, Precision kept)
      : search_(search), ranked_(std::move(ranked)), fixed_(std::move(fixed)), kept_precision_(kept) {}

  // The fewest of the first layers that hold it, then without those that turn out not to be needed. All of
  // them are known to hold it, and with `one_at_least`, none is known not to.
  Precisions find(bool one_at_least = true) {
    if (ranked_.empty() || (!one_at_least && good(fixed_))) return fixed_;
    std::size_t low = 0;  // known not to be enough
    std::size_t high = ranked_.size();
    while (high - low > 1) {
      const std::size_t middle = low + (high - low) / 2;
      (good(first(middle)) ? high : low) = middle;
    }
    std::vector<bool> kept(ranked_.size(), false);
    std::fill_n(kept.begin(), high, true);
    for (std::size_t i = high; i-- > 0;) {
      if (high == 1) break;  // none was tried already
      kept[i] = false;
      if (!good(with(kept))) kept[i] = true;
    }
    return with(kept);
  }

 private:
  Precisions first(std::size_t count) const {
    std::vector<bool> kept(ranked_.size(), false);
    std::fill_n(kept.begin(), count, true);
    return with(kept);
  }
  Precisions with(const std::vector<bool>& kept) const {
    Precisions precisions = fixed_;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (kept[i]) precisions[ranked_[i]] = kept_precision_;
    }
    return precisions;
  }
  bool good(const Precisions& precisions) {
    return search_.good(search_.judge(precisions, "choosing layers"));
  }

  Search& search_;
  std::vector<std::string> ranked_;
  Precisions fixed_;
  Precision kept_precision_;
};

}  // namespace

std::vector<LayerSensitivity> sensitivity(const Network& network, const BatchSource& batches,
                                          const SearchOptions& options) {
  Search search(network, batches, options, false);
  std::vector<LayerSensitivity> result;
  for (std::size_t layer = 0; layer < search.layers().size(); ++layer) {
    const Node& node = *search.layers()[layer];
    LayerSensitivity s{node.name, std::string(op_name(node.op)), search.alone(layer), {}};
    // The first layer has none before it.
    s.up_to_here = layer == 0
                       ? s.alone
                       : search.judge(search.only([&](std::size_t i) { return i <= layer; }), node.name);
    result.push_back(std::move(s));
  }
  return result;
}

SearchResult quantize_within(const Network& network, const BatchSource& batches,
                             const SearchOptions& options) {
  Search search(network, batches, options, !options.quantize.per_channel);
  check_search(options, search.real());
  Network whole = search.build({});
  const Quality unrestricted = search.judge(whole, "all layers");
  const auto finish = [&](Network n, const Quality& q) {
    return SearchResult{std::move(n), q, unrestricted, search.real(), {}, search.layers().size(), 0};
  };
  if (search.good(unrestricted)) {
    SearchResult result = finish(std::move(whole), unrestricted);
    result.evaluations = search.evaluations();
    return result;
  }

  struct Ranked {
    const Node* node;
    Quality alone;
  };
  std::vector<Ranked> ranked;
  for (std::size_t i = 0; i < search.layers().size(); ++i) {
    ranked.push_back({search.layers()[i], search.alone(i)});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.alone.sqnr_db < b.alone.sqnr_db; });
  std::vector<std::string> names;
  std::vector<std::string> weighted;
  Precisions finer;
  for (const Ranked& r : ranked) {
    names.push_back(r.node->name);
    if (std::holds_alternative<graph::Conv>(r.node->op) ||
        std::holds_alternative<graph::Linear>(r.node->op)) {
      weighted.push_back(r.node->name);
      if (!options.quantize.per_channel) finer[r.node->name] = Precision::per_channel;
    }
  }

  Precisions chosen;
  if (!finer.empty() && search.good(search.judge(finer, "a weight scale per channel"))) {
    chosen = Choice(search, weighted, {}, Precision::per_channel).find();
  } else {
    chosen = Choice(search, names, finer, Precision::real).find();
    Precisions real;
    std::vector<std::string> rest;
    for (const std::string& name : names) {
      const auto found = chosen.find(name);
      if (found == chosen.end()) continue;
      if (found->second == Precision::real) {
        real.insert(*found);
      } else {
        rest.push_back(name);
      }
    }
    if (!rest.empty()) chosen = Choice(search, rest, real, Precision::per_channel).find(false);
  }
  const bool all_real = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto found = chosen.find(name);
    return found != chosen.end() && found->second == Precision::real;
  });
  check(!all_real,
        "quantize_within: the limit of {} for {} does not hold with any layer quantized; all of them give "
        "{:.2f}. "
        "Allow more, or repair first (QuantizeOptions::equalize, correct_bias, rounding)",
        options.limit, to_string(options.metric), graph::value_of(unrestricted, options.metric));
  Network best = search.build(chosen);
  const Quality quality = search.judge(best, "the choice");
  SearchResult result = finish(std::move(best), quality);
  for (const Ranked& r : ranked) {
    const auto found = chosen.find(r.node->name);
    if (found == chosen.end()) continue;
    result.kept.push_back(
        {r.node->name, std::string(op_name(r.node->op)), found->second == Precision::real, r.alone});
  }
  result.evaluations = search.evaluations();
  return result;
}

}  // namespace qconv
