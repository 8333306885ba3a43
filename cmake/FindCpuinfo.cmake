# Finds cpuinfo: target cpuinfo::lib. Debian's own cpuinfo-config.cmake names a file that no package holds.
find_path(CPUINFO_INCLUDE_DIR cpuinfo.h)
find_library(CPUINFO_LIBRARY cpuinfo)
mark_as_advanced(CPUINFO_INCLUDE_DIR CPUINFO_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Cpuinfo REQUIRED_VARS CPUINFO_LIBRARY CPUINFO_INCLUDE_DIR)

if(Cpuinfo_FOUND AND NOT TARGET cpuinfo::lib)
  add_library(cpuinfo::lib UNKNOWN IMPORTED)
  set_target_properties(cpuinfo::lib PROPERTIES IMPORTED_LOCATION "${CPUINFO_LIBRARY}"
                                                INTERFACE_INCLUDE_DIRECTORIES "${CPUINFO_INCLUDE_DIR}")
endif()
