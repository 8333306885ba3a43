#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <qconv/qconv.hpp>

namespace qconv {
namespace {

// A DLPack tensor as another library would make one, which counts its deletions.
struct Foreign {
  DLManagedTensor managed{};
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::vector<float> memory = {0, 1, 2, 3, 4, 5, 6, 7};
  int deleted = 0;

  explicit Foreign(std::vector<std::int64_t> sizes, std::vector<std::int64_t> steps = {})
      : shape(std::move(sizes)), strides(std::move(steps)) {
    DLTensor& t = managed.dl_tensor;
    t.data = memory.data();
    t.device = {kDLCPU, 0};
    t.ndim = static_cast<int>(shape.size());
    t.dtype = {kDLFloat, 32, 1};
    t.shape = shape.data();
    t.strides = strides.empty() ? nullptr : strides.data();
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensor* self) { ++static_cast<Foreign*>(self->manager_ctx)->deleted; };
  }
};

TEST(DLPack, RoundTripSharesMemoryAndKeepsStrides) {
  Tensor original = Tensor::zeros({2, 3, 4, 5}, float32, MemoryFormat::channels_last);
  const Tensor view = original.narrow(2, 1, 2);
  DLManagedTensor* exported = to_dlpack(view);
  EXPECT_EQ(exported->dl_tensor.ndim, 4);
  const Tensor back = from_dlpack(exported);
  EXPECT_EQ(back.sizes(), view.sizes());
  EXPECT_EQ(back.strides(), view.strides());
  EXPECT_EQ(back.raw_data(), view.raw_data());
  original.mutable_data<float>()[original.stride(2)] = 7;
  EXPECT_EQ(back.data<float>()[0], 7);
}

TEST(DLPack, TheExportKeepsTheMemoryAlive) {
  DLManagedTensor* exported = to_dlpack(Tensor::from_data(std::vector<float>{1, 2, 3}, {3}));
  EXPECT_EQ(static_cast<const float*>(exported->dl_tensor.data)[2], 3);
  exported->deleter(exported);
}

TEST(DLPack, EveryDTypeComesBackAndQuantizedOnesAsIntegers) {
  for (const DType dtype : {float32, float64, int32, int64, uint8, int8}) {
    EXPECT_EQ(from_dlpack(to_dlpack(Tensor::zeros({2}, dtype))).dtype(), dtype);
  }
  const Tensor x = Tensor::from_data(std::vector<float>{-1, 0, 1}, {3});
  for (const DType dtype : {quint8, qint8, qint32}) {
    const Tensor q = quantize_per_tensor(x, 0.5, 3, dtype);
    EXPECT_TRUE(equal(from_dlpack(to_dlpack(q)), q.int_repr()));
  }
}

TEST(DLPack, EmptyAndScalarTensors) {
  EXPECT_EQ(from_dlpack(to_dlpack(Tensor::zeros({0, 3}, float32))).sizes(), (Shape{0, 3}));
  EXPECT_EQ(from_dlpack(to_dlpack(Tensor::scalar(2.5F))).item(), 2.5);
  EXPECT_THROW(to_dlpack(Tensor()), ValueError);
}

TEST(DLPack, TheDeleterRunsOnceWhenTheLastViewGoes) {
  Foreign foreign({2, 4});
  {
    Tensor t = from_dlpack(&foreign.managed);
    const Tensor row = t.select(0, 1);
    t = Tensor();
    EXPECT_EQ(foreign.deleted, 0);
    EXPECT_EQ(row.to_vector<float>(), (std::vector<float>{4, 5, 6, 7}));
  }
  EXPECT_EQ(foreign.deleted, 1);
}

TEST(DLPack, ADeleterMayBeMissing) {
  Foreign foreign({2, 4});
  foreign.managed.deleter = nullptr;
  EXPECT_EQ(from_dlpack(&foreign.managed).numel(), 8);
}

TEST(DLPack, HonoursStridesAndByteOffset) {
  Foreign foreign({2, 3}, {1, 2});
  foreign.managed.dl_tensor.byte_offset = 2 * sizeof(float);
  EXPECT_EQ(from_dlpack(&foreign.managed).to_vector<float>(), (std::vector<float>{2, 4, 6, 3, 5, 7}));
  Foreign broadcast({3, 2}, {0, 1});
  EXPECT_EQ(from_dlpack(&broadcast.managed).to_vector<float>(), (std::vector<float>{0, 1, 0, 1, 0, 1}));
}

TEST(DLPack, RefusesWhatItCannotHoldAndLeavesItToTheCaller) {
  const auto refused = [](auto change) {
    Foreign foreign({2, 4}, {4, 1});
    change(foreign.managed.dl_tensor);
    std::string message;
    try {
      from_dlpack(&foreign.managed);
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_EQ(foreign.deleted, 0);
    return message;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](DLTensor& t) { t.device.device_type = kDLCUDA; }), HasSubstr("device type 2"));
  EXPECT_THAT(refused([](DLTensor& t) {
                t.dtype = {kDLFloat, 16, 1};
              }),
              HasSubstr("dtype code 2 of 16 bits"));
  EXPECT_THAT(refused([](DLTensor& t) { t.dtype = {kDLInt, 16, 1}; }), HasSubstr("dtype code 0 of 16 bits"));
  EXPECT_THAT(refused([](DLTensor& t) { t.dtype.lanes = 4; }), HasSubstr("4 lanes"));
  EXPECT_THAT(refused([](DLTensor& t) { t.ndim = 9; }), HasSubstr("got 9 dimensions"));
  EXPECT_THAT(refused([](DLTensor& t) { t.ndim = -1; }), HasSubstr("got -1 dimensions"));
  EXPECT_THAT(refused([](DLTensor& t) { t.shape = nullptr; }), HasSubstr("has no shape"));
  EXPECT_THAT(refused([](DLTensor& t) { t.shape[0] = -2; }), HasSubstr("sizes must not be negative"));
  EXPECT_THAT(refused([](DLTensor& t) { t.strides[1] = -1; }), HasSubstr("strides must not be negative"));
  EXPECT_THAT(refused([](DLTensor& t) { t.strides[0] = std::int64_t{1} << 62; }), HasSubstr("address space"));
  EXPECT_THAT(refused([](DLTensor& t) { t.data = nullptr; }), HasSubstr("no memory"));
  EXPECT_THAT(refused([](DLTensor& t) { t.byte_offset = 2; }), HasSubstr("not aligned"));
  EXPECT_THROW(from_dlpack(nullptr), ValueError);
}

}  // namespace
}  // namespace qconv
