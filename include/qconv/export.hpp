#pragma once

/// Marks what a shared build of qconv exports; everything else is hidden.
#define QCONV_API __attribute__((visibility("default")))
