// A network beside the one that it was made of: layer by layer, as objects, a dict, JSON or a page.
#include <nanobind/stl/filesystem.h>

#include <qconv/report.hpp>

#include "batches.hpp"

namespace qconv::python {
namespace {

using nb::arg;

void bind_figures(nb::module_& m) {
  nb::class_<ErrorFigures>(m, "ErrorFigures", "How far one result is from another, over all batches.")
      .def_ro("sqnr_db", &ErrorFigures::sqnr_db,
              "10 log10(sum of reference^2 / sum of difference^2); inf when equal.")
      .def_ro("cosine", &ErrorFigures::cosine)
      .def_ro("mean_abs_error", &ErrorFigures::mean_abs_error)
      .def_ro("max_abs_error", &ErrorFigures::max_abs_error)
      .def("__repr__", [](const ErrorFigures& e) {
        return nb::str("<ErrorFigures sqnr_db={:.2f} max_abs_error={:.3g}>")
            .format(e.sqnr_db, e.max_abs_error);
      });
  nb::class_<ValueHistogram>(m, "ValueHistogram",
                             "counts[i] values lie in [first + i * width, first + (i + 1) * width).")
      .def_ro("first", &ValueHistogram::first)
      .def_ro("width", &ValueHistogram::width)
      .def_ro("counts", &ValueHistogram::counts);
  nb::class_<ValueDistribution>(m, "ValueDistribution", "Float values: where they lie and how often.")
      .def_ro("count", &ValueDistribution::count)
      .def_ro("not_finite", &ValueDistribution::not_finite,
              "Of them; in neither the range nor the histogram.")
      .def_ro("min", &ValueDistribution::min)
      .def_ro("max", &ValueDistribution::max)
      .def_ro("histogram", &ValueDistribution::histogram);
  nb::class_<QuantizedRange>(m, "QuantizedRange",
                             "The integers that were chosen for an activation, and what they leave out.")
      .def_ro("scale", &QuantizedRange::scale)
      .def_ro("zero_point", &QuantizedRange::zero_point)
      .def_ro("low", &QuantizedRange::low, "The least number that they stand for.")
      .def_ro("high", &QuantizedRange::high)
      .def_ro("clipped_below", &QuantizedRange::clipped_below,
              "Share of the float values that lie more than half a step below.")
      .def_ro("clipped_above", &QuantizedRange::clipped_above);
}

void bind_layers(nb::module_& m) {
  nb::class_<WeightReport>(m, "WeightReport", "A layer's weight, before and after.")
      .def_ro("dtype", &WeightReport::dtype)
      .def_ro("shape", &WeightReport::sizes)
      .def_ro("values", &WeightReport::values, "Distribution of the float weight.")
      .def_ro("scales", &WeightReport::scales,
              "One for each output channel, or one for all; empty for a float weight.")
      .def_ro("sqnr_db", &WeightReport::sqnr_db);
  nb::class_<LayerReport>(m, "LayerReport", "One layer of the network that analyze() judges.")
      .def_prop_ro("name", [](const LayerReport& l) { return l.info.name; })
      .def_prop_ro("op", [](const LayerReport& l) { return l.info.op; })
      .def_prop_ro("quantized", [](const LayerReport& l) { return l.info.quantized; })
      .def_ro("info", &LayerReport::info)
      .def_ro("sources", &LayerReport::sources,
              "Who made its inputs: the index of a layer, or -1 - i for input i of the network.")
      .def_prop_ro(
          "reference",
          [](const LayerReport& l) {
            return l.reference.empty() ? std::nullopt : std::optional(l.reference);
          },
          "Name of the reference's layer that it is set against; None when there is none.")
      .def_ro("accumulated", &LayerReport::accumulated,
              "ErrorFigures of its result in a run of the whole network, or None.")
      .def_ro(
          "local", &LayerReport::local,
          "ErrorFigures of what it does alone, on the reference's inputs, quantized; None for float results.")
      .def_ro("values", &LayerReport::values,
              "Distribution of the reference's result; of its own where there is no reference.")
      .def_ro("range", &LayerReport::range, "QuantizedRange of its result, or None.")
      .def_ro("weight", &LayerReport::weight, "WeightReport, or None.")
      .def_ro("microseconds", &LayerReport::microseconds, "Median of the timed runs; None without them.")
      .def_ro("reference_microseconds", &LayerReport::reference_microseconds)
      .def_ro("reference_kernel", &LayerReport::reference_kernel)
      .def("__repr__",
           [](const LayerReport& l) { return "<LayerReport " + l.info.op + " " + l.info.name + ">"; });
}

void bind_report(nb::module_& m) {
  nb::class_<OutputReport>(m, "OutputReport", "One output of the whole network.")
      .def_ro("name", &OutputReport::name)
      .def_ro("error", &OutputReport::error)
      .def_ro("samples", &OutputReport::samples,
              "Where it is a row of class scores for each sample: how many there were; else None.")
      .def_ro("same_top1", &OutputReport::same_top1,
              "For how many of them both networks have the same greatest score.");
  nb::class_<NetworkSide>(m, "NetworkSide", "One of the two networks of a report.")
      .def_rw("name", &NetworkSide::name, "What the report calls it: the graph's name unless set.")
      .def_rw("file_bytes", &NetworkSide::file_bytes, "0 when not known; analyze() does not know it.")
      .def_ro("weight_bytes", &NetworkSide::weight_bytes)
      .def_ro("parameters", &NetworkSide::parameters)
      .def_ro("activation_bytes", &NetworkSide::activation_bytes,
              "Peak memory between layers, for the sizes of the first batch.")
      .def_ro("microseconds", &NetworkSide::microseconds, "Median of the timed runs; None without them.");
  nb::class_<NetworkReport>(m, "NetworkReport", "A network beside the one that it was made of.")
      .def_rw("reference", &NetworkReport::reference)
      .def_rw("other", &NetworkReport::other)
      .def_rw("data", &NetworkReport::data, "What the report calls the samples; '' unless set.")
      .def_ro("batches", &NetworkReport::batches)
      .def_ro("samples", &NetworkReport::samples)
      .def_ro("timed_runs", &NetworkReport::timed_runs)
      .def_ro("inputs", &NetworkReport::inputs)
      .def_ro("outputs", &NetworkReport::outputs, "A list of OutputReport.")
      .def_ro("layers", &NetworkReport::layers, "A list of LayerReport, in the order in which they run.")
      .def("to_json", &report_json, release_gil(), "The text of report.json; docs/cli.md lists the members.")
      .def("to_html", &report_html, release_gil(),
           "The text of report.html, one page that needs nothing else.")
      .def(
          "to_dict",
          [](const NetworkReport& r) {
            return nb::cast<nb::dict>(nb::module_::import_("json").attr("loads")(report_json(r)));
          },
          "The members of report.json as dicts and lists; None where a number is not finite.")
      .def("save", &save_report, arg("folder"), release_gil(),
           "Writes report.html and report.json into the folder, each atomically; makes the folder if "
           "only that is missing. FileError.");
}

}  // namespace

void bind_analysis(nb::module_& m) {
  bind_figures(m);
  bind_layers(m);
  bind_report(m);
  m.def(
      "analyze",
      [](const Network& reference, const Network& other, const nb::object& batches, double timing_seconds) {
        const BatchSource source = batches_of(batches);
        const nb::gil_scoped_release nogil;
        return analyze(reference, other, source, {.timing_seconds = timing_seconds});
      },
      arg("reference"), arg("other"), arg("batches"), nb::kw_only(), arg("timing_seconds") = 1.0,
      "Runs both networks over batches (as for Network.quantize; read once) and sets each layer of "
      "`other` against the layer of the same name in `reference`: accumulated and own error, ranges, "
      "clipping, weight scales and times.\n\n"
      "timing_seconds: how long to run both on the first batch for their times, three times each at "
      "least; not at all for 0.\n"
      "Returns a NetworkReport. ValueError when there are no batches, or when the networks' inputs or "
      "outputs differ in number.");
}

}  // namespace qconv::python
