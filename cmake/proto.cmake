# The messages of proto/, in C, as the library `messages`. protobuf-c ends a string at its
# first 0 byte, and guests' text may have some: in the copies that code is made of, strings
# are bytes, which look the same on the wire. Keys of maps stay strings. What was bytes
# already, and need not be UTF-8, is marked as deprecated there, since a generated
# descriptor has no other room for it (rpc/message_check.c). The descriptors, for
# reflection, are of the originals.
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)
find_path(PROTOBUF_INCLUDE google/protobuf/struct.proto REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)

set(ours agent/agent brig/sessions common/common sandbox/sandbox grpc/health/v1/health
  grpc/reflection/v1/reflection grpc/reflection/v1alpha/reflection)
set(googles google/protobuf/struct google/protobuf/timestamp)
set(generated ${CMAKE_CURRENT_BINARY_DIR}/proto)

foreach(name ${ours} ${googles} google/protobuf/descriptor)
  set(original ${PROJECT_SOURCE_DIR}/proto/${name}.proto)
  set(edit -e "s/^( *(repeated )?bytes [a-z_]+ = [0-9]+)/\\1 [deprecated = true]/"
    -e "s/^( *)(repeated )?string /\\1\\2bytes /")
  if(name MATCHES "^google/")
    set(original ${PROTOBUF_INCLUDE}/${name}.proto)
  endif()
  if(name MATCHES "descriptor$") # ours alone to read
    set(edit -ne p)
  endif()
  get_filename_component(folder ${generated}/${name} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${generated}/${name}.proto
    COMMAND sed -E ${edit} ${original} > ${generated}/${name}.proto
    DEPENDS ${original} VERBATIM)
  list(APPEND copies ${generated}/${name}.proto)
  if(NOT name MATCHES "v1alpha") # v1 under another name
    list(APPEND compiled ${name}.proto)
    list(APPEND sources ${generated}/${name}.pb-c.c)
    list(APPEND headers ${generated}/${name}.pb-c.h)
  endif()
endforeach()

add_custom_command(OUTPUT ${sources} ${headers}
  COMMAND ${PROTOC_C} -I${generated} --c_out=${generated} ${compiled}
  DEPENDS ${copies} VERBATIM)

list(TRANSFORM ours APPEND .proto OUTPUT_VARIABLE described)
list(TRANSFORM ours PREPEND ${PROJECT_SOURCE_DIR}/proto/ OUTPUT_VARIABLE described_files)
list(TRANSFORM described_files APPEND .proto)
add_custom_command(OUTPUT ${generated}/descriptors.c
  COMMAND ${PROTOC} -I${PROJECT_SOURCE_DIR}/proto -I${PROTOBUF_INCLUDE} --include_imports
    --descriptor_set_out=${generated}/descriptors.bin ${described}
  COMMAND ${CMAKE_COMMAND} -DINPUT=${generated}/descriptors.bin
    -DOUTPUT=${generated}/descriptors.c -DNAME=brig__rpc_descriptors
    -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${described_files} cmake/embed.cmake VERBATIM)

# Not ours to warn about.
add_library(messages STATIC ${sources} ${generated}/descriptors.c)
target_compile_options(messages PRIVATE -w)
target_compile_definitions(messages PUBLIC PROTOBUF_C__NO_DEPRECATED)
target_include_directories(messages SYSTEM PUBLIC ${generated})
target_link_libraries(messages PUBLIC PkgConfig::PROTOBUF_C)
add_custom_target(message-headers DEPENDS ${headers})
