# What a network computes without changing: outputs, losses, gradients, the hand calculation.

cdef enum:
    STACK_BYTES = 8192          # a sample's workspace up to this size lives on the stack
    FEW_ROWS = 3                # are predicted one by one
    GIL_PARAMETERS = 8192       # one sample through a smaller network takes less than letting go of the GIL


cdef class Predictor:
    """A network over a block of parameters, in the precision and instruction set of this module.

    No method writes to anything of the object, so that any number of threads may call.

    Parameters
    ----------
    layer_sizes : sequence of int, (d_0, ..., d_L)
    activations : sequence of int, L - 1 codes
    loss : int, a code
    parameters : ndarray of shape (size,)
        W_1, b_1, ..., W_L, b_L; used in place.
    output : int, the code of the last layer's activation, where the loss leaves one open
    quantile : float, of that loss

    Every method takes C-contiguous arrays of the right precision and raises TypeError or ValueError for
    others; whether labels are in range and numbers finite is the caller's to check.
    """
    cdef network_t net
    cdef Py_ssize_t *numbers
    cdef readonly cnp.ndarray parameters
    cdef real *theta
    cdef Py_ssize_t size, C
    cdef size_t sample_bytes

    def __cinit__(self, layer_sizes, activations, int loss, cnp.ndarray parameters not None, int output=IDENTITY,
                  double quantile=0.5):
        cdef Py_ssize_t l, at = 0, L = len(layer_sizes) - 1
        cdef sample_t sample
        self.numbers = <Py_ssize_t *>calloc(4 * (L + 1), sizeof(Py_ssize_t))
        if self.numbers == NULL:
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
        self.net = network_t(L, loss_t(loss, output, <real>quantile), d, s, W, b)
        self.size, self.C = at, d[L]
        self.theta = reals(parameters, at, 0)
        if not cnp.PyArray_ISWRITEABLE(parameters):
            raise ValueError("parameters must be writeable")
        self.parameters = parameters
        self.sample_bytes = lay_out_sample(&self.net, &sample, False, NULL)

    def __dealloc__(self):
        free(self.numbers)

    def predict_one(self, x):
        """o_L of one sample of shape (d_0,), as an array (C,); None if x is not such an array as it stands."""
        cdef cnp.npy_intp C = self.C
        cdef object out
        if not is_as_it_stands(x, 1) or cnp.PyArray_DIM(x, 0) != self.net.d[0]:
            return None
        cdef const real *data = <const real *>cnp.PyArray_DATA(<cnp.ndarray>x)
        out = cnp.PyArray_SimpleNew(1, &C, REAL_TYPE)
        return out if self.predict_few(data, 1, <real *>cnp.PyArray_DATA(out)) else None

    cdef int run_one(self, const real *x, real *out) except -1 nogil:
        cdef char stack[STACK_BYTES + CACHE_LINE]
        cdef void *memory = NULL
        cdef void *base = <void *>((<uintptr_t>stack + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
        cdef sample_t at
        cdef uint64_t before
        if self.sample_bytes > STACK_BYTES:
            base = checked(allocate(self.sample_bytes, &memory))
        lay_out_sample(&self.net, &at, False, base)
        at.o[0] = x
        before = keep_subnormals()
        forward_hidden(&self.net, self.theta, &at, NULL, NULL)
        output_one(&self.net.loss, self.C, at.z[self.net.L], <real *>at.o[self.net.L])
        restore_control(before)
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

    def predict_sparse(self, X):
        """The same of sparse rows, as `take_inputs` says; None if dense ones are quicker."""
        cdef samples_t samples
        cdef trainer_t trainer      # for its buffers alone
        cdef void *memory = NULL
        cdef void *held = NULL
        cdef cnp.npy_intp *shape = [rows_of(X), self.C]
        cdef Py_ssize_t n = shape[0], capacity = group_of(&self.net, chunk_of(&self.net, n))
        cdef size_t bytes = lay_out_batch(&self.net, &trainer.batch, capacity, 1, False, NULL)
        cdef object out = cnp.PyArray_SimpleNew(2, shape, REAL_TYPE)
        cdef real *result = <real *>cnp.PyArray_DATA(out)
        trainer.net = NULL
        X = X[0], X[1].copy(), X[2].copy()      # the caller's may change while they are walked
        take_inputs(X, n, self.net.d[0], &samples)
        picked = None
        if len(X[1]) * PICKED_PART < self.net.d[0]:
            picked, columns = unique(X[1], return_inverse=True)
            picked, columns = picked.astype(intp), columns.astype(int32)
            samples.columns = <const int *>cnp.PyArray_DATA(<cnp.ndarray>columns)
        lay_out_batch(&self.net, &trainer.batch, capacity, 1, False, checked(allocate(bytes, &memory)))
        cdef uint64_t before = keep_subnormals()
        try:
            if not self.hold_sparse(&trainer, &samples, n, &held, picked):
                return None
            with nogil:
                predict_sparse(&self.net, self.theta, n, &trainer.sparse, &trainer.batch, before, result)
        finally:
            restore_control(before)
            free(memory)
            free(held)
        return out

    cdef bint hold_sparse(self, trainer_t *trainer, const samples_t *samples, Py_ssize_t n, void **held,
                          picked=None) except -1:
        """Whether n samples are so sparse that the first layer is better held for that, or its `picked` columns; if so,
        it is to be.
        """
        cdef arena_t arena
        cdef Py_ssize_t entries, pass_, rows = self.net.d[0] if picked is None else len(picked)
        trainer.batch.sparse = NULL
        if samples.starts == NULL:
            return False
        entries = samples.starts[n] - samples.starts[0]
        if not sparse_pays(entries, n, self.net.d[0]):
            return False
        arena = arena_t(0, 0)
        for pass_ in range(2):
            trainer.sparse.W_t = take_reals(&arena, rows, self.net.d[1])
            trainer.sparse.G_t = take_reals(&arena, self.net.d[0], self.net.d[1]) if trainer.net != NULL else NULL
            trainer.sparse.room = take_reals(&arena, trainer.batch.n_threads * PANEL, self.net.d[1])
            if pass_ == 0:
                arena = arena_t(<uintptr_t>checked(allocate(arena.used, held)), 0)
        trainer.sparse.entries, trainer.sparse.columns = samples.X, samples.columns
        trainer.sparse.starts, trainer.sparse.index = samples.starts, NULL
        trainer.sparse.picked, trainer.sparse.n_picked = NULL, rows
        if picked is not None:
            trainer.sparse.picked = <const intptr_t *>cnp.PyArray_DATA(<cnp.ndarray>picked)
        trainer.batch.sparse = &trainer.sparse
        return True

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
        cdef Py_ssize_t capacity = group_of(&self.net, chunk_of(&self.net, n))
        cdef size_t bytes = lay_out_batch(&self.net, &at, capacity, 1, False, NULL)
        cdef bint finite
        lay_out_batch(&self.net, &at, capacity, 1, False, checked(allocate(bytes, &memory)))
        cdef uint64_t before = keep_subnormals()
        try:
            with nogil:
                finite = predict(&self.net, self.theta, x, n, &at, before, out)
        finally:
            restore_control(before)
            free(memory)
        return finite

    def loss(self, X, y, weights, double alpha, bint relative=False):
        """Mean loss over the rows of X, the penalty of a batch of them included.

        X is an array (n, d_0) or sparse rows, as `take_inputs` says; with `relative` weights the mean is weighted.
        """
        return self.evaluate(X, y, weights, alpha, relative, None)

    def loss_and_gradient(self, X, y, weights, double alpha, gradient_out, bint relative=False):
        """The same, with its gradient by every parameter in `gradient_out`, an array as long as `parameters`."""
        reals(gradient_out, self.size, 0)
        return self.evaluate(X, y, weights, alpha, relative, gradient_out)

    cdef double evaluate(self, X, y, weights, double alpha, bint relative, gradient) except? -1:
        cdef samples_t samples = self.samples(X, y, weights, relative)
        cdef Py_ssize_t l, n = rows_of(X), capacity = chunk_of(&self.net, n)
        cdef trainer_t trainer
        cdef team_t alone
        cdef void *memory = NULL
        cdef void *held = NULL
        cdef size_t bytes = lay_out_batch(&self.net, &trainer.batch, capacity, 1, True, NULL)
        cdef double loss = 0, work = 0, divisor
        memset(&alone, 0, sizeof(alone))
        alone.n_threads = 1
        memset(&trainer, 0, sizeof(trainer))
        trainer.net, trainer.size, trainer.theta, trainer.team = &self.net, self.size, self.theta, &alone
        lay_out_batch(&self.net, &trainer.batch, capacity, 1, True, checked(allocate(bytes, &memory)))
        if gradient is not None:
            trainer.gradient = <real *>cnp.PyArray_DATA(gradient)
            memset(trainer.gradient, 0, self.size * sizeof(real))
        trainer.control = keep_subnormals()
        try:
            self.hold_sparse(&trainer, &samples, n, &held)
            with nogil:
                loss = batch_pass(&trainer, &samples, NULL, n, alpha, LOSS if gradient is None else GRADIENT, &work)
                divisor = divisor_of(&samples, NULL, n)
                if gradient is not None and alpha != 0 and divisor != 0:
                    for l in range(1, self.net.L + 1):
                        add_scaled(self.net.d[l] * self.net.d[l - 1], <real>(alpha / divisor),
                                   self.theta + self.net.W[l],
                                   trainer.gradient + self.net.W[l])
        finally:
            restore_control(trainer.control)
            free(memory)
            free(held)
        return loss

    cdef samples_t samples(self, X, y, weights, bint relative) except *:
        """y: an intp array (n,) of class indices, or the rows (n, C)."""
        cdef samples_t samples
        cdef Py_ssize_t n = rows_of(X)
        take_inputs(X, n, self.net.d[0], &samples)
        samples.relative = relative
        samples.weights = reals(weights, n, 0) if weights is not None else NULL
        samples.labels, samples.Y = NULL, NULL
        if cnp.PyArray_Check(y) and cnp.PyArray_TYPE(y) == cnp.NPY_INTP:
            if cnp.PyArray_NDIM(y) != 1 or cnp.PyArray_DIM(y, 0) != n or not cnp.PyArray_ISCARRAY_RO(y):
                raise ValueError(f"expected {n} class indices, got shape {y.shape}")
            samples.labels = <const intptr_t *>cnp.PyArray_DATA(<cnp.ndarray>y)
        else:
            samples.Y = reals(y, n, self.C)
        return samples

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
        lay_out_sample(&self.net, &at, False, checked(allocate(self.sample_bytes, &memory)))
        cdef uint64_t before = keep_subnormals()
        try:
            at.o[0] = data
            memcpy(at.y, row, self.C * sizeof(real))
            loss = forward_loss(&self.net, self.theta, &at, 1, NULL, NULL)
            backward_gradient(&self.net, self.theta, &at, NULL, <real *>cnp.PyArray_DATA(gradient))
            return (loss, [copied(at.o[l], self.net.d[l]) for l in range(L + 1)],
                    [copied(at.z[l], self.net.d[l]) for l in range(1, L + 1)],
                    [copied(at.delta[l], self.net.d[l]) for l in range(1, L + 1)], gradient)
        finally:
            restore_control(before)
            free(memory)


cdef void *checked(void *memory) except NULL with gil:
    if memory == NULL:
        raise MemoryError("no memory for the network's workspace")
    return memory
