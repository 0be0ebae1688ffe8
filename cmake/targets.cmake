# One function per kind of target, so that a folder's CMakeLists.txt names its sources and what it may see, nothing else.

set(MAMBASEG_WARNINGS "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unknown-pragmas>")
if(MAMBASEG_WERROR)
  list(APPEND MAMBASEG_WARNINGS "$<$<COMPILE_LANGUAGE:CXX>:-Werror>")
endif()

# Headers of LibTorch take 10 s to parse: they are compiled once, and every target that lists TORCH reuses the result.
# torch/torch.h itself would take another 5 s in every file, precompiled as it were: layers and optimisers are included
# where they are used.
if(TORCH_LIBRARIES)
  add_library(mambaseg_torch STATIC "${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp")
  if(MAMBASEG_FOREIGN_TORCH)
    # pip's libtorch.so exports a part of its own libstdc++ (std::filesystem), which ends in a null pointer when called
    # from outside: the true one comes before it.
    target_link_libraries(mambaseg_torch PUBLIC stdc++)
  endif()
  target_link_libraries(mambaseg_torch PUBLIC ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX PRIVATE nlohmann_json::nlohmann_json)
  target_include_directories(mambaseg_torch PUBLIC "${PROJECT_SOURCE_DIR}")
  target_precompile_headers(mambaseg_torch PRIVATE <torch/types.h> <torch/autograd.h> <torch/nn/module.h> <nlohmann/json.hpp>)
endif()

# mambaseg_library(NAME <folder> SRCS <files> [DEPS <targets>] [TORCH])
# makes the static library mambaseg_<folder>; DEPS are visible to its users.
function(mambaseg_library)
  cmake_parse_arguments(ARG "TORCH" "NAME" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target mambaseg_${ARG_NAME})
  add_library(${target} STATIC ${ARG_SRCS})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE ${MAMBASEG_WARNINGS})
  target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  mambaseg_use_torch(${target} ${ARG_TORCH})
endfunction()

# mambaseg_program(NAME <program> SRCS <files> DEPS <targets> [TORCH])
function(mambaseg_program)
  cmake_parse_arguments(ARG "TORCH" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_include_directories(${ARG_NAME} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${ARG_NAME} PRIVATE ${MAMBASEG_WARNINGS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  mambaseg_use_torch(${ARG_NAME} ${ARG_TORCH})
endfunction()

# mambaseg_test(NAME <folder> SRCS <files> DEPS <targets> [TORCH] [TIMEOUT seconds])
# makes the program test_<folder>, one ctest entry per program.
function(mambaseg_test)
  cmake_parse_arguments(ARG "TORCH" "NAME;TIMEOUT" "SRCS;DEPS" ${ARGN})
  set(target test_${ARG_NAME})
  add_executable(${target} ${ARG_SRCS})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE ${MAMBASEG_WARNINGS})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  mambaseg_use_torch(${target} ${ARG_TORCH})
  add_test(NAME ${ARG_NAME} COMMAND ${target})
  if(ARG_TIMEOUT)
    set_tests_properties(${ARG_NAME} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()

# The named files of a test know where the sources and the programs lie. (All others compile alike in every clone,
# which a compiler cache shows.)
function(mambaseg_know_folders)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_DEFINITIONS
    "MAMBASEG_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\";MAMBASEG_BINARY_DIR=\"${PROJECT_BINARY_DIR}\"")
endfunction()

# These files know where MAMBASEG_TEMPLATES is.
function(mambaseg_know_templates)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_DEFINITIONS "MAMBASEG_TEMPLATES=\"${MAMBASEG_TEMPLATES}\"")
endfunction()

function(mambaseg_use_torch target use)
  if(use)
    target_link_libraries(${target} PUBLIC mambaseg_torch)
    target_precompile_headers(${target} REUSE_FROM mambaseg_torch)
  endif()
endfunction()
