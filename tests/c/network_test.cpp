// The C interface: what it gives is what qconv::Network gives, and what goes wrong is a return value and a
// line.
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/network.hpp>
#include <qconv/qconv.h>
#include <qconv/version.hpp>

namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kModel = (fs::path(QCONV_TEST_DATA) / "graph" / "models" / "residual.onnx").string();

struct Loaded {
  qconv_network* network;
  explicit Loaded(const std::string& path) : network(qconv_network_load(path.c_str())) {}
  ~Loaded() { qconv_network_free(network); }
};

// An input of the sizes that the network wants, 2 where it does not care.
struct Input {
  std::vector<float> values;
  qconv_tensor tensor{};
  explicit Input(const qconv_network* network) {
    tensor.rank = qconv_network_input_sizes(network, 0, tensor.sizes);
    std::int64_t count = 1;
    for (int d = 0; d < tensor.rank; ++d) {
      if (tensor.sizes[d] < 0) tensor.sizes[d] = 2;
      count *= tensor.sizes[d];
    }
    for (std::int64_t i = 0; i < count; ++i) values.push_back(0.01F * static_cast<float>(i % 101) - 0.5F);
    tensor.data = values.data();
  }
};

TEST(CInterface, RunsAsTheNetworkDoes) {
  const Loaded loaded(kModel);
  ASSERT_NE(loaded.network, nullptr) << qconv_last_error();
  EXPECT_EQ(qconv_version(), std::string(qconv::version()));
  EXPECT_EQ(qconv_network_num_inputs(loaded.network), 1U);
  EXPECT_EQ(qconv_network_num_outputs(loaded.network), 1U);
  EXPECT_EQ(qconv_network_is_quantized(loaded.network), 0);
  const qconv::Network network = qconv::Network::load(kModel);
  EXPECT_EQ(qconv_network_input_name(loaded.network, 0), network.inputs()[0].name);
  EXPECT_EQ(qconv_network_output_name(loaded.network, 0), network.outputs()[0].name);
  EXPECT_EQ(qconv_network_input_name(loaded.network, 1), nullptr);
  std::int64_t sizes[QCONV_MAX_RANK];
  EXPECT_EQ(qconv_network_input_sizes(loaded.network, 1, sizes), -1);

  const Input input(loaded.network);
  qconv_tensor output{};
  ASSERT_EQ(qconv_network_run(loaded.network, &input.tensor, 1, &output, 1), 0) << qconv_last_error();
  const qconv::Shape shape(
      std::vector<std::int64_t>(input.tensor.sizes, input.tensor.sizes + input.tensor.rank));
  const qconv::Tensor expected = network.run(qconv::Tensor::from_data(input.values, shape));
  ASSERT_EQ(output.rank, expected.dim());
  for (int d = 0; d < output.rank; ++d) EXPECT_EQ(output.sizes[d], expected.size(d));
  const std::vector<float> values = expected.to_vector<float>();
  EXPECT_EQ(std::vector<float>(output.data, output.data + values.size()), values);
  qconv_tensor_free(&output);
  EXPECT_EQ(output.data, nullptr);
  qconv_tensor_free(&output);
  qconv_tensor_free(nullptr);
}

TEST(CInterface, SaysWhatIsWrong) {
  EXPECT_EQ(qconv_network_load("/no/such/file.onnx"), nullptr);
  EXPECT_THAT(qconv_last_error(), HasSubstr("/no/such/file.onnx"));
  EXPECT_EQ(qconv_network_load(nullptr), nullptr);
  EXPECT_THAT(qconv_last_error(), HasSubstr("null"));
  EXPECT_EQ(qconv_set_num_threads(0), -1);
  EXPECT_THAT(qconv_last_error(), HasSubstr("threads"));
  const Loaded loaded(kModel);
  Input input(loaded.network);
  qconv_tensor output{};
  EXPECT_EQ(qconv_network_run(loaded.network, &input.tensor, 1, &output, 2), -1);
  EXPECT_THAT(qconv_last_error(), HasSubstr("has 1 outputs, got place for 2"));
  EXPECT_EQ(qconv_network_run(loaded.network, nullptr, 1, &output, 1), -1);
  input.tensor.rank = 6;
  EXPECT_EQ(qconv_network_run(loaded.network, &input.tensor, 1, &output, 1), -1);
  EXPECT_THAT(qconv_last_error(), HasSubstr("rank 6"));
  input.tensor.rank = 1;
  EXPECT_EQ(qconv_network_run(loaded.network, &input.tensor, 1, &output, 1), -1);
  EXPECT_EQ(output.data, nullptr);
  qconv_network_free(nullptr);
}

}  // namespace
