# QCONV_FUZZ_TARGETS: the names in targets.inc that this build has, and QCONV_FUZZ_SOURCES, their sources;
# qconv_fuzz_settings(target) for whatever compiles them.
set(kinds "")
if(TARGET qconv_cli_objects)
  set(kinds "(CLI_)?")
endif()
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/targets.inc" rows REGEX "^QCONV_FUZZ_${kinds}TARGET")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/targets.inc")
string(REGEX REPLACE "QCONV_FUZZ_[A-Z_]+\\(([a-z_0-9]+)\\)" "\\1" QCONV_FUZZ_TARGETS "${rows}")
list(TRANSFORM QCONV_FUZZ_TARGETS REPLACE "(.+)" "${CMAKE_CURRENT_LIST_DIR}/\\1.cpp" OUTPUT_VARIABLE QCONV_FUZZ_SOURCES)

function(qconv_fuzz_settings target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/fuzz" "${PROJECT_SOURCE_DIR}/src"
                                               "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${target} PRIVATE QCONV_FUZZ_CLI=$<TARGET_EXISTS:qconv_cli_objects>)
  target_link_libraries(${target} PRIVATE qconv_testable $<TARGET_NAME_IF_EXISTS:qconv_cli_objects>)
endfunction()
