# Every tests/unit/MODULE/NAME_test.c is a program of its own, with the library's
# modules; the rest of the tests drive what was built, by pytest.
enable_testing()
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

foreach(name echo hello loop prompt)
  add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/guests/${name}_wasm.h
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DINPUT=${PROJECT_SOURCE_DIR}/tests/guests/${name}.wat
      -DOUTPUT=${CMAKE_CURRENT_BINARY_DIR}/guests/${name}_wasm.h
      -P ${PROJECT_SOURCE_DIR}/cmake/embed_module.cmake
    DEPENDS tests/guests/${name}.wat cmake/embed_module.cmake)
  list(APPEND guest_headers ${CMAKE_CURRENT_BINARY_DIR}/guests/${name}_wasm.h)
endforeach()
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/guests)
add_custom_target(guest-headers DEPENDS ${guest_headers})

if(CMOCKA_FOUND)
  file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/*/*_test.c)
  if(BRIG_SANITIZE) # whose system calls the jail kills
    list(FILTER unit_tests EXCLUDE REGEX "/unit/jail/")
  endif()
  foreach(source ${unit_tests})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE PkgConfig::CMOCKA brig-wasi brig_static
      ${library_needs})
    target_include_directories(${name} PRIVATE include src tests ${CMAKE_CURRENT_BINARY_DIR}/guests)
    add_dependencies(${name} guest-headers)
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes -Wno-unused-const-variable)
    if(source MATCHES "/unit/jail/")
      target_link_libraries(${name} PRIVATE brig-jail PkgConfig::SECCOMP) # the helper's, not the library's
    endif()
    if(source MATCHES "/unit/cli/")
      target_link_libraries(${name} PRIVATE brig-cli brig-rpc-client messages)
    endif()
    if(source MATCHES "/unit/server/") # brig-server's, not the library's
      target_link_libraries(${name} PRIVATE brig-services brig-rpc brig-rpc-client messages)
    endif()
    if(source MATCHES "/unit/rpc/")
      target_link_libraries(${name} PRIVATE brig-rpc brig-rpc-client messages) # brig-server's
    endif()
    if(source MATCHES "/unit/rpc/")
      target_link_libraries(${name} PRIVATE brig-rpc messages) # brig-server's
    endif()
    add_test(NAME unit/${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(unit/${name} PROPERTIES TIMEOUT 300 ENVIRONMENT
      "BRIG_CONFIGURATION_DOC=$<TARGET_FILE:configuration-doc>")
  endforeach()
endif()

add_executable(deny tests/support/deny_main.c)
target_link_libraries(deny PRIVATE PkgConfig::SECCOMP)

add_executable(rpc-echo tests/support/rpc_echo_main.c)
target_link_libraries(rpc-echo PRIVATE brig-rpc brig-rpc-client brig-base messages Threads::Threads)
