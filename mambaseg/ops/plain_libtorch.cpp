#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {
thread_local bool active_here = false;
}  // namespace

PlainLibTorchGuard::PlainLibTorchGuard() : before_(active_here) { active_here = true; }
PlainLibTorchGuard::~PlainLibTorchGuard() { active_here = before_; }
bool PlainLibTorchGuard::active() { return active_here; }

}  // namespace mambaseg
