#pragma once

/// Observers watch float tensors and say how to quantize them; PyTorch's classes, by their names, and
/// calibrators.

#include <qconv/observers/calibrators.hpp>
#include <qconv/observers/fake_quantize.hpp>
#include <qconv/observers/histogram.hpp>
#include <qconv/observers/min_max.hpp>
#include <qconv/observers/observer.hpp>
#include <qconv/observers/placeholder.hpp>
#include <qconv/observers/streaming_histogram.hpp>
