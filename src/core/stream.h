// SPDX-License-Identifier: MIT
// stream: what is answered to the bytes of a TCP connection. How they were cut into reads never
// changes the answers.
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/answer.h"

// Lines that are not simply echoed, answered in one turn. A turn's answers are at most
// STREAM_ANSWERS_MAX * ANSWER_MAX_BYTES longer than what was asked.
enum { STREAM_ANSWERS_MAX = 256 };

// What has to be remembered between reads, beside the bytes of an unfinished line. All zero at
// the start.
struct stream {
    bool discarding;      // the rest of an overlong line
    bool overlong_before; // the line before was overlong
};

// The answers of a turn. As long as they are nothing but echoes of lines that stand side by side,
// they are not copied: `bytes` then points into the input. All zero but `buffer` at the start.
struct reply {
    const char *bytes;
    size_t length;
    char *buffer; // the caller's; the size of the input + STREAM_ANSWERS_MAX * ANSWER_MAX_BYTES
    unsigned answers;
};

// The input of a turn: the unfinished line of before and what was read after it.
struct input {
    const char *bytes;
    size_t length;
    size_t done; // bytes that have been dealt with
    bool ended;  // nothing follows: the client sent FIN
};

enum stream_status {
    STREAM_MORE,  // every whole line is answered; what is not done is an unfinished line
    STREAM_FACTS, // facts->known is false, and the next answer needs them: fill in, call again
    STREAM_PAUSE, // the turn is used up: call again in the next turn with what is not done
    STREAM_CLOSE, // the second overlong line in a row: end the connection after this reply
};

enum stream_status stream_answer(struct stream *stream, size_t max_line, struct input *input,
                                 const struct facts *facts, struct gate *gate, struct reply *reply);

#endif
