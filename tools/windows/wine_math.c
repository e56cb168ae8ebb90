/* What Wine's C library lacks and NumPy calls when it is imported; the rest of complex mathematics is not called.
   Its exp2 is infinite from 1023 on. */
#include <complex.h>
#include <math.h>

float wine_crealf(_Fcomplex z) { return z._Val[0]; }
float wine_cimagf(_Fcomplex z) { return z._Val[1]; }
double wine_creal(_Dcomplex z) { return z._Val[0]; }
double wine_cimag(_Dcomplex z) { return z._Val[1]; }
long double wine_creall(_Lcomplex z) { return z._Val[0]; }
long double wine_cimagl(_Lcomplex z) { return z._Val[1]; }
double wine_exp2(double x) { return pow(2, x); }
