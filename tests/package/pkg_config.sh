#!/bin/sh
# Builds and runs the consumer with what pkg-config says of an installed qconv.
# pkg_config.sh COMPILER PREFIX OUTPUT
set -eu
here=$(dirname "$0")
pc=$(find "$2" -name qconv.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
version=$(pkg-config --modversion qconv)
# The flags are words for the compiler.
# shellcheck disable=SC2046
"$1" -O1 "-DQCONV_EXPECTED_VERSION=\"$version\"" "$here/consumer/main.cpp" -o "$3" \
  $(pkg-config --cflags --libs qconv)
"$3"
