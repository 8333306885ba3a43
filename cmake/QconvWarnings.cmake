# qconv_enable_warnings(target): the warnings every target of this project builds with.
option(QCONV_WARNINGS_AS_ERRORS "Turn warnings into errors" OFF)

function(qconv_enable_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                                           -Wundef -Wno-sign-conversion)
  if(QCONV_SANITIZE)
    # GCC 12 takes the ends of fmt's buffers for unknown once they are instrumented.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
  endif()
  if(QCONV_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
