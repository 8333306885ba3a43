# qconv_embed(target NAMESPACE name FILES file...): compiles text files into the target, so that nothing is looked up when
# it runs. Each becomes `std::string_view NAME() noexcept` in that namespace: page.html is page_html(). The source is
# written when CMake runs, which it does again after a file has changed: tools that only read sources find it there.
function(qconv_embed target)
  cmake_parse_arguments(arg "" "NAMESPACE" "FILES" ${ARGN})
  set(text "// Made by QconvEmbed.cmake. NOLINTBEGIN\n#include <string_view>\n\nnamespace ${arg_NAMESPACE} {\n")
  string(REPEAT "." 100 line)
  foreach(file IN LISTS arg_FILES)
    cmake_path(ABSOLUTE_PATH file)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    cmake_path(GET file FILENAME name)
    string(MAKE_C_IDENTIFIER "${name}" symbol)
    # As numbers: a string literal may not be as long as a page.
    file(READ "${file}" bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
    string(APPEND text "std::string_view ${symbol}() noexcept {\n  static constexpr char text[] = {\n${bytes}};\n"
           "  return {text, sizeof(text)};\n}\n")
  endforeach()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp")
  # Leaves the file alone when nothing has changed.
  file(CONFIGURE OUTPUT "${source}" CONTENT "${text}}  // namespace ${arg_NAMESPACE}\n// NOLINTEND\n" @ONLY)
  target_sources(${target} PRIVATE "${source}")
endfunction()
