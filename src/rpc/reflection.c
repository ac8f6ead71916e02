#include "rpc/reflection.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "rpc/internal.h"

#define UNSENT_MAX (1u << 20) /* of one who asks and does not listen */
#define NAME_BYTES 512        /* of a symbol */

typedef Google__Protobuf__FileDescriptorSet Files;
typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__DescriptorProto Message;
typedef Google__Protobuf__EnumDescriptorProto Enum;
typedef Google__Protobuf__ServiceDescriptorProto Service;
typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

extern const char brig__rpc_descriptors[];
extern const size_t brig__rpc_descriptors_size;

static ProtobufCBinaryData text(const char *string) {
  return (ProtobufCBinaryData){strlen(string), (uint8_t *)string};
}

/* Symbols. What is left of `symbol` behind "NAME." or NAME itself; NULL: it is no such. */
static const char *behind(const char *symbol, const char *name) {
  size_t length = strlen(name);
  if (length == 0) return symbol;
  if (strncmp(symbol, name, length) != 0) return NULL;
  if (symbol[length] == '\0') return symbol + length;
  return symbol[length] == '.' ? symbol + length + 1 : NULL;
}

static bool in_enum(const Enum *kind, const char *symbol) {
  const char *rest = behind(symbol, kind->name);
  if (rest == NULL || *rest == '\0') return rest != NULL;
  for (size_t i = 0; i < kind->n_value; i++)
    if (strcmp(kind->value[i]->name, rest) == 0) return true;
  return false;
}

static bool in_message(const Message *message, const char *symbol) {
  const char *rest = behind(symbol, message->name);
  if (rest == NULL || *rest == '\0') return rest != NULL;
  for (size_t i = 0; i < message->n_field; i++)
    if (strcmp(message->field[i]->name, rest) == 0) return true;
  for (size_t i = 0; i < message->n_enum_type; i++)
    if (in_enum(message->enum_type[i], rest)) return true;
  for (size_t i = 0; i < message->n_nested_type; i++) /* as deep as our own files nest */
    if (in_message(message->nested_type[i], rest)) return true;
  return false;
}

static bool in_service(const Service *service, const char *symbol) {
  const char *rest = behind(symbol, service->name);
  if (rest == NULL || *rest == '\0') return rest != NULL;
  for (size_t i = 0; i < service->n_method; i++)
    if (strcmp(service->method[i]->name, rest) == 0) return true;
  return false;
}

static bool in_file(const File *file, const char *symbol) {
  const char *rest = behind(symbol, file->package);
  if (rest == NULL || *rest == '\0') return false;
  for (size_t i = 0; i < file->n_message_type; i++)
    if (in_message(file->message_type[i], rest)) return true;
  for (size_t i = 0; i < file->n_enum_type; i++)
    if (in_enum(file->enum_type[i], rest)) return true;
  for (size_t i = 0; i < file->n_service; i++)
    if (in_service(file->service[i], rest)) return true;
  return false;
}

static const File *file_of_symbol(const Files *files, const char *symbol) {
  for (size_t i = 0; i < files->n_file; i++)
    if (in_file(files->file[i], symbol)) return files->file[i];
  return NULL;
}

static const File *file_of_name(const Files *files, const char *name) {
  for (size_t i = 0; i < files->n_file; i++)
    if (strcmp(files->file[i]->name, name) == 0) return files->file[i];
  return NULL;
}

/* Answers. */

struct answer {
  struct rpc_call *call;
  const Files *files;
  Response response;
};

static void send_error(struct answer *answer, enum rpc_status status, const char *message) {
  Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
  error.error_code = (int32_t)status;
  error.error_message = text(message);
  answer->response.error_response = &error;
  answer->response.message_response_case =
      GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
  brig__rpc_send(answer->call, &answer->response.base);
}

/* Which files go with `file`: what it imports, in a set that has imports first. */
static void mark_imports(const Files *files, const File *file, bool *wanted) {
  for (size_t i = files->n_file; i-- > 0;) {
    if (files->file[i] == file) wanted[i] = true;
    for (size_t k = 0; wanted[i] && k < files->file[i]->n_dependency; k++)
      for (size_t j = 0; j < i; j++)
        if (strcmp(files->file[j]->name, files->file[i]->dependency[k]) == 0) wanted[j] = true;
  }
}

static bool pack(const File *file, ProtobufCBinaryData *ret_packed) {
  ret_packed->len = google__protobuf__file_descriptor_proto__get_packed_size(file);
  ret_packed->data = malloc(ret_packed->len);
  if (ret_packed->data == NULL) return false;
  google__protobuf__file_descriptor_proto__pack(file, ret_packed->data);
  return true;
}

