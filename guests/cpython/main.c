/* CPython with its whole standard library inside. */
#include <Python.h>

static const unsigned char stdlib[] = {
#embed "stdlib.bin"
};

static const struct _frozen modules[] = {
#include "stdlib.inc"
    {0},
};

int main(int argc, char **argv) {
  PyImport_FrozenModules = modules;

  /* No directory is looked for. Modules still have a __file__, below this one. */
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  PyStatus status = PyConfig_SetBytesArgv(&config, argc, argv);
  if (!PyStatus_Exception(status)) status = PyConfig_SetString(&config, &config.home, L"/usr");
  if (!PyStatus_Exception(status))
    status = PyConfig_SetString(&config, &config.stdlib_dir, L"/usr/lib/python3.13");
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_IsExit(status)) return status.exitcode;
  if (PyStatus_Exception(status)) Py_ExitStatusException(status);
  return Py_RunMain();
}
