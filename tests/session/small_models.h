#pragma once

#include <string>

namespace mambaseg {

/// Model files with small networks of random weights, whose labels differ from voxel to voxel. Here, because
/// what the library is made of and its public headers have types of the same names.
void write_volume_model(const std::string& path);
void write_picture_model(const std::string& path);

/// OpenMP threads and whether denormals are flushed, of the calling thread.
struct ThreadState {
  int threads = 0;
  unsigned int control = 0;
  bool operator==(const ThreadState&) const = default;
};
ThreadState thread_state();

}  // namespace mambaseg
