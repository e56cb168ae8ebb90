# From samples to updates: a batch of any size gathered, its gradient, an epoch of updates.

from libc.string cimport memset


cdef struct samples_t:      # n samples as the caller holds them, never copied whole
    const real *X           # n x d_0
    const intptr_t *labels  # n class indices, or NULL and
    const real *Y           # n x C target rows
    const real *weights     # n, or NULL for ones

cdef struct trainer_t:
    const network_t *net
    Py_ssize_t size         # of the block of parameters
    real *theta
    real *gradient
    real *m                 # the solver's state, each run as long as the block; NULL until a solver needs it
    real *v
    solver_t solver
    sample_t sample
    batch_t batch

cdef enum:
    WORK_BETWEEN_POLLS = 1 << 25    # samples x parameters, some 10 ms


cdef int poll(double *work, double more) except -1 nogil:
    """Lets a signal handler raise, every so often."""
    work[0] += more
    if work[0] > WORK_BETWEEN_POLLS:
        work[0] = 0
        with gil:
            PyErr_CheckSignals()
    return 0


cdef inline bint is_finite(double a) noexcept nogil:
    return a - a == 0

cdef inline intptr_t row_of(const intptr_t *index, Py_ssize_t i) noexcept nogil:
    return index[i] if index != NULL else i

cdef inline real weight_of(const samples_t *samples, intptr_t i) noexcept nogil:
    return samples.weights[i] if samples.weights != NULL else 1


cdef inline double alpha_in_loss(const solver_t *solver) noexcept nogil:
    """AdamW shrinks the weights on its own: its loss has no penalty."""
    return solver.alpha if solver.kind != ADAMW else 0

cdef double penalty(const network_t *net, const real *theta, double alpha, Py_ssize_t n) noexcept nogil:
    """alpha / (2 n) times the sum of the squared weights."""
    cdef Py_ssize_t l
    cdef double total = 0
    if alpha == 0:
        return 0
    for l in range(1, net.L + 1):
        total += sum_of_squares(net.d[l] * net.d[l - 1], theta + net.W[l])
    return alpha / (2 * <double>n) * total


cdef void load_sample(const network_t *net, const samples_t *samples, intptr_t i, sample_t *at) noexcept nogil:
    cdef Py_ssize_t C = net.d[net.L]
    at.o[0] = samples.X + i * net.d[0]
    if samples.labels != NULL:
        memset(at.y, 0, C * sizeof(real))
        at.y[samples.labels[i]] = 1
    else:
        memcpy(at.y, samples.Y + i * C, C * sizeof(real))


cdef void load_batch(const network_t *net, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                     double batch_size, batch_t *at) noexcept nogil:
    """X^T into O[0], Y^T, and scale = weight / batch size; the padding of all three becomes 0."""
    cdef Py_ssize_t j, C = net.d[net.L], ld = padded(n)
    transpose(n, net.d[0], samples.X, net.d[0], index, at.O[0], ld)
    if samples.labels != NULL:
        memset(at.Y, 0, C * ld * sizeof(real))
        for j in range(n):
            at.Y[samples.labels[row_of(index, j)] * ld + j] = 1
    else:
        transpose(n, C, samples.Y, C, index, at.Y, ld)
    for j in range(ld):
        at.scale[j] = <real>(weight_of(samples, row_of(index, j)) / batch_size) if j < n else 0


cdef inline samples_t from_row(const network_t *net, const samples_t *samples, Py_ssize_t start) noexcept nogil:
    """The samples from `start` on."""
    cdef samples_t rest = samples[0]
    rest.X = samples.X + start * net.d[0]
    if samples.labels != NULL:
        rest.labels = samples.labels + start
    else:
        rest.Y = samples.Y + start * net.d[net.L]
    if samples.weights != NULL:
        rest.weights = samples.weights + start
    return rest


cdef double batch_pass(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                       bint want_gradient, double *work) except? -1 nogil:
    """The loss of a batch without its penalty and, when wanted, the gradient of that; chunk by chunk."""
    cdef const network_t *net = trainer.net
    cdef samples_t rest
    cdef const intptr_t *chunk_index
    cdef Py_ssize_t start, m
    cdef double loss = 0
    for start from 0 <= start < n by trainer.batch.capacity:
        m = min(n - start, trainer.batch.capacity)
        rest = samples[0] if index != NULL else from_row(net, samples, start)
        chunk_index = index + start if index != NULL else NULL
        load_batch(net, &rest, chunk_index, m, n, &trainer.batch)
        loss += forward_loss_batch(net, trainer.theta, &trainer.batch, padded(m))
        if want_gradient:
            backward_batch(net, trainer.theta, &trainer.batch, m, rest.X, chunk_index, start > 0, trainer.gradient)
        poll(work, <double>m * trainer.size)
    return loss


