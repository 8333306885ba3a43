# qconv_add_test(name SOURCES ... [LIBRARIES ...] [LABELS ...]): one GoogleTest program, run as one CTest test.
find_package(GTest REQUIRED)
find_package(rapidcheck REQUIRED)
find_package(nlohmann_json REQUIRED)

function(qconv_add_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  # Tests may look inside: they see src/ as well as the public headers.
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE QCONV_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${name} PRIVATE qconv_testable GTest::gmock GTest::gtest_main nlohmann_json::nlohmann_json
                                        ${arg_LIBRARIES})
  qconv_enable_warnings(${name})
  qconv_unity(${name})
  add_test(NAME ${name} COMMAND ${name})
  if(arg_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
  endif()
endfunction()
