// What all modules have, modules written in Python, and the modules that networks are put together from.
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/trampoline.h>

#include "casts.hpp"

namespace qconv::python {
namespace {

using nb::arg;
using Children = std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>>;

// A class of modules written in Python. It has forward(); its attributes that are modules are its children.
class PythonModule : public nn::Module {
 public:
  NB_TRAMPOLINE(nn::Module, 3);

  std::string name() const override {
    const nb::gil_scoped_acquire gil;
    return nb::cast<std::string>(self().type().attr("__name__"));
  }
  std::string extra_repr() const override { NB_OVERRIDE(extra_repr); }
  Tensor call(std::span<const Tensor> inputs) const override {
    const nb::gil_scoped_acquire gil;
    nb::list arguments;
    for (const Tensor& input : inputs) arguments.append(nb::cast(input));
    return nb::cast<Tensor>(self().attr("forward")(*arguments));
  }
  std::shared_ptr<nn::Module> clone() const override {
    const nb::gil_scoped_acquire gil;
    return nb::cast<std::shared_ptr<nn::Module>>(nb::module_::import_("copy").attr("deepcopy")(self()));
  }

  // This copy's own children, observer and attributes, copied from the other.
  void take(const PythonModule& other, const nb::object& mine, const nb::dict& memo) {
    training = other.training;
    qconfig = other.qconfig;
    if (other.activation_post_process) activation_post_process = other.activation_post_process->clone();
    for (const auto& [child_name, module] : other.named_children())
      register_module(child_name, module->clone());
    const nb::object deepcopy = nb::module_::import_("copy").attr("deepcopy");
    mine.attr("__dict__").attr("update")(deepcopy(other.self().attr("__dict__"), memo));
  }

