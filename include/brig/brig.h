/* brig/brig.h - all of libbrig.
 *
 * 1. brig_config_load()      the operator's configuration (config.h)
 * 2. brig_sandbox_open()     starts the processes behind it (sandbox.h)
 * 3. brig_sandbox_execute()  from any number of threads
 * 4. brig_sandbox_close()
 */
#ifndef BRIG_BRIG_H
#define BRIG_BRIG_H

#include <brig/config.h>
#include <brig/error.h>
#include <brig/limits.h>
#include <brig/python_executor.h>
#include <brig/sandbox.h>
#include <brig/session.h>
#include <brig/version.h>

#endif
