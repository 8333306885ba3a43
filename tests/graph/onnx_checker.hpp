#pragma once

#include <string>

namespace qconv::testing_graph {

/// What ONNX's own checker and shape inference have against a model: empty when it is sound, and also when it
/// is of a later version than this checker knows.
std::string checker_complaint(const std::string& model);

}  // namespace qconv::testing_graph
