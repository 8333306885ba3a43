#include "quantize_options.hpp"

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
  return "activation: ObserverFactory | None = None, per_channel: bool = True, "
         "exclude_layers: collections.abc.Sequence[str] = (), exclude_ops: collections.abc.Sequence[str] = "
         "(), "
         "rules: collections.abc.Sequence[QuantizeRule] = (), equalize: bool = False, "
         "equalize_clips: bool = False, correct_bias: bool = False, rounding: str = 'nearest', engine: str = "
         "'', "
         "note: collections.abc.Callable[[str, str], object] | None = None, "
         "on_step: collections.abc.Callable[[str, int, int], object] | None = None, "
         "progress: collections.abc.Callable[[int], object] | None = None";
}

std::string quantize_doc() {
  return "activation: makes the observer of each activation; HistogramObserver unless given.\n"
         "per_channel: a weight scale for each output channel, or one for all.\n"
         "exclude_layers, exclude_ops: what stays float, names or patterns ('/layer1/*').\n"
         "rules: what to do differently for some layers; the last one that fits counts.\n"
         "equalize: makes the channels of consecutive layers equally wide first; what the network computes "
         "stays.\n"
         "equalize_clips: with equalize, turns a ReLU6 between two layers into a ReLU, which changes what is "
         "computed where a value was above 6.\n"
         "correct_bias: gives each channel the mean over the batches that it has in float. Reads the batches "
         "as "
         "often as the network has layers in a row, and twice more.\n"
         "rounding: of weights, 'nearest' or 'adaptive' (all of an output channel together; reads the "
         "batches up "
         "to three times, more for very wide layers).\n"
         "engine: of the quantized network; the float network's unless given.\n"
         "note: called with a layer's name and a text, for layers that deserve a look.\n"
         "on_step: called with the step's name, what is done and the total, while a repair goes on.\n"
         "progress: called with the number of batches so far while calibrating.";
}

QuantizeOptions quantize_options_of(std::string_view who, const nb::kwargs& kwargs) {
  QuantizeOptions options;
  for (auto [key, value] : kwargs) {
    const Argument a{who, nb::cast<std::string>(key), value};
    const bool given = !value.is_none();
    if (a.name == "activation") {
      if (given) a.read(options.activation, "an ObserverFactory, as of HistogramObserver.with_args()");
    } else if (a.name == "per_channel") {
      a.read(options.per_channel, "a bool");
    } else if (a.name == "exclude_layers") {
      a.read(options.exclude_layers, "a list of strings");
    } else if (a.name == "exclude_ops") {
      a.read(options.exclude_ops, "a list of strings");
    } else if (a.name == "rules") {
      a.read(options.rules, "a list of QuantizeRule");
    } else if (a.name == "equalize") {
      a.read(options.equalize, "a bool");
    } else if (a.name == "equalize_clips") {
      a.read(options.equalize_clips, "a bool");
    } else if (a.name == "correct_bias") {
      a.read(options.correct_bias, "a bool");
    } else if (a.name == "rounding") {
      options.rounding = a.rounding();
    } else if (a.name == "engine") {
      a.read(options.engine, "a string");
    } else if (a.name == "note") {
      if (given) options.note = calling<const std::string&, const std::string&>(a.function());
    } else if (a.name == "on_step") {
      if (given) options.on_step = calling<std::string_view, std::size_t, std::size_t>(a.function());
    } else if (a.name == "progress") {
      if (given) options.progress = calling<std::size_t>(a.function());
    } else {
      throw TypeError(std::string(who) + ": there is no argument '" + a.name + "'");
    }
  }
  return options;
}

std::string_view reads_again(const QuantizeOptions& options) {
  if (options.correct_bias) return "correct_bias=True";
  if (options.rounding == Rounding::adaptive) return "rounding='adaptive'";
  return "";
}

}  // namespace qconv::python
