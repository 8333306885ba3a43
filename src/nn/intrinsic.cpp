#include <qconv/functional.hpp>
#include <qconv/nn/intrinsic.hpp>

#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn::intrinsic {
namespace {

constexpr const char* kObserver = "activation_post_process.";

}  // namespace

std::string FusedConv::extra_repr() const {
  std::string text = fmt::format("\n  (0): {}\n", convolution().to_string());
  if (kind_.post_op == PostOp::relu) text += "  (1): ReLU()\n";
  if (kind_.post_op == PostOp::add_relu) text += "  (relu): ReLU()\n";
  return text;
}

Tensor FusedConv::run(const Tensor& input, const Tensor* extra) const {
  Tensor output = convolution().forward(input);
  if (extra != nullptr) {
    check(extra->defined(), "{}: the tensor to add is undefined", name());
    check(extra->sizes() == output.sizes(), "{}: the tensor to add has sizes {}, expected the output's, {}",
          name(), extra->sizes().to_string(), output.sizes().to_string());
    output = functional::add(output, *extra);
  }
  if (has_relu(kind_.post_op)) output = functional::relu(output);
  if (activation_post_process) activation_post_process->observe(output);
  return output;
}

void FusedConv::save(StateDict& state, const std::string& prefix) const {
  convolution().save(state, prefix + "0.");
  if (activation_post_process) {
    for (const auto& [key, tensor] : activation_post_process->state_dict(prefix + kObserver))
      state.set(key, tensor);
  }
}

LoadResult FusedConv::load(const StateDict& state, const std::string& prefix, bool strict) {
  StateReader reader(state, prefix);
  const ConvNd::Staged staged = convolution().read(reader, "0.");
  const bool observer = reader.observer(activation_post_process.get(), kObserver);
  LoadResult result = reader.finish(name(), strict);
  convolution().take(staged, state, prefix + "0.");
  if (observer) activation_post_process->load_state_dict(state, prefix + kObserver);
  return result;
}

}  // namespace qconv::nn::intrinsic
