// In a build without MPI.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/ranks.hpp"

namespace qconv::cli {

std::unique_ptr<Ranks> connect_ranks() {
  throw UsageError(
      fmt::format("started in {} processes, but built without MPI: they would all do the same; start one, or "
                  "build with -DQCONV_WITH_MPI=ON",
                  launched_ranks()));
}

}  // namespace qconv::cli
