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
    for (i = 0; i < 100000; i++) shared++;
    return 0;
}

int cmlp_uninitialised(void) {
    volatile int *number = malloc(sizeof *number);
    return *number ? 3 : 4;
}
