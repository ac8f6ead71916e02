/* support/modules.h - small guests as bytes, made from tests/guests/NAME.wat. */
#ifndef BRIG_TESTS_MODULES_H
#define BRIG_TESTS_MODULES_H

#include "echo_wasm.h"
#include "hello_wasm.h"
#include "loop_wasm.h"
#include "prompt_wasm.h"

#endif
