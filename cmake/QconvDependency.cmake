# Every library that qconv links is declared by one call, so that the library itself, its installed CMake package and
# its pkg-config file cannot disagree about what a static qconv needs.
#
# qconv_dependency(package TARGETS target... [PKG_CONFIG module...] [LIBS flag...])
#   package     what find_package looks for, here and in the installed package
#   TARGETS     the imported targets that it defines and qconv_objects links
#   PKG_CONFIG  its pkg-config modules, for Requires.private; or
#   LIBS        its linker flags, for Libs.private, where it has no module
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

macro(qconv_dependency package)
  cmake_parse_arguments(qconv_dependency "" "" "TARGETS;PKG_CONFIG;LIBS" ${ARGN})
  find_package(${package} REQUIRED)
  target_link_libraries(qconv_objects PUBLIC ${qconv_dependency_TARGETS})
  target_link_libraries(qconv PRIVATE ${qconv_dependency_TARGETS})
  set_property(GLOBAL APPEND PROPERTY QCONV_PACKAGES ${package})
  set_property(GLOBAL APPEND PROPERTY QCONV_PKG_CONFIG ${qconv_dependency_PKG_CONFIG})
  set_property(GLOBAL APPEND PROPERTY QCONV_LIBS ${qconv_dependency_LIBS})
endmacro()
