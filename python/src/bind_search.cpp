// What quantizing each layer costs, and which layers must stay float.
#include <cmath>

#include <qconv/quantize_search.hpp>

#include "batches.hpp"
#include "quantize_options.hpp"

namespace qconv::python {
namespace {

using nb::arg;

std::optional<double> known(double value) { return std::isnan(value) ? std::nullopt : std::optional(value); }

void bind_results(nb::module_& m) {
  nb::class_<Quality>(m, "Quality", "How good a network is, beside the float network that it was made of.")
      .def_ro("sqnr_db", &Quality::sqnr_db, "10 log10(sum of float^2 / sum of difference^2); inf when equal.")
      .def_ro("psnr_db", &Quality::psnr_db, "The same with the square of the float results' range above.")
      .def_ro("cosine", &Quality::cosine)
      .def_ro("mse", &Quality::mse)
      .def_prop_ro(
          "agreement", [](const Quality& q) { return known(q.agreement); },
          "Percent of the samples (or pixels) whose largest score along dimension 1 is the float network's; "
          "None where there is nothing to decide.")
      .def_prop_ro(
          "top1", [](const Quality& q) { return known(q.top1); },
          "Percent of the samples whose label has the largest score; None without labels.")
      .def_ro("samples", &Quality::samples)
      .def("__repr__", [](const Quality& q) {
        return nb::str("<Quality sqnr_db={:.2f} psnr_db={:.2f} agreement={} top1={}>")
            .format(q.sqnr_db, q.psnr_db, known(q.agreement), known(q.top1));
      });
  nb::class_<LayerSensitivity>(m, "LayerSensitivity", "What quantizing one layer costs.")
      .def_ro("name", &LayerSensitivity::name)
      .def_ro("op", &LayerSensitivity::op)
      .def_ro("alone", &LayerSensitivity::alone, "Quality with only this layer in int8.")
      .def_ro("up_to_here", &LayerSensitivity::up_to_here,
              "Quality with this layer and all before it in int8.")
      .def("__repr__",
           [](const LayerSensitivity& l) { return "<LayerSensitivity " + l.op + " " + l.name + ">"; });
  nb::class_<KeptLayer>(m, "KeptLayer", "A layer that quantize_within does not compute as it was asked.")
      .def_ro("name", &KeptLayer::name)
      .def_ro("op", &KeptLayer::op)
      .def_prop_ro(
          "precision", [](const KeptLayer& k) { return k.real ? "float" : "per_channel"; },
          "'float', or 'per_channel': in int8 with a weight scale per channel where one for all was asked.")
      .def_ro("alone", &KeptLayer::alone, "Quality with only this layer in int8.")
      .def("__repr__", [](const KeptLayer& k) {
        return "<KeptLayer " + k.op + " " + k.name + (k.real ? ", float>" : ", per_channel>");
      });
  nb::class_<SearchResult>(m, "SearchResult", "What Network.quantize_within found.")
      .def_ro("network", &SearchResult::network)
      .def_ro("quality", &SearchResult::quality, "Of the network.")
      .def_ro("unrestricted", &SearchResult::unrestricted, "Quality with every layer in int8.")
      .def_ro("real", &SearchResult::real, "Quality of the float network, for its top1.")
      .def_ro("kept", &SearchResult::kept, "A list of KeptLayer, the most sensitive first.")
      .def_ro("layers", &SearchResult::layers, "How many could be quantized.")
      .def_ro("evaluations", &SearchResult::evaluations);
}

// Of one call; the Python objects that the options call outlive it.
class Job {
 public:
  Job(std::string_view who, const nb::object& batches, const nb::object& evaluation, const nb::object& labels,
      const nb::object& on_evaluation, const nb::kwargs& kwargs)
      : who_(who) {
    options.quantize = quantize_options_of(who, kwargs);
    const std::string_view reason = reads_again(options.quantize);
    if (!reason.empty() || evaluation.is_none())
      require_again(batches, who, reason.empty() ? "judging without evaluation data" : reason);
    source = batches_of(batches);
    if (!evaluation.is_none()) {
      require_again(evaluation, who, "evaluation");
      options.evaluation = batches_of(evaluation);
    }
    if (!labels.is_none()) read(labels);
    if (on_evaluation.is_none()) return;
    options.progress = [function = nb::handle(on_evaluation)](std::string_view what, std::size_t count) {
      const nb::gil_scoped_acquire gil;
      function(what, count);
    };
  }

