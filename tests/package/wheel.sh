#!/bin/bash
# Builds the wheel as `pip install .` does, installs it alone into an empty folder and runs the package's tests on it.
#
#   wheel.sh PYTHON SOURCE FOLDER BUILD_TYPE [CMAKE_OPTION...]
#
# PYTHON has scikit-build-core, nanobind, NumPy and pytest. Build type and options are this build's, so that ccache helps.
set -euo pipefail
python=$1 source=$2 folder=$3 build_type=$4
shift 4

options=()
for option in "$@"; do
  name=${option%%=*}
  options+=("--config-settings=cmake.define.${name#-D}=${option#*=}")
done
rm -rf "$folder/dist" "$folder/site"
mkdir -p "$folder"
"$python" -m pip wheel --no-build-isolation --no-deps --no-index --quiet --disable-pip-version-check \
  --config-settings=build-dir="$folder/build" --config-settings=cmake.build-type="$build_type" "${options[@]}" \
  -w "$folder/dist" "$source"
ls -l "$folder"/dist/qconv-*.whl
"$python" -m pip install --no-deps --no-index --quiet --disable-pip-version-check --target "$folder/site" "$folder"/dist/qconv-*.whl
cd "$folder"
PYTHONPATH="$folder/site" "$python" -m pytest -p no:cacheprovider "$source/python/tests"
