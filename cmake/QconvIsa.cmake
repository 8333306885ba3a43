# The one table of instruction sets: which exist for the target processor and the flags each is compiled with.
# Negative flags keep a lower tier from drifting up when the whole build uses -march=native.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(QCONV_ISAS scalar avx2 avx512vnni amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(QCONV_ISAS scalar neondot)
else()
  set(QCONV_ISAS scalar)
endif()

set(QCONV_ISA_FLAGS_scalar "")
if("neondot" IN_LIST QCONV_ISAS)
  # GCC 12 for Arm vectorizes loops that add up products of 16 bits in two sums, as scalar Winograd's, to wrong sums.
  set(QCONV_ISA_FLAGS_scalar $<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-vectorize>)
endif()
set(QCONV_ISA_FLAGS_avx2 -mavx2 -mfma -mno-avx512f)
# GCC's generic tuning leaves the products of a tile and the rounding of the one before no room to overlap: 5 to 12% of
# layers of few channels.
set(QCONV_ISA_FLAGS_avx512vnni -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512
    $<$<CXX_COMPILER_ID:GNU>:-mtune=skylake-avx512>
    # GCC 12 warns of its own intrinsics (bug 105593).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
set(QCONV_ISA_FLAGS_amx ${QCONV_ISA_FLAGS_avx512vnni} -mamx-tile -mamx-int8)
# A kernel that processors of one instruction set can run if they have more than it promises: it is no tier of its own,
# its family asks the processor.
set(QCONV_ISA_VARIANTS "")
if("avx512vnni" IN_LIST QCONV_ISAS)
  set(QCONV_ISA_VARIANTS avx512vbmi)
endif()
set(QCONV_ISA_FLAGS_avx512vbmi ${QCONV_ISA_FLAGS_avx512vnni} -mavx512vbmi)
set(QCONV_ISA_FLAGS_neondot -march=armv8.2-a+dotprod
    # GCC's first scheduling pass stretches the lives of vectors until tiles no longer fit the registers; and GCC 12 takes
    # an addend that is read only where there is one for uninitialized.
    $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)

# qconv_add_isa_sources(target folder): adds folder/<isa>.cpp for every instruction set of this processor, each with
# its own flags. Kernels are optimized in every configuration: their tiles must live in registers.
function(qconv_add_isa_sources target folder)
  foreach(isa IN LISTS QCONV_ISAS QCONV_ISA_VARIANTS)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${isa}.cpp")
    if(NOT EXISTS "${source}")
      continue() # a family that this instruction set does not have
    endif()
    target_sources(${target} PRIVATE "${source}")
    set_property(SOURCE "${source}" TARGET_DIRECTORY ${target} APPEND PROPERTY COMPILE_OPTIONS -O3 ${QCONV_ISA_FLAGS_${isa}})
  endforeach()
endfunction()
