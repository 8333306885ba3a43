#include "cli/quantize_search.hpp"

#include <algorithm>
#include <cmath>

#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/network_tools.hpp"
#include "cli/progress.hpp"
#include "cli/validators.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

// One bar for each step that the library reports.
class Steps {
 public:
  void show(std::string_view step, std::size_t done, std::size_t total) {
    if (!bar_ || step != step_) {
      bar_.reset();
      step_ = step;
      bar_.emplace(step_, total);
    }
    bar_->set(done);
  }
  void clear() { bar_.reset(); }

 private:
  std::string step_;
  std::optional<Progress> bar_;
};

BatchSource samples_of(const Dataset& data, std::int64_t channels) {
  return [&data, channels, next = std::size_t{0}]() mutable -> std::optional<std::vector<Tensor>> {
    if (next == data.size()) {
      next = 0;
      return std::nullopt;
    }
    return std::vector<Tensor>{data.sample(next++, channels)};
  };
}

std::vector<std::int64_t> read_labels(const RepairOptions& options, const Dataset& data, std::size_t total) {
  const Tensor labels = load_array(options.eval, options.labels);
  check(labels.dim() == 1 && static_cast<std::size_t>(labels.numel()) == total,
        "{}: expected {} labels in '{}', one per sample, got an array of sizes {}", options.eval, total,
        options.labels, labels.sizes().to_string());
  std::vector<std::int64_t> chosen;
  for (std::size_t i = 0; i < data.size(); ++i) {
    chosen.push_back(
        static_cast<std::int64_t>(labels.select(0, static_cast<std::int64_t>(data.index(i))).item()));
  }
  return chosen;
}

// The data and options of a search; the sources point into it.
class Setup {
 public:
  Setup(const RepairJob& job, QuantizeOptions choices)
      : channels_(channels_of(only_input(job.network, job.path))) {
    batches = samples_of(job.calibration, channels_);
    options.quantize = std::move(choices);
    options.quantize.progress = [this, total = job.calibration.size()](std::size_t done) {
      steps.show("calibrating", done, total);
    };
    options.quantize.on_step = [this](std::string_view step, std::size_t done, std::size_t total) {
      steps.show(step, done, total);
    };
    const RepairOptions& o = job.options;
    options.metric = o.chosen_metric();
    options.limit = std::isnan(o.min_db) ? o.max_drop : o.min_db;
    if (o.eval.empty()) return;
    const std::size_t total = Dataset(o.eval, job.preprocessing, o.eval_array).size();
    evaluation_.emplace(o.eval, job.preprocessing, o.eval_array, o.eval_samples);
    options.evaluation = samples_of(*evaluation_, channels_);
    if (!o.labels.empty()) options.labels = read_labels(o, *evaluation_, total);
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  BatchSource batches;
  SearchOptions options;
  Steps steps;

 private:
  std::int64_t channels_;
  std::optional<Dataset> evaluation_;
};

std::string points(double value, const char* format) {
  return std::isnan(value) ? "-" : fmt::format(fmt::runtime(format), value);
}

// JSON has neither infinity nor NaN: null for both.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const Quality& q) {
  return {{"sqnr_db", number(q.sqnr_db)},
          {"psnr_db", number(q.psnr_db)},
          {"cosine", q.cosine},
          {"mse", q.mse},
          {"agreement_percent", number(q.agreement)},
          {"top1_percent", number(q.top1)},
          {"samples", q.samples}};
}

std::string value_text(const Quality& q, Metric metric) {
  switch (metric) {
    case Metric::top1:
      return fmt::format("{:.2f}% top-1", q.top1);
    case Metric::agreement:
      return fmt::format("{:.2f}% agreement with float", q.agreement);
    case Metric::sqnr:
      return fmt::format("{:.2f} dB SQNR", q.sqnr_db);
    case Metric::psnr:
      return fmt::format("{:.2f} dB PSNR", q.psnr_db);
  }
  return {};
}

}  // namespace

