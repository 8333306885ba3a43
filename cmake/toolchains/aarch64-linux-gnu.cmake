# Cross compiles for 64-bit Arm with Debian's g++-aarch64-linux-gnu and runs the tests under qemu-user.
# The libraries are Debian's arm64 packages, unpacked by `scripts/install-deps --arm` (see scripts/arm-libraries).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

set(libraries "${CMAKE_CURRENT_LIST_DIR}/../../build/aarch64-libraries")
cmake_path(NORMAL_PATH libraries)
set(CMAKE_FIND_ROOT_PATH "${libraries}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Libraries that our libraries need (libzip's zlib, for example) are looked up here by the linker.
set(folders "${libraries}/usr/lib/aarch64-linux-gnu:${libraries}/lib/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${folders}")
set(CMAKE_CROSSCOMPILING_EMULATOR
    qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu -E
    "LD_LIBRARY_PATH=${folders}:/usr/aarch64-linux-gnu/lib")
