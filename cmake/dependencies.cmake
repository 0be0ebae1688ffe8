# Every library that is not ours, found once.

find_package(ZLIB REQUIRED)
find_package(BZip2 REQUIRED)
find_package(Threads REQUIRED)
find_package(hwy REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(tomlplusplus REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)

# nvcc alone compiles the CUDA kernels, so that they cannot rot; with a LibTorch that has CUDA they are linked.
if(NOT MAMBASEG_SANITIZE)
  find_program(MAMBASEG_NVCC nvcc PATHS /usr/local/cuda/bin)
endif()
if(MAMBASEG_NVCC)
  set(CMAKE_CUDA_COMPILER "${MAMBASEG_NVCC}")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  find_package(CUDAToolkit REQUIRED)
endif()

# Debian's LibTorch, or that of CMAKE_PREFIX_PATH, or of a Python that has torch (whose folder is searched whole: LibTorch's
# configuration would else take Debian's libraries where both are installed). What a LibTorch with CUDA does to
# nvcc's flags and processors is undone: our kernels see none of its headers.
set(prefixes "${CMAKE_PREFIX_PATH}")
set(cuda_flags "${CMAKE_CUDA_FLAGS}")
set(cuda_architectures "${CMAKE_CUDA_ARCHITECTURES}")
set(TORCH_CUDA_ARCH_LIST 8.0)  # else it looks for a GPU
if(SKBUILD)  # `pip install .`
  set(MAMBASEG_PYTHON "${Python_EXECUTABLE}")
endif()
if(MAMBASEG_PYTHON)
  execute_process(COMMAND "${MAMBASEG_PYTHON}" -c "import os, torch; print(os.path.dirname(torch.__file__))"
                  OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  list(PREPEND CMAKE_PREFIX_PATH "${folder}")
endif()
find_package(Torch REQUIRED)
set(CMAKE_PREFIX_PATH "${prefixes}")
set(CMAKE_CUDA_FLAGS "${cuda_flags}")
set(CMAKE_CUDA_ARCHITECTURES "${cuda_architectures}")
# LibTorch comes as it was built elsewhere, with libraries inside that it shares with no one.
set(MAMBASEG_FOREIGN_TORCH OFF)
if(NOT TORCH_INSTALL_PREFIX IN_LIST CMAKE_SYSTEM_PREFIX_PATH)
  set(MAMBASEG_FOREIGN_TORCH ON)
endif()
set(MAMBASEG_CUDA OFF)
set(MAMBASEG_CUDA_VERSION none)
if(MAMBASEG_NVCC AND TARGET torch_cuda)
  set(MAMBASEG_CUDA ON)
  set(MAMBASEG_CUDA_VERSION "${CUDAToolkit_VERSION}")
endif()
message(STATUS "LibTorch ${Torch_VERSION}: ${TORCH_INSTALL_PREFIX}, CUDA kernels linked: ${MAMBASEG_CUDA}")

# One OpenMP runtime a process: where LibTorch comes with its own, that one.
if(MAMBASEG_FUZZ)
  add_library(OpenMP::OpenMP_CXX INTERFACE IMPORTED GLOBAL)  # Clang's is one more package, and no reader uses it
else()
  if(EXISTS "${TORCH_INSTALL_PREFIX}/lib/libgomp.so.1")
    set(OpenMP_gomp_LIBRARY "${TORCH_INSTALL_PREFIX}/lib/libgomp.so.1" CACHE FILEPATH "OpenMP runtime of LibTorch")
  endif()
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()

# Debian's NIFTIConfig.cmake names a library path that does not exist, so the library is found by hand.
find_library(NIFTI2_LIBRARY nifti2 REQUIRED)
find_library(ZNZ_LIBRARY znz REQUIRED)
find_path(NIFTI2_INCLUDE_DIR nifti2_io.h PATH_SUFFIXES nifti REQUIRED)
add_library(nifti INTERFACE)
target_include_directories(nifti SYSTEM INTERFACE "${NIFTI2_INCLUDE_DIR}")
# Programs name znz themselves, though only nifti2 calls it: Debian's nifti2 looks for it in places of its own and not in
# those of the program, which matters where both lie in a folder of the user.
target_link_libraries(nifti INTERFACE "${NIFTI2_LIBRARY}" "-Wl,--push-state,--no-as-needed,${ZNZ_LIBRARY},--pop-state"
                                      ZLIB::ZLIB)

# Colin27 and its atlas of Debian's mricron-data, which the demo and tests read.
find_path(MAMBASEG_TEMPLATES ch2.nii.gz PATH_SUFFIXES share/mricron/templates mricron/templates)
if(NOT MAMBASEG_TEMPLATES)
  set(MAMBASEG_TEMPLATES /usr/share/mricron/templates)
endif()

# Debian's dnnl-config.cmake asks for OpenCL, which the library's CPU part does not need.
set(MAMBASEG_ONEDNN_VERSION none)
if(MAMBASEG_ONEDNN)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
  if(MAMBASEG_FOREIGN_TORCH)
    # The oneDNN inside such a LibTorch hides its functions, but not its instances of std::call_once and other
    # templates: those of a second oneDNN in the process would become the first one's.
    message(FATAL_ERROR "This LibTorch holds a oneDNN of its own, which clashes with another: use -DMAMBASEG_ONEDNN=OFF")
  endif()
  add_library(onednn INTERFACE)
  target_include_directories(onednn SYSTEM INTERFACE "${DNNL_INCLUDE_DIR}")
  target_link_libraries(onednn INTERFACE "${DNNL_LIBRARY}")
  file(STRINGS "${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" numbers REGEX "define DNNL_VERSION_(MAJOR|MINOR|PATCH)")
  string(REGEX REPLACE "[^0-9;]" "" numbers "${numbers}")
  list(JOIN numbers "." MAMBASEG_ONEDNN_VERSION)
endif()

find_library(ISAL_LIBRARY isal REQUIRED)
find_path(ISAL_INCLUDE_DIR isa-l/igzip_lib.h REQUIRED)
add_library(isal INTERFACE)
target_include_directories(isal SYSTEM INTERFACE "${ISAL_INCLUDE_DIR}")
target_link_libraries(isal INTERFACE "${ISAL_LIBRARY}")

find_library(ZIP_LIBRARY zip REQUIRED)
find_path(ZIP_INCLUDE_DIR zip.h REQUIRED)

find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
if(MAMBASEG_ITK)
  find_package(ITK REQUIRED COMPONENTS ITKCommon ITKIOImageBase ITKIOGDCM ITKGDCM)
endif()

if(MAMBASEG_TESTS)
  find_package(GTest REQUIRED CONFIG)
  find_package(benchmark REQUIRED CONFIG)
endif()
