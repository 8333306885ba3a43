// Networks in int8: quantize them, and compare them with what they were made of.
#include "batches.hpp"
#include "quantize_options.hpp"

namespace qconv::python {
namespace {

using nb::arg;

Network quantized(const Network& network, const nb::object& batches, const nb::kwargs& kwargs) {
  constexpr std::string_view who = "Network.quantize";
  const QuantizeOptions options = quantize_options_of(who, kwargs);
  if (const std::string_view reason = reads_again(options); !reason.empty())
    require_again(batches, who, reason);
  const BatchSource source = batches_of(batches);
  const nb::gil_scoped_release nogil;
  return quantize(network, source, options);
}

void bind_rules(nb::module_& m) {
  nb::class_<QuantizeRule>(
      m, "QuantizeRule",
      "What Network.quantize does differently with the layers whose name and operator both fit; in these "
      "patterns * stands for any characters and ? for one. Inputs of the network have the operator 'Input'.")
      .def(
          "__init__",
          [](QuantizeRule* self, const std::string& layer, const std::string& op, std::optional<bool> exclude,
             const std::optional<ObserverFactory>& activation, std::optional<bool> per_channel) {
            new (self) QuantizeRule{.layer = layer,
                                    .op = op,
                                    .exclude = exclude,
                                    .activation = activation.value_or(ObserverFactory{}),
                                    .per_channel = per_channel};
          },
          nb::kw_only(), arg("layer") = "*", arg("op") = "*", arg("exclude") = nb::none(),
          arg("activation") = nb::none(), arg("per_channel") = nb::none())
      .def_ro("layer", &QuantizeRule::layer)
      .def_ro("op", &QuantizeRule::op)
      .def_ro("exclude", &QuantizeRule::exclude)
      .def_ro("per_channel", &QuantizeRule::per_channel);
}

}  // namespace

void bind_quantization(nb::module_& m, nb::class_<Network>& network) {
  bind_rules(m);
  const std::string signature =
      "def quantize(self, batches: collections.abc.Iterable | collections.abc.Callable[[], object], *, " +
      quantize_signature() + ") -> Network";
  const std::string doc =
      "Runs the network over batches, chooses quantization parameters and returns the quantized network.\n\n"
      "batches: float32 arrays, or lists of arrays, one per input: an iterable, a function that returns an "
      "iterator, or one that returns the next batch and None at the end.\n" +
      quantize_doc() +
      "\n"
      "ValueError for options or data that do not fit; TypeError, too, for an iterator (as a generator) "
      "with correct_bias or adaptive rounding, which read the batches more than once.";
  network.def("quantize", &quantized, nb::sig(signature.c_str()), arg("batches"), arg("options"),
              doc.c_str());
  nb::class_<LayerDifference>(m, "LayerDifference",
                              "How far a layer is from the layer of the same name in another network.")
      .def_ro("name", &LayerDifference::name)
      .def_ro("op", &LayerDifference::op)
      .def_ro("sqnr_db", &LayerDifference::sqnr_db)
      .def_ro("cosine", &LayerDifference::cosine)
      .def_ro("mean_abs_error", &LayerDifference::mean_abs_error)
      .def_ro("max_abs_error", &LayerDifference::max_abs_error)
      .def_ro("reference_min", &LayerDifference::reference_min)
      .def_ro("reference_max", &LayerDifference::reference_max);
  m.def(
      "compare_layers",
      [](const Network& reference, const Network& other, const nb::object& batches) {
        const BatchSource source = batches_of(batches);
        const nb::gil_scoped_release nogil;
        return compare_layers(reference, other, source);
      },
      arg("reference"), arg("other"), arg("batches"),
      "How far each layer of one network is from the other's: a list of LayerDifference, in the order in "
      "which `reference` runs them.");
}

}  // namespace qconv::python
