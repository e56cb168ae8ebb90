/* The functions of long double that Wine's <math.h> lacks; Cython's C names them and calls none. */
#include_next <math.h>
#pragma once
long double fabsl(long double);
long double sqrtl(long double);
long double powl(long double, long double);
long double atan2l(long double, long double);
long double logl(long double);
long double expl(long double);
long double cosl(long double);
long double sinl(long double);
