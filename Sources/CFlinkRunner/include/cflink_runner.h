#ifndef SWIFTWATER_FLINK_RUNNER_H
#define SWIFTWATER_FLINK_RUNNER_H

#include <stddef.h>

/* The text of flink_runner.py, which runs SQL scripts on Flink. */
const unsigned char *flink_runner_text(size_t *length);

#endif
