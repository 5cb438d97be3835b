/* The one result vocabulary of src/core. */
#ifndef TD_STATUS_H
#define TD_STATUS_H

enum td_status {
    TD_OK,        /* done; out-parameters are set */
    TD_AGAIN,     /* the kernel has nothing (or takes nothing) now */
    TD_EOF,       /* end: the peer closed, or the message is complete */
    TD_PARTIAL,   /* all input was taken, more is needed */
    TD_BAD,       /* the input breaks a rule; see the struct td_verdict */
    TD_TOO_LARGE, /* the input passes a limit; see the struct td_verdict */
    TD_NOMEM,     /* allocation failed, nothing changed */
    TD_SYS        /* a system call failed; errno says how */
};

#define TD_MUST_CHECK __attribute__((warn_unused_result))

#endif