static void send_files(struct answer *answer, const File *file) {
  Grpc__Reflection__V1__FileDescriptorResponse found =
      GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
  const Files *files = answer->files;
  CLEANUP_FREE bool *wanted = calloc(files->n_file, sizeof *wanted);
  CLEANUP_FREE ProtobufCBinaryData *packed = calloc(files->n_file, sizeof *packed);
  bool complete = wanted != NULL && packed != NULL;
  if (complete) mark_imports(files, file, wanted);
  for (size_t i = 0; complete && i < files->n_file; i++)
    if (wanted[i]) complete = pack(files->file[i], &packed[found.n_file_descriptor_proto++]);
  if (complete) {
    found.file_descriptor_proto = packed;
    answer->response.file_descriptor_response = &found;
    answer->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    brig__rpc_send(answer->call, &answer->response.base);
  } else {
    send_error(answer, RPC_RESOURCE_EXHAUSTED, "out of memory");
  }
  for (size_t i = 0; i < found.n_file_descriptor_proto; i++) free(packed[i].data);
}

static void send_file_or_not(struct answer *answer, const File *file) {
  if (file != NULL)
    send_files(answer, file);
  else
    send_error(answer, RPC_NOT_FOUND, "not found");
}

static bool seen_before(const struct rpc_method *methods, size_t index) {
  for (size_t i = 0; i < index; i++)
    if (strcmp(methods[i].service, methods[index].service) == 0) return true;
  return false;
}

static void send_services(struct answer *answer) {
  const struct rpc_settings *settings = &answer->call->connection->server->settings;
  size_t max = settings->method_count;
  Grpc__Reflection__V1__ListServiceResponse list =
      GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
  CLEANUP_FREE Grpc__Reflection__V1__ServiceResponse *names = calloc(max, sizeof *names);
  CLEANUP_FREE Grpc__Reflection__V1__ServiceResponse **pointers = calloc(max, sizeof *pointers);
  if (names == NULL || pointers == NULL) {
    send_error(answer, RPC_RESOURCE_EXHAUSTED, "out of memory");
    return;
  }
  for (size_t i = 0; i < max; i++) {
    if (seen_before(settings->methods, i)) continue;
    grpc__reflection__v1__service_response__init(&names[i]);
    names[i].name = text(settings->methods[i].service);
    pointers[list.n_service++] = &names[i];
  }
  list.service = pointers;
  answer->response.list_services_response = &list;
  answer->response.message_response_case =
      GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
  brig__rpc_send(answer->call, &answer->response.base);
}

/* As a C string; one that is too long, or holds a 0, names nothing that there is. */
static const char *name_of(const ProtobufCBinaryData *name, char storage[NAME_BYTES]) {
  snprintf(storage, NAME_BYTES, "%.*s", name->len < NAME_BYTES ? (int)name->len : 0,
           name->data != NULL ? (const char *)name->data : "");
  return strlen(storage) == name->len ? storage : "";
}

static void send_answer(struct answer *answer, const Request *request) {
  char storage[NAME_BYTES];
  switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
      send_services(answer);
      break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
      send_file_or_not(answer,
                       file_of_name(answer->files, name_of(&request->file_by_filename, storage)));
      break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
      send_file_or_not(answer, file_of_symbol(answer->files,
                                              name_of(&request->file_containing_symbol, storage)));
      break;
    default: /* extensions are of proto2 */
      send_error(answer, RPC_UNIMPLEMENTED, "not supported");
  }
}

static void gone(struct rpc_call *call, void *context) {
  (void)context;
  brig__rpc_finish(call, RPC_CANCELLED, NULL);
}

static void on_request(struct rpc_call *call, void *context, ProtobufCMessage *message) {
  Request *request = (Request *)message;
  (void)context;
  brig__rpc_on_cancel(call, gone, NULL);
  Files *files = google__protobuf__file_descriptor_set__unpack(
      NULL, brig__rpc_descriptors_size, (const uint8_t *)brig__rpc_descriptors);
  if (files == NULL || brig__rpc_unsent(call) > UNSENT_MAX) {
    brig__rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "out of memory for the answer");
  } else {
    struct answer answer = {.call = call,
                            .files = files,
                            .response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT};
    answer.response.valid_host = request->host;
    answer.response.original_request = request;
    send_answer(&answer, request);
  }
  google__protobuf__file_descriptor_set__free_unpacked(files, NULL);
}

#define METHOD(version)                                                                            \
  {                                                                                                \
    .service = "grpc.reflection." version ".ServerReflection", .name = "ServerReflectionInfo",     \
    .client_streams = true,                                                                        \
    .request = &grpc__reflection__v1__server_reflection_request__descriptor, .message = on_request \
  }

const struct rpc_method brig__rpc_reflection_methods[RPC_REFLECTION_METHODS] = {METHOD("v1"),
                                                                                METHOD("v1alpha")};
