# exp, log, tanh and their relatives on one vector.
#
# Each is a range reduction followed by a polynomial; the coefficients minimise the largest error
# over the reduced range (tools/coefficients.py computes them).  Errors in units in the last place,
# over the whole range, as tests/test_elementary.py holds them:
#
#     exp 1, expm1 2, log 1, log1p 2, sigmoid 3, tanh 3, softplus 2; Phi 6 + z^2 / 2.
#
# NaN stays NaN; results below the normal range are rounded to subnormal numbers, not to zero.

from libc.math cimport INFINITY, NAN


cdef inline vec line(real a, real b, vec x) noexcept nogil:
    """a + b x."""
    return vec_set(a) + vec_set(b) * x


cdef inline vec expm1_reduced(vec x, vec *n_out) noexcept nogil:
    """n = round(x / ln 2), r = x - n ln 2; returns exp(r) - 1 = r + r^2 q(r), |r| <= ln(2) / 2.

    q is summed in pairs of terms (Estrin): one sample's update waits for it twice.
    """
    cdef vec n, r, r2, low, high
    if CMLP_DOUBLE:
        n = vec_round(x * vec_set(<real>1.4426950408889634074))
        r = x - n * vec_set(<real>6.93147180369123816490e-01)
        r = r - n * vec_set(<real>1.90821492927058770002e-10)
        r2 = r * r
        high = line(<real>2.7557252910754023515e-7, <real>2.5105217643219986455e-8, r)
        high = high + r2 * vec_set(<real>2.092158993563558843e-9)
        low = line(<real>1.3888888888874397696e-3, <real>1.9841269874822181623e-4, r)
        low = low + r2 * line(<real>2.4801587347341304166e-5, <real>2.7557255398480149152e-6, r)
        high = low + r2 * r2 * high
        low = line(<real>0.5, <real>1.6666666666666670991e-1, r)
        low = low + r2 * line(<real>4.1666666666666683796e-2, <real>8.3333333333261346057e-3, r)
    else:
        n = vec_round(x * vec_set(<real>1.44269504))
        r = x - n * vec_set(<real>0.693359375)
        r = r - n * vec_set(<real>-2.12194440e-4)
        r2 = r * r
        high = line(<real>1.3933652e-3, <real>1.9907587e-4, r)
        low = line(<real>0.5, <real>1.6666667e-1, r)
        low = low + r2 * line(<real>4.1666465e-2, <real>8.3332860e-3, r)
    n_out[0] = n
    return r + r2 * (low + r2 * r2 * high)


cdef inline vec exp_limited(vec x) noexcept nogil:
    """exp(x).  2^n is applied in two factors, so that n may leave the range of exponents."""
    cdef vec n, p, half = vec_round(x * vec_set(<real>0.72134752044448170368))
    cdef vec scale = vec_pow2(half)
    p = expm1_reduced(x, &n)
    return (scale + p * scale) * vec_pow2(n - half)

cdef inline vec vec_exp_below(vec x) noexcept nogil:
    """exp(x) for x <= 0: from -746, or -104, on it is 0.  A NaN passes."""
    return exp_limited(vec_max(vec_set(<real>(-746.0 if CMLP_DOUBLE else -104.0)), x))

cdef inline vec vec_exp(vec x) noexcept nogil:
    """exp(x); from 710, or 89, on it is infinite."""
    return vec_exp_below(vec_min(vec_set(<real>(710.0 if CMLP_DOUBLE else 89.0)), x))


cdef inline vec vec_expm1(vec x) noexcept nogil:
    """exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), for x <= 0 (below -40 the result is -1)."""
    cdef vec n, p, scale
    p = expm1_reduced(vec_max(vec_set(-40), x), &n)
    scale = vec_pow2(n)
    return scale * p + (scale - vec_set(1))


cdef inline vec log_reduced(vec m, vec n, vec correction) noexcept nogil:
    """ln(m 2^n) + correction, m in [sqrt(1/2), sqrt(2)); the correction is small beside the rest.

    With f = m - 1 and s = f / (2 + f): ln(m) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + s^2 R(s^2))).
    """
    cdef vec f, s, z, h, R, low, high
    f = m - vec_set(1)
    s = f / (vec_set(2) + f)
    z = s * s
    h = vec_set(<real>0.5) * f * f
    if CMLP_DOUBLE:
        R = vec_set(<real>1.4617872892356063517e-1)
        R = horner(R, z, <real>1.5331596940396160187e-1)
        R = horner(R, z, <real>1.8182893219410405838e-1)
        R = horner(R, z, <real>2.2222211072830185696e-1)
        R = horner(R, z, <real>2.8571428626399315710e-1)
        R = horner(R, z, <real>3.9999999999898444578e-1)
        R = horner(R, z, <real>6.6666666666666697291e-1)
        high = n * vec_set(<real>6.93147180369123816490e-01)
        low = n * vec_set(<real>1.90821492927058770002e-10)
    else:
        R = vec_set(<real>0.23332382886)
        R = horner(R, z, <real>0.28550737113)
        R = horner(R, z, <real>0.40000122754)
        R = horner(R, z, <real>0.66666666553)
        high = n * vec_set(<real>0.693359375)
        low = n * vec_set(<real>-2.12194440e-4)
    return high - ((h - (s * (h + z * R) + (low + correction))) - f)


cdef inline vec vec_log(vec x) noexcept nogil:
    """ln(x); -inf at 0, NaN below, subnormal x by way of a power of two."""
    cdef real lift = <real>(54.0 if CMLP_DOUBLE else 25.0)
    cdef vec tiny = vec_set(REAL_MIN)
    cdef vec n, m, y, other
    m = vec_split(vec_where_gt(tiny, x, x * vec_pow2(vec_set(lift)), x), &n)
    n = n + vec_where_gt(tiny, x, vec_set(-lift), vec_set(0))
    y = vec_where_gt(x, vec_set(REAL_MAX), x, log_reduced(m, n, vec_set(0)))
    other = vec_where_gt(vec_set(0), x, vec_set(NAN), vec_where_gt(tiny, x, vec_set(-INFINITY), x))
    return vec_where_gt(x, vec_set(0), y, other)


cdef inline vec vec_log1p(vec u) noexcept nogil:
    """ln(1 + u), 0 <= u <= 1, with what 1 + u rounds away put back to first order."""
    cdef vec n, m, y = vec_set(1) + u
    m = vec_split(y, &n)
    return log_reduced(m, n, (u - (y - vec_set(1))) / y)


cdef inline vec vec_sigmoid(vec z) noexcept nogil:
    """1 / (1 + exp(-z)), from exp(-|z|), which cannot overflow."""
    cdef vec e = vec_exp_below(-vec_abs(z))
    return vec_where_gt(vec_set(0), z, e, vec_set(1)) / (vec_set(1) + e)


cdef inline vec vec_tanh(vec z) noexcept nogil:
    """(1 - exp(-2|z|)) / (1 + exp(-2|z|)) with the sign of z."""
    cdef vec e = vec_expm1(vec_set(-2) * vec_abs(z))
    return vec_sign_of(vec_abs(e / (vec_set(2) + e)), z)


cdef inline vec vec_softplus(vec z) noexcept nogil:
    """ln(1 + exp(z)) = max(0, z) + ln(1 + exp(-|z|))."""
    return vec_max(vec_set(0), z) + vec_log1p(vec_exp_below(-vec_abs(z)))


cdef inline vec vec_phi_tail(vec a) noexcept nogil:
    """Phi(-a) = exp(-a^2 / 2) erfcx(x) / 2 with x = a / sqrt(2), for 0 <= a <= 39.

    (1 + 2 x) erfcx(x) is a polynomial in t = (x - 4) / (x + 4).
    """
    cdef vec p, t, x = a * vec_set(<real>0.70710678118654752440)
    t = (x - vec_set(4)) / (x + vec_set(4))
    if CMLP_DOUBLE:
        p = vec_set(<real>-1.7162850654978138164e-9)
        p = horner(p, t, <real>-1.3399030447283097234e-8)
        p = horner(p, t, <real>-7.8174697455877392351e-9)
        p = horner(p, t, <real>1.1457578138977107885e-7)
        p = horner(p, t, <real>6.2492117636630860314e-8)
        p = horner(p, t, <real>-8.3422320455666929147e-7)
        p = horner(p, t, <real>3.0183402165889731084e-7)
        p = horner(p, t, <real>5.7172523790195295864e-6)
        p = horner(p, t, <real>-1.1225200780718470439e-5)
        p = horner(p, t, <real>-2.4402906507096100975e-5)
        p = horner(p, t, <real>1.506224374381520964e-4)
        p = horner(p, t, <real>-1.9925557640996191254e-4)
        p = horner(p, t, <real>-7.5777339586654792094e-4)
        p = horner(p, t, <real>5.0319697673501084565e-3)
        p = horner(p, t, <real>-1.6197734049913688649e-2)
        p = horner(p, t, <real>3.7167515561312740557e-2)
        p = horner(p, t, <real>-6.6330365812417090728e-2)
        p = horner(p, t, <real>9.3732834996864680061e-2)
        p = horner(p, t, <real>-1.0103906603630877895e-1)
        p = horner(p, t, <real>6.8097054254735227183e-2)
        p = horner(p, t, <real>1.5379652102619922889e-2)
        p = horner(p, t, <real>-1.3962111684056287337e-1)
        p = horner(p, t, <real>1.2329951186255525093)
    else:
        p = vec_set(<real>6.6248776e-4)
        p = horner(p, t, <real>6.3530636e-3)
        p = horner(p, t, <real>-1.6524661e-2)
        p = horner(p, t, <real>3.6366386e-2)
        p = horner(p, t, <real>-6.6424872e-2)
        p = horner(p, t, <real>9.3893705e-2)
        p = horner(p, t, <real>-1.0100907e-1)
        p = horner(p, t, <real>6.8084442e-2)
        p = horner(p, t, <real>1.5377723e-2)
        p = horner(p, t, <real>-1.3962082e-1)
        p = horner(p, t, <real>1.2329951)
    p = p / (vec_set(1) + vec_set(2) * x)
    return vec_set(<real>0.5) * p * vec_exp(vec_set(<real>-0.5) * a * a)


cdef inline vec vec_phi(vec z) noexcept nogil:
    """Phi(z), the standard normal distribution function."""
    cdef vec tail = vec_phi_tail(vec_min(vec_set(39), vec_abs(z)))
    return vec_where_gt(z, vec_set(0), vec_set(1) - tail, tail)
