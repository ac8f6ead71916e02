# tests/fuzz/NAME_fuzz.c, each a program of libFuzzer's, in a build of its own: with clang, and
# -DBRIG_FUZZ=ON. As tests they run shortly, from a fixed seed; `make fuzz` runs them for long.
if(BRIG_FUZZ)
  add_custom_target(fuzzers)
  file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/*_fuzz.c)
  foreach(source ${fuzzers})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${name} PRIVATE brig-rpc brig-rpc-client brig-base messages
      Threads::Threads)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
    add_test(NAME fuzz/${name} COMMAND ${name} -seed=1 -runs=1000000 -max_total_time=10
      -max_len=4096 -timeout=5 -rss_limit_mb=1000)
  endforeach()
endif()