cdef void apply_gradient(trainer_t *trainer, Py_ssize_t n) noexcept nogil:
    """One update of every layer from the gradient of a batch of n."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef real decay = <real>(solver.alpha / n), eta = <real>solver.learning_rate
    cdef Py_ssize_t l
    solver.t += 1
    for l in range(1, net.L + 1):
        update_run(trainer, net.W[l], net.d[l] * net.d[l - 1], eta, decay)
        update_run(trainer, net.b[l], net.d[l], eta, 0)

cdef inline void update_run(trainer_t *trainer, Py_ssize_t start, Py_ssize_t n, real eta, real decay) noexcept nogil:
    cdef real *p = trainer.theta + start
    cdef real *g = trainer.gradient + start
    if trainer.m == NULL:
        plain_sgd_update(n, eta, decay, g, p)
    else:
        solver_update(&trainer.solver, n, decay, g, p, trainer.m + start, trainer.v + start)


cdef double update_on_sample(trainer_t *trainer, const samples_t *samples, intptr_t i) noexcept nogil:
    """One update on sample i; returns the loss before it.  A loss that is not finite updates nothing."""
    cdef const network_t *net = trainer.net
    cdef sample_t *at = &trainer.sample
    cdef solver_t *solver = &trainer.solver
    cdef real eta = <real>solver.learning_rate
    cdef double loss
    load_sample(net, samples, i, at)
    loss = forward_loss(net, trainer.theta, at, weight_of(samples, i))
    loss += penalty(net, trainer.theta, alpha_in_loss(solver), 1)
    if not is_finite(loss):
        return loss
    if trainer.m == NULL:
        backward_sgd(net, trainer.theta, at, eta, <real>(solver.learning_rate * solver.alpha))
    else:
        backward_gradient(net, trainer.theta, at, trainer.gradient)
        apply_gradient(trainer, 1)
    return loss


cdef double update_on_batch(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                            double *work) except? -1 nogil:
    """One update on a batch; returns the loss before it.  A loss that is not finite updates nothing."""
    cdef double loss = batch_pass(trainer, samples, index, n, True, work)
    loss += penalty(trainer.net, trainer.theta, alpha_in_loss(&trainer.solver), n)
    if is_finite(loss):
        apply_gradient(trainer, n)
    return loss


cdef double train_epoch(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                        Py_ssize_t batch_size) except? -1 nogil:
    """An update per batch, in the order of `index`, the last batch short; returns the mean loss.

    Stops at the first loss that is not finite and returns it.
    """
    cdef double loss, total = 0, work = 0
    cdef Py_ssize_t start, m
    cdef samples_t rest
    for start from 0 <= start < n by batch_size:
        m = min(n - start, batch_size)
        if batch_size == 1:
            loss = update_on_sample(trainer, samples, row_of(index, start))
            poll(&work, <double>trainer.size)
        elif index != NULL:
            loss = update_on_batch(trainer, samples, index + start, m, &work)
        else:
            rest = from_row(trainer.net, samples, start)
            loss = update_on_batch(trainer, &rest, NULL, m, &work)
        if not is_finite(loss):
            return loss
        total += loss * m
    return total / n


cdef int predict(const network_t *net, const real *theta, const real *X, Py_ssize_t n, batch_t *at,
                 real *out) except -1 nogil:
    """out (n x C) = o_L of every row of X."""
    cdef Py_ssize_t start, m, ld, C = net.d[net.L]
    cdef double work = 0
    for start from 0 <= start < n by at.capacity:
        m = min(n - start, at.capacity)
        ld = padded(m)
        transpose(m, net.d[0], X + start * net.d[0], net.d[0], NULL, at.O[0], ld)
        forward_hidden_batch(net, theta, at, ld)
        output_batch(net.loss, C, ld, at.Z[net.L], at.O[net.L])
        transpose(C, m, at.O[net.L], ld, NULL, out + start * C, C)
        poll(&work, <double>m * (net.b[net.L] + C))
    return 0
