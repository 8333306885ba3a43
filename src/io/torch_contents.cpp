#include "io/torch_contents.hpp"

#include <algorithm>
#include <set>

#include "io/io_error.hpp"
#include "io/torch_convolution.hpp"
#include "io/torch_globals.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr int kMostDepth = 200;
constexpr std::size_t kLongestEntryName = 1000;
constexpr std::size_t kLongestText = 1000;
// What a walk may visit, counting the letters of names: some for small files, and then in step with the size.
constexpr std::uint64_t kFreeSteps = 1 << 20;
constexpr std::uint64_t kStepsPerByte = 16;
// How many entries there may be: an entry has some ten bytes at least in the pickle, and some hundreds here.
constexpr std::size_t kFreeEntries = 1 << 16;
constexpr std::size_t kBytesPerEntry = 16;
constexpr std::string_view kLinearPair = "_packed_params._packed_params";

bool is_number(const PickleValue& value) {
  return value.kind == PickleKind::integer || value.kind == PickleKind::real;
}

class Walk {
 public:
  Walk(const Pickle& pickle, const TorchTensors& tensors, std::uint64_t most_bytes, TorchFile& file)
      : pickle_(pickle), tensors_(tensors), most_bytes_(most_bytes), file_(file) {
    steps_left_ = kFreeSteps + kStepsPerByte * pickle.bytes.size();
  }

  void visit(PickleRef ref, const std::string& name) {
    spend(1 + name.size());
    const PickleValue& value = pickle_[ref];
    switch (value.kind) {
      case PickleKind::none:
        add(name, Tensor());
        return;
      case PickleKind::boolean:
        add(name, Tensor::scalar(static_cast<std::uint8_t>(value.integer)));
        return;
      case PickleKind::integer:
        add(name, Tensor::scalar(value.integer));
        return;
      case PickleKind::real:
        add(name, Tensor::scalar(value.real));
        return;
      case PickleKind::tensor:
        add(name, tensors_.tensor(value));
        return;
      case PickleKind::text:
      case PickleKind::global:
        add_text(name, value.text);
        return;
      case PickleKind::tuple:
      case PickleKind::list:
      case PickleKind::dict:
      case PickleKind::object:
        enter(ref, name);
        return;
      case PickleKind::big_integer:
      case PickleKind::bytes:
      case PickleKind::set:
      case PickleKind::storage:
        add_text(name, "<left out>");
        return;
    }
  }

 private:
  void enter(PickleRef ref, const std::string& name) {
    check<FileError>(path_.insert(ref).second, "{}: {} contains itself", pickle_.who, printable(name));
    check<FileError>(path_.size() <= kMostDepth, "{}: is nested more than {} deep", pickle_.who, kMostDepth);
    const PickleValue& value = pickle_[ref];
    if (value.kind == PickleKind::dict) {
      visit_dict(value, name);
    } else if (value.kind == PickleKind::object) {
      visit_object(value, name);
    } else {
      visit_list(value, name);
    }
    path_.erase(ref);
  }

