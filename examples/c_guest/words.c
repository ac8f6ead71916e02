/* A guest in plain C: counts the words of the files it is given. */
#include <ctype.h>
#include <stdio.h>

static long count_words(FILE *file) {
  long words = 0;
  int inside = 0;
  for (int c; (c = getc(file)) != EOF;) {
    if (!isspace(c) && !inside) words++;
    inside = !isspace(c);
  }
  return words;
}

int main(int argc, char **argv) {
  int status = 0;
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "r");
    if (file == NULL) {
      perror(argv[i]);
      status = 1;
      continue;
    }
    printf("%ld %s\n", count_words(file), argv[i]);
    fclose(file);
  }
  return status;
}
