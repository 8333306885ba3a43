// The extension module qconv._qconv. It registers qconv.ops, qconv.nn and their like as modules of their own,
// so that classes have the names that users write.
#include "casts.hpp"

namespace qconv::python {

nb::module_ submodule(const char* full_name) {
  nb::dict modules = nb::borrow<nb::dict>(PyImport_GetModuleDict());
  if (modules.contains(full_name)) return nb::borrow<nb::module_>(modules[full_name]);
  const std::string_view name = full_name;
  const std::size_t dot = name.rfind('.');
  nb::object result = nb::steal(PyModule_New(full_name));
  modules[full_name] = result;
  // The package itself is being imported: it takes its direct children from there.
  nb::dict parents = modules;
  const std::string parent(name.substr(0, dot));
  nb::object owner =
      parent == "qconv" ? nb::module_::import_("qconv") : nb::object(submodule(parent.c_str()));
  nb::setattr(owner, std::string(name.substr(dot + 1)).c_str(), result);
  return nb::borrow<nb::module_>(result);
}

RequantRule parse_rule(const std::string& name) {
  if (name == "fbgemm") return RequantRule::fbgemm;
  if (name == "qnnpack") return RequantRule::qnnpack;
  throw ValueError("the rule is '" + name + "', expected 'fbgemm' or 'qnnpack'");
}

StateDict state_of_dict(const nb::dict& entries, const std::string& who) {
  StateDict state;
  for (auto [key, item] : entries) {
    std::string name;
    Tensor tensor;
    const std::string kind = nb::cast<std::string>(nb::str(item.type()));
    if (!nb::try_cast(key, name)) {
      throw TypeError(who + ": a key of the dict is a " + nb::cast<std::string>(nb::str(key.type())) +
                      ", expected str");
    }
    if (!item.is_none() && !nb::try_cast(item, tensor)) {
      throw TypeError(
          who + ": '" + name + "' is a " + kind +
          ", expected a Tensor, an array of a dtype that qconv has, or None; quantized torch tensors come in "
          "by qconv.from_torch");
    }
    state.set(name, std::move(tensor));
  }
  return state;
}

void bind_errors(nb::module_& m) {
  // Every message is one line that names the operator, module or file.
  static nb::object file_error = nb::steal(
      PyErr_NewExceptionWithDoc("qconv.FileError",
                                "A file that cannot be read or written, or that does not hold what it "
                                "promises. The message begins with the file's name.",
                                PyExc_OSError, nullptr));
  m.attr("FileError") = file_error;
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const FileError& e) {
      PyErr_SetString(file_error.ptr(), e.what());
    } catch (const TypeError& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
    } catch (const ValueError& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
}

}  // namespace qconv::python

NB_MODULE(_qconv, m) {
  using namespace qconv::python;
  // Whoever keeps a tensor in a global variable has done nothing wrong.
  nb::set_leak_warnings(false);
  // What cannot be a Tensor is the caller's TypeError, and nothing to print.
  nb::set_implicit_cast_warnings(false);
  // Classes say where users find them: type(x).__module__ is "qconv".
  const nb::object own_name = m.attr("__name__");
  m.attr("__name__") = "qconv";
  m.doc() = "What qconv's Python package is made of; import qconv instead.";
  m.attr("__version__") = std::string(qconv::version());
  bind_errors(m);
  bind_tensor(m);
  bind_ops(m);
  bind_observers(m);
  bind_modules();
  bind_convolutions();
  bind_training();
  bind_trees();
  bind_io(m);
  bind_network(m);
  bind_analysis(m);
  m.attr("__name__") = own_name;
}
