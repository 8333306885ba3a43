#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <qconv/conv_problem.hpp>

namespace qconv::cli {

/// A convolution with the name it has in a list.
struct NamedProblem {
  std::string name;
  ConvProblem problem;
};

/// Reads a list of layers: CSV with the header
///
///     name,kind,ndim,N,C,K,in,kernel,stride,pad,dilation,groups,output_padding
///
/// where kind is conv or convT and the last columns but groups are sizes such as 56x56, one number per
/// dimension. Throws FileError naming the file, the line and the column for anything else.
std::vector<NamedProblem> read_layers(const std::filesystem::path& path);

}  // namespace qconv::cli
