#include "mambaseg/nets/layers/without_scans.h"

namespace mambaseg {
namespace {

thread_local bool without_here = false;

}  // namespace

WithoutScansGuard::WithoutScansGuard(bool without) : before_(without_here) { without_here = without; }
WithoutScansGuard::~WithoutScansGuard() { without_here = before_; }

bool WithoutScansGuard::active() { return without_here; }

}  // namespace mambaseg
