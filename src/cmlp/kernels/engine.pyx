# The one class that Python sees: it checks shapes, releases the GIL and calls the kernels.
cimport numpy as cnp
from threading import Thread

from numpy import integer
from libc.stdlib cimport free
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_type_lock,
)

include "simd.pyx"
include "elementary.pyx"
include "activations.pyx"
include "losses.pyx"
include "matvec.pyx"
include "matmul.pyx"
include "solvers.pyx"
include "deferred.pyx"
include "small.pyx"
include "backprop.pyx"
include "workspace.pyx"
include "team.pyx"
include "blocks.pyx"
include "training.pyx"
include "crew.pyx"
include "arrays.pyx"

cnp.import_array()

cdef enum:
    STACK_BYTES = 8192          # a sample's workspace up to this size lives on the stack
    FEW_ROWS = 3                # are predicted one by one
    GIL_PARAMETERS = 4096       # one sample through a smaller network takes less than letting go of the GIL


def codes():
    """The numbers by which the kernels know activations, losses and solvers."""
    return {"activation": ACTIVATION_CODES, "loss": LOSS_CODES, "solver": SOLVER_CODES}


cdef class Engine:
    """A network over a block of parameters, in the precision and instruction set of this module.

    Parameters
    ----------
    layer_sizes : sequence of int, (d_0, ..., d_L)
    activations : sequence of int, L - 1 codes
    loss : int, a code
    parameters : ndarray of shape (size,)
        W_1, b_1, ..., W_L, b_L; used in place.

    Every method takes C-contiguous arrays of the right precision and raises TypeError or ValueError for
    others; whether labels are in range and numbers finite is the caller's to check.
    """
    cdef network_t net
    cdef trainer_t trainer
    cdef team_t alone
    cdef Py_ssize_t *numbers
    cdef void *sample_memory
    cdef void *batch_memory
    cdef void *block_memory
    cdef readonly cnp.ndarray parameters
    cdef object state, gradient
    cdef readonly object settings
    cdef real *theta
    cdef Py_ssize_t size, C
    cdef size_t sample_bytes
    cdef PyThread_type_lock lock

    def __cinit__(self, layer_sizes, activations, int loss, cnp.ndarray parameters not None):
        cdef Py_ssize_t l, at = 0, L = len(layer_sizes) - 1
        self.lock = PyThread_allocate_lock()
        self.numbers = <Py_ssize_t *>calloc(4 * (L + 1), sizeof(Py_ssize_t))
        if self.numbers == NULL or self.lock == NULL:
            raise MemoryError
        cdef Py_ssize_t *d = self.numbers
        cdef Py_ssize_t *W = d + L + 1
        cdef Py_ssize_t *b = W + L + 1
        cdef int *s = <int *>(b + L + 1)
        d[0] = layer_sizes[0]
        for l in range(1, L + 1):
            d[l] = layer_sizes[l]
            s[l] = activations[l - 1] if l < L else IDENTITY
            W[l] = at
            b[l] = at + d[l] * d[l - 1]
            at = b[l] + d[l]
        self.net = network_t(L, loss, d, s, W, b)
        self.size, self.C = at, d[L]
        self.theta = reals(parameters, at, 0)
        if not cnp.PyArray_ISWRITEABLE(parameters):
            raise ValueError("parameters must be writeable")
        self.parameters = parameters
        self.alone.n_threads = 1
        self.trainer.team = &self.alone
        self.trainer.net = &self.net
        self.trainer.size = at
        self.trainer.theta = self.theta
        self.trainer.solver.kind = -1
        self.sample_bytes = lay_out_sample(&self.net, &self.trainer.sample, NULL)

    def __dealloc__(self):
        free(self.numbers)
        free(self.sample_memory)
        free(self.batch_memory)
        free(self.block_memory)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    # ---- inference: no state of the engine is written, so any number of threads may call ----------

    def predict_one(self, x):
        """o_L of one sample of shape (d_0,), as an array (C,); None if x is not such an array as it stands."""
        cdef cnp.npy_intp C = self.C
        cdef object out
        if not is_as_it_stands(x, 1) or cnp.PyArray_DIM(x, 0) != self.net.d[0]:
            return None
        cdef const real *data = <const real *>cnp.PyArray_DATA(<cnp.ndarray>x)
        if not all_finite(self.net.d[0], data):
            return None
        out = cnp.PyArray_SimpleNew(1, &C, REAL_TYPE)
        cdef real *result = <real *>cnp.PyArray_DATA(out)
        if self.size < GIL_PARAMETERS:
            self.run_one(data, result)
        else:
            with nogil:
                self.run_one(data, result)
        return out

    cdef int run_one(self, const real *x, real *out) except -1 nogil:
        cdef char stack[STACK_BYTES + CACHE_LINE]
        cdef void *memory = NULL
        cdef void *base = <void *>((<uintptr_t>stack + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
        cdef sample_t at
        if self.sample_bytes > STACK_BYTES:
            base = checked(allocate(self.sample_bytes, &memory))
        lay_out_sample(&self.net, &at, base)
        at.o[0] = x
        forward_hidden(&self.net, self.theta, &at, NULL)
        output_one(self.net.loss, self.C, at.z[self.net.L], <real *>at.o[self.net.L])
        memcpy(out, at.o[self.net.L], self.C * sizeof(real))
        free(memory)
        return 0

    def predict(self, X):
        """o_L of every row of X, as an array (n, C); None if X is not a finite array (n, d_0) as it stands."""
        if not is_as_it_stands(X, 2) or cnp.PyArray_DIM(X, 1) != self.net.d[0] or cnp.PyArray_DIM(X, 0) == 0:
            return None
        cdef cnp.npy_intp *shape = [cnp.PyArray_DIM(X, 0), self.C]
        cdef const real *x = <const real *>cnp.PyArray_DATA(<cnp.ndarray>X)
        cdef object out = cnp.PyArray_SimpleNew(2, shape, REAL_TYPE)
        cdef real *result = <real *>cnp.PyArray_DATA(out)
        cdef bint finite
        if shape[0] <= FEW_ROWS:
            finite = self.predict_few(x, shape[0], result)
        else:
            finite = self.predict_many(x, shape[0], result)
        return out if finite else None

    cdef bint predict_few(self, const real *x, Py_ssize_t n, real *out) except -1:
        cdef Py_ssize_t i
        if not all_finite(n * self.net.d[0], x):
            return False
        for i in range(n):
            if self.size < GIL_PARAMETERS:
                self.run_one(x + i * self.net.d[0], out + i * self.C)
            else:
                with nogil:
                    self.run_one(x + i * self.net.d[0], out + i * self.C)
        return True

    cdef bint predict_many(self, const real *x, Py_ssize_t n, real *out) except -1:
        cdef batch_t at
        cdef void *memory = NULL
        cdef Py_ssize_t capacity = chunk_of(&self.net, n)
        cdef size_t bytes = lay_out_batch(&self.net, &at, capacity, 1, False, NULL)
        cdef bint finite
        lay_out_batch(&self.net, &at, capacity, 1, False, checked(allocate(bytes, &memory)))
        try:
            with nogil:
                finite = predict(&self.net, self.theta, x, n, &at, out)
        finally:
            free(memory)
        return finite

    def loss(self, X, y, weights, double alpha):
        """Mean loss over the rows of X, the penalty of a batch of them included."""
        return self.evaluate(X, y, weights, alpha, None)

    def loss_and_gradient(self, X, y, weights, double alpha, gradient_out):
        """The same, with its gradient by every parameter in `gradient_out`, an array as long as `parameters`."""
        reals(gradient_out, self.size, 0)
        return self.evaluate(X, y, weights, alpha, gradient_out)

    cdef double evaluate(self, X, y, weights, double alpha, gradient) except? -1:
        cdef samples_t samples = self.samples(X, y, weights)
        cdef Py_ssize_t l, n = rows_of(X), capacity = chunk_of(&self.net, n)
        cdef trainer_t trainer = self.trainer
        cdef void *memory = NULL
        cdef size_t bytes = lay_out_batch(&self.net, &trainer.batch, capacity, 1, True, NULL)
        cdef double loss, work = 0
        lay_out_batch(&self.net, &trainer.batch, capacity, 1, True, checked(allocate(bytes, &memory)))
        if gradient is not None:
            trainer.gradient = <real *>cnp.PyArray_DATA(gradient)
        try:
            with nogil:
                loss = batch_pass(&trainer, &samples, NULL, n, alpha, LOSS if gradient is None else GRADIENT, &work)
                if gradient is not None and alpha != 0:
                    for l in range(1, self.net.L + 1):
                        add_scaled(self.net.d[l] * self.net.d[l - 1], <real>(alpha / n), self.theta + self.net.W[l],
                                   trainer.gradient + self.net.W[l])
        finally:
            free(memory)
        return loss

    cdef samples_t samples(self, X, y, weights) except *:
        """y: an intp array (n,) of class indices, or the rows (n, C)."""
        cdef samples_t samples
        cdef Py_ssize_t n = rows_of(X)
        samples.X = reals(X, n, self.net.d[0])
        samples.weights = reals(weights, n, 0) if weights is not None else NULL
        samples.labels, samples.Y = NULL, NULL
        if cnp.PyArray_Check(y) and cnp.PyArray_TYPE(y) == cnp.NPY_INTP:
            if cnp.PyArray_NDIM(y) != 1 or cnp.PyArray_DIM(y, 0) != n or not cnp.PyArray_ISCARRAY_RO(y):
                raise ValueError(f"expected {n} class indices, got shape {y.shape}")
            samples.labels = <const intptr_t *>cnp.PyArray_DATA(<cnp.ndarray>y)
        else:
            samples.Y = reals(y, n, self.C)
        return samples

    # ---- training: one caller at a time -----------------------------------------------------------

    cdef int begin_training(self) except -1:
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            raise RuntimeError("this network is being trained by another thread: give each thread a network of its own")
        return 0

    cdef void end_training(self) noexcept:
        PyThread_release_lock(self.lock)

    def __enter__(self):
        """Every method below is for the one thread that is inside `with engine:`, or RuntimeError."""
        self.begin_training()
        return self

    def __exit__(self, *exception):
        self.end_training()

    cdef int need_solver(self, bint gradient) except -1:
        """The solver's state if it has one, and a gradient where one is formed."""
        cdef cnp.npy_intp *shape = [2, self.size]
        if needs_state(&self.trainer.solver) and self.trainer.m == NULL:
            self.state = cnp.PyArray_ZEROS(2, shape, REAL_TYPE, 0)
            self.trainer.m = <real *>cnp.PyArray_DATA(self.state)
            self.trainer.v = self.trainer.m + self.size
        if self.gradient is None and (gradient or self.trainer.m != NULL):
            self.gradient = cnp.PyArray_SimpleNew(1, shape + 1, REAL_TYPE)
            self.trainer.gradient = <real *>cnp.PyArray_DATA(self.gradient)
        return 0

    cdef int need_sample(self) except -1:
        if self.sample_memory == NULL:
            lay_out_sample(&self.net, &self.trainer.sample, checked(allocate(self.sample_bytes, &self.sample_memory)))
        return 0

    cdef int need_block(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t k = block_capacity(&self.net, n)
        if k > self.trainer.block.capacity and not needs_state(&self.trainer.solver):
            free(self.block_memory)
            self.block_memory = NULL
            self.trainer.block.capacity = 0
            lay_out_block(&self.net, &self.trainer.block, k, checked(
                allocate(lay_out_block(&self.net, &self.trainer.block, k, NULL), &self.block_memory)))
        return 0

    cdef int need_batch(self, Py_ssize_t n, Py_ssize_t n_threads) except -1:
        cdef Py_ssize_t capacity = chunk_of(&self.net, n)
        cdef batch_t *at = &self.trainer.batch
        cdef size_t bytes
        if self.batch_memory == NULL or at.capacity < capacity or at.n_threads < n_threads:
            free(self.batch_memory)
            self.batch_memory = NULL
            bytes = lay_out_batch(&self.net, at, capacity, n_threads, True, NULL)
            lay_out_batch(&self.net, at, capacity, n_threads, True, checked(allocate(bytes, &self.batch_memory)))
        return 0

    def set_solver(self, settings, int kind, double learning_rate, double momentum=0, bint nesterov=False,
                   double alpha=0, double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8,
                   bint epsilon_outside=False):
        """What the next updates do; `settings` is what the caller calls it.  Another solver starts without a state."""
        cdef solver_t *solver = &self.trainer.solver
        if kind != solver.kind:
            self.reset_solver()
        solver[0] = solver_t(kind, learning_rate, momentum, alpha, beta_1, beta_2, epsilon, nesterov, epsilon_outside,
                             solver.t)
        self.settings = settings

    def reset_solver(self):
        """Forgets the solver's state, as before the first update."""
        self.trainer.solver.t = 0
        self.trainer.m = self.trainer.v = NULL
        self.state = None

    @property
    def solver_state(self):
        """(updates so far, an array of shape (2, size) with the solver's two runs, or None if it has none)."""
        return self.trainer.solver.t, self.state

    @solver_state.setter
    def solver_state(self, state):
        t, runs = state
        self.reset_solver()
        self.trainer.solver.t = t
        if runs is not None:
            self.state = runs.copy()
            self.trainer.m = reals(self.state, 2, self.size)
            self.trainer.v = self.trainer.m + self.size

    def step_one(self, x, y, settings):
        """One update on one sample; returns the loss before it.  Begins and ends the training itself.

        None, with nothing done, unless `settings` are those of `set_solver` but for the learning rate, x is a finite
        array (d_0,) of this precision and y a class index in range (under cross_entropy) or such an array (C,) in the
        loss's range.
        """
        cdef samples_t samples
        cdef intptr_t label
        if not is_as_it_stands(x, 1) or cnp.PyArray_DIM(x, 0) != self.net.d[0]:
            return None
        samples.X = <const real *>cnp.PyArray_DATA(<cnp.ndarray>x)
        samples.weights, samples.labels, samples.Y = NULL, NULL, NULL
        if is_as_it_stands(y, 1):
            samples.Y = <const real *>cnp.PyArray_DATA(<cnp.ndarray>y)
            if cnp.PyArray_DIM(y, 0) != self.C or not in_range(self.net.loss, self.C, samples.Y):
                return None
        elif self.net.loss == CROSS_ENTROPY and (type(y) is int or isinstance(y, integer)):
            if not 0 <= y < self.C:
                return None
            label = int(y)
            samples.labels = &label
        else:
            return None
        if not all_finite(self.net.d[0], samples.X):
            return None
        self.begin_training()
        try:
            return self.update(&samples) if self.is_set_to(settings) else None
        finally:
            self.end_training()

    cdef bint is_set_to(self, settings):
        """Whether the solver is set so; a new learning rate (second of the settings) is taken over on the way."""
        try:
            if settings == self.settings:
                return True
            if self.settings is None or settings[:1] != self.settings[:1] or settings[2:] != self.settings[2:]:
                return False
        except Exception:  # of a setting that cannot be compared, such as an array: not checked yet
            return False
        if type(settings[1]) is not float or not 0 <= settings[1] <= REAL_MAX:
            return False
        self.trainer.solver.learning_rate = settings[1]
        self.settings = settings
        return True

    cdef double update(self, const samples_t *samples) except? -1:
        cdef double loss
        self.need_sample()
        self.need_solver(gradient=False)
        if self.size < GIL_PARAMETERS:
            loss = update_on_sample(&self.trainer, samples, 0, NULL)
        else:
            with nogil:
                loss = update_on_sample(&self.trainer, samples, 0, NULL)
        return loss

    def step(self, X, y, weights):
        """One update on the batch X (n, d_0); returns the loss before it, and updates nothing if that is not finite."""
        return self.train(X, y, weights, None, rows_of(X), 1)

    def epoch(self, X, y, weights, index, Py_ssize_t batch_size, Py_ssize_t n_threads=1):
        """An update per batch of X's rows, in the order of `index` (an intp array) or, with None, as they stand.

        The result is the same for any number of threads; batches of one sample are for one.

        Returns the mean loss.  If a loss or a parameter ceases to be finite the epoch ends, the result is NaN and
        the solver is reset; the parameters are the last finite ones known: those at which the loss failed or,
        if these are not finite themselves, those from before the epoch.
        """
        start = self.parameters.copy()
        cdef double loss = NAN
        try:
            loss = self.train(X, y, weights, index, batch_size, n_threads)
        finally:
            if not all_finite(self.size, self.theta):
                self.parameters[:] = start
                loss = NAN
        if not is_finite(loss):
            self.reset_solver()
            return NAN
        return loss

    cdef double train(self, X, y, weights, index, Py_ssize_t batch_size, Py_ssize_t n_threads) except? -1:
        cdef samples_t samples = self.samples(X, y, weights)
        cdef Py_ssize_t n = rows_of(X)
        cdef const intptr_t *order = index_data(index, n) if index is not None else NULL
        cdef double loss
        if index is not None:
            n = cnp.PyArray_DIM(index, 0)
        if n < 1 or batch_size < 1:
            raise ValueError(f"expected samples and a batch size, got {n} samples in batches of {batch_size}")
        if self.trainer.solver.kind < 0:
            raise ValueError("set_solver comes first")
        if batch_size == 1:
            self.need_sample()
            self.need_block(n)
        else:
            self.need_batch(min(n, batch_size), n_threads)
        self.need_solver(gradient=batch_size > 1)
        if batch_size > 1 and n_threads > 1:
            return train_with_crew(&self.trainer, &samples, order, n, batch_size, n_threads)
        with nogil:
            loss = train_epoch(&self.trainer, &samples, order, n, batch_size)
        return loss

    # ---- the hand calculation ---------------------------------------------------------------------

    def trace(self, x, y):
        """One sample forward and backward: loss, [o_0, ..., o_L], [z_1, ...], [delta_1, ...], flat gradient.

        x of shape (d_0,), y of shape (C,) as a target row.
        """
        cdef cnp.npy_intp size = self.size
        cdef sample_t at
        cdef void *memory = NULL
        cdef Py_ssize_t l, L = self.net.L
        cdef double loss
        cdef const real *row = reals(y, self.C, 0)
        cdef const real *data = reals(x, self.net.d[0], 0)
        gradient = cnp.PyArray_SimpleNew(1, &size, REAL_TYPE)
        lay_out_sample(&self.net, &at, checked(allocate(self.sample_bytes, &memory)))
        try:
            at.o[0] = data
            memcpy(at.y, row, self.C * sizeof(real))
            loss = forward_loss(&self.net, self.theta, &at, 1, NULL)
            backward_gradient(&self.net, self.theta, &at, <real *>cnp.PyArray_DATA(gradient))
            return (loss, [copied(at.o[l], self.net.d[l]) for l in range(L + 1)],
                    [copied(at.z[l], self.net.d[l]) for l in range(1, L + 1)],
                    [copied(at.delta[l], self.net.d[l]) for l in range(1, L + 1)], gradient)
        finally:
            free(memory)


cdef void *checked(void *memory) except NULL with gil:
    if memory == NULL:
        raise MemoryError("no memory for the network's workspace")
    return memory
