# Finds oneDNN: target oneDNN::dnnl. Debian's own dnnl-config.cmake asks for the OpenCL headers, which its CPU part
# does not need. libdnnl computes on GCC's OpenMP, which is linked too so that its thread count can be set.
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(ONEDNN_LIBRARY dnnl)
find_library(ONEDNN_OPENMP_LIBRARY NAMES gomp libgomp.so.1)
mark_as_advanced(ONEDNN_INCLUDE_DIR ONEDNN_LIBRARY ONEDNN_OPENMP_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS ONEDNN_LIBRARY ONEDNN_OPENMP_LIBRARY ONEDNN_INCLUDE_DIR)

if(OneDNN_FOUND AND NOT TARGET oneDNN::dnnl)
  add_library(oneDNN::dnnl UNKNOWN IMPORTED)
  set_target_properties(oneDNN::dnnl PROPERTIES IMPORTED_LOCATION "${ONEDNN_LIBRARY}"
                                                INTERFACE_INCLUDE_DIRECTORIES "${ONEDNN_INCLUDE_DIR}"
                                                INTERFACE_LINK_LIBRARIES "${ONEDNN_OPENMP_LIBRARY}")
endif()
