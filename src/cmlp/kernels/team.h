/* Where the threads of a team wait for each other, and whose turn it is.  A team of one never waits. */
#ifndef CMLP_TEAM_H
#define CMLP_TEAM_H

#include <stddef.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#define GIVE_WAY() SwitchToThread()
#else
#include <sched.h>
#define GIVE_WAY() sched_yield()
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)
#define ADD_ONE(p) __atomic_add_fetch(p, 1, __ATOMIC_ACQ_REL)
#define SWAP_IF(p, from, to) __atomic_compare_exchange_n(p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#else
#define LOAD(p) InterlockedCompareExchange(p, 0, 0)
#define STORE(p, value) InterlockedExchange(p, value)
#define ADD_ONE(p) InterlockedIncrement(p)
#define SWAP_IF(p, from, to) (InterlockedCompareExchange(p, to, from) == from)
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

static long turn_of(long *turn) { return LOAD(turn); }
static void end_turn(long *turn) { STORE(turn, 0); }

/* Whether it was `from`'s turn; it is `to`'s then. */
static int take_turn(long *turn, long from, long to) { return SWAP_IF(turn, from, to); }

enum { SPINS = 2000 }; /* some tens of microseconds on x86-64; longer than that and the thread gives way */

typedef struct {
    long n_threads;
    long ready;   /* helpers that have come */
    long started; /* 1 when all have, -1 if they are not needed after all */
    long stop;    /* set by one thread before a meeting, for all to see after it */
    long arrived;
    long round; /* 0 or 1, in turn: a count would outgrow the 32 bits that a long has on Windows */
} team_t;

/* Returns in every thread once all have come; what each wrote before is seen by all. */
static void team_meet(team_t *team) {
    long spins = 0, round = LOAD(&team->round);
    if (team->n_threads == 1) return;
    if (ADD_ONE(&team->arrived) == team->n_threads) {
        STORE(&team->arrived, 0);
        STORE(&team->round, 1 - round);
        return;
    }
    while (LOAD(&team->round) == round) {
        if (++spins < SPINS) PAUSE();
        else GIVE_WAY();
    }
}

static void team_start(team_t *team, long started) { STORE(&team->started, started); }

/* A helper comes; whether it starts. */
static int team_wait_for_start(team_t *team) {
    ADD_ONE(&team->ready);
    while (LOAD(&team->started) == 0) GIVE_WAY();
    return LOAD(&team->started) > 0;
}

/* Waits a while for the helpers; whether all have come. */
static int team_is_ready(team_t *team) {
    long tries;
    for (tries = 0; tries < SPINS && LOAD(&team->ready) < team->n_threads - 1; tries++) GIVE_WAY();
    return LOAD(&team->ready) == team->n_threads - 1;
}

#endif
