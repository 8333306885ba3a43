#include <array>

#include <fmt/ranges.h>

#include <qconv/engine.hpp>

#include "engines/engine.hpp"
#include "engines/native/native.hpp"
#include "engines/reference/reference.hpp"
#include "support/check.hpp"
#include "support/environment.hpp"

namespace qconv {
namespace engines {

std::span<const Engine* const> all() {
  static const std::array<const Engine*, 2> list{&native(), &reference()};
  return list;
}

namespace {

// The engine of that name, or null.
const Engine* lookup(std::string_view name) {
  for (const Engine* engine : all()) {
    if (engine->name() == name) return engine;
  }
  return nullptr;
}

// The engine that QCONV_ENGINE names, or null when it is not set.
const Engine* from_environment() {
  const auto wanted = environment_text("QCONV_ENGINE");
  if (!wanted) return nullptr;
  const Engine* engine = lookup(*wanted);
  check(engine != nullptr, "QCONV_ENGINE='{}' is not an engine of this build; there are {}", *wanted,
        fmt::join(list_engines(), ", "));
  return engine;
}

}  // namespace

const Engine& find(std::string_view name) {
  const Engine* engine = lookup(name);
  check(engine != nullptr, "no engine is called '{}'; there are {}", name, fmt::join(list_engines(), ", "));
  return *engine;
}

const Engine& choose(const ConvGeometry& geometry, std::string_view name) {
  if (const Engine* engine = name.empty() ? from_environment() : &find(name)) {
    const std::string reason = engine->declines(geometry);
    check(reason.empty(), "engine '{}' cannot run this {}: {}", engine->name(), geometry.name(), reason);
    return *engine;
  }
  for (const Engine* engine : all()) {
    if (engine->declines(geometry).empty()) return *engine;
  }
  return reference();
}

}  // namespace engines

std::vector<std::string> list_engines() {
  std::vector<std::string> names;
  for (const engines::Engine* engine : engines::all()) names.emplace_back(engine->name());
  return names;
}

std::string active_engine() {
  const engines::Engine* engine = engines::from_environment();
  return std::string((engine != nullptr ? engine : engines::all().front())->name());
}

std::string why_declined(std::string_view engine, const ConvGeometry& geometry) {
  return engines::find(engine).declines(geometry);
}

}  // namespace qconv
