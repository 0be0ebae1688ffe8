#pragma once

enum class CrashMode { count, kill, full };

/// From now on the calls of this process that make, change or remove files under `folder` are counted in
/// `*count`; call `at` (from 1) is not made: the process is killed there, or told that the disk is full. Both
/// pointers must stay.
extern "C" void crash_arm(const char* folder, long at, CrashMode mode, long* count);
