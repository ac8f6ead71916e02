# The engine: WASMTIME_ROOT (include/, lib/libwasmtime.a) if given, else what
# scripts/build-engine.sh made, once a machine.
set(WASMTIME_ROOT "$ENV{WASMTIME_ROOT}" CACHE PATH "An installed Wasmtime C API")
if(NOT WASMTIME_ROOT)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/build-engine.sh
    OUTPUT_VARIABLE built OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "scripts/build-engine.sh failed")
  endif()
  set(WASMTIME_ROOT "${built}") # of this run: the next one may want another
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS scripts/build-engine.sh
    deps/wasmtime/Cargo.toml deps/wasmtime/Cargo.lock deps/wasmtime/lib.rs)
endif()
if(NOT EXISTS ${WASMTIME_ROOT}/lib/libwasmtime.a)
  message(FATAL_ERROR "there is no lib/libwasmtime.a in WASMTIME_ROOT=${WASMTIME_ROOT}")
endif()

add_library(wasmtime STATIC IMPORTED)
set_target_properties(wasmtime PROPERTIES IMPORTED_LOCATION ${WASMTIME_ROOT}/lib/libwasmtime.a)
target_include_directories(wasmtime SYSTEM INTERFACE ${WASMTIME_ROOT}/include)
target_link_libraries(wasmtime INTERFACE Threads::Threads m ${CMAKE_DL_LIBS})
