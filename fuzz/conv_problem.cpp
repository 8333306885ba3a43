#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_conv_problem(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  ConvProblem problem;
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (!accepts([&] { problem = ConvProblem::parse(line); })) return 0;
  require(ConvProblem::parse(problem.to_string()) == problem, "a problem's own text reads back differently");
  problem.input_sizes();
  problem.output_sizes();
  problem.multiply_adds();
  return 0;
}