  void visit_dict(const PickleValue& dict, const std::string& name) {
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& key = pickle_.item(dict, i);
      // Any other key has no name: its place has to do.
      visit(dict.items[i + 1], joined(name, key.kind == PickleKind::text      ? std::string(key.text)
                                            : key.kind == PickleKind::integer ? std::to_string(key.integer)
                                                                              : fmt::format("<{}>", i / 2)));
    }
  }

  void visit_list(const PickleValue& list, const std::string& name) {
    if (is_packed_state(pickle_, list)) {
      add_packed(list, name);
      return;
    }
    if (name.ends_with(kLinearPair) && add_linear(list, module_of_pair(name))) return;
    spend(list.items.size());
    const auto all = [&](auto&& holds) {
      return !list.items.empty() && std::all_of(list.items.begin(), list.items.end(),
                                                [&](PickleRef item) { return holds(pickle_[item]); });
    };
    if (all([](const PickleValue& v) { return v.kind == PickleKind::integer; })) {
      add(name, numbers<std::int64_t>(pickle_, list));
    } else if (all(is_number)) {
      add(name, numbers<double>(pickle_, list));
    } else {
      for (std::size_t i = 0; i < list.items.size(); ++i)
        visit(list.items[i], joined(name, std::to_string(i)));
    }
  }

  template <class T>
  static Tensor numbers(const Pickle& pickle, const PickleValue& list) {
    std::vector<T> values;
    for (const PickleRef item : list.items) {
      const PickleValue& v = pickle[item];
      values.push_back(v.kind == PickleKind::integer ? static_cast<T>(v.integer) : static_cast<T>(v.real));
    }
    const auto count = static_cast<std::int64_t>(values.size());
    return Tensor::from_data(values, {count});
  }

  // "fc." of "fc._packed_params._packed_params".
  static std::string module_of_pair(const std::string& name) {
    return name.substr(0, name.size() - kLinearPair.size());
  }

  // The packed pair of a quantized Linear, under names that begin with `module`; false when it is something
  // else.
  bool add_linear(const PickleValue& pair, const std::string& module) {
    if (pair.kind != PickleKind::tuple || pair.items.size() != 2) return false;
    const PickleValue& weight = pickle_.item(pair, 0);
    const PickleValue& bias = pickle_.item(pair, 1);
    if (weight.kind != PickleKind::tensor) return false;
    if (bias.kind != PickleKind::tensor && bias.kind != PickleKind::none) return false;
    add(module + "weight", tensors_.tensor(weight));
    add(module + "bias", bias.kind == PickleKind::none ? Tensor() : tensors_.tensor(bias));
    return true;
  }

  void add_packed(const PickleValue& state, const std::string& name) {
    TorchPackedParams packed = read_packed_state(pickle_, state, tensors_, in_file(name));
    packed.name = name;
    add(joined(name, "weight"), packed.weight);
    add(joined(name, "bias"), packed.bias.value_or(Tensor()));
    file_.packed_params.push_back(std::move(packed));
  }

  void visit_object(const PickleValue& object, const std::string& name) {
    const std::string type = demangled(pickle_.item(object, 0).text);
    const bool has_state = object.items.size() > 2;
    if (has_state) {
      const PickleValue& state = pickle_.item(object, 2);
      spend(state.items.size());
      if (const auto kind = quantized_conv_kind(type); kind && state.kind != PickleKind::dict) {
        add_convolution(type, *kind, state, name);
        return;
      }
      if (type == "torch.ScriptObject" || type == "torch._C.ScriptObject") {
        // (state, class)
        if (state.kind == PickleKind::tuple && state.items.size() == 2 &&
            visit_script_object(pickle_.item(state, 1).text, pickle_.item(state, 0), name)) {
          return;
        }
      } else if (type.starts_with("torch.classes.")) {
        if (visit_script_object(type, state, name)) return;
      } else if (state.kind == PickleKind::dict) {
        if (pickle_.find(state, "_modules") != nullptr) {
          visit_module(type, state, name);
          return;
        }
        if (pickle_.item(object, 0).text.starts_with("__torch__.")) {
          visit_script_module(type, state, name);
          return;
        }
      }
    }
    add_text(name, "<" + type + ">");
  }

  bool visit_script_object(std::string_view type, const PickleValue& state, const std::string& name) {
    if (is_packed_state(pickle_, state)) {
      add_packed(state, name);
      return true;
    }
    if (!type.ends_with(".LinearPackedParamsBase")) return false;
    return add_linear(state, name.ends_with(kLinearPair) ? module_of_pair(name) : joined(name, ""));
  }

  void add_convolution(const std::string& type, const nn::ConvKind& kind, const PickleValue& state,
                       const std::string& name) {
    const std::string who = in_file(name);
    TorchConvolution conv{name, type, kind, read_conv_state(pickle_, state, tensors_, who)};
    check<FileError>(conv.state.ndim() == kind.ndim && conv.state.transposed == kind.transposed,
                     "{}: has the attributes of another class than {}", who, type);
    add(joined(name, "weight"), conv.state.weight);
    add(joined(name, "bias"), conv.state.bias.value_or(Tensor()));
    add(joined(name, "scale"), Tensor::scalar(static_cast<float>(conv.state.scale)));
    add(joined(name, "zero_point"), Tensor::scalar(conv.state.zero_point));
    file_.convolutions.push_back(std::move(conv));
  }

  // Quantized modules that keep their output's parameters as numbers and save them as tensors.
  void add_output_parameters(const std::string& type, const PickleValue& state, const std::string& name) {
    const std::string_view simple = std::string_view(type).substr(type.rfind('.') + 1);
    if (type.find(".quantized.") == std::string::npos ||
        !(simple.starts_with("Linear") || simple == "QFunctional")) {
      return;
    }
    const PickleValue* scale = pickle_.find(state, "scale");
    const PickleValue* zero_point = pickle_.find(state, "zero_point");
    if (scale == nullptr || !is_number(*scale) || zero_point == nullptr ||
        zero_point->kind != PickleKind::integer) {
      return;
    }
    const double value = scale->kind == PickleKind::real ? scale->real : static_cast<double>(scale->integer);
    add(joined(name, "scale"), Tensor::scalar(static_cast<float>(value)));
    add(joined(name, "zero_point"), Tensor::scalar(zero_point->integer));
  }

  // A Python module, in the order of its state_dict().
  void visit_module(const std::string& type, const PickleValue& state, const std::string& name) {
    std::set<std::string_view> left_out;
    if (const PickleValue* names = pickle_.find(state, "_non_persistent_buffers_set")) {
      spend(names->items.size());
      for (const PickleRef ref : names->items) left_out.insert(pickle_[ref].text);
    }
    for (const char* group : {"_parameters", "_buffers"}) {
      each(state, group, [&](std::string_view key, PickleRef value) {
        // state_dict() has no entry for a parameter that is None.
        if (pickle_[value].kind != PickleKind::none && !left_out.contains(key))
          visit(value, joined(name, key));
      });
    }
    add_output_parameters(type, state, name);
    // Packed parameters are plain attributes.
    for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
      const PickleValue& key = pickle_.item(state, i);
      const PickleValue& value = pickle_.item(state, i + 1);
      if (key.kind == PickleKind::text && value.kind == PickleKind::object &&
          pickle_.item(value, 0).text.ends_with("ScriptObject")) {
        visit(state.items[i + 1], joined(name, key.text));
      }
    }
    each(state, "_modules", [&](std::string_view key, PickleRef value) {
      if (pickle_[value].kind == PickleKind::object) visit(value, joined(name, key));
    });
  }

  template <class Body>
  void each(const PickleValue& state, const char* group, const Body& body) {
    const PickleValue* dict = pickle_.find(state, group);
    if (dict == nullptr) return;
    check<FileError>(dict->kind == PickleKind::dict, "{}: a module's {} is no dict", pickle_.who, group);
    spend(dict->items.size());
    for (std::size_t i = 0; i + 1 < dict->items.size(); i += 2) {
      const PickleValue& key = pickle_.item(*dict, i);
      check<FileError>(key.kind == PickleKind::text, "{}: a module's {} has a key that is no text",
                       pickle_.who, group);
      body(key.text, dict->items[i + 1]);
    }
  }

  // A TorchScript module: attributes by name, tensors and modules among them.
  void visit_script_module(const std::string& type, const PickleValue& state, const std::string& name) {
    for (const PickleKind wanted : {PickleKind::tensor, PickleKind::object}) {
      if (wanted == PickleKind::object) add_output_parameters(type, state, name);
      for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
        const PickleValue& key = pickle_.item(state, i);
        if (key.kind != PickleKind::text || pickle_.item(state, i + 1).kind != wanted) continue;
        visit(state.items[i + 1], joined(name, key.text));
      }
    }
  }

  std::string in_file(const std::string& name) const {
    return name.empty() ? pickle_.who : pickle_.who + ": " + printable(name);
  }
  static std::string joined(const std::string& name, std::string_view key) {
    std::string result = name;
    if (!name.empty()) result += '.';
    return result += key;
  }

  void spend(std::uint64_t steps) {
    check<FileError>(steps <= steps_left_, "{}: its values are shared so often that they never end",
                     pickle_.who);
    steps_left_ -= steps;
  }

  std::string checked_name(const std::string& name) {
    spend(1 + name.size());
    check<FileError>(name.size() <= kLongestEntryName,
                     "{}: an entry has a name of {} letters, expected at most {}", pickle_.who, name.size(),
                     kLongestEntryName);
    const bool plain =
        std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    check<FileError>(plain, "{}: the name {} holds a control character", pickle_.who, printable(name));
    const std::size_t most = kFreeEntries + pickle_.bytes.size() / kBytesPerEntry;
    check<FileError>(names_.size() < most, "{}: has more than {} entries", pickle_.who, most);
    std::string result = name.empty() ? "tensor" : name;
    check<FileError>(names_.insert(result).second, "{}: there are two entries called {}", pickle_.who,
                     printable(result));
    return result;
  }

  void add(const std::string& name, Tensor tensor) {
    if (tensor.defined()) {
      const std::uint64_t bytes = tensor.nbytes();
      check<FileError>(
          bytes <= most_bytes_,
          "{}: its tensors take more than a file of that size may hold, as if none shared memory",
          pickle_.who);
      most_bytes_ -= bytes;
    }
    file_.state.set(checked_name(name), std::move(tensor));
  }

  void add_text(const std::string& name, std::string_view text) {
    std::string cut(text.substr(0, kLongestText));
    spend(cut.size());
    const bool plain =
        std::none_of(cut.begin(), cut.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    file_.texts.emplace(checked_name(name), plain ? std::move(cut) : printable(cut));
  }

  const Pickle& pickle_;
  const TorchTensors& tensors_;
  std::uint64_t most_bytes_;
  TorchFile& file_;
  std::uint64_t steps_left_ = 0;
  std::set<PickleRef> path_;  // the values being walked into
  std::set<std::string> names_;
};

}  // namespace

void add_contents(const Pickle& pickle, const TorchTensors& tensors, std::string_view name,
                  std::uint64_t most_bytes, TorchFile& file) {
  Walk(pickle, tensors, most_bytes, file).visit(pickle.root, std::string(name));
}

}  // namespace qconv
