# The class that Python sees: it checks shapes, releases the GIL and calls the kernels.
import os
from threading import Thread

cimport cython
cimport numpy as cnp
from numpy import float32, int32, integer, intp, unique
from libc.stdlib cimport free
from cpython.exc cimport PyErr_CheckSignals

include "simd.pyx"
include "elementary.pyx"
include "activations.pyx"
include "losses.pyx"
include "matvec.pyx"
include "matmul.pyx"
include "solvers.pyx"
include "deferred.pyx"
include "small.pyx"
include "dropout.pyx"
include "sparse.pyx"
include "backprop.pyx"
include "workspace.pyx"
include "team.pyx"
include "samples.pyx"
include "blocks.pyx"
include "training.pyx"
include "crew.pyx"
include "arrays.pyx"
include "predictor.pyx"

cnp.import_array()


def codes():
    """The numbers by which the kernels know activations, losses and solvers."""
    return {"activation": ACTIVATION_CODES, "loss": LOSS_CODES, "solver": SOLVER_CODES}


cdef extern from "Python.h":
    ctypedef struct PyThreadState
    PyThreadState *PyThreadState_Get() noexcept
    uint64_t PyThreadState_GetID(PyThreadState *thread) noexcept

cdef long process = 1   # this process; asking the system for it would take a fifth of a step


def count_fork():
    global process
    process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=count_fork)


