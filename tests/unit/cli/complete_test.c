/* When a prompt goes on asking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "cli/complete.h"

static void is_whole(const char *language, const char *text) {
  if (!brig__cli_is_complete(language, text)) fail_msg("goes on: %s", text);
}

static void goes_on(const char *language, const char *text) {
  if (brig__cli_is_complete(language, text)) fail_msg("is whole: %s", text);
}

static void python_statements_end_with_their_line(void **state) {
  (void)state;
  static const char *const whole[] = {
      "x\n", "\n", "", "# if x:\n", "x = {'a': 1}\n", "if x: y\n", "print('if x:')\n", "x[1:]\n",
      "x = 'it''s'\n", "'\\''\n", "r'\\'\n'\n", "f'{x!r:>{10}}'\n", "'unfinished\n", "x)\n",
      "x = 1 + \\\n 2\n", "'a\\\nb'\n", "'''a\n:\n'''\n", "\"\"\"it's\n\"\"\"\n", "[1,\n\n2]\n",
      "f(a, # (\n  b)\n", "é = 'ü'\n", "\"'\"\n", "''\n", "''''''\n", "x: int = 3\n",
  };
  static const char *const open[] = {
      "(\n", "f(1,\n", "[1, {2: (3\n", "'''\n", "x = '''a\n'\n", "\"\"\"'''\n", "x = 1 + \\\n",
      "'a\\\n",
      "f(')',\n", "(')\n", "( # )\n", "''' \\'''\n",
  };
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) is_whole("python", whole[i]);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) goes_on("python", open[i]);
}

static void python_blocks_end_with_an_empty_line(void **state) {
  (void)state;
  static const char *const whole[] = {
      "if x:\n  y\n\n", "if x:\n  y\n  \n", "for i in x: # why\n  y\n\n",
      "def f():\n  '''\n\n  '''\n\n",
      "@d\ndef f():\n  pass\n\n", "if (a and\n    b):\n  y\n\n",
  };
  static const char *const open[] = {
      "if x:\n", "if x:\n  y\n", "if x: # why\n", "if x:\n  y\nelse:\n", "def f():\n  '''\n\n",
      "@d\n", "class C:\n  def f(self):\n    pass\n", "if (a and\n    b):\n", "if x:\n  f(\n\n",
  };
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) is_whole("python", whole[i]);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) goes_on("python", open[i]);
}

static void javascript_goes_on_in_brackets_templates_and_comments(void **state) {
  (void)state;
  static const char *const whole[] = {
      "x\n", "if (x) {\n  y\n}\n", "`a\nb`\n", "// {\n", "/* { */\n", "/* a\n b \\*/\n",
      "x = /[(/]/\n",
      "s.match(/\\(/)\n", "a / b / (c)\n", "'{'\n", "\"it's\"\n", "x ? {a: 1} : 2\n", "# {\n}\n",
  };
  static const char *const open[] = {"function f() {\n", "`a\n", "/* a\n", "f(1,\n", "x = [/]/,\n",
                                     "a / (b\n"};
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) is_whole("javascript", whole[i]);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) goes_on("javascript", open[i]);
}

/* Whatever is typed: to the end, and not beyond it. */
static void odd_bytes_do_no_harm(void **state) {
  (void)state;
  static const char alphabet[] = "'\"`\\\n#/*()[]{}:@ax \xc3";
  char text[8];
  uint32_t random = 1;
  for (size_t i = 0; i < 200000; i++) {
    size_t length = i % sizeof text;
    for (size_t at = 0; at < length; at++) {
      random = random * 1664525 + 1013904223;
      text[at] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
    }
    text[length] = '\0';
    brig__cli_is_complete("python", text);
    brig__cli_is_complete("javascript", text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(python_statements_end_with_their_line),
      cmocka_unit_test(python_blocks_end_with_an_empty_line),
      cmocka_unit_test(javascript_goes_on_in_brackets_templates_and_comments),
      cmocka_unit_test(odd_bytes_do_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
