# QCONV_COVERAGE: counts which lines run. After the tests, the target `coverage` prints a line per source and the sum.
if(QCONV_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
  find_program(QCONV_GCOVR gcovr REQUIRED)
  add_custom_target(
    coverage
    COMMAND "${QCONV_GCOVR}" --root "${PROJECT_SOURCE_DIR}" --filter src/ --filter include/ --exclude-throw-branches
            --print-summary "${PROJECT_BINARY_DIR}/src"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    USES_TERMINAL)
endif()