void RepairOptions::add_to(CLI::App& app) {
  const auto* group = "Repair and search (docs/quantization.md)";
  app.add_flag("--equalize", equalize, "Make the channels of consecutive layers equally wide first")
      ->group(group);
  app.add_flag("--equalize-relu6", equalize_clips,
               "The same, turning the ReLU6 between such layers into ReLU, which may change the network")
      ->group(group);
  app.add_flag("--correct-bias", correct_bias, "Give each channel the mean that it has in float")
      ->group(group);
  app.add_option("--rounding", rounding,
                 "Of weights: nearest, or adaptive (all weights of a channel together; takes longer)")
      ->check(CLI::IsMember({"nearest", "adaptive"}))
      ->capture_default_str()
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--sensitivity", sensitivity, "Only print what quantizing each layer costs")->group(group);
  app.add_option("--max-drop", max_drop,
                 "Keep the fewest layers in float that lose no more than so many points of top1 or agreement")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X")
      ->group(group);
  app.add_option("--min-db", min_db, "The same, leaving so many dB of sqnr or psnr")
      ->type_name("X")
      ->group(group);
  app.add_option(
         "--metric", metric,
         "top1 (needs --eval and --labels), agreement with float, sqnr or psnr (default: what fits the "
         "other options)")
      ->check(CLI::IsMember({"top1", "agreement", "sqnr", "psnr"}))
      ->type_name("NAME")
      ->group(group);
  app.add_option("--eval", eval, "Data to judge by (default: the calibration data)")
      ->type_name("DATA")
      ->group(group);
  app.add_option("--eval-array", eval_array, "Array of the samples in --eval")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--labels", labels, "Array of the labels in --eval")->type_name("NAME")->group(group);
  app.add_option("--eval-samples", eval_samples, "Use so many, spread evenly (default: all)")
      ->check(sample_count())
      ->type_name("N")
      ->group(group);
}

bool RepairOptions::searches() const { return !std::isnan(max_drop) || !std::isnan(min_db); }

Metric RepairOptions::chosen_metric() const {
  if (metric == "top1") return Metric::top1;
  if (metric == "agreement") return Metric::agreement;
  if (metric == "sqnr") return Metric::sqnr;
  if (metric == "psnr") return Metric::psnr;
  if (!std::isnan(min_db)) return Metric::sqnr;
  return labels.empty() ? Metric::agreement : Metric::top1;
}

void RepairOptions::check() const {
  const bool decibels = chosen_metric() == Metric::sqnr || chosen_metric() == Metric::psnr;
  const auto require = [](bool ok, const char* text) {
    if (!ok) throw UsageError(text);
  };
  require(std::isnan(max_drop) || std::isnan(min_db), "give either --max-drop or --min-db");
  require(!sensitivity || !searches(), "give either --sensitivity or --max-drop and --min-db");
  require(std::isnan(max_drop) || !decibels,
          "--max-drop counts points of top1 or agreement; with --metric sqnr or psnr, give --min-db");
  require(std::isnan(min_db) || decibels,
          "--min-db is for --metric sqnr or psnr; with top1 or agreement, give --max-drop");
  require(labels.empty() || !eval.empty(), "--labels names an array of --eval, which is missing");
  require(eval_array.empty() || !eval.empty(), "--eval-array names an array of --eval, which is missing");
  require(metric != "top1" || !labels.empty(), "--metric top1 needs --eval DATA and --labels NAME");
  require(searches() || sensitivity || (metric.empty() && eval.empty()),
          "--metric and --eval belong to --max-drop, --min-db or --sensitivity");
}

void RepairOptions::apply(QuantizeOptions& options) const {
  options.equalize = equalize || equalize_clips;
  options.equalize_clips = equalize_clips;
  options.correct_bias = correct_bias;
  options.rounding = rounding == "adaptive" ? Rounding::adaptive : Rounding::nearest;
}

Repaired quantize_repaired(const RepairJob& job, QuantizeOptions choices) {
  Repaired result;
  choices.note = [&](const std::string& layer, const std::string& text) {
    result.notes.emplace_back(layer, text);
  };
  Setup setup(job, std::move(choices));
  if (!job.options.searches()) {
    result.network = quantize(job.network, setup.batches, setup.options.quantize);
    return result;
  }
  result.metric = setup.options.metric;
  result.limit = setup.options.limit;
  std::size_t layers = 0;
  for (const LayerInfo& layer : job.network.layers()) layers += layer.quantized ? 0 : 1;
  setup.options.progress = [&](std::string_view what, std::size_t count) {
    // All layers alone, then a bisection and its pruning: how many of those is not known.
    setup.steps.show(fmt::format("evaluation {}: {}", count, what), std::min(count, layers), layers + 1);
  };
  result.search = quantize_within(job.network, setup.batches, setup.options);
  result.network = result.search->network;
  return result;
}

