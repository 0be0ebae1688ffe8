# Every library that is not ours, found once.

if(MAMBASEG_FUZZ)
  add_library(OpenMP::OpenMP_CXX INTERFACE IMPORTED GLOBAL)  # Clang's is one more package, and no reader uses it
else()
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()
find_package(ZLIB REQUIRED)
find_package(BZip2 REQUIRED)
find_package(Threads REQUIRED)
find_package(hwy REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(tomlplusplus REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
find_package(Torch REQUIRED)

# nvcc alone compiles the CUDA kernels, so that they cannot rot; with a LibTorch that has CUDA they are linked.
set(MAMBASEG_CUDA OFF)
if(NOT MAMBASEG_SANITIZE)
  find_program(MAMBASEG_NVCC nvcc PATHS /usr/local/cuda/bin)
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
    if(TARGET torch_cuda)
      set(MAMBASEG_CUDA ON)
    endif()
  endif()
endif()

# Debian's NIFTIConfig.cmake names a library path that does not exist, so the library is found by hand.
find_library(NIFTI2_LIBRARY nifti2 REQUIRED)
find_library(ZNZ_LIBRARY znz REQUIRED)
find_path(NIFTI2_INCLUDE_DIR nifti2_io.h PATH_SUFFIXES nifti REQUIRED)
add_library(nifti INTERFACE)
target_include_directories(nifti SYSTEM INTERFACE "${NIFTI2_INCLUDE_DIR}")
target_link_libraries(nifti INTERFACE "${NIFTI2_LIBRARY}" "${ZNZ_LIBRARY}" ZLIB::ZLIB)

# Debian's dnnl-config.cmake asks for OpenCL, which the library's CPU part does not need.
if(MAMBASEG_ONEDNN)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
  add_library(onednn INTERFACE)
  target_include_directories(onednn SYSTEM INTERFACE "${DNNL_INCLUDE_DIR}")
  target_link_libraries(onednn INTERFACE "${DNNL_LIBRARY}")
endif()

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
