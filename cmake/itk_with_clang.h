// Debian's ITK 5.2 knows only the compiler that it was built with, and refuses Clang. Its one header that
// asks for the compiler is included here, before every source, in the belief that this is GCC 12.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wbuiltin-macro-redefined"
#undef __clang__
#undef __GNUC__
#define __GNUC__ 12
#include <itk_compiler_detection.h>
#undef __GNUC__
#define __GNUC__ 4
#define __clang__ 1
#pragma clang diagnostic pop
