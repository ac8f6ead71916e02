/* The manifest, from YAML to rows, once. What it holds lives as long as the
 * program, so nothing here is freed, but for the document. */
#include "guest/manifest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/error.h"

static struct {
  pthread_once_t once;
  struct guest *rows;
  size_t count;
  struct brig_error error;
} manifest = {.once = PTHREAD_ONCE_INIT};

/* Where it is read: the document, and the first thing wrong. */
struct reader {
  yaml_document_t document;
  const char *wrong;
};

static yaml_node_t *node(struct reader *reader, int id) {
  return yaml_document_get_node(&reader->document, id);
}

static yaml_node_t *find(struct reader *reader, yaml_node_t *mapping, const char *key) {
  if (mapping == NULL || mapping->type != YAML_MAPPING_NODE) return NULL;
  for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
       pair < mapping->data.mapping.pairs.top; pair++) {
    yaml_node_t *name = node(reader, pair->key);
    if (name->type == YAML_SCALAR_NODE && strcmp((char *)name->data.scalar.value, key) == 0)
      return node(reader, pair->value);
  }
  return NULL;
}

/* The document's own text. */
static const char *borrow(struct reader *reader, yaml_node_t *item) {
  if (item != NULL && item->type == YAML_SCALAR_NODE) return (char *)item->data.scalar.value;
  reader->wrong = "a text is missing";
  return "";
}

static const char *scalar(struct reader *reader, yaml_node_t *item) {
  char *text = strdup(borrow(reader, item));
  if (text == NULL) reader->wrong = "memory";
  return text == NULL ? "" : text;
}

static const char *text(struct reader *reader, yaml_node_t *row, const char *key) {
  yaml_node_t *item = find(reader, row, key);
  if (item == NULL) {
    reader->wrong = key;
    return "";
  }
  return scalar(reader, item);
}

static const char *optional_text(struct reader *reader, yaml_node_t *row, const char *key) {
  return find(reader, row, key) == NULL ? "" : text(reader, row, key);
}

