#include <algorithm>

#include <fmt/ranges.h>

#include <qconv/nn/module.hpp>

#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn {
namespace {

constexpr const char* kObserver = "activation_post_process.";

// Every line after the first two columns to the right, as PyTorch prints modules in modules.
std::string indented(std::string text) {
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 3))
    text.insert(at + 1, "  ");
  return text;
}

}  // namespace

std::string LoadResult::to_string() const {
  std::string text;
  const auto add = [&](std::string_view title, const std::vector<std::string>& items,
                       std::string_view separator) {
    if (items.empty()) return;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", title, fmt::join(items, separator));
  };
  add("missing keys", missing_keys, ", ");
  add("unexpected keys", unexpected_keys, ", ");
  add("unusable entries", mismatched, ", ");
  return text;
}

Module::~Module() = default;

std::string Module::to_string() const {
  std::string text = name() + "(" + extra_repr();
  for (const Child& c : children_)
    text += fmt::format("\n  ({}): {}", c.name, indented(c.module->to_string()));
  return text + (children_.empty() ? ")" : "\n)");
}

StateDict Module::state_dict(std::string_view prefix) const {
  StateDict state;
  save_to(state, std::string(prefix));
  return state;
}

LoadResult Module::load_state_dict(const StateDict& state, std::string_view prefix, bool strict) {
  StateReader reader(state, std::string(prefix));
  read_from(reader, "");
  return reader.finish(name(), strict);
}

void Module::save_to(StateDict& state, const std::string& prefix) const {
  save(state, prefix);
  for (const Child& c : children_) c.module->save_to(state, prefix + c.name + ".");
  save_observer(state, activation_post_process.get(), prefix + kObserver);
}

void Module::read_from(StateReader& reader, const std::string& prefix) {
  read(reader, prefix);
  for (const Child& c : children_) c.module->read_from(reader, prefix + c.name + ".");
  reader.take_observer(prefix + kObserver, activation_post_process.get());
}

void Module::train(bool mode) {
  training = mode;
  for (const Child& c : children_) c.module->train(mode);
}

void Module::unshare() {
  for (Child& c : children_) c.module = c.module->clone();
  if (activation_post_process) activation_post_process = activation_post_process->clone();
}

Tensor Module::observed(const Tensor& output) const {
  return activation_post_process ? activation_post_process->forward(output) : output;
}

void Module::refuse_inputs(std::size_t count) const {
  throw ValueError(
      fmt::format("{}: forward does not take {} tensor{}", name(), count, count == 1 ? "" : "s"));
}

void Module::refuse_child(std::string_view child_name) const {
  throw TypeError(fmt::format("{}: the child '{}' is a {}, not of the class asked for", name(), child_name,
                              child(child_name).name()));
}

void Module::register_module(std::string child_name, std::shared_ptr<Module> module) {
  check(!child_name.empty() && child_name.find('.') == std::string::npos,
        "{}: a child's name must not be empty or hold a dot, got '{}'", name(), child_name);
  check(module != nullptr, "{}: the child '{}' is null", name(), child_name);
  check(
      std::none_of(children_.begin(), children_.end(), [&](const Child& c) { return c.name == child_name; }),
      "{}: there is a child '{}' already", name(), child_name);
  children_.push_back({std::move(child_name), std::move(module)});
}

std::vector<Module::Child> Module::named_modules() const {
  std::vector<Child> all;
  for (const Child& c : children_) {
    all.push_back(c);
    for (Child& below : c.module->named_modules())
      all.push_back({c.name + "." + below.name, std::move(below.module)});
  }
  return all;
}

const Module::Child& Module::find(std::string_view child_name) const {
  std::vector<std::string_view> names;
  for (const Child& c : children_) {
    if (c.name == child_name) return c;
    names.push_back(c.name);
  }
  throw ValueError(fmt::format("{}: there is no child '{}'; there are: {}", name(), child_name,
                               names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

const std::shared_ptr<Module>& Module::get_submodule(std::string_view path) const {
  const std::size_t dot = path.find('.');
  const std::shared_ptr<Module>& first = find(path.substr(0, dot)).module;
  return dot == std::string_view::npos ? first : first->get_submodule(path.substr(dot + 1));
}

void Module::set_submodule(std::string_view path, std::shared_ptr<Module> module) {
  check(module != nullptr, "{}: the module for '{}' is null", name(), path);
  const std::size_t dot = path.rfind('.');
  if (dot != std::string_view::npos) {
    get_submodule(path.substr(0, dot))->set_submodule(path.substr(dot + 1), std::move(module));
    return;
  }
  const auto position = &find(path) - children_.data();
  children_[static_cast<std::size_t>(position)].module = std::move(module);
}

const Module& Module::child(std::string_view child_name) const { return *find(child_name).module; }

}  // namespace qconv::nn
