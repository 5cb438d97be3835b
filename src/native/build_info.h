/* How this extension was built, for people who ask what they run. */
#ifndef NATIVE_BUILD_INFO_H
#define NATIVE_BUILD_INFO_H

#include "module.h"

/* Adds the constants build_flags, http_parser_version and __version__ to the module. 0 or -1. */
int build_info_add(PyObject *module);

#endif
