#include "cli/quantize_config.hpp"

#include <algorithm>
#include <array>
#include <fstream>

#include <fmt/ranges.h>

#include "cli/command.hpp"
#include "cli/files.hpp"
#include "cli/output.hpp"
#include "cli/validators.hpp"
#include "support/check.hpp"

namespace qconv::cli {
namespace {

struct NamedObserver {
  const char* name;
  ObserverFactory (*make)(const ObserverOptions& options);
};

template <class O>
ObserverFactory make(const ObserverOptions& options) {
  return with_args<O>(options);
}

constexpr std::array kObservers{
    NamedObserver{"histogram", make<HistogramObserver>},
    NamedObserver{"minmax", make<MinMaxObserver>},
    NamedObserver{"moving-average", make<MovingAverageMinMaxObserver>},
    NamedObserver{"percentile", make<PercentileObserver>},
    NamedObserver{"entropy", make<EntropyObserver>},
    NamedObserver{"mse", make<MSEObserver>},
};

std::vector<std::string> observer_names() {
  std::vector<std::string> names;
  for (const NamedObserver& o : kObservers) names.emplace_back(o.name);
  return names;
}

constexpr std::array kKeys{"name", "op", "exclude", "observer", "percentile", "activations", "per_channel"};

// A value in a message: without what a list or an object holds, which may be deep and long.
std::string shown(const Json& value) {
  return value.is_structured() ? std::string(value.is_array() ? "a list" : "an object") : value.dump();
}

// One rule of a file, with errors that name both.
class RuleReader {
 public:
  RuleReader(std::string where, const Json& rule) : where_(std::move(where)), rule_(rule) {
    require(rule.is_object(),
            fmt::format("expected an object such as {{\"name\": \"/stem/*\", \"exclude\": true}}, got {}",
                        shown(rule)));
    for (const auto& [key, value] : rule.items()) {
      require(std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end(),
              fmt::format("unknown key {}, expected {}", Json(key).dump(), fmt::join(kKeys, ", ")));
    }
  }

  QuantizeRule read(const ObserverChoice& defaults) const {
    QuantizeRule rule;
    rule.where = where_;
    if (const Json* name = find("name")) rule.layer = text("name", *name);
    if (const Json* op = find("op")) rule.op = text("op", *op);
    if (const Json* exclude = find("exclude")) rule.exclude = flag("exclude", *exclude);
    if (const Json* per_channel = find("per_channel")) rule.per_channel = flag("per_channel", *per_channel);
    if (find("observer") != nullptr || find("percentile") != nullptr || find("activations") != nullptr) {
      rule.activation = observer(defaults);
    }
    require(rule.exclude || rule.per_channel || rule.activation,
            "it changes nothing; add exclude, observer, percentile, activations or per_channel");
    return rule;
  }

 private:
  ObserverFactory observer(ObserverChoice choice) const {
    if (const Json* name = find("observer")) {
      choice.observer = one_of("observer", *name, observer_names());
      if (choice.observer != "percentile") choice.percentile.reset();
    }
    if (const Json* percentile = find("percentile")) {
      require(percentile->is_number() && percentile->get<double>() > 0 && percentile->get<double>() <= 100,
              fmt::format("percentile must be a number above 0, at most 100, got {}", shown(*percentile)));
      choice.percentile = percentile->get<double>();
    }
    if (const Json* dtype = find("activations")) {
      choice.activations = one_of("activations", *dtype, {"quint8", "qint8"});
    }
    require(!choice.percentile || choice.observer == "percentile",
            fmt::format("percentile needs the observer percentile, not {}", choice.observer));
    return choice.make();
  }

  const Json* find(const char* key) const {
    const auto found = rule_.find(key);
    return found == rule_.end() ? nullptr : &*found;
  }
  std::string text(const char* key, const Json& value) const {
    require(value.is_string(), fmt::format("{} must be a string, got {}", key, shown(value)));
    return value.get<std::string>();
  }
  bool flag(const char* key, const Json& value) const {
    require(value.is_boolean(), fmt::format("{} must be true or false, got {}", key, shown(value)));
    return value.get<bool>();
  }
  std::string one_of(const char* key, const Json& value, const std::vector<std::string>& names) const {
    require(value.is_string() && std::find(names.begin(), names.end(), value) != names.end(),
            fmt::format("{} is {}, expected {}", key, shown(value), fmt::join(names, ", ")));
    return value.get<std::string>();
  }
  void require(bool ok, const std::string& what) const { check<FileError>(ok, "{}: {}", where_, what); }

  std::string where_;
  const Json& rule_;
};

Json read_json(const std::filesystem::path& path) {
  require_file(path);
  std::ifstream file(path);
  try {
    return Json::parse(file);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, ...": people need what comes after the number.
    const std::string_view what = error.what();
    const std::size_t end = what.find("] ");
    throw FileError(fmt::format("{}: not JSON: {}", path.string(),
                                end == std::string_view::npos ? what : what.substr(end + 2)));
  }
}

}  // namespace

void ObserverChoice::add_to(CLI::App& app) {
  app.add_option(
         "--observer", observer,
         "How ranges of activations are chosen: histogram (PyTorch's search for the least error), minmax "
         "(all that was seen), moving-average, percentile (leaves out the outermost), entropy (TensorRT's) "
         "or mse (least mean square error)")
      ->check(CLI::IsMember(observer_names()))
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option(
         "--percentile", percentile,
         "How many percent of the values the range holds, with --observer percentile (default: 99.99)")
      ->check(positive_number())
      ->check(CLI::Range(0.0, 100.0))
      ->type_name("P");
  app.add_option("--activations", activations, "Type of activations: quint8 or qint8")
      ->check(CLI::IsMember({"quint8", "qint8"}))
      ->capture_default_str()
      ->type_name("DTYPE");
}

ObserverFactory ObserverChoice::make() const {
  if (percentile && observer != "percentile") {
    throw UsageError(fmt::format("--percentile needs --observer percentile, not {}", observer));
  }
  ObserverOptions options;
  options.dtype = activations == "qint8" ? qint8 : quint8;
  if (percentile) options.percentile = *percentile;
  const auto* found = std::find_if(kObservers.begin(), kObservers.end(),
                                   [&](const NamedObserver& o) { return observer == o.name; });
  return found->make(options);
}

std::vector<QuantizeRule> read_rules(const std::filesystem::path& path, const ObserverChoice& defaults) {
  const Json config = read_json(path);
  check<FileError>(
      config.is_object() && config.size() == 1 && config.contains("rules") && config["rules"].is_array(),
      "{}: expected {{\"rules\": [...]}}, an object with a list of rules and nothing else", path.string());
  std::vector<QuantizeRule> rules;
  for (const Json& rule : config["rules"]) {
    const std::string where = fmt::format("{}: rule {}", path.string(), rules.size() + 1);
    rules.push_back(RuleReader(where, rule).read(defaults));
  }
  return rules;
}

}  // namespace qconv::cli
