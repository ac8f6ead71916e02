# `make install`: the command, its helper, the library for C, pkg-config and CMake.
include(CMakePackageConfigHelpers)

install(TARGETS brig RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS brig-helper brig_server RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/brig)
install(DIRECTORY guests/cpython DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/brig/recipes
  USE_SOURCE_PERMISSIONS)
install(TARGETS brig_shared brig_static EXPORT brigTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/brig DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

file(GLOB man_pages CONFIGURE_DEPENDS docs/man/*.[1-8])
foreach(page ${man_pages})
  string(REGEX REPLACE ".*\\.([1-8])$" "\\1" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

configure_file(packaging/brig.pc.in brig.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/brig.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/brig)
install(EXPORT brigTargets NAMESPACE brig:: DESTINATION ${package_dir})
configure_package_config_file(packaging/brigConfig.cmake.in brigConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(brigConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/brigConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/brigConfigVersion.cmake DESTINATION ${package_dir})
