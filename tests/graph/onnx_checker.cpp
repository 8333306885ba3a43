#include "graph/onnx_checker.hpp"

#include <exception>

#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

namespace qconv::testing_graph {

std::string checker_complaint(const std::string& model) {
  onnx::ModelProto proto;
  if (!proto.ParseFromString(model)) return "it does not parse";
  if (proto.ir_version() > onnx::Version::IR_VERSION) return {};
  try {
    onnx::checker::check_model(proto);
    onnx::shape_inference::InferShapes(proto, onnx::OpSchemaRegistry::Instance(),
                                       {/*check_type=*/true, /*strict_mode=*/1, /*data_propagation=*/false});
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

}  // namespace qconv::testing_graph
