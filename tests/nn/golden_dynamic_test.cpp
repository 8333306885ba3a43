// Dynamic modules made from float ones equal PyTorch's to the bit (tests/golden/dynamic_modules.py).
#include <map>

#include "nn/module_kinds.hpp"
#include "support/golden.hpp"

namespace qconv {
namespace {

using namespace qconv::testing;  // NOLINT: the kinds
using nlohmann::json;
namespace nnqd = nn::quantized::dynamic;

template <class Conv, class Dynamic>
void expect_dynamic(const json& c, const GoldenBlob& blob) {
  Conv conv = [&] {
    const auto kernel = c.at("kernel").get<std::vector<std::int64_t>>();
    if constexpr (Dynamic::kKind.transposed) {
      return Conv(c.at("in_channels"), c.at("out_channels"), kernel, 1, 1, 0, c.at("groups"), c.at("bias"));
    } else {
      return Conv(c.at("in_channels"), c.at("out_channels"), kernel, 1, 1, 1, c.at("groups"), c.at("bias"));
    }
  }();
  conv.weight = blob.tensor<float>(c.at("weight"));
  conv.bias = blob.optional_tensor<float>(c, "b");
  conv.qconfig = c.at("qconfig") == "default_dynamic_qconfig" ? default_dynamic_qconfig()
                                                              : per_channel_dynamic_qconfig();
  const Dynamic q = Dynamic::from_float(conv);
  EXPECT_EQ(q.name(), c.at("name").get<std::string>());
  EXPECT_EQ(q.extra_repr(), c.at("extra_repr").get<std::string>());
  EXPECT_TRUE(equal(q.weight().int_repr(), blob.tensor<std::int8_t>(c.at("q_weight"))));
  const Tensor x = blob.tensor<float>(c.at("x"));
  EXPECT_TRUE(equal(q.forward(x), blob.tensor<float>(c.at("y"))));
  EXPECT_TRUE(equal(q.forward(x, false), blob.tensor<float>(c.at("y_full"))));
}

TEST(GoldenDynamic, FromFloatEqualsPyTorch) {
  const std::map<std::string, void (*)(const json&, const GoldenBlob&)> known{
      {"Conv1d", expect_dynamic<nn::Conv1d, nnqd::Conv1d>},
      {"Conv2d", expect_dynamic<nn::Conv2d, nnqd::Conv2d>},
      {"Conv3d", expect_dynamic<nn::Conv3d, nnqd::Conv3d>},
      {"ConvTranspose1d", expect_dynamic<nn::ConvTranspose1d, nnqd::ConvTranspose1d>},
      {"ConvTranspose2d", expect_dynamic<nn::ConvTranspose2d, nnqd::ConvTranspose2d>},
      {"ConvTranspose3d", expect_dynamic<nn::ConvTranspose3d, nnqd::ConvTranspose3d>}};
  const GoldenBlob blob("dynamic_modules");
  const json document = golden_json("dynamic_modules");
  ASSERT_EQ(document.at("cases").size(), 18U);
  for (const json& c : document.at("cases")) {
    SCOPED_TRACE(c.at("class").get<std::string>() + " " + c.at("qconfig").get<std::string>());
    known.at(c.at("class").get<std::string>())(c, blob);
  }
}

}  // namespace
}  // namespace qconv
