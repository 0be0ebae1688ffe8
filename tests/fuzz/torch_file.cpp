#include "mambaseg/io/torch_file.h"

#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

void fuzz_torch_file(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/weights.pth";
  write_bytes(path, bytes);
  read_torch_file(path);
}

}  // namespace mambaseg