static size_t size_of(yaml_node_t *list) {
  if (list == NULL || list->type != YAML_SEQUENCE_NODE) return 0;
  return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static yaml_node_t *item_of(struct reader *reader, yaml_node_t *list, size_t i) {
  return i < size_of(list) ? node(reader, list->data.sequence.items.start[i]) : NULL;
}

/* A list of texts that ends with NULL; a missing one is empty. */
static const char *const *texts(struct reader *reader, yaml_node_t *row, const char *key) {
  yaml_node_t *list = find(reader, row, key);
  const char **items = calloc(size_of(list) + 1, sizeof *items);
  if (items == NULL) {
    static const char *const none[] = {NULL};
    reader->wrong = "memory";
    return none;
  }
  for (size_t i = 0; i < size_of(list); i++) items[i] = scalar(reader, item_of(reader, list, i));
  return items;
}

static struct brig_digest digest(struct reader *reader, yaml_node_t *row, const char *key) {
  struct brig_digest value = {{0}};
  if (brig__digest_parse(borrow(reader, find(reader, row, key)), &value) < 0) reader->wrong = key;
  return value;
}

static void read_files(struct reader *reader, yaml_node_t *row, struct guest *guest) {
  yaml_node_t *list = find(reader, row, "files");
  struct guest_file *files = calloc(size_of(list) + 1, sizeof *files);
  for (size_t i = 0; files != NULL && i < size_of(list); i++) {
    yaml_node_t *pair = item_of(reader, list, i);
    files[i].from = scalar(reader, item_of(reader, pair, 0));
    files[i].to = scalar(reader, item_of(reader, pair, 1));
  }
  guest->files = files;
  guest->file_count = files == NULL ? 0 : size_of(list);
  if (guest->file_count == 0) reader->wrong = "files";
}

static void read_mounts(struct reader *reader, yaml_node_t *row, struct guest *guest) {
  yaml_node_t *list = find(reader, row, "mounts");
  struct guest_mount *mounts = calloc(size_of(list) + 1, sizeof *mounts);
  for (size_t i = 0; mounts != NULL && i < size_of(list); i++) {
    yaml_node_t *pair = item_of(reader, list, i);
    mounts[i].host = scalar(reader, item_of(reader, pair, 0));
    mounts[i].guest = scalar(reader, item_of(reader, pair, 1));
  }
  guest->mounts = mounts;
  guest->mount_count = mounts == NULL ? 0 : size_of(list);
}

static unsigned read_proposals(struct reader *reader, yaml_node_t *row) {
  static const char *const names[] = {
#define NAME(id, name) [BRIG_PROPOSAL_BIT_##id] = name,
      BRIG_PROPOSAL_LIST(NAME)
#undef NAME
  };
  unsigned bits = 0;
  yaml_node_t *list = find(reader, row, "proposals");
  for (size_t at = 0; at < size_of(list); at++) {
    const char *name = borrow(reader, item_of(reader, list, at));
    unsigned before = bits;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
      if (strcmp(name, names[i]) == 0) bits |= 1u << i;
    if (bits == before) reader->wrong = "proposals";
  }
  return bits;
}

static uint64_t number(struct reader *reader, yaml_node_t *row, const char *key) {
  yaml_node_t *item = find(reader, row, key);
  return item == NULL ? 0 : strtoull(borrow(reader, item), NULL, 10);
}

/* The text of the driver that the row names, or NULL. */
static const char *driver_text(struct reader *reader, yaml_node_t *row) {
  yaml_node_t *item = find(reader, row, "session");
  if (item == NULL) return NULL;
  const char *name = borrow(reader, item);
  for (const struct guest_driver *at = brig__guest_drivers; at->name != NULL; at++)
    if (strcmp(at->name, name) == 0) return at->text;
  reader->wrong = "session";
  return NULL;
}

static void read_row(struct reader *reader, yaml_node_t *row, struct guest *guest) {
  guest->name = text(reader, row, "name");
  guest->version = text(reader, row, "version");
  guest->description = text(reader, row, "description");
  guest->language = text(reader, row, "language");
  guest->license = text(reader, row, "license");
  guest->registry = text(reader, row, "registry");
  guest->package = text(reader, row, "package");
  guest->package_version = text(reader, row, "package_version");
  guest->archive_digest = digest(reader, row, "archive_sha256");
  guest->module = text(reader, row, "module");
  guest->digest = digest(reader, row, "module_sha256");
  guest->arguments = texts(reader, row, "arguments");
  guest->environment = texts(reader, row, "environment");
  guest->entry = texts(reader, row, "entry");
  guest->driver = texts(reader, row, "driver");
  guest->client = texts(reader, row, "client");
  guest->session = driver_text(reader, row);
  guest->preload = optional_text(reader, row, "preload");
  guest->sample = optional_text(reader, row, "sample");
  guest->proposals = read_proposals(reader, row);
  guest->table_elements = number(reader, row, "table_elements");
  read_files(reader, row, guest);
  read_mounts(reader, row, guest);
}

static void read_rows(struct reader *reader) {
  yaml_node_t *root = yaml_document_get_root_node(&reader->document);
  yaml_node_t *list = find(reader, root, "guests");
  manifest.rows = calloc(size_of(list) + 1, sizeof *manifest.rows);
  if (manifest.rows == NULL || size_of(list) == 0) {
    reader->wrong = "guests";
    return;
  }
  manifest.count = size_of(list);
  for (size_t i = 0; i < manifest.count; i++)
    read_row(reader, item_of(reader, list, i), &manifest.rows[i]);
}

static void load(void) {
  struct reader reader = {.wrong = NULL};
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) {
    brig__fail(&manifest.error, BRIG_E_MEMORY, "guest", "out of memory");
    return;
  }
  yaml_parser_set_input_string(&parser, (const unsigned char *)brig__guest_manifest_text,
                               brig__guest_manifest_text_size);
  if (yaml_parser_load(&parser, &reader.document)) {
    read_rows(&reader);
    yaml_document_delete(&reader.document);
  } else {
    reader.wrong = parser.problem;
  }
  yaml_parser_delete(&parser);
  if (reader.wrong != NULL)
    brig__fail(&manifest.error, BRIG_E_CONFIG, "guest", "guests/manifest.yaml is wrong: %s",
               reader.wrong);
}

int brig__guest_manifest(const struct guest **ret_guests, size_t *ret_count,
                         struct brig_error *err) {
  pthread_once(&manifest.once, load);
  if (manifest.error.code != 0) {
    if (err != NULL) *err = manifest.error;
    return manifest.error.code;
  }
  *ret_guests = manifest.rows;
  *ret_count = manifest.count;
  return 0;
}
