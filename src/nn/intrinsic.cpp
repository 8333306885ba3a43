#include <qconv/functional.hpp>
#include <qconv/nn/intrinsic.hpp>

#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn::intrinsic {

std::string FusedConv::extra_repr() const {
  std::string text = fmt::format("\n  (0): {}\n", convolution().to_string());
  if (const BatchNorm* bn = normalization()) text += fmt::format("  (1): {}\n", bn->to_string());
  if (kind_.post_op == PostOp::relu) text += fmt::format("  ({}): ReLU()\n", normalization() ? 2 : 1);
  if (kind_.post_op == PostOp::add_relu) text += "  (relu): ReLU()\n";
  return text;
}

void FusedConv::train(bool mode) {
  Module::train(mode);
  convolution().train(mode);
  if (BatchNorm* bn = normalization()) bn->train(mode);
}

Tensor FusedConv::run(const Tensor& input, const Tensor* extra) const {
  Tensor output = convolution().forward(input);
  if (const BatchNorm* bn = normalization()) output = bn->call({&output, 1});
  if (extra != nullptr) {
    check(extra->defined(), "{}: the tensor to add is undefined", name());
    check(extra->sizes() == output.sizes(), "{}: the tensor to add has sizes {}, expected the output's, {}",
          name(), extra->sizes().to_string(), output.sizes().to_string());
    output = functional::add(output, *extra);
  }
  if (has_relu(kind_.post_op)) output = functional::relu(output);
  output = observed(output);
  // PyTorch's containers run their observer as their last child, and again as a hook; the sums run no
  // children. A moving average moves twice, and so must it here.
  return has_add(kind_.post_op) ? output : observed(output);
}

void FusedConv::save(StateDict& state, const std::string& prefix) const {
  convolution().save_to(state, prefix + "0.");
  if (const BatchNorm* bn = normalization()) bn->save_to(state, prefix + "1.");
}

void FusedConv::read(StateReader& reader, const std::string& prefix) {
  convolution().read_from(reader, prefix + "0.");
  if (BatchNorm* bn = normalization()) bn->read_from(reader, prefix + "1.");
}

void check_channels(std::string_view who, const ConvNd& conv, const BatchNorm& bn) {
  check(conv.out_channels == bn.num_features(),
        "{}: a {} of {} features cannot follow a {} of {} output channels", who, bn.name(), bn.num_features(),
        conv.name(), conv.out_channels);
}

}  // namespace qconv::nn::intrinsic
