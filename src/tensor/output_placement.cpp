#include "tensor/output_placement.hpp"

namespace qconv {
namespace {

struct Place {
  void* memory = nullptr;
  std::size_t bytes = 0;
};
thread_local Place g_place;

}  // namespace

OutputPlacement::OutputPlacement(void* memory, std::size_t bytes) noexcept { g_place = {memory, bytes}; }
OutputPlacement::~OutputPlacement() { g_place = {}; }

void* OutputPlacement::take(std::size_t bytes) noexcept {
  if (g_place.memory == nullptr || g_place.bytes != bytes) return nullptr;
  void* memory = g_place.memory;
  g_place = {};
  return memory;
}

}  // namespace qconv
