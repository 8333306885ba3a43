#include "tensor/output_placement.hpp"

namespace qconv {
namespace {

struct Place {
  void* memory = nullptr;
  std::size_t bytes = 0;
};
thread_local Place place;

}  // namespace

OutputPlacement::OutputPlacement(void* memory, std::size_t bytes) noexcept { place = {memory, bytes}; }
OutputPlacement::~OutputPlacement() { place = {}; }

void* OutputPlacement::take(std::size_t bytes) noexcept {
  if (place.memory == nullptr || place.bytes != bytes) return nullptr;
  void* memory = place.memory;
  place = {};
  return memory;
}

}  // namespace qconv
