#pragma once

#include <span>
#include <string>
#include <vector>

#include <qconv/network.hpp>

#include "io/onnx_proto.hpp"

namespace qconv::testing_graph {

/// A small ONNX model, built message by message so that it can be wrong in any way.
struct ModelBuilder {
  onnx::ModelProto model;

  explicit ModelBuilder(int opset = 13) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    model.mutable_graph()->set_name("test");
  }

  onnx::GraphProto& graph() { return *model.mutable_graph(); }

  void input(const std::string& name, const std::vector<std::int64_t>& dims,
             int type = onnx::TensorProto::FLOAT) {
    declare(*graph().add_input(), name, dims, type);
  }
  void output(const std::string& name) { graph().add_output()->set_name(name); }
  onnx::TensorProto& floats(const std::string& name, const std::vector<std::int64_t>& dims,
                            std::size_t count) {
    onnx::TensorProto& t = tensor(name, dims, onnx::TensorProto::FLOAT);
    for (std::size_t i = 0; i < count; ++i) t.add_float_data(0.25F * static_cast<float>(i % 7) - 0.5F);
    return t;
  }
  onnx::TensorProto& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& t = tensor(name, {static_cast<std::int64_t>(values.size())}, onnx::TensorProto::INT64);
    for (const std::int64_t v : values) t.add_int64_data(v);
    return t;
  }
  onnx::TensorProto& tensor(const std::string& name, const std::vector<std::int64_t>& dims, int type) {
    onnx::TensorProto& t = *graph().add_initializer();
    t.set_name(name);
    t.set_data_type(type);
    for (const std::int64_t d : dims) t.add_dims(d);
    return t;
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::string& result) {
    onnx::NodeProto& n = *graph().add_node();
    n.set_op_type(op);
    n.set_name(result + "_node");
    for (const std::string& i : inputs) n.add_input(i);
    n.add_output(result);
    return n;
  }
  static void ints(onnx::NodeProto& n, const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::AttributeProto& a = *n.add_attribute();
    a.set_name(name);
    a.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t v : values) a.add_ints(v);
  }
  static void integer(onnx::NodeProto& n, const std::string& name, std::int64_t value) {
    onnx::AttributeProto& a = *n.add_attribute();
    a.set_name(name);
    a.set_type(onnx::AttributeProto::INT);
    a.set_i(value);
  }
  static void text(onnx::NodeProto& n, const std::string& name, const std::string& value) {
    onnx::AttributeProto& a = *n.add_attribute();
    a.set_name(name);
    a.set_type(onnx::AttributeProto::STRING);
    a.set_s(value);
  }

  std::string bytes() const { return model.SerializeAsString(); }
  Network load() const {
    const std::string b = bytes();
    return Network::from_onnx(std::as_bytes(std::span(b)), "test.onnx");
  }

 private:
  static void declare(onnx::ValueInfoProto& info, const std::string& name,
                      const std::vector<std::int64_t>& dims, int type) {
    info.set_name(name);
    auto& t = *info.mutable_type()->mutable_tensor_type();
    t.set_elem_type(type);
    for (const std::int64_t d : dims) {
      auto& dim = *t.mutable_shape()->add_dim();
      if (d >= 0) {
        dim.set_dim_value(d);
      } else {
        dim.set_dim_param("N");
      }
    }
  }
};

/// x (1, 2, 5, 5) -> Conv with a 3x3 weight -> y.
inline ModelBuilder small_conv() {
  ModelBuilder b;
  b.input("x", {1, 2, 5, 5});
  b.floats("w", {3, 2, 3, 3}, 54);
  b.node("Conv", {"x", "w"}, "y");
  b.output("y");
  return b;
}

}  // namespace qconv::testing_graph
