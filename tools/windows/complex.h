/* As much of Visual Studio's <complex.h> as NumPy's headers use, which Wine's lacks. */
#pragma once
typedef struct { float _Val[2]; } _Fcomplex;
typedef struct { double _Val[2]; } _Dcomplex;
typedef struct { long double _Val[2]; } _Lcomplex;
float crealf(_Fcomplex);
float cimagf(_Fcomplex);
double creal(_Dcomplex);
double cimag(_Dcomplex);
long double creall(_Lcomplex);
long double cimagl(_Lcomplex);
