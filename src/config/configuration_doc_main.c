/* Prints docs/configuration.md from the table of keys. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "config/config.h"
#include "config/internal.h"

int main(void) { return 0; }