 private:
  nb::object self() const { return nb::find(static_cast<const nn::Module&>(*this)); }
};

nb::object deep_copy(const nb::object& self, const nb::dict& memo) {
  const auto& module = nb::cast<const nn::Module&>(self);
  const auto* written_in_python = dynamic_cast<const PythonModule*>(&module);
  if (written_in_python == nullptr) {
    std::shared_ptr<nn::Module> copy;
    {
      const nb::gil_scoped_release nogil;
      copy = module.clone();
    }
    return nb::cast(copy);
  }
  const nb::object type = nb::borrow(self.type());
  const nb::object copy = type.attr("__new__")(type);
  nb::type<nn::Module>().attr("__init__")(copy);
  dynamic_cast<PythonModule&>(nb::cast<nn::Module&>(copy)).take(*written_in_python, copy, memo);
  return copy;
}

Tensor call(const nn::Module& self, const nb::args& args) {
  std::vector<Tensor> inputs;
  for (const nb::handle input : args) inputs.push_back(nb::cast<Tensor>(input));
  const nb::gil_scoped_release nogil;
  return self.call(inputs);
}

// A module as an attribute is a child, unless the class has a property of that name.
void set_attribute(const nb::object& self, const nb::str& name, const nb::object& value) {
  if (!nb::inst_ready(self)) {
    throw nb::attribute_error("cannot assign attributes before qconv.nn.Module.__init__() was called");
  }
  auto& module = nb::cast<nn::Module&>(self);
  const std::string key = name.c_str();
  const bool is_module = nb::isinstance<nn::Module>(value);
  if (!nb::hasattr(self.type(), name)) {
    for (const nn::Module::Child& c : module.named_children()) {
      if (c.name != key) continue;
      if (!is_module) {
        throw nb::type_error(("cannot assign a value that is no module to the child '" + key +
                              "'; put a qconv.nn.Identity there to take it away")
                                 .c_str());
      }
      return module.set_submodule(key, nb::cast<std::shared_ptr<nn::Module>>(value));
    }
    if (is_module) {
      // What was there before, a None, would be found first.
      if (nb::hasattr(self, "__dict__")) self.attr("__dict__").attr("pop")(name, nb::none());
      return module.register_module(key, nb::cast<std::shared_ptr<nn::Module>>(value));
    }
  }
  if (PyObject_GenericSetAttr(self.ptr(), name.ptr(), value.ptr()) != 0) throw nb::python_error();
}

// Everything from this module down, itself first, as PyTorch's modules().
nb::list modules_of(const nb::object& self) {
  nb::list result;
  result.append(self);
  for (const auto& [path, module] : nb::cast<nn::Module&>(self).named_modules())
    result.append(nb::cast(module));
  return result;
}

nb::object apply(const nb::object& self, const nb::callable& function) {
  nb::list modules = modules_of(self);
  modules.reverse();  // children before the modules that hold them
  for (const nb::handle module : modules) function(module);
  return self;
}

std::shared_ptr<nn::Module> get_attribute(const nn::Module& self, const std::string& name) {
  for (const nn::Module::Child& c : self.named_children()) {
    if (c.name == name) return c.module;
  }
  throw nb::attribute_error(("'" + self.name() + "' has no attribute or child '" + name + "'").c_str());
}

Children list(const std::vector<nn::Module::Child>& children) {
  Children result;
  for (const nn::Module::Child& c : children) result.emplace_back(c.name, c.module);
  return result;
}

// Python's indices count from the end when negative.
std::shared_ptr<nn::Module> child_at(const nn::Sequential& s, std::int64_t index) {
  const auto count = static_cast<std::int64_t>(s.named_children().size());
  if (index < -count || index >= count) {
    throw nb::index_error(("Sequential has " + std::to_string(count) + " children").c_str());
  }
  return s.named_children()[static_cast<std::size_t>(index < 0 ? index + count : index)].module;
}

void bind_base(nb::module_& m) {
  nb::class_<nn::LoadResult>(m, "LoadResult",
                             "What loading a state dict found: every problem, not the first alone.")
      .def_ro("missing_keys", &nn::LoadResult::missing_keys)
      .def_ro("unexpected_keys", &nn::LoadResult::unexpected_keys)
      .def_ro("mismatched", &nn::LoadResult::mismatched)
      .def("ok", &nn::LoadResult::ok, "Whether there was none.")
      .def("__repr__", [](const nn::LoadResult& r) {
        return r.ok() ? "<All keys matched successfully>" : r.to_string();
      });
  nb::class_<nn::Module, PythonModule>(m, "Module",
                                       "What all modules have. A class of your own calls super().__init__(), "
                                       "sets modules as attributes, which become its "
                                       "children, and has forward(x) or forward(x, extra).")
      .def(nb::init<>())
      .def("__call__", &call, arg("inputs"), "forward of the class, for one tensor or two.")
      .def("state_dict", &nn::Module::state_dict, nb::kw_only(), arg("prefix") = "",
           "The tensors of the module and all below it by name, copied; None where PyTorch has None.")
      .def(
          "load_state_dict",
          [](nn::Module& self, const nb::dict& state, bool strict, const std::string& prefix) {
            return self.load_state_dict(state_of_dict(state, self.name() + ".load_state_dict"), prefix,
                                        strict);
          },
          arg("state_dict"), arg("strict") = true, nb::kw_only(), arg("prefix") = "",
          "Takes the tensors named prefix + key. With `strict`, anything missing, unexpected or unusable "
          "is a ValueError that lists all of it, and the module stays as it was.")
      .def_rw("training", &nn::Module::training)
      .def(
          "train",
          [](nn::Module& self, bool mode) {
            self.train(mode);
            return &self;
          },
          arg("mode") = true, nb::rv_policy::reference, "Sets `training` here and in all children.")
      .def(
          "eval",
          [](nn::Module& self) {
            self.eval();
            return &self;
          },
          nb::rv_policy::reference, "train(False).")
      .def_rw("qconfig", &nn::Module::qconfig, arg("qconfig").none(), "How to quantize the module.")
      .def_rw("activation_post_process", &nn::Module::activation_post_process, arg("observer").none(),
              "Sees every output; a FakeQuantize replaces it.")
      .def("modules", &modules_of, "The module itself and everything below it.")
      .def(
          "children",
          [](const nn::Module& self) {
            nb::list result;
            for (const nn::Module::Child& c : self.named_children()) result.append(nb::cast(c.module));
            return result;
          },
          "The modules right below this one.")
      .def("apply", &apply, arg("fn"),
           "Calls fn(module) for everything below, then for this module; returns it.")
      .def(
          "register_module",
          [](nn::Module& self, std::string name, std::shared_ptr<nn::Module> module) {
            self.register_module(std::move(name), std::move(module));
          },
          arg("name"), arg("module"),
          "Adds a child; ValueError for a name that is empty, taken or holds a dot.")
      .def(
          "named_children", [](const nn::Module& self) { return list(self.named_children()); },
          "(name, module) of those right below this one.")
      .def(
          "named_modules", [](const nn::Module& self) { return list(self.named_modules()); },
          "Everything below this module, by path.")
      .def("get_submodule", &nn::Module::get_submodule, arg("target"),
           "The module at that path; ValueError when there is none.")
      .def("set_submodule", &nn::Module::set_submodule, arg("target"), arg("module"),
           "Puts another module at that path.")
      .def("extra_repr", &nn::Module::extra_repr,
           "The attributes that PyTorch prints between the parentheses.")
      .def("_get_name", &nn::Module::name)
      .def("__setattr__", &set_attribute, arg("name"), arg("value").none())
      .def("__getattr__", &get_attribute)
      .def("__deepcopy__", &deep_copy, arg("memo"))
      .def("__repr__", &nn::Module::to_string);
}

template <class M>
nb::class_<M, nn::Module> bind_simple(nb::module_& m, const char* name, const char* doc) {
  return nb::class_<M, nn::Module>(m, name, doc)
      .def("forward", &M::forward, arg("input"), release_gil(), doc);
}

void bind_containers(nb::module_& m) {
  bind_simple<nn::Sequential>(m, "Sequential", "Runs its children one after the other.")
      .def("__init__",
           [](nn::Sequential* self, const nb::args& modules) {
             new (self) nn::Sequential();
             for (const nb::handle module : modules) {
               self->register_module(std::to_string(self->named_children().size()),
                                     nb::cast<std::shared_ptr<nn::Module>>(module));
             }
           })
      .def("__len__", [](const nn::Sequential& s) { return s.named_children().size(); })
      .def("__getitem__", &child_at, arg("index"))
      .def(
          "append",
          [](nn::Sequential& self, std::shared_ptr<nn::Module> module) {
            self.register_module(std::to_string(self.named_children().size()), std::move(module));
            return &self;
          },
          arg("module"), nb::rv_policy::reference, "Adds a child at the end; returns the Sequential.");
  bind_simple<nn::ReLU>(m, "ReLU", "max(x, 0), of float32 or quantized tensors.").def(nb::init<>());
  bind_simple<nn::Identity>(m, "Identity", "Gives what it gets.").def(nb::init<>());
  bind_simple<nn::QuantStub>(m, "QuantStub",
                             "Where float tensors enter what is to be quantized; becomes Quantize.")
      .def(nb::init<std::optional<QConfig>>(), arg("qconfig").none() = nb::none());
  bind_simple<nn::DeQuantStub>(m, "DeQuantStub", "Where they leave it; becomes DeQuantize.")
      .def(nb::init<std::optional<QConfig>>(), arg("qconfig").none() = nb::none());
}

void bind_functional(nb::module_& m) {
  using namespace nn::quantized;  // NOLINT(google-build-using-namespace)
  bind_simple<Quantize>(m, "Quantize", "float32 in, quantized out.")
      .def(nb::init<double, std::int64_t, DType>(), arg("scale"), arg("zero_point"), arg("dtype"))
      .def_static(
          "from_float", [](const nn::QuantStub& stub) { return Quantize::from_float(stub); }, arg("mod"),
          "What convert puts in the place of the module.")
      .def_ro("scale", &Quantize::scale)
      .def_ro("zero_point", &Quantize::zero_point)
      .def_ro("dtype", &Quantize::dtype);
  bind_simple<DeQuantize>(m, "DeQuantize", "Quantized in, float32 out.")
      .def(nb::init<>())
      .def_static(
          "from_float", [](const nn::DeQuantStub& stub) { return DeQuantize::from_float(stub); }, arg("mod"),
          "What convert puts in the place of the module.");
  nb::class_<Functional, nn::Module>(
      m, "Functional", "Sums and concatenations as a module, so that their output has parameters.")
      .def("add", &Functional::add, arg("a"), arg("b"), release_gil(), "a + b.")
      .def("add_relu", &Functional::add_relu, arg("a"), arg("b"), release_gil(), "max(a + b, 0).")
      .def(
          "cat",
          [](const Functional& f, const std::vector<Tensor>& tensors, int dim) {
            return f.cat(tensors, dim);
          },
          arg("tensors"), arg("dim") = 0, release_gil(), "The tensors one after the other.");
  nb::class_<FloatFunctional, Functional>(m, "FloatFunctional",
                                          "On float32 tensors, observed; becomes QFunctional.")
      .def(nb::init<>());
  nb::class_<QFunctional, Functional>(m, "QFunctional", "On quantized tensors.")
      .def(nb::init<>())
      .def_static(
          "from_float", [](const FloatFunctional& f) { return QFunctional::from_float(f); }, arg("mod"),
          "What convert puts in the place of the module.")
      .def_rw("scale", &QFunctional::scale)
      .def_rw("zero_point", &QFunctional::zero_point);
}

}  // namespace

void bind_modules() {
  nb::module_ m = submodule("qconv.nn");
  m.doc() = "Float modules for inference, and what networks are made of, under torch.nn's names.";
  bind_base(m);
  bind_containers(m);
  nb::module_ quantized = submodule("qconv.nn.quantized");
  quantized.doc() = "Quantized modules: torch.ao.nn.quantized.";
  bind_functional(quantized);
}

}  // namespace qconv::python
