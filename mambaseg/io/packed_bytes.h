#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "mambaseg/io/deflate_streams.h"

namespace mambaseg {

// Packed data in memory. What does not unpack to exactly `out` throws Error with the cause: damaged, cut off,
// or longer.

/// No deflate or bzip2 stream grows by more: a size that was announced can be doubted before memory is taken
/// for it.
constexpr size_t kDeflateLimit = 1032, kBzip2Limit = 1'500'000;

/// Fills `out` from zlib or gzip streams, one behind the other.
void inflate_into(std::span<std::byte> out, const std::string& packed);
/// Fills `out` from bzip2 streams.
void bunzip_into(std::span<std::byte> out, const std::string& packed);

std::string deflated(std::span<const std::byte> bytes, DeflateFormat format);

}  // namespace mambaseg
