# cmake -DPROGRAM=mambaseg_whole -DWORDS="train --help,networks" -DOUTPUT=known_output.cpp -P known_output.cmake
# asks the program for each of the words and writes its answers down as C++.
set(ENV{ASAN_OPTIONS} detect_leaks=0:alloc_dealloc_mismatch=0)  # of LibTorch, where the program is built so
string(REPLACE "," ";" all "${WORDS}")
set(code "// Written by cli/known_output.cmake.\n#include \"cli/known_output.h\"\n\nnamespace mambaseg {\n\n")
string(APPEND code "const char* known_output(std::string_view words) {\n")
foreach(words IN LISTS all)
  separate_arguments(arguments UNIX_COMMAND "${words}")
  execute_process(COMMAND "${PROGRAM}" ${arguments} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  string(APPEND code "  if (words == \"${words}\") return R\"output(${text})output\";\n")
endforeach()
string(APPEND code "  return nullptr;\n}\n\n}  // namespace mambaseg\n")
file(WRITE "${OUTPUT}" "${code}")
