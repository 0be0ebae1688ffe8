#include "mambaseg/io/pickle.h"

#include <zip.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/torch_file.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/zip_file.h"

namespace mambaseg {

/// The pickle of a checkpoint with two storages. (The target torch_file seldom gets this far: a zip file has
/// check sums.)
void fuzz_pickle(const std::string& bytes, const std::string& folder) {
  read_pickle({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
  const std::string path = folder + "/weights.pth";
  write_zip(path, {{"archive/data.pkl", bytes},
                   {"archive/data/0", std::string(64, '\1')},
                   {"archive/data/1", std::string(16, '\2')}});
  read_torch_file(path);
}

}  // namespace mambaseg
