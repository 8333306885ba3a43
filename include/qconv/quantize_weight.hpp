#pragma once

#include <qconv/observers/observer.hpp>

namespace qconv {

/// The float32 weight as qint8, with the parameters that `observer` calculates, per tensor or along its
/// ch_axis. Where the observer's range is narrower than qint8, the integers are limited to it. The parameters
/// come from what the observer has seen: let it observe the weight first.
///
/// Throws TypeError unless the weight is float32 and the observer's dtype qint8; ValueError when the observer
/// saw nothing or another number of channels.
QCONV_API Tensor quantize_weight(const Tensor& weight, const Observer& observer);

}  // namespace qconv