void Repaired::print() const {
  for (const auto& [layer, text] : notes) write_out("note: {}: {}\n", layer, text);
  if (!search) return;
  write_out("{} ({} with every layer in int8), limit {:g} {}; {} evaluations\n",
            value_text(search->quality, metric), value_text(search->unrestricted, metric), limit,
            metric == Metric::sqnr || metric == Metric::psnr ? "dB" : "points", search->evaluations);
  if (search->kept.empty()) {
    write_out("no layer had to be kept\n");
    return;
  }
  write_out("kept {} of {} layers, because alone in int8 they cost most:\n", search->kept.size(),
            search->layers);
  for (const KeptLayer& layer : search->kept) {
    write_out("  {} ({}): {}, alone {:.2f} dB SQNR, {}\n", layer.name, layer.op,
              layer.real ? "float" : "a weight scale per channel", layer.alone.sqnr_db,
              value_text(layer.alone, metric));
  }
}

void Repaired::add_to(Json& json) const {
  json["notes"] = Json::array();
  for (const auto& [layer, text] : notes) json["notes"].push_back({{"layer", layer}, {"text", text}});
  if (!search) return;
  Json kept = Json::array();
  for (const KeptLayer& layer : search->kept) {
    kept.push_back({{"layer", layer.name},
                    {"op", layer.op},
                    {"precision", layer.real ? "float" : "per_channel"},
                    {"alone", to_json(layer.alone)}});
  }
  json["search"] = {{"metric", to_string(metric)},
                    {"limit", limit},
                    {"quality", to_json(search->quality)},
                    {"unrestricted", to_json(search->unrestricted)},
                    {"float", to_json(search->real)},
                    {"evaluations", search->evaluations},
                    {"layers", search->layers},
                    {"kept", kept}};
}

void print_sensitivity(const RepairJob& job, QuantizeOptions choices, bool json) {
  Setup setup(job, std::move(choices));
  std::size_t total = 0;
  for (const LayerInfo& layer : job.network.layers()) total += layer.quantized ? 0 : 2;
  setup.options.progress = [&](std::string_view, std::size_t count) {
    setup.steps.show("evaluating", std::min(count, total), total);
  };
  std::vector<LayerSensitivity> layers = sensitivity(job.network, setup.batches, setup.options);
  setup.steps.clear();
  const std::size_t samples = layers.empty() ? 0 : layers.front().alone.samples;
  std::stable_sort(layers.begin(), layers.end(), [](const LayerSensitivity& a, const LayerSensitivity& b) {
    return a.alone.sqnr_db < b.alone.sqnr_db;
  });
  if (json) {
    Json rows = Json::array();
    for (const LayerSensitivity& layer : layers) {
      rows.push_back({{"layer", layer.name},
                      {"op", layer.op},
                      {"alone", to_json(layer.alone)},
                      {"up_to_here", to_json(layer.up_to_here)}});
    }
    write_json({{"samples", samples}, {"layers", rows}});
    return;
  }
  Table table({"layer", "op", "SQNR dB", "cosine", "agreement", "top-1", "up to here: SQNR dB", "agreement",
               "top-1"});
  for (const LayerSensitivity& layer : layers) {
    const auto& [a, b] = std::pair(layer.alone, layer.up_to_here);
    table.add({layer.name, layer.op, fmt::format("{:.2f}", a.sqnr_db), fmt::format("{:.6f}", a.cosine),
               points(a.agreement, "{:.2f}%"), points(a.top1, "{:.2f}%"), fmt::format("{:.2f}", b.sqnr_db),
               points(b.agreement, "{:.2f}%"), points(b.top1, "{:.2f}%")});
  }
  table.print();
  write_out("\nonly this layer in int8, and it with all before it; over {} {}, worst first\n", samples,
            samples == 1 ? "sample" : "samples");
}

}  // namespace qconv::cli
