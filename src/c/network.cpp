// The C interface: nothing but the border between C and qconv::Network.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include <qconv/network.hpp>
#include <qconv/qconv.h>
#include <qconv/threads.hpp>
#include <qconv/version.hpp>

#include "support/check.hpp"

struct qconv_network {
  qconv::Network network;
};

namespace {

std::string& last_error() {
  thread_local std::string text = "no error";
  return text;
}

// Runs `body`; exceptions become `failed` and the text of qconv_last_error().
template <class Result, class Body>
Result guarded(Result failed, const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    last_error() = "out of memory";
  } catch (const std::exception& e) {
    last_error() = e.what();
  }
  return failed;
}

qconv::Tensor to_tensor(const qconv_tensor& t, std::size_t i) {
  qconv::check(t.rank >= 0 && t.rank <= QCONV_MAX_RANK,
               "qconv_network_run: input {} has rank {}, expected 0 to {}", i, t.rank, QCONV_MAX_RANK);
  qconv::Shape sizes;
  for (int d = 0; d < t.rank; ++d) {
    qconv::check(t.sizes[d] >= 0, "qconv_network_run: input {} has a size of {}", i, t.sizes[d]);
    sizes.push_back(t.sizes[d]);
  }
  qconv::check(t.data != nullptr || sizes.numel() == 0, "qconv_network_run: input {} has no data", i);
  return qconv::Tensor::from_blob(t.data, sizes, dense_strides(sizes, qconv::MemoryFormat::contiguous),
                                  qconv::float32);
}

void from_tensor(const qconv::Tensor& tensor, qconv_tensor& result) {
  const qconv::Tensor dense = tensor.contiguous();
  result.rank = dense.dim();
  std::fill(std::begin(result.sizes), std::end(result.sizes), 0);
  for (int d = 0; d < dense.dim(); ++d) result.sizes[d] = dense.size(d);
  const auto count = static_cast<std::size_t>(dense.numel());
  result.data = new float[std::max<std::size_t>(count, 1)];
  std::copy_n(dense.data<float>(), count, result.data);
}

const char* name_of(const std::vector<qconv::ValueInfo>& values, std::size_t index) {
  return index < values.size() ? values[index].name.c_str() : nullptr;
}

}  // namespace

const char* qconv_version(void) {
  static const std::string text(qconv::version());
  return text.c_str();
}

const char* qconv_last_error(void) { return last_error().c_str(); }

int qconv_set_num_threads(int count) {
  return guarded(-1, [&] {
    qconv::set_num_threads(count);
    return 0;
  });
}

void qconv_tensor_free(qconv_tensor* tensor) {
  if (tensor == nullptr) return;
  delete[] tensor->data;
  tensor->data = nullptr;
}

qconv_network* qconv_network_load(const char* path) {
  return guarded(static_cast<qconv_network*>(nullptr), [&] {
    qconv::check(path != nullptr, "qconv_network_load: the path is null");
    return new qconv_network{qconv::Network::load(path, {.run_only = true})};
  });
}

void qconv_network_free(qconv_network* network) { delete network; }

size_t qconv_network_num_inputs(const qconv_network* network) { return network->network.inputs().size(); }
size_t qconv_network_num_outputs(const qconv_network* network) { return network->network.outputs().size(); }

const char* qconv_network_input_name(const qconv_network* network, size_t index) {
  return name_of(network->network.inputs(), index);
}
const char* qconv_network_output_name(const qconv_network* network, size_t index) {
  return name_of(network->network.outputs(), index);
}

int qconv_network_input_sizes(const qconv_network* network, size_t index, int64_t sizes[QCONV_MAX_RANK]) {
  const auto& inputs = network->network.inputs();
  if (index >= inputs.size() || !inputs[index].sizes) return -1;
  std::copy(inputs[index].sizes->begin(), inputs[index].sizes->end(), sizes);
  return inputs[index].sizes->rank();
}

int qconv_network_is_quantized(const qconv_network* network) { return network->network.quantized() ? 1 : 0; }

int qconv_network_run(const qconv_network* network, const qconv_tensor* inputs, size_t num_inputs,
                      qconv_tensor* outputs, size_t num_outputs) {
  return guarded(-1, [&] {
    qconv::check(network != nullptr && (inputs != nullptr || num_inputs == 0) &&
                     (outputs != nullptr || num_outputs == 0),
                 "qconv_network_run: an argument is null");
    const std::size_t expected = network->network.outputs().size();
    qconv::check(num_outputs == expected, "qconv_network_run: the network has {} outputs, got place for {}",
                 expected, num_outputs);
    std::vector<qconv::Tensor> tensors;
    for (std::size_t i = 0; i < num_inputs; ++i) tensors.push_back(to_tensor(inputs[i], i));
    const std::vector<qconv::Tensor> results = network->network.run(tensors);
    std::vector<qconv_tensor> made(results.size());
    try {
      for (std::size_t i = 0; i < results.size(); ++i) from_tensor(results[i], made[i]);
    } catch (...) {
      for (qconv_tensor& t : made) qconv_tensor_free(&t);
      throw;
    }
    std::copy(made.begin(), made.end(), outputs);
    return 0;
  });
}
