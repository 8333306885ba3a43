#include "cli/ranks.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace qconv::cli {
namespace {

class OneRank : public Ranks {
 public:
  int rank() const noexcept override { return 0; }
  int size() const noexcept override { return 1; }
  void check_others() override {}
  void gather(const StateDict& mine, const std::function<void(const StateDict&)>& take) override {
    take(mine);
  }
  Outcome settle(const Outcome& mine) override { return mine; }
  void leave() override {}
};

// 0 when there is no such variable, or no number in it.
int number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return 0;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
}

std::unique_ptr<Ranks>& joined() {
  static std::unique_ptr<Ranks> all = std::make_unique<OneRank>();
  return all;
}

}  // namespace

int launched_ranks() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const int size = number_in(variable); size > 0) return size;
  }
  // Slurm's number is there in a batch script too, which is not started in several; PMIx's rank is not.
  if (std::getenv("PMIX_RANK") == nullptr) return 1;
  return std::max(1, number_in("SLURM_STEP_NUM_TASKS"));
}

void join_ranks() {
  if (launched_ranks() > 1) joined() = connect_ranks();
}

Ranks& ranks() { return *joined(); }

}  // namespace qconv::cli
