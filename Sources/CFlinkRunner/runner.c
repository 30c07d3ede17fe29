#include "cflink_runner.h"

#ifndef __has_embed
#error "the runner of Flink scripts needs a compiler with #embed, such as the one of Swift 6.3"
#endif
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char text[] = {
#embed "flink_runner.py"
};

const unsigned char *flink_runner_text(size_t *length) {
    *length = sizeof text;
    return text;
}
