/* Faults on purpose, one for each tool of tools/sanitize, which must report it. */
#include <limits.h>
#include <stdlib.h>

static volatile int shared;

int overflow(void) {
    volatile char *bytes = calloc(8, 1);
    return bytes[8 + shared];
}

int undefined(void) { return INT_MAX - shared + (shared + 1); }

int race(void) { /* from two threads */
    int i;
    for (i = 0; i < 30000000; i++) shared++; /* for so long that they meet */
    return 0;
}

int cmlp_uninitialised(void) {
    volatile int *number = malloc(sizeof *number);
    if (*number) shared++; /* a jump here, not in whoever looks at a result */
    return 0;
}
