#include "quantize_options.hpp"

#include <algorithm>
#include <iterator>

namespace qconv::python {
namespace {

// One keyword argument, with errors that name it.
struct Argument {
  std::string_view who;
  std::string name;
  nb::handle value;

  std::string where() const { return std::string(who) + ": " + name; }

  void refuse(const char* expected) const {
    throw TypeError(where() + " must be " + expected + ", not " +
                    nb::cast<std::string>(value.type().attr("__name__")));
  }

  template <class T>
  void read(T& result, const char* expected) const {
    if (!nb::try_cast(value, result)) refuse(expected);
  }

  nb::handle function() const {
    if (PyCallable_Check(value.ptr()) == 0) refuse("a function");
    return value;
  }

  Rounding rounding() const {
    std::string text;
    read(text, "a string");
    if (text == "nearest") return Rounding::nearest;
    if (text == "adaptive") return Rounding::adaptive;
    throw ValueError(where() + " is '" + text + "', expected nearest or adaptive");
  }
};

// A function that calls Python's, wherever it is called from.
template <class... Args>
std::function<void(Args...)> calling(nb::handle function) {
  return [function](Args... args) {
    const nb::gil_scoped_acquire gil;
    function(args...);
  };
}

}  // namespace

std::string quantize_signature() {
  return "activation: ObserverFactory | None = None, "
         "per_channel: bool = True, "
         "exclude_layers: collections.abc.Sequence[str] = (), "
         "exclude_ops: collections.abc.Sequence[str] = (), "
         "rules: collections.abc.Sequence[QuantizeRule] = (), "
         "equalize: bool = False, "
         "equalize_clips: bool = False, "
         "correct_bias: bool = False, "
         "rounding: str = 'nearest', "
         "engine: str = '', "
         "note: collections.abc.Callable[[str, str], object] | None = None, "
         "on_step: collections.abc.Callable[[str, int, int], object] | None = None, "
         "progress: collections.abc.Callable[[int], object] | None = None";
}

std::string quantize_doc() {
  return R"(activation: makes the observer of each activation; HistogramObserver unless given.
per_channel: a weight scale for each output channel, or one for all.
exclude_layers, exclude_ops: what stays float, names or patterns ('/layer1/*').
rules: what to do differently for some layers; the last one that fits counts.
equalize: makes the channels of consecutive layers equally wide first; what the network computes stays.
equalize_clips: with equalize, turns a ReLU6 between two layers into a ReLU, which changes what is
    computed where a value was above 6.
correct_bias: gives each channel the mean over the batches that it has in float. Reads the batches as
    often as the network has layers in a row, and twice more.
rounding: of weights, 'nearest' or 'adaptive' (all of an output channel together; reads the batches up
    to three times, more for very wide layers).
engine: of the quantized network; the float network's unless given.
note: called with a layer's name and a text, for layers that deserve a look.
on_step: called with the step's name, what is done and the total, while a repair goes on.
progress: called with the number of batches so far while calibrating.)";
}

namespace {

struct Option {
  std::string_view name;
  bool optional;  // None leaves what is the default
  void (*read)(const Argument&, QuantizeOptions&);
};

template <auto Member>
void read_flag(const Argument& a, QuantizeOptions& options) {
  a.read(options.*Member, "a bool");
}

template <auto Member>
void read_names(const Argument& a, QuantizeOptions& options) {
  a.read(options.*Member, "a list of strings");
}

constexpr Option kOptions[] = {
    {"activation", true,
     [](const Argument& a, QuantizeOptions& o) {
       a.read(o.activation, "an ObserverFactory, as of HistogramObserver.with_args()");
     }},
    {"per_channel", false, read_flag<&QuantizeOptions::per_channel>},
    {"exclude_layers", false, read_names<&QuantizeOptions::exclude_layers>},
    {"exclude_ops", false, read_names<&QuantizeOptions::exclude_ops>},
    {"rules", false,
     [](const Argument& a, QuantizeOptions& o) { a.read(o.rules, "a list of QuantizeRule"); }},
    {"equalize", false, read_flag<&QuantizeOptions::equalize>},
    {"equalize_clips", false, read_flag<&QuantizeOptions::equalize_clips>},
    {"correct_bias", false, read_flag<&QuantizeOptions::correct_bias>},
    {"rounding", false, [](const Argument& a, QuantizeOptions& o) { o.rounding = a.rounding(); }},
    {"engine", false, [](const Argument& a, QuantizeOptions& o) { a.read(o.engine, "a string"); }},
    {"note", true,
     [](const Argument& a, QuantizeOptions& o) {
       o.note = calling<const std::string&, const std::string&>(a.function());
     }},
    {"on_step", true,
     [](const Argument& a, QuantizeOptions& o) {
       o.on_step = calling<std::string_view, std::size_t, std::size_t>(a.function());
     }},
    {"progress", true,
     [](const Argument& a, QuantizeOptions& o) { o.progress = calling<std::size_t>(a.function()); }},
};

}  // namespace

QuantizeOptions quantize_options_of(std::string_view who, const nb::kwargs& kwargs) {
  QuantizeOptions options;
  for (auto [key, value] : kwargs) {
    const Argument argument{who, nb::cast<std::string>(key), value};
    const auto* option = std::find_if(std::begin(kOptions), std::end(kOptions),
                                      [&](const Option& known) { return known.name == argument.name; });
    if (option == std::end(kOptions))
      throw TypeError(std::string(who) + ": there is no argument '" + argument.name + "'");
    if (!option->optional || !value.is_none()) option->read(argument, options);
  }
  return options;
}

std::string_view reads_again(const QuantizeOptions& options) {
  if (options.correct_bias) return "correct_bias=True";
  if (options.rounding == Rounding::adaptive) return "rounding='adaptive'";
  return "";
}

}  // namespace qconv::python
