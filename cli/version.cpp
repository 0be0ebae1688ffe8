#include "cli/version.h"

#include "mambaseg/core/error.h"
#include "mambaseg/kernels/target.h"

namespace mambaseg {

std::string version_text() {
  return concat(MAMBASEG_VERSION "\nbuilt with LibTorch " MAMBASEG_WITH_LIBTORCH
                                 "\nbuilt with oneDNN " MAMBASEG_WITH_ONEDNN
                                 "\nbuilt with CUDA " MAMBASEG_WITH_CUDA "\nbuilt with " MAMBASEG_COMPILER
                                 "\nkernels on this processor: ",
                best_target().name);
}

}  // namespace mambaseg