  /// With a limit: of points lost, or of dB left.
  void limit(std::optional<double> max_drop, std::optional<double> min_db,
             const std::optional<std::string>& metric) {
    if (max_drop.has_value() == min_db.has_value())
      throw ValueError(who_ + ": give either max_drop or min_db");
    options.limit = max_drop ? *max_drop : *min_db;
    options.metric = metric                   ? parse(*metric)
                     : min_db                 ? Metric::sqnr
                     : options.labels.empty() ? Metric::agreement
                                              : Metric::top1;
    const bool decibels = options.metric == Metric::sqnr || options.metric == Metric::psnr;
    if (decibels == max_drop.has_value())
      throw ValueError(who_ + ": the metric " + std::string(to_string(options.metric)) + " needs " +
                       (decibels ? "min_db, not max_drop" : "max_drop, not min_db"));
  }

  BatchSource source;
  SearchOptions options;

 private:
  Metric parse(const std::string& name) const {
    for (const Metric m : {Metric::top1, Metric::agreement, Metric::sqnr, Metric::psnr}) {
      if (name == to_string(m)) return m;
    }
    throw ValueError(who_ + ": the metric is '" + name + "', expected top1, agreement, sqnr or psnr");
  }

  void read(const nb::object& labels) {
    const nb::object list = nb::hasattr(labels, "tolist") ? labels.attr("tolist")() : nb::list(labels);
    if (!nb::try_cast(list, options.labels))
      throw TypeError(who_ + ": labels must be a one-dimensional array or a list of integers");
  }

  std::string who_;
};

std::vector<LayerSensitivity> find_sensitivity(const Network& network, const nb::object& batches,
                                               const nb::object& evaluation, const nb::object& labels,
                                               const nb::object& on_evaluation, const nb::kwargs& kwargs) {
  const Job job("Network.sensitivity", batches, evaluation, labels, on_evaluation, kwargs);
  const nb::gil_scoped_release nogil;
  return sensitivity(network, job.source, job.options);
}

SearchResult find_within(const Network& network, const nb::object& batches, std::optional<double> max_drop,
                         std::optional<double> min_db, const std::optional<std::string>& metric,
                         const nb::object& evaluation, const nb::object& labels,
                         const nb::object& on_evaluation, const nb::kwargs& kwargs) {
  Job job("Network.quantize_within", batches, evaluation, labels, on_evaluation, kwargs);
  job.limit(max_drop, min_db, metric);
  const nb::gil_scoped_release nogil;
  return quantize_within(network, job.source, job.options);
}

}  // namespace

void bind_search(nb::module_& m, nb::class_<Network>& network) {
  bind_results(m);
  const std::string source = "collections.abc.Iterable | collections.abc.Callable[[], object]";
  const std::string judging = "evaluation: " + source +
                              " | None = None, labels: collections.abc.Iterable[int] | None = None, "
                              "on_evaluation: collections.abc.Callable[[str, int], object] | None = None, " +
                              quantize_signature();
  const std::string judging_doc =
      "evaluation: what networks are judged on, read many times; batches unless given.\n"
      "labels: the class of each sample of it, in order, for results of sizes (N, classes).\n"
      "on_evaluation: called after each network that was judged with what it was for and how many so far.\n"
      "The other arguments are those of Network.quantize. TypeError for an iterator where data is read more "
      "than once.";
  const std::string alone =
      "def sensitivity(self, batches: " + source + ", *, " + judging + ") -> list[LayerSensitivity]";
  const std::string alone_doc =
      "Judges the network with each layer that quantize would quantize, alone and with all before it: a list "
      "of LayerSensitivity in the order in which they run. Calibrates once.\n\n" +
      judging_doc;
  network.def("sensitivity", &find_sensitivity, nb::sig(alone.c_str()), arg("batches"), nb::kw_only(),
              arg("evaluation") = nb::none(), arg("labels") = nb::none(), arg("on_evaluation") = nb::none(),
              arg("options"), alone_doc.c_str());
  const std::string within =
      "def quantize_within(self, batches: " + source +
      ", *, max_drop: float | None = None, min_db: float | None = None, metric: str | None = None, " +
      judging + ") -> SearchResult";
  const std::string within_doc =
      "Quantizes as many layers as a limit allows and keeps the others in float, those that cost most alone; "
      "with per_channel=False, a weight scale per channel is tried before float.\n\n"
      "max_drop: the most points of percent that may be lost, 0 or more, of 'top1' (with labels) or "
      "'agreement' with the float network. min_db: instead, the least dB of 'sqnr' or 'psnr'.\n"
      "metric: one of these four; top1 with labels, else agreement, or sqnr for min_db.\n" +
      judging_doc + " ValueError when the limit holds only with no layer quantized.";
  network.def("quantize_within", &find_within, nb::sig(within.c_str()), arg("batches"), nb::kw_only(),
              arg("max_drop") = nb::none(), arg("min_db") = nb::none(), arg("metric") = nb::none(),
              arg("evaluation") = nb::none(), arg("labels") = nb::none(), arg("on_evaluation") = nb::none(),
              arg("options"), within_doc.c_str());
}

}  // namespace qconv::python
