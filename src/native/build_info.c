/* See build_info.h. */
#include "build_info.h"

#include "core/http_parse.h"

#ifdef NDEBUG
#define HAS_ASSERTIONS 0
#else
#define HAS_ASSERTIONS 1
#endif

#ifdef __OPTIMIZE__
#define IS_OPTIMIZED 1
#else
#define IS_OPTIMIZED 0
#endif

/* setup.py defines these two: no compiler tells. */
#ifdef TORNADOC_SANITIZE
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#ifdef TORNADOC_SHARED_HTTP_PARSER
#define HTTP_PARSER_LINKAGE "shared"
#else
#define HTTP_PARSER_LINKAGE "static"
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

int build_info_add(PyObject *module)
{
    PyObject *flags = Py_BuildValue("{s:s, s:s, s:N, s:N, s:N, s:s}", "compiler", COMPILER, "python", PY_VERSION, "optimized",
                                    PyBool_FromLong(IS_OPTIMIZED), "assertions", PyBool_FromLong(HAS_ASSERTIONS), "sanitizers",
                                    PyBool_FromLong(IS_SANITIZED), "http_parser", HTTP_PARSER_LINKAGE);
    if (flags == NULL) {
        return -1;
    }
    int status = PyModule_AddObjectRef(module, "build_flags", flags);
    Py_DECREF(flags);
    if (status < 0 || PyModule_AddStringConstant(module, "http_parser_version", td_http_parser_version()) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", TORNADOC_VERSION);
}
