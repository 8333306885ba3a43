#pragma once

#include <string>

#include <qconv/observers/observer.hpp>

namespace qconv::nn {

struct OutputQParams {
  double scale;
  std::int64_t zero_point;
};

/// The parameters of a module's output by the observer that watched it. Throws, in the name of `who`,
/// TypeError for one of a dtype other than quint8 and qint8 or per channel, ValueError for one that has seen
/// no data.
OutputQParams output_qparams(const std::string& who, const Observer& observer);

}  // namespace qconv::nn
