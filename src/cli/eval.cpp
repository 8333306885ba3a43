#include <algorithm>
#include <memory>

#include <qconv/io.hpp>

#include "cli/command.hpp"
#include "cli/dataset.hpp"
#include "cli/files.hpp"
#include "cli/metrics.hpp"
#include "cli/network_tools.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/runtime_options.hpp"
#include "cli/timing.hpp"
#include "cli/validators.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  Preprocessing preprocessing;
  std::vector<std::string> networks;
  std::string data;
  std::string array;
  std::string labels = "labels";
  std::size_t samples = 0;
  std::string input;
  std::string target;
  int repeat = 10;
  bool json = false;
};

/// What one network scored.
struct Score {
  std::string file;
  bool quantized = false;
  std::size_t samples = 0;
  std::int64_t classes = 0;
  std::size_t top1 = 0;
  std::size_t top5 = 0;
  double psnr = 0;
  std::vector<double> seconds;

  double percent(std::size_t hits) const {
    return samples == 0 ? 0 : 100.0 * static_cast<double>(hits) / static_cast<double>(samples);
  }
};

std::vector<std::int64_t> read_labels(const Options& options, std::size_t count) {
  const Tensor labels = load_array(options.data, options.labels);
  check(labels.dim() == 1 && static_cast<std::size_t>(labels.numel()) == count,
        "{}: expected {} labels, one per sample, got an array of sizes {}", options.data, count,
        labels.sizes().to_string());
  std::vector<std::int64_t> result;
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    result.push_back(static_cast<std::int64_t>(labels.select(0, i).item()));
  }
  return result;
}

// Adds one sample: where the label is among the scores.
void add_sample(Score& score, const Tensor& scores, std::int64_t label, const std::string& name) {
  check(scores.dim() >= 2 && scores.numel() > 0 && scores.numel() == scores.size(1),
        "{}: expected one score per class for each sample, sizes (1, classes), got {}", name,
        scores.sizes().to_string());
  check(label >= 0 && label < scores.numel(), "{}: label {} is not one of the {} classes", name, label,
        scores.numel());
  const Tensor dense = scores.contiguous();
  const auto best = top_k(dense.data<float>(), dense.numel(), 5);
  score.classes = dense.numel();
  ++score.samples;
  score.top1 += best[0] == label ? 1 : 0;
  score.top5 += std::find(best.begin(), best.end(), label) != best.end() ? 1 : 0;
}

// What a rank sends to the root: for each network its counts, and the times.
StateDict state_of(const std::vector<Score>& scores) {
  StateDict state;
  for (std::size_t n = 0; n < scores.size(); ++n) {
    const Score& s = scores[n];
    const std::vector<std::int64_t> counts{static_cast<std::int64_t>(s.samples), s.classes,
                                           static_cast<std::int64_t>(s.top1),
                                           static_cast<std::int64_t>(s.top5)};
    state.set(fmt::format("{}.counts", n), Tensor::from_data(counts, {4}));
    state.set(fmt::format("{}.seconds", n),
              Tensor::from_data(s.seconds, {static_cast<std::int64_t>(s.seconds.size())}));
  }
  return state;
}

void add_scores(std::vector<Score>& scores, const StateDict& state) {
  for (std::size_t n = 0; n < scores.size(); ++n) {
    Score& s = scores[n];
    const auto counts = state.find(fmt::format("{}.counts", n))->to_vector<std::int64_t>();
    s.samples += static_cast<std::size_t>(counts[0]);
    s.classes = std::max(s.classes, counts[1]);
    s.top1 += static_cast<std::size_t>(counts[2]);
    s.top5 += static_cast<std::size_t>(counts[3]);
    const auto seconds = state.find(fmt::format("{}.seconds", n))->to_vector<double>();
    s.seconds.insert(s.seconds.end(), seconds.begin(), seconds.end());
  }
}

std::vector<Score> classify(const Options& options, const std::vector<Network>& networks) {
  // All labels are read, those of the samples are used.
  const std::size_t total = Dataset(options.data, options.preprocessing, options.array).size();
  const Dataset data = share_of({options.data, options.preprocessing, options.array, options.samples});
  const std::vector<std::int64_t> labels = read_labels(options, total);
  std::vector<Score> scores(networks.size());
  Progress progress("evaluating", data.size(), ranks().root());
  for (std::size_t i = 0; i < data.size(); ++i) {
    ranks().check_others();
    const Tensor sample = data.sample(i, channels_of(networks[0].inputs()[0]));
    for (std::size_t n = 0; n < networks.size(); ++n) {
      Tensor result;
      scores[n].seconds.push_back(
          seconds_of([&] { result = naming(options.networks[n], [&] { return networks[n].run(sample); }); }));
      add_sample(scores[n], result, labels[data.index(i)], options.networks[n]);
    }
    progress.step();
  }
  std::vector<Score> all(networks.size());
  ranks().gather(state_of(scores), [&](const StateDict& state) { add_scores(all, state); });
  return all;
}

