/* malloc, calloc and realloc that fail when they are told to, for LD_PRELOAD; no_memory.py tells them.

   Only what cmlp's modules ask for fails, and what NumPy and Python ask for to hold data in.  Their smaller objects are
   left alone, and so are other libraries: some of these do not bear it, and it is not they who are tried. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { LEAST_DATA = 1024 };

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static long seen, failing;
static int lasting;

/* The allocation of this number from now on fails, and with `last` all that follow; 0 ends it. */
void fail_allocation(long number, int last) {
    if (number) seen = 0, lasting = last;
    __atomic_store_n(&failing, number, __ATOMIC_SEQ_CST);
}

long allocations_seen(void) { return seen; }

static int is_tried(void *caller, size_t bytes) {
    Dl_info library;
    if (!dladdr(caller, &library)) return 0;
    if (strstr(library.dli_fname, "cmlp/kernels/")) return 1;
    return bytes >= LEAST_DATA && (strstr(library.dli_fname, "multiarray") || strstr(library.dli_fname, "python3"));
}

static int fails(void *caller, size_t bytes) {
    long number, first = __atomic_load_n(&failing, __ATOMIC_SEQ_CST);
    if (!first || !is_tried(caller, bytes)) return 0;
    number = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    if (number != first && !(lasting && number > first)) return 0;
    errno = ENOMEM;
    return 1;
}

#define CALLER __builtin_return_address(0)
void *malloc(size_t bytes) { return fails(CALLER, bytes) ? NULL : __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return fails(CALLER, n * bytes) ? NULL : __libc_calloc(n, bytes); }
void *realloc(void *old, size_t bytes) { return fails(CALLER, bytes) ? NULL : __libc_realloc(old, bytes); }
