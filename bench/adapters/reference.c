/* What a good C programmer writes in an afternoon: plain loops, -O3 -march=native -ffast-math, no intrinsics.

   REAL is float or double.  One sample: W_l is d_l x d_{l-1}, a row per unit, so that both products of a sample run along
   its rows.  A batch: the transpose, d_{l-1} x d_l, so that the products of a batch are i-k-j loops. */
#include <math.h>
#include <string.h>

typedef REAL real;
enum { RELU, SIGMOID };

static inline real exponential(real x) { return sizeof(real) == 4 ? (real)expf((float)x) : (real)exp((double)x); }
static inline real root(real x) { return sizeof(real) == 4 ? (real)sqrtf((float)x) : (real)sqrt((double)x); }

static void activate(int s, long n, real *restrict z)
{
    if (s == RELU)
        for (long i = 0; i < n; i++) z[i] = z[i] > 0 ? z[i] : 0;
    else
        for (long i = 0; i < n; i++) z[i] = 1 / (1 + exponential(-z[i]));
}

static void derive(int s, long n, const real *restrict o, real *restrict delta)
{
    if (s == RELU)
        for (long i = 0; i < n; i++) delta[i] = o[i] > 0 ? delta[i] : 0;
    else
        for (long i = 0; i < n; i++) delta[i] *= o[i] * (1 - o[i]);
}

static void softmax(long n, real *restrict z)
{
    real most = z[0], sum = 0;
    for (long i = 1; i < n; i++) most = z[i] > most ? z[i] : most;
    for (long i = 0; i < n; i++) z[i] = exponential(z[i] - most);
    for (long i = 0; i < n; i++) sum += z[i];
    for (long i = 0; i < n; i++) z[i] /= sum;
}

/* ---- one sample ------------------------------------------------------------------------------------------------- */

/* z (m) = W (m x n) x (n) + b (m) */
static void affine(long m, long n, const real *restrict W, const real *restrict b, const real *restrict x,
                   real *restrict z)
{
    for (long i = 0; i < m; i++) {
        real sum = 0;
        for (long j = 0; j < n; j++) sum += W[i * n + j] * x[j];
        z[i] = sum + b[i];
    }
}

/* below (n) = W^T (n x m) delta (m) */
static void pull(long m, long n, const real *restrict W, const real *restrict delta, real *restrict below)
{
    memset(below, 0, n * sizeof(real));
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) below[j] += W[i * n + j] * delta[i];
}

/* W -= eta delta x^T, b -= eta delta */
static void descend(long m, long n, real *restrict W, real *restrict b, const real *restrict delta,
                    const real *restrict x, real eta)
{
    for (long i = 0; i < m; i++) {
        real step = eta * delta[i];
        for (long j = 0; j < n; j++) W[i * n + j] -= step * x[j];
        b[i] -= step;
    }
}

/* Both in one pass over W. */
static void pull_and_descend(long m, long n, real *restrict W, real *restrict b, const real *restrict delta,
                             const real *restrict x, real eta, real *restrict below)
{
    memset(below, 0, n * sizeof(real));
    for (long i = 0; i < m; i++) {
        real d = delta[i], step = eta * d;
        for (long j = 0; j < n; j++) {
            real w = W[i * n + j];
            below[j] += w * d;
            W[i * n + j] = w - step * x[j];
        }
        b[i] -= step;
    }
}

/* o_1 ... o_L in `o`, one after the other. */
static void forward(long L, const long *d, const int *s, const real *theta, const real *x, real *o)
{
    for (long l = 1; l <= L; l++) {
        affine(d[l], d[l - 1], theta, theta + d[l] * d[l - 1], x, o);
        if (l < L) activate(s[l - 1], d[l], o);
        else softmax(d[l], o);
        theta += d[l] * d[l - 1] + d[l];
        x = o;
        o += d[l];
    }
}

static void learn(long L, const long *d, const int *s, real *theta, const real *x, long label, real eta, int fused,
                  real *o, real *delta)
{
    long outputs = 0;
    real *below;
    forward(L, d, s, theta, x, o);
    for (long l = 1; l <= L; l++) theta += d[l] * d[l - 1] + d[l], outputs += d[l];
    o += outputs - d[L];
    memcpy(delta, o, d[L] * sizeof(real));
    delta[label] -= 1;
    for (long l = L; l > 0; l--) {
        theta -= d[l] * d[l - 1] + d[l];
        const real *before = l > 1 ? o - d[l - 1] : x;
        real *b = theta + d[l] * d[l - 1];
        below = delta + d[l];
        if (l > 1 && fused) pull_and_descend(d[l], d[l - 1], theta, b, delta, before, eta, below);
        else {
            if (l > 1) pull(d[l], d[l - 1], theta, delta, below);
            descend(d[l], d[l - 1], theta, b, delta, before, eta);
        }
        if (l > 1) derive(s[l - 2], d[l - 1], before, below);
        delta = below;
        o -= l > 1 ? d[l - 1] : 0;
    }
}

/* An epoch of SGD with batch size 1; work holds twice the sum of the layer sizes. */
void train_samples(long L, const long *d, const int *s, real *theta, const real *X, const long *y, long n, double eta,
                   int fused, real *work)
{
    long width = 0;
    for (long l = 1; l <= L; l++) width += d[l];
    for (long i = 0; i < n; i++) learn(L, d, s, theta, X + i * d[0], y[i], (real)eta, fused, work, work + width);
}

void predict_samples(long L, const long *d, const int *s, const real *theta, const real *X, long n, real *out,
                     real *work)
{
    long width = 0;
    for (long l = 1; l <= L; l++) width += d[l];
    for (long i = 0; i < n; i++) {
        forward(L, d, s, theta, X + i * d[0], work);
        memcpy(out + i * d[L], work + width - d[L], d[L] * sizeof(real));
    }
}

