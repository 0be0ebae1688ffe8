#include "mambaseg/io/numpy_file.h"

#include "tests/fuzz/target.h"
#include "tests/fuzz/zip_file.h"

namespace mambaseg {

/// An array in a .npz file. (A damaged zip file seldom gets this far: its records have checksums.)
void fuzz_npy(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/weights.npz";
  write_zip(path, {{"a.npy", bytes}});
  read_npz(path);
}

}  // namespace mambaseg
