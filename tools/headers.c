/* Our headers alone, for compilers to warn about; they have no Python in them. */
#include "cpu.h"
#include "simd.h"
#include "team.h"

/* Some functions that are compiled only when they are called. */
extern int supported(void);
extern vec exercise(vec v, real_t *p, ptrdiff_t n, team_t *team);

int supported(void) {
    const cpu_words cpu = read_cpu();
    return has_avx2(&cpu) + has_avx512(&cpu) + cpu_has_neon();
}

vec exercise(vec v, real_t *p, ptrdiff_t n, team_t *team) {
    vec exponent, rows[VL];
    const uint64_t before = flush_subnormals();
    int i;
    for (i = 0; i < VL; i++) rows[i] = vec_load_n(p, n);
    vec_transpose(rows);
    v = vec_where_gt(v, vec_sqrt(v), vec_split(v, &exponent), vec_sum_rows(rows, VL)) + vec_pow2(vec_round(exponent));
    v = vec_max(v, vec_min(vec_highest(v, n), vec_keep(vec_total(v, n), n))) * chance_of_units(1, 2);
    team_start(team, team_is_ready(team) && team_wait_for_start(team));
    if (take_turn(&team->stop, 0, 1) && turn_of(&team->stop)) end_turn(&team->stop);
    team_meet(team);
    fetch(p), fetch_to_read(p);
    vec_store(p, v), vec_store_n(p, vec_sign_of(vec_abs(v), vec_fold(v, v)), n);
    restore_control(before);
    return v;
}