/* ---- a batch: weights transposed, d_{l-1} x d_l -------------------------------------------------------------------- */

/* Z (n x m) = X (n x k) W (k x m) + b (m) */
static void affine_batch(long n, long k, long m, const real *restrict X, const real *restrict W,
                         const real *restrict b, real *restrict Z)
{
    for (long i = 0; i < n; i++) {
        real *restrict z = Z + i * m;
        for (long j = 0; j < m; j++) z[j] = b[j];
        for (long p = 0; p < k; p++)
            for (long j = 0; j < m; j++) z[j] += X[i * k + p] * W[p * m + j];
    }
}

/* below (n x k) = delta (n x m) W^T (m x k) */
static void pull_batch(long n, long k, long m, const real *restrict delta, const real *restrict W,
                       real *restrict below)
{
    for (long i = 0; i < n; i++)
        for (long p = 0; p < k; p++) {
            real sum = 0;
            for (long j = 0; j < m; j++) sum += delta[i * m + j] * W[p * m + j];
            below[i * k + p] = sum;
        }
}

/* G (k x m) = X^T (k x n) delta (n x m) */
static void gradient_batch(long n, long k, long m, const real *restrict X, const real *restrict delta,
                           real *restrict G)
{
    for (long p = 0; p < k; p++) {
        real *restrict g = G + p * m;
        for (long j = 0; j < m; j++) g[j] = 0;
        for (long i = 0; i < n; i++)
            for (long j = 0; j < m; j++) g[j] += X[i * k + p] * delta[i * m + j];
    }
}

static real *forward_batch(long L, const long *d, const int *s, const real *theta, const real *X, long n, real *o)
{
    for (long l = 1; l <= L; l++) {
        affine_batch(n, d[l - 1], d[l], X, theta, theta + d[l] * d[l - 1], o);
        if (l < L) activate(s[l - 1], n * d[l], o);
        else for (long i = 0; i < n; i++) softmax(d[l], o + i * d[l]);
        theta += d[l] * d[l - 1] + d[l];
        X = o;
        o += n * d[l];
    }
    return o;
}

/* The gradient of the mean loss, in G as the parameters are; the outputs of all layers stand in `o`, before `end`. */
static void backward_batch(long L, const long *d, const int *s, const real *theta, const real *X, const long *y, long n,
                           real *end, real *delta, real *G)
{
    real *o = end - n * d[L];
    for (long l = 1; l <= L; l++) theta += d[l] * d[l - 1] + d[l], G += d[l] * d[l - 1] + d[l];
    for (long i = 0; i < n * d[L]; i++) delta[i] = o[i] / n;
    for (long i = 0; i < n; i++) delta[i * d[L] + y[i]] -= (real)1 / n;
    for (long l = L; l > 0; l--) {
        theta -= d[l] * d[l - 1] + d[l], G -= d[l] * d[l - 1] + d[l];
        const real *before = l > 1 ? o - n * d[l - 1] : X;
        real *b = G + d[l] * d[l - 1], *below = delta + n * d[l];
        gradient_batch(n, d[l - 1], d[l], before, delta, G);
        for (long j = 0; j < d[l]; j++) b[j] = 0;
        for (long i = 0; i < n; i++)
            for (long j = 0; j < d[l]; j++) b[j] += delta[i * d[l] + j];
        if (l > 1) {
            pull_batch(n, d[l - 1], d[l], delta, theta, below);
            derive(s[l - 2], n * d[l - 1], before, below);
        }
        delta = below;
        o -= l > 1 ? n * d[l - 1] : 0;
    }
}

static void adam(long size, real *restrict p, const real *restrict g, real *restrict m, real *restrict v, double eta,
                 long t)
{
    real step = (real)(eta / (1 - pow(0.9, t))), unbias = (real)(1 / (1 - pow(0.999, t)));
    for (long i = 0; i < size; i++) {
        m[i] = (real)0.9 * m[i] + (real)0.1 * g[i];
        v[i] = (real)0.999 * v[i] + (real)0.001 * g[i] * g[i];
        p[i] -= step * m[i] / (root(v[i] * unbias) + (real)1e-8);
    }
}

/* An epoch of batches; state (2 x size) makes it Adam, NULL SGD.  Returns the number of updates made by now. */
long train_batches(long L, const long *d, const int *s, real *theta, const real *X, const long *y, long n, long batch,
                   double eta, real *gradient, real *state, long t, real *o, real *delta)
{
    long size = 0;
    for (long l = 1; l <= L; l++) size += d[l] * d[l - 1] + d[l];
    for (long i = 0; i < n; i += batch) {
        long rows = n - i < batch ? n - i : batch;
        real *end = forward_batch(L, d, s, theta, X + i * d[0], rows, o);
        backward_batch(L, d, s, theta, X + i * d[0], y + i, rows, end, delta, gradient);
        t++;
        if (state) adam(size, theta, gradient, state, state + size, eta, t);
        else for (long j = 0; j < size; j++) theta[j] -= (real)eta * gradient[j];
    }
    return t;
}

void predict_batches(long L, const long *d, const int *s, const real *theta, const real *X, long n, long batch,
                     real *out, real *o)
{
    for (long i = 0; i < n; i += batch) {
        long rows = n - i < batch ? n - i : batch;
        real *end = forward_batch(L, d, s, theta, X + i * d[0], rows, o);
        memcpy(out + i * d[L], end - rows * d[L], rows * d[L] * sizeof(real));
    }
}