std::vector<Score> compare_images(const Options& options, const std::vector<Network>& networks) {
  const Tensor target = load_image(options.target);
  std::vector<Score> scores(networks.size());
  Progress progress("evaluating", static_cast<std::size_t>(options.repeat));
  const Tensor input =
      Dataset(options.input, options.preprocessing).sample(0, channels_of(networks[0].inputs()[0]));
  for (std::size_t n = 0; n < networks.size(); ++n) {
    const Tensor image = naming(options.networks[n], [&] { return to_image(networks[n].run(input)); });
    check(image.sizes() == target.sizes(), "{}: gives an image of sizes {}, but {} has {}",
          options.networks[n], image.sizes().to_string(), options.target, target.sizes().to_string());
    scores[n].psnr = psnr_db(image, target);
    scores[n].samples = 1;
  }
  // Interleaved, so that a disturbance hits all networks alike.
  for (int r = 0; r < options.repeat; ++r) {
    for (std::size_t n = 0; n < networks.size(); ++n) {
      scores[n].seconds.push_back(seconds_of([&] { networks[n].run(input); }));
    }
    progress.step();
  }
  return scores;
}

void print_scores(const std::vector<Score>& scores, bool images) {
  std::vector<std::string> header{"network", "computes in"};
  if (images) {
    header.emplace_back("PSNR dB");
  } else {
    header.insert(header.end(), {"top-1", "top-5", "samples"});
  }
  header.insert(header.end(), {"median", "speed-up", "file", "smaller"});
  Table table(header);
  const double first = median(scores[0].seconds);
  const auto first_bytes = static_cast<double>(std::filesystem::file_size(scores[0].file));
  for (const Score& score : scores) {
    std::vector<std::string> row{score.file, score.quantized ? "int8" : "float32"};
    if (images) {
      row.push_back(fmt::format("{:.2f}", score.psnr));
    } else {
      row.push_back(fmt::format("{:.2f}%", score.percent(score.top1)));
      row.push_back(fmt::format("{:.2f}%", score.percent(score.top5)));
      row.push_back(std::to_string(score.samples));
    }
    const double seconds = median(score.seconds);
    const auto bytes = static_cast<double>(std::filesystem::file_size(score.file));
    row.push_back(human_time(seconds));
    row.push_back(fmt::format("{:.2f}x", first / seconds));
    row.push_back(human_bytes(bytes));
    row.push_back(fmt::format("{:.2f}x", first_bytes / bytes));
    table.add(std::move(row));
  }
  table.print();
}

Json scores_json(const std::vector<Score>& scores, bool images) {
  Json rows = Json::array();
  for (const Score& score : scores) {
    Json row{{"network", score.file}, {"quantized", score.quantized}, {"samples", score.samples}};
    if (images) {
      row["psnr_db"] = score.psnr;
    } else {
      row["classes"] = score.classes;
      row["top1_percent"] = score.percent(score.top1);
      row["top5_percent"] = score.percent(score.top5);
    }
    row["median_us"] = median(score.seconds) * 1e6;
    row["bytes"] = std::filesystem::file_size(score.file);
    rows.push_back(std::move(row));
  }
  return rows;
}

int run(const Options& options) {
  const bool images = !options.input.empty() || !options.target.empty();
  if (images == !options.data.empty() || options.input.empty() != options.target.empty()) {
    throw UsageError("give either --data TEST.npz, or --input IMAGE and --target IMAGE");
  }
  options.runtime.apply();
  if (images && !ranks().root()) return kOk;  // one image is one rank's work
  std::vector<Network> networks;
  for (const std::string& file : options.networks) {
    networks.push_back(load_network(file, {.run_only = true}));
    only_input(networks.back(), file);
  }
  std::vector<Score> scores = images ? compare_images(options, networks) : classify(options, networks);
  if (!ranks().root()) return kOk;
  for (std::size_t n = 0; n < networks.size(); ++n) {
    scores[n].file = options.networks[n];
    scores[n].quantized = networks[n].quantized();
  }
  if (options.json) {
    write_json(scores_json(scores, images));
  } else {
    print_scores(scores, images);
  }
  return kOk;
}

}  // namespace

Action add_eval(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("networks", options->networks, "One network, or several to set side by side")
      ->required()
      ->type_name("NETWORK.onnx");
  app.add_option("--data", options->data, "Samples and their labels, for top-1 and top-5")
      ->type_name("TEST.npz");
  app.add_option("--array", options->array, "Array of the samples (default: images)")->type_name("NAME");
  app.add_option("--labels", options->labels, "Array of the labels (default: labels)")->type_name("NAME");
  app.add_option("--samples", options->samples, "Use so many, spread evenly (default: all)")
      ->check(sample_count())
      ->type_name("N");
  app.add_option("--input", options->input, "An image for networks that make images")->type_name("IMAGE");
  app.add_option("--target", options->target, "What the network should make of it, for PSNR")
      ->type_name("IMAGE");
  app.add_option("--repeat", options->repeat, "Timed runs on an image")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  app.add_flag("--json", options->json, "Print JSON");
  options->preprocessing.add_to(app);
  options->runtime.add_to(app);
  app.footer(
      "Times are medians of single samples; speed-up and size are against the first network.\n\n"
      "Examples:\n"
      "  qconv eval digits.onnx digits.int8.onnx --data examples/digits/test.npz\n"
      "  qconv eval photo.int8.onnx --input low.png --target high.png --threads 1\n"
      "  mpirun -n 4 qconv eval model.onnx model.int8.onnx --data test.npz --threads 1");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli
