# QCONV_UNITY: compiles the sources of each folder as one, for presets that compile everything for a single run. Headers
# are then read once for each folder, which takes a third of the time.
option(QCONV_UNITY "Compile the sources of each folder as one" OFF)

# qconv_unity(target [EXCEPT folder...]): call it when the target has all its sources. Names in one folder's sources
# must differ; EXCEPT lists the folders where they do not.
function(qconv_unity target)
  if(NOT QCONV_UNITY)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "EXCEPT" ${ARGN})
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # GCC takes an included source for a header, whose classes must not hold types of an anonymous namespace.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source)
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(RELATIVE_PATH folder)
    if(NOT folder IN_LIST arg_EXCEPT)
      string(MAKE_C_IDENTIFIER "folder_${folder}" group)
      set_source_files_properties("${source}" TARGET_DIRECTORY ${target} PROPERTIES UNITY_GROUP ${group})
    endif()
  endforeach()
endfunction()
