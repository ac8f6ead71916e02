/* brig/version.h - the version of libbrig. */
#ifndef BRIG_VERSION_H
#define BRIG_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define BRIG_VERSION_MAJOR 0
#define BRIG_VERSION_MINOR 1
#define BRIG_VERSION_PATCH 0
#define BRIG_VERSION       "0.1.0"

/* Marks what libbrig exports; everything else is hidden. */
#if defined(__GNUC__)
#define BRIG_API __attribute__((visibility("default")))
#else
#define BRIG_API
#endif

/* The version of the library in use, which a program built against another
 * header can compare with BRIG_VERSION. A static string. */
BRIG_API const char *brig_version(void);

#ifdef __cplusplus
}
#endif
#endif
