# Threads that train one network together: each takes its share of the work, and they meet in between.

cdef extern from "team.h":
    ctypedef struct team_t:
        long n_threads, ready, started, stop, arrived, round
    void team_meet(team_t *team) noexcept nogil
    void team_start(team_t *team, long started) noexcept nogil
    bint team_wait_for_start(team_t *team) noexcept nogil
    bint team_is_ready(team_t *team) noexcept nogil
    long turn_of(long *turn) noexcept nogil
    void end_turn(long *turn) noexcept nogil
    bint take_turn(long *turn, long from_, long to) noexcept nogil

cdef struct share_t:
    Py_ssize_t first, end


cdef inline share_t share(Py_ssize_t rank, Py_ssize_t n_threads, Py_ssize_t n, Py_ssize_t unit) noexcept nogil:
    """What thread `rank` takes of n things, in whole units but for the last."""
    cdef Py_ssize_t units = (n + unit - 1) // unit
    return share_t(min(n, units * rank // n_threads * unit), min(n, units * (rank + 1) // n_threads * unit))
