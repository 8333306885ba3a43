// ConvProblem as one line of text, and back.
#include <charconv>
#include <string>

#include <fmt/ranges.h>

#include <qconv/conv_problem.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

[[noreturn]] void fail(std::string_view token, std::string_view line, std::string_view expected) {
  throw ValueError(fmt::format("problem '{}': cannot read '{}', expected {}", line, token, expected));
}

std::int64_t parse_number(std::string_view text, std::string_view token, std::string_view line) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) fail(token, line, "a number");
  return value;
}

// "3x3" into the last ndim entries; "3" into all of them.
void parse_spatial(std::string_view text, int ndim, Spatial& target, std::string_view token,
                   std::string_view line) {
  const bool one_for_all = text.find('x') == text.npos;
  for (int d = 3 - ndim; d < 3; ++d) {
    const std::size_t cut = std::min(text.find('x'), text.size());
    target[static_cast<std::size_t>(d)] = parse_number(text.substr(0, cut), token, line);
    if (one_for_all) continue;
    const bool last = d == 2;
    if (last != (cut == text.size())) fail(token, line, fmt::format("{} numbers joined by 'x'", ndim));
    text.remove_prefix(last ? cut : cut + 1);
  }
}

DType parse_activation(std::string_view name, std::string_view token, std::string_view line) {
  const auto dtype = parse_dtype(name);
  if (!dtype) fail(token, line, "quint8 or qint8");
  return *dtype;
}

// The first word: conv{N}d or conv_transpose{N}d.
void parse_name(std::string_view token, std::string_view line, ConvGeometry& g) {
  for (g.ndim = 1; g.ndim <= 3; ++g.ndim) {
    for (const bool transposed : {false, true}) {
      g.transposed = transposed;
      if (g.name() == token) return;
    }
  }
  fail(token, line, "conv1d, conv2d, conv3d or conv_transpose1d, 2d, 3d first");
}

// Which tokens there were, of those that are missed.
struct Given {
  bool input = false;
  bool in_channels = false;
  bool out_channels = false;
  bool end = false;
};

void parse_token(std::string_view token, std::string_view line, ConvProblem& p, Given& given) {
  ConvGeometry& g = p.geometry;
  if (token == "relu") return void(p.post_op = PostOp::relu);
  if (token == "add") return void(p.post_op = PostOp::add);
  if (token == "add_relu") return void(p.post_op = PostOp::add_relu);
  if (token == "nobias") return void(p.bias = false);
  if (token == "zw") return void(p.weight_zero_points = true);
  if (token == "w:tensor") return void(p.weight_scheme = WeightScheme::per_tensor);
  if (token == "w:channel") return void(p.weight_scheme = WeightScheme::per_channel);
  if (token.starts_with("m:")) return void(g.padding_mode = parse_padding_mode(token.substr(2)));
  if (token.starts_with("x:")) return void(p.input_dtype = parse_activation(token.substr(2), token, line));
  if (token.starts_with("y:")) return void(p.output_dtype = parse_activation(token.substr(2), token, line));
  const std::string_view value = token.substr(1);
  switch (token[0]) {
    case 'n':
      return void(p.batch = parse_number(value, token, line));
    case 'c':
      given.in_channels = true;
      return void(g.in_channels = parse_number(value, token, line));
    case 'k':
      given.out_channels = true;
      return void(g.out_channels = parse_number(value, token, line));
    case 'g':
      return void(g.groups = parse_number(value, token, line));
    case 'i':
      given.input = true;
      return parse_spatial(value, g.ndim, p.input, token, line);
    case 'f':
      return parse_spatial(value, g.ndim, g.kernel, token, line);
    case 's':
      return parse_spatial(value, g.ndim, g.stride, token, line);
    case 'p':
      return parse_spatial(value, g.ndim, g.padding_begin, token, line);
    case 'd':
      return parse_spatial(value, g.ndim, g.dilation, token, line);
    case 'o':
      return parse_spatial(value, g.ndim, g.output_padding, token, line);
    case 'e':
      given.end = true;
      return parse_spatial(value, g.ndim, g.padding_end, token, line);
    default:
      fail(token, line, "one of n c k g i f s p e d o m: x: y: w: zw nobias relu add add_relu");
  }
}

}  // namespace

std::string ConvProblem::to_string() const {
  const ConvGeometry& g = geometry;
  std::string line =
      fmt::format("{} n{} c{} k{} g{}", g.name(), batch, g.in_channels, g.out_channels, g.groups);
  const auto spatial = [&](char key, const Spatial& s) {
    line += fmt::format(" {}{}", key, fmt::join(g.used(s), "x"));
  };
  spatial('i', input);
  spatial('f', g.kernel);
  spatial('s', g.stride);
  spatial('p', g.padding_begin);
  if (g.padding_end != g.padding_begin) spatial('e', g.padding_end);
  spatial('d', g.dilation);
  if (g.transposed) spatial('o', g.output_padding);
  if (g.padding_mode != PaddingMode::zeros) line += fmt::format(" m:{}", qconv::to_string(g.padding_mode));
  if (input_dtype != quint8) line += fmt::format(" x:{}", qconv::to_string(input_dtype));
  if (output_dtype != quint8) line += fmt::format(" y:{}", qconv::to_string(output_dtype));
  line += weight_scheme == WeightScheme::per_channel ? " w:channel" : " w:tensor";
  if (weight_zero_points) line += " zw";
  if (!bias) line += " nobias";
  if (post_op != PostOp::none) line += fmt::format(" {}", qconv::to_string(post_op));
  return line;
}

ConvProblem ConvProblem::parse(std::string_view line) {
  // The messages below quote the line: it must not bring line breaks or terminal codes into them.
  for (const char c : line) {
    check(c >= ' ' && c <= '~', "problem: the line holds a byte {:#04x}, expected printable ASCII alone",
          static_cast<unsigned char>(c));
  }
  ConvProblem problem;
  bool first = true;
  Given given;
  for (std::size_t at = line.find_first_not_of(' '); at < line.size();) {
    const std::size_t stop = std::min(line.find(' ', at), line.size());
    const std::string_view token = line.substr(at, stop - at);
    if (first) {
      parse_name(token, line, problem.geometry);
    } else {
      parse_token(token, line, problem, given);
    }
    first = false;
    at = line.find_first_not_of(' ', stop);
  }
  if (first) fail("", line, "a problem");
  const auto require = [&](bool there, std::string_view what) {
    check(there, "problem '{}': has no {}; i, c and k must be there", line, what);
  };
  require(given.input, "input size (i)");
  require(given.in_channels, "input channels (c)");
  require(given.out_channels, "output channels (k)");
  if (!given.end) problem.geometry.padding_end = problem.geometry.padding_begin;
  problem.validate("problem");
  return problem;
}

}  // namespace qconv
