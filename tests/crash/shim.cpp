// Stands between the program and the C library at every call that makes, changes or removes a file. Linked
// (or preloaded) before the C library, it counts the calls that concern files under one folder, and at a
// chosen one ends the process, a write half done, or says that the disk is full.
//
// With the program itself: LD_PRELOAD=libcrash_shim.so CRASH_FOLDER=/run CRASH_AT=17 [CRASH_MODE=full]
// mambaseg ...
#include "tests/crash/shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

namespace {

const char* folder = nullptr;
long strike_at = 0;
CrashMode mode = CrashMode::count;
long own_count = 0;
long* count = &own_count;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool is_watched(const char* path) {
  return folder != nullptr && path != nullptr && strncmp(path, folder, strlen(folder)) == 0;
}

bool is_watched(int file) {
  if (folder == nullptr) return false;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = '\0';
  return is_watched(path);
}

/// Counts a call; true when it is the one that shall fail. Does not return when it is the last one.
template <class Last>
bool fails(bool watched, Last&& last) {
  if (!watched) return false;
  const bool now = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) == strike_at;
  if (!now || mode == CrashMode::count) return false;
  if (mode == CrashMode::kill) {
    last();
    kill(getpid(), SIGKILL);
  }
  errno = ENOSPC;
  return true;
}

bool fails(bool watched) {
  return fails(watched, [] {});
}

bool writes(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }
bool writes(const char* flags) { return strpbrk(flags, "wa+") != nullptr; }

/// A full disk does not keep anyone from removing a file.
bool removes(const char* path) { return mode != CrashMode::full && is_watched(path); }

[[gnu::constructor]] void read_environment() {
  const char* at = getenv("CRASH_AT");
  const char* how = getenv("CRASH_MODE");
  if (at == nullptr || getenv("CRASH_FOLDER") == nullptr) return;
  folder = getenv("CRASH_FOLDER");
  strike_at = atol(at);
  mode = how != nullptr && strcmp(how, "full") == 0 ? CrashMode::full : CrashMode::kill;
}

}  // namespace

extern "C" {

void crash_arm(const char* under, long at, CrashMode how, long* shared_count) {
  folder = under;
  strike_at = at;
  mode = how;
  count = shared_count;
}

#define OPEN(name)                                                                         \
  int name(const char* path, int flags, ...) {                                             \
    va_list rest;                                                                          \
    va_start(rest, flags);                                                                 \
    const mode_t rights = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                                          \
    if (fails(writes(flags) && is_watched(path))) return -1;                               \
    return next<int (*)(const char*, int, mode_t)>(#name)(path, flags, rights);            \
  }
OPEN(open)
OPEN(open64)

#define OPEN_AT(name)                                                                      \
  int name(int at, const char* path, int flags, ...) {                                     \
    va_list rest;                                                                          \
    va_start(rest, flags);                                                                 \
    const mode_t rights = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                                          \
    if (fails(writes(flags) && is_watched(path))) return -1;                               \
    return next<int (*)(int, const char*, int, mode_t)>(#name)(at, path, flags, rights);   \
  }
OPEN_AT(openat)
OPEN_AT(openat64)

#define FOPEN(name)                                                       \
  FILE* name(const char* path, const char* flags) {                       \
    if (fails(writes(flags) && is_watched(path))) return nullptr;         \
    return next<FILE* (*)(const char*, const char*)>(#name)(path, flags); \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int file, const void* bytes, size_t size) {
  const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  if (fails(is_watched(file), [&] { real(file, bytes, size / 2); })) return -1;
  return real(file, bytes, size);
}

#define PWRITE(name)                                                                      \
  ssize_t name(int file, const void* bytes, size_t size, off_t offset) {                  \
    const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>(#name);          \
    if (fails(is_watched(file), [&] { real(file, bytes, size / 2, offset); })) return -1; \
    return real(file, bytes, size, offset);                                               \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int file, const iovec* pieces, int pieces_count) {
  if (fails(is_watched(file))) return -1;
  return next<ssize_t (*)(int, const iovec*, int)>("writev")(file, pieces, pieces_count);
}

#define OF_FILE(name, type)                 \
  int name(int file) {                      \
    if (fails(is_watched(file))) return -1; \
    return next<int (*)(int)>(#name)(file); \
  }
OF_FILE(fsync, )
OF_FILE(fdatasync, )

#define TRUNCATE(name)                                   \
  int name(int file, off_t size) noexcept {              \
    if (fails(is_watched(file))) return -1;              \
    return next<int (*)(int, off_t)>(#name)(file, size); \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

int rename(const char* from, const char* to) noexcept {
  if (fails(is_watched(to))) return -1;
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}

#define OF_PATH(name, specifier)                    \
  int name(const char* path) specifier {            \
    if (fails(removes(path))) return -1;            \
    return next<int (*)(const char*)>(#name)(path); \
  }
OF_PATH(unlink, noexcept)
OF_PATH(remove, noexcept)
OF_PATH(rmdir, noexcept)

int unlinkat(int at, const char* path, int flags) noexcept {
  if (fails(removes(path))) return -1;
  return next<int (*)(int, const char*, int)>("unlinkat")(at, path, flags);
}

int mkdir(const char* path, mode_t rights) noexcept {
  if (fails(is_watched(path))) return -1;
  return next<int (*)(const char*, mode_t)>("mkdir")(path, rights);
}

}  // extern "C"
