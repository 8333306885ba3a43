# Installs the library, its headers, the program and what other projects find qconv by.
include(CMakePackageConfigHelpers)
set(QCONV_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/qconv")

install(TARGETS qconv EXPORT qconv-targets FILE_SET HEADERS)
install(EXPORT qconv-targets NAMESPACE qconv:: DESTINATION "${QCONV_CMAKE_DIR}")
if(TARGET qconv_cli)
  install(TARGETS qconv_cli)
endif()

# find_package(qconv): a static library asks its user to find what it links; a shared one has linked it already.
get_property(QCONV_PACKAGES GLOBAL PROPERTY QCONV_PACKAGES)
set(QCONV_FIND_DEPENDENCIES "")
if(NOT BUILD_SHARED_LIBS)
  foreach(package IN LISTS QCONV_PACKAGES)
    string(APPEND QCONV_FIND_DEPENDENCIES "find_dependency(${package})\n")
    if(EXISTS "${PROJECT_SOURCE_DIR}/cmake/Find${package}.cmake")
      install(FILES "${PROJECT_SOURCE_DIR}/cmake/Find${package}.cmake" DESTINATION "${QCONV_CMAKE_DIR}")
    endif()
  endforeach()
endif()
configure_package_config_file(cmake/qconv-config.cmake.in "${PROJECT_BINARY_DIR}/qconv-config.cmake"
                              INSTALL_DESTINATION "${QCONV_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/qconv-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/qconv-config.cmake" "${PROJECT_BINARY_DIR}/qconv-config-version.cmake"
        DESTINATION "${QCONV_CMAKE_DIR}")

# pkg-config. A static qconv needs its (shared) libraries named in public: `pkg-config --static` would ask for the static forms of all
# theirs as well.
get_property(QCONV_PKG_CONFIG GLOBAL PROPERTY QCONV_PKG_CONFIG)
get_property(QCONV_LIBS GLOBAL PROPERTY QCONV_LIBS)
list(JOIN QCONV_PKG_CONFIG " " QCONV_PKG_CONFIG)
list(JOIN QCONV_LIBS " " QCONV_LIBS)
string(APPEND QCONV_LIBS " -lstdc++ -lm")
set(QCONV_PC_PRIVATE ".private")
if(NOT BUILD_SHARED_LIBS)
  set(QCONV_PC_PRIVATE "")
  set(QCONV_PC_LIBS " ${QCONV_LIBS}")
endif()
# Relative to the file itself, so that an installed tree may be moved.
file(RELATIVE_PATH QCONV_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" QCONV_PC_TO_PREFIX "${QCONV_PC_TO_PREFIX}")
configure_file(cmake/qconv.pc.in "${PROJECT_BINARY_DIR}/qconv.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/qconv.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# A Debian package of it all (preset deb); what it depends on follows from the libraries that its binaries need.
if(PROJECT_IS_TOP_LEVEL)
  set(CPACK_PACKAGE_NAME qconv)
  set(CPACK_PACKAGE_CONTACT "qconv's maintainers <maintainers@qconv.invalid>")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}: library, headers and program")
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
  set(CPACK_STRIP_FILES ON)
  include(CPack)
endif()
