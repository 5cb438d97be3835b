/* Why a message was refused. The core names the fault; the binding words it as Tornado does. */
#ifndef TD_VERDICT_H
#define TD_VERDICT_H

#include "span.h"

enum td_fault {
    TD_FAULT_NONE,
    /* Of the header block (Tornado: HTTPHeaders.parse_line); subject borrowed from the parser's input. */
    TD_FAULT_FOLDED,          /* a header line starts with SP or TAB */
    TD_FAULT_NO_COLON,        /* */
    TD_FAULT_FIELD_NAME,      /* subject: the name */
    TD_FAULT_FIELD_VALUE,     /* subject: the value, stripped of SP and TAB */
    TD_FAULT_HEAD_TOO_LARGE,  /* no end of the header block within max_header_size */
    TD_FAULT_TOO_MANY_FIELDS, /* more than TD_MAX_FIELDS header lines */
    /* Of the start line (parse_request_start_line). */
    TD_FAULT_REQUEST_LINE, /* */
    TD_FAULT_VERSION,      /* subject: the version */
    /* Of the Host field (HTTPServerRequest.__init__). The subject of these and of the framing faults is the field's value in the
     * head; where the field is repeated it is empty with data NULL, and td_head_combine gives the value to print. */
    TD_FAULT_HOST_MISSING,
    TD_FAULT_HOST_INVALID,
    TD_FAULT_HOST_MANY,
    /* Of the framing (HTTP1Connection._read_body); the subject as for Host. */
    TD_FAULT_TRANSFER_ENCODING,  /* "Unsupported Transfer-Encoding" */
    TD_FAULT_BOTH_FRAMINGS,      /* Transfer-Encoding and Content-Length; no subject */
    TD_FAULT_LENGTH_NOT_INTEGER, /* subject: the value, or the first of several equal ones; never NULL */
    TD_FAULT_LENGTHS_DIFFER,
    TD_FAULT_LENGTH_TOO_LONG,
    /* Of a chunked body; no subject. */
    TD_FAULT_CHUNK_SIZE,       /* "invalid chunk size" */
    TD_FAULT_CHUNK_END,        /* "improperly terminated chunk" */
    TD_FAULT_CHUNKED_END,      /* "improperly terminated chunked request" */
    TD_FAULT_CHUNKED_TOO_LARGE /* "chunked body too large" */
};

struct td_verdict {
    enum td_fault fault;
    struct td_span subject; /* borrowed as said at each fault; empty where there is none */
};

#endif
