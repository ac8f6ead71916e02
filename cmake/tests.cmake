# Every tests/unit/MODULE/NAME_test.c is a program of its own, with the library's
# modules; the rest of the tests drive what was built, by pytest.
enable_testing()
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

if(CMOCKA_FOUND)
  file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/*/*_test.c)
  foreach(source ${unit_tests})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE PkgConfig::CMOCKA brig-wasi brig_static brig-base
      brig-guest brig-config brig-limits ${library_needs})
    target_include_directories(${name} PRIVATE include src tests)
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
    add_test(NAME unit/${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(unit/${name} PROPERTIES TIMEOUT 120)
  endforeach()
endif()
