# cmake --install: the program, the models that come along, the recipes to read, and the shared library with its headers,
# CMake package and pkg-config file. What is installed may be moved as a whole.
install(TARGETS mambaseg)
install(TARGETS mambaseg_whole DESTINATION libexec/mambaseg)
install(DIRECTORY models recipes DESTINATION share/mambaseg)
if(NOT MAMBASEG_LIBRARY)
  return()
endif()

include(CMakePackageConfigHelpers)
set(package "${PROJECT_BINARY_DIR}/package")
set(cmake_folder "${CMAKE_INSTALL_LIBDIR}/cmake/mambaseg")
file(RELATIVE_PATH MAMBASEG_PREFIX_FROM_PC "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_package_config_file(cmake/package/mambasegConfig.cmake.in "${package}/mambasegConfig.cmake"
                              INSTALL_DESTINATION "${cmake_folder}")
write_basic_package_version_file("${package}/mambasegConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
configure_file(cmake/package/mambaseg.pc.in "${package}/mambaseg.pc" @ONLY)

install(TARGETS libmambaseg EXPORT mambasegTargets)
install(EXPORT mambasegTargets NAMESPACE mambaseg:: DESTINATION "${cmake_folder}")
install(FILES "${package}/mambasegConfig.cmake" "${package}/mambasegConfigVersion.cmake" DESTINATION "${cmake_folder}")
install(FILES "${package}/mambaseg.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES include/mambaseg/mambaseg.h include/mambaseg/mambaseg.hpp "${PROJECT_BINARY_DIR}/include/mambaseg/version.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/mambaseg")