cdef class Engine(Predictor):
    """A network that can be trained, by one caller at a time.

    Without a GIL a caller may still read `settings` and `solver_state` while another one trains: whatever touches these
    objects does so in a critical section.
    """
    cdef trainer_t trainer
    cdef team_t alone
    cdef void *sample_memory
    cdef void *batch_memory
    cdef void *block_memory
    cdef object state, gradient
    cdef object set_to
    cdef readonly double mean_penalty   # the L2 term's part of the mean loss of the last epoch
    cdef long turn          # the process in which a thread is training: it may have been forked since; or 0
    cdef uint64_t holder    # that thread

    def __cinit__(self, *_):
        self.alone.n_threads = 1
        self.trainer.team = &self.alone
        self.trainer.net = &self.net
        self.trainer.size = self.size
        self.trainer.theta = self.theta
        self.trainer.solver.kind = -1

    def __dealloc__(self):
        free(self.sample_memory)
        free(self.batch_memory)
        free(self.block_memory)

    cdef int begin_training(self) except -1:
        """A thread that a fork has left behind in the parent process does not train here: its place is free."""
        cdef long before = turn_of(&self.turn)
        cdef uint64_t me = PyThreadState_GetID(PyThreadState_Get())
        if before != 0 and self.holder == me:
            raise RuntimeError("this network is being trained by the call under way, which a callback may not do too")
        if before == process or not take_turn(&self.turn, before, process):
            raise RuntimeError("this network is being trained by another thread: give each thread a network of its own")
        self.holder = me
        if before != 0:
            self.begin_anew()
        return 0

    cdef void end_training(self) noexcept:
        end_turn(&self.turn)

    cdef int begin_anew(self) except -1:
        """Whatever a thread has left in the middle of it.  Its buffers are given up: they may not be whole."""
        self.sample_memory = self.batch_memory = self.block_memory = NULL
        self.trainer.block.capacity = 0
        self.trainer.batch.sparse = NULL
        self.trainer.rates = NULL
        self.trainer.dropout.keep = NULL
        self.gradient = None
        with cython.critical_section(self):
            self.set_to = None
            self.drop_state()
        return 0

    def __enter__(self):
        """Every method below is for the one thread that is inside `with engine:`, or RuntimeError."""
        self.begin_training()
        return self

    def __exit__(self, *exception):
        self.end_training()

    @cython.critical_section
    cdef int need_solver(self, bint gradient) except -1:
        """The solver's state if it has one, and a gradient where one is formed."""
        cdef cnp.npy_intp *shape = [2, self.size]
        if needs_state(&self.trainer.solver) and self.trainer.m == NULL:
            self.state = cnp.PyArray_ZEROS(2, shape, REAL_TYPE, 0)
            self.trainer.m = <real *>cnp.PyArray_DATA(self.state)
            self.trainer.v = self.trainer.m + self.size
        if self.gradient is None and gradient:
            self.gradient = cnp.PyArray_SimpleNew(1, shape + 1, REAL_TYPE)
            self.trainer.gradient = <real *>cnp.PyArray_DATA(self.gradient)
        return 0

    cdef int need_sample(self) except -1:
        cdef sample_t *at = &self.trainer.sample
        cdef size_t bytes
        if self.sample_memory == NULL:
            bytes = lay_out_sample(&self.net, at, True, NULL)
            lay_out_sample(&self.net, at, True, checked(allocate(bytes, &self.sample_memory)))
        return 0

    cdef int need_block(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t k = block_capacity(&self.net, n)
        cdef block_t sized
        cdef void *base
        if k > self.trainer.block.capacity and not needs_state(&self.trainer.solver):
            free(self.block_memory)
            self.block_memory = NULL
            self.trainer.block.capacity = 0
            base = checked(allocate(lay_out_block(&self.net, &sized, k, NULL), &self.block_memory))
            lay_out_block(&self.net, &self.trainer.block, k, base)
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

    @property
    @cython.critical_section
    def settings(self):
        """What the caller of `set_solver` called it."""
        return self.set_to

    @cython.critical_section
    def set_solver(self, settings, int kind, double learning_rate, double momentum=0, bint nesterov=False,
                   double alpha=0, double beta_1=0.9, double beta_2=0.999, double epsilon=1e-8,
                   bint epsilon_outside=False, double clip_norm=0):
        """What the next updates do; `settings` is what the caller calls it.  Another solver starts without a state."""
        cdef solver_t *solver = &self.trainer.solver
        if kind != solver.kind:
            self.drop_state()
        solver[0] = solver_t(kind, learning_rate, momentum, alpha, beta_1, beta_2, epsilon, nesterov, epsilon_outside,
                             solver.t, clip_norm)
        self.set_to = settings

    @cython.critical_section
    def reset_solver(self):
        """Forgets the solver's state, as before the first update."""
        self.drop_state()

    cdef void drop_state(self):
        self.trainer.solver.t = 0
        self.trainer.m = self.trainer.v = NULL
        self.state = None

    @property
    @cython.critical_section
    def solver_state(self):
        """(updates so far, an array of shape (2, size) with the solver's two runs, or None if it has none)."""
        return self.trainer.solver.t, self.state

    @solver_state.setter
    def solver_state(self, state):
        t, runs = state
        runs = None if runs is None else runs.copy()
        with cython.critical_section(self):
            self.drop_state()
            self.trainer.solver.t = t
            if runs is not None:
                self.state = runs
                self.trainer.m = reals(runs, 2, self.size)
                self.trainer.v = self.trainer.m + self.size

    def step_one(self, x, y, settings):
        """One update on one sample; returns the loss before it.  Begins and ends the training itself.

        None, with nothing done, unless `settings` are those of `set_solver` but for the learning rate, x is a finite
        array (d_0,) of this precision and y a class index in range (under cross_entropy), a float in the loss's range
        (the target of one output) or such an array (C,) in it.
        """
        cdef samples_t samples
        cdef intptr_t label
        cdef real target
        if not is_as_it_stands(x, 1) or cnp.PyArray_DIM(x, 0) != self.net.d[0]:
            return None
        memset(&samples, 0, sizeof(samples))
        samples.X = <const real *>cnp.PyArray_DATA(<cnp.ndarray>x)
        if is_as_it_stands(y, 1):
            samples.Y = <const real *>cnp.PyArray_DATA(<cnp.ndarray>y)
            if cnp.PyArray_DIM(y, 0) != self.C or not in_range(self.net.loss.kind, self.C, samples.Y):
                return None
        elif self.net.loss.kind == CROSS_ENTROPY and (type(y) is int or isinstance(y, integer)):
            if not 0 <= y < self.C:
                return None
            label = int(y)
            samples.labels = &label
        elif self.C == 1 and self.net.loss.kind != CROSS_ENTROPY and isinstance(y, (float, float32)):
            if not number_in_range(self.net.loss.kind, y):
                return None
            target = y
            samples.Y = &target
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
            if settings == self.set_to:
                return True
            if self.set_to is None or settings[:1] != self.set_to[:1] or settings[2:] != self.set_to[2:]:
                return False
        except Exception:  # of a setting that cannot be compared, such as an array: not checked yet
            return False
        if type(settings[1]) is not float or not 0 <= settings[1] <= REAL_MAX:
            return False
        self.trainer.solver.learning_rate = settings[1]
        with cython.critical_section(self):
            self.set_to = settings
        return True

    cdef double update(self, const samples_t *samples) except? -1:
        cdef double loss
        cdef uint64_t before
        self.need_sample()
        self.need_solver(gradient=self.trainer.solver.clip_norm > 0)
        before = flush_subnormals()
        if self.size < GIL_PARAMETERS:
            loss = update_on_sample(&self.trainer, samples, 0, NULL)
        else:
            with nogil:
                loss = update_on_sample(&self.trainer, samples, 0, NULL)
        restore_control(before)
        return loss

    def step(self, X, y, weights):
        """One update on the batch X (n, d_0); returns the loss before it, and updates nothing if that is not finite."""
        return self.train(X, y, weights, False, None, rows_of(X), 1)

    def epoch(self, X, y, weights, index, Py_ssize_t batch_size, Py_ssize_t n_threads=1, bint relative=False,
              rates=None, keep=None, uint64_t seed=0):
        """An update per batch of X's rows, in the order of `index` (an intp array) or, with None, as they stand.

        X is an array (n, d_0) or sparse rows, as `take_inputs` says.  With `relative` weights the loss of a batch is
        divided by the sum of its weights, otherwise by the number of its samples.  `rates` are the learning rates of
        the updates, float64; `keep` the chances that a unit of the input and of each hidden layer stays, drawn by
        `seed`, in this precision.  The result is the same for any number of threads; batches of one sample are for one.

        Returns the mean loss over the samples of all batches but those whose relative weights are all 0.  If a loss or
        a parameter ceases to be finite the epoch ends, the result is NaN and the solver is reset; the parameters are
        the last finite ones known: those at which the loss failed or, if these are not finite themselves, those from
        before the epoch.
        """
        start = self.parameters.copy()
        cdef double loss = NAN, learning_rate = self.trainer.solver.learning_rate
        cdef Py_ssize_t n = rows_of(X) if index is None else len(index)
        try:
            if rates is not None:
                self.trainer.rates = doubles(rates, (n - 1) // max(batch_size, 1) + 1)
            if keep is not None:
                self.trainer.dropout = dropout_t(reals(keep, self.net.L, 0), seed, 0, 0)
            loss = self.train(X, y, weights, relative, index, batch_size, n_threads)
        finally:
            self.trainer.rates = NULL
            self.trainer.solver.learning_rate = learning_rate
            self.trainer.dropout.keep = NULL
            self.mean_penalty = self.trainer.penalty / max(1, n - self.trainer.skipped)
            if not all_finite(self.size, self.theta):
                self.parameters[:] = start
                loss = NAN
        if not is_finite(loss):
            self.reset_solver()
            return NAN
        return loss

    cdef double train(self, X, y, weights, bint relative, index, Py_ssize_t batch_size,
                      Py_ssize_t n_threads) except? -1:
        cdef samples_t samples = self.samples(X, y, weights, relative)
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
            n_threads = min(n_threads, most_threads(&self.net, min(n, batch_size)))
            self.need_batch(min(n, batch_size), n_threads)
        self.need_solver(gradient=batch_size > 1 or self.trainer.solver.clip_norm > 0)
        cdef void *memory = NULL
        try:
            if batch_size > 1 and not drops(&self.trainer.dropout, 0):
                self.hold_sparse(&self.trainer, &samples, rows_of(X), &memory)
            if batch_size > 1 and n_threads > 1:
                return train_with_crew(&self.trainer, &samples, order, n, batch_size, n_threads)
            with nogil:
                loss = train_epoch_fast(&self.trainer, &samples, order, n, batch_size)
        finally:
            self.trainer.batch.sparse = NULL
            free(memory)
        return loss
