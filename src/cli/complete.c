#include "cli/complete.h"

#include <string.h>

struct syntax {
  const char *language;
  bool blocks;      /* by a colon and indentation; decorators; backslashes that join lines */
  bool triple;      /* strings in three quotes may have several lines, */
  const char *long_quotes; /* and those in one of these */
  bool slashes;     /* comments in slashes, and regular expressions; else after # */
};
static const struct syntax syntaxes[] = {
    {"python", true, true, "", false},
    {"javascript", false, false, "`", true},
};

struct scan {
  const struct syntax *syntax;
  const char *at;
  int depth;       /* of brackets */
  bool open;       /* the text ended inside of something */
  bool block;      /* some line ended with a colon */
  char first, last; /* of the line, beside spaces and comments; 0: it has none */
};

/* To behind `end`, if it is there: on this line, unless `lines`. */
static void skip_to(struct scan *scan, const char *end, bool lines) {
  size_t length = strlen(end);
  for (; *scan->at != '\0'; scan->at++) {
    if (strncmp(scan->at, end, length) == 0) {
      scan->at += length;
      return;
    }
    if (*scan->at == '\n' && !lines) return;
    if (*scan->at == '\\' && scan->at[1] != '\0') scan->at++;
  }
  scan->open = true;
}

static void skip_string(struct scan *scan) {
  char quote[4] = {scan->at[0]};
  bool lines = strchr(scan->syntax->long_quotes, quote[0]) != NULL;
  if (scan->syntax->triple && scan->at[1] == quote[0] && scan->at[2] == quote[0]) {
    memset(quote, quote[0], 3);
    lines = true;
  }
  scan->at += strlen(quote);
  skip_to(scan, quote, lines);
}

/* A slash divides only behind what has a value. */
static bool is_expression(char last) {
  return last == '\0' || strchr("(,=:[!&|?{};+-*%<>~^", last) != NULL;
}

/* A regular expression, in which a slash between brackets is none. */
static void skip_expression(struct scan *scan) {
  bool class = false;
  for (scan->at++; *scan->at != '\0' && *scan->at != '\n'; scan->at++) {
    if (*scan->at == '/' && !class) {
      scan->at++;
      return;
    }
    if (*scan->at == '\\' && scan->at[1] != '\0') scan->at++;
    if (*scan->at == '[') class = true;
    if (*scan->at == ']') class = false;
  }
}

/* Whether it was a comment. */
static bool skip_comment(struct scan *scan) {
  const char *at = scan->at;
  if (scan->syntax->slashes ? at[0] == '/' && at[1] == '/' : at[0] == '#') {
    scan->at = strchrnul(at, '\n');
    return true;
  }
  if (!scan->syntax->slashes || at[0] != '/' || at[1] != '*') return false;
  const char *end = strstr(at + 2, "*/");
  scan->open = end == NULL;
  scan->at = end == NULL ? at + strlen(at) : end + 2;
  return true;
}

static void end_line(struct scan *scan) {
  scan->at++;
  if (scan->depth > 0 || scan->last == '\\') return;
  if (scan->last == ':') scan->block = true;
  if (*scan->at != '\0') scan->first = scan->last = '\0';
}

static void step(struct scan *scan) {
  char c = *scan->at;
  if (c == '\n') {
    end_line(scan);
    return;
  }
  if (skip_comment(scan)) return;
  if (strchr("\"'", c) != NULL || strchr(scan->syntax->long_quotes, c) != NULL) {
    skip_string(scan);
    c = '"';
  } else if (scan->syntax->slashes && c == '/' && is_expression(scan->last)) {
    skip_expression(scan);
    c = '"';
  } else {
    scan->depth += strchr("([{", c) != NULL;
    scan->depth -= strchr(")]}", c) != NULL;
    scan->at++;
  }
  if (c == ' ' || c == '\t' || c == '\r' || c == '\f') return;
  if (scan->first == '\0') scan->first = c;
  scan->last = c;
}

bool brig__cli_is_complete(const char *language, const char *text) {
  struct scan scan = {.syntax = &syntaxes[0], .at = text};
  for (size_t i = 0; i < sizeof syntaxes / sizeof *syntaxes; i++)
    if (strcmp(syntaxes[i].language, language) == 0) scan.syntax = &syntaxes[i];
  while (*scan.at != '\0') step(&scan);
  if (scan.open || scan.depth > 0) return false;
  if (!scan.syntax->blocks) return true;
  return scan.last != '\\' && scan.first != '@' && (!scan.block || scan.last == '\0');
}
