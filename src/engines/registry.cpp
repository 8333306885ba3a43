#include <array>

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

const Engine& find(std::string_view name) {
  std::string names;
  for (const Engine* engine : all()) {
    if (engine->name() == name) return *engine;
    names += names.empty() ? "" : ", ";
    names += engine->name();
  }
  throw ValueError(fmt::format("no engine is called '{}'; there are {}", name, names));
}

const Engine& choose(const ConvGeometry& geometry, std::string_view name) {
  const std::string wanted = name.empty() ? environment_text("QCONV_ENGINE").value_or("") : std::string(name);
  if (!wanted.empty()) {
    const Engine& engine = find(wanted);
    const std::string reason = engine.declines(geometry);
    check(reason.empty(), "engine '{}' cannot run this {}: {}", wanted, geometry.name(), reason);
    return engine;
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

std::string why_declined(std::string_view engine, const ConvGeometry& geometry) {
  return engines::find(engine).declines(geometry);
}

}  // namespace qconv
