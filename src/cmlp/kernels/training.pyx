# From samples to updates: a batch of any size gathered, its gradient, an epoch of updates.


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
    constants_t constants   # of the update at hand
    sample_t sample
    batch_t batch
    block_t block
    Py_ssize_t rank         # of this thread in the team
    team_t *team

cdef enum goal_t:
    LOSS, GRADIENT, UPDATE

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

cdef int poll_for_team(trainer_t *trainer, double *work, double more) except -1 nogil:
    """The first thread polls, and all meet; if a handler has raised there, team.stop is set for the others."""
    cdef bint fine = False
    if trainer.rank > 0:
        team_meet(trainer.team)
        return 0
    try:
        poll(work, more)
        fine = True
    finally:
        trainer.team.stop = not fine
        team_meet(trainer.team)
    return 0


cdef inline share_t share_of(const trainer_t *trainer, Py_ssize_t n, Py_ssize_t unit) noexcept nogil:
    return share(trainer.rank, trainer.team.n_threads, n, unit)


cdef inline bint is_finite(double a) noexcept nogil:
    return a - a == 0

cdef inline intptr_t row_of(const intptr_t *index, Py_ssize_t i) noexcept nogil:
    return index[i] if index != NULL else i

cdef inline real weight_of(const samples_t *samples, intptr_t i) noexcept nogil:
    return samples.weights[i] if samples.weights != NULL else 1


cdef inline double alpha_in_loss(const solver_t *solver) noexcept nogil:
    """AdamW shrinks the weights on its own: its loss has no penalty."""
    return solver.alpha if solver.kind != ADAMW else 0

cdef inline double squares_of(const network_t *net, const real *theta, Py_ssize_t l, const held_t *held) noexcept nogil:
    """|W_l|^2."""
    if how_held(held, l) == TWICE:
        return sum_of_squares(net.d[l - 1] * padded(net.d[l]), held[l].twice.columns)
    elif how_held(held, l) == DEFERRED:
        return held[l].deferred.squares
    return sum_of_squares(net.d[l] * net.d[l - 1], theta + net.W[l])

cdef double penalty(const network_t *net, const real *theta, double alpha, const held_t *held) noexcept nogil:
    """alpha / 2 times the sum of the squared weights."""
    cdef Py_ssize_t l
    cdef double total = 0
    if alpha != 0:
        for l in range(1, net.L + 1):
            total += squares_of(net, theta, l, held)
    return alpha / 2 * total


cdef inline void load_sample(const network_t *net, const samples_t *samples, intptr_t i, sample_t *at) noexcept nogil:
    cdef Py_ssize_t k, C = net.d[net.L]
    at.o[0] = samples.X + i * net.d[0]
    for k from 0 <= k < C by VL:
        vec_store(at.y + k, vec_set(0) if samples.labels != NULL else load_part(samples.Y + i * C + k, C - k))
    if samples.labels != NULL:
        at.y[samples.labels[i]] = 1


cdef void load_batch(const network_t *net, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                     Py_ssize_t first, Py_ssize_t end, double batch_size, batch_t *at) noexcept nogil:
    """Samples `first` to `end` of n: X^T, X, Y^T, and scale = weight / batch size; the padding becomes 0."""
    cdef Py_ssize_t i, C = net.d[net.L]
    cdef samples_t mine = from_row(net, samples, first) if index == NULL else samples[0]
    cdef const intptr_t *order = index + first if index != NULL else NULL
    gather_rows(first, end, n, net.d[0], samples.X, index, at.rows[0])
    transpose_panels(first, end, n, net.d[0], False, at.rows[0], at.X_t)
    if samples.labels != NULL:
        memset(at.Y + first * C, 0, C * padded(end - first) * sizeof(real))
        for i in range(first, end):
            at.Y[panel_at(i, C, end) + samples.labels[row_of(index, i)] * width_at(i // PANEL * PANEL, end)] = 1
    else:
        columns_of(end - first, C, mine.Y, order, at.Y + first * C)
    for i in range(first, first + padded(end - first)):
        at.scale[i] = <real>(weight_of(samples, row_of(index, i)) / batch_size) if i < end else 0

cdef inline Py_ssize_t panel_at(Py_ssize_t i, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Where column i of a rows x n matrix in panels begins."""
    return i // PANEL * PANEL * rows + i % PANEL


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
                       double alpha, goal_t goal, double *work) except? -1 nogil:
    """The loss of a batch with its penalty; its gradient without; or one update, if the loss is finite.

    A batch is worked off in chunks.  In a team each thread takes a share of the samples as far as the deltas, then a
    share of the rows of each gradient: what it computes is the same for any number of threads.
    """
    cdef samples_t rest
    cdef const intptr_t *order
    cdef Py_ssize_t start, m, j
    cdef double loss = 0
    for start from 0 <= start < n by trainer.batch.capacity:
        m = min(n - start, trainer.batch.capacity)
        rest = samples[0] if index != NULL else from_row(trainer.net, samples, start)
        order = index + start if index != NULL else NULL
        if start == 0 and alpha != 0:
            sum_squares(trainer)
        share_of_chunk(trainer, &rest, order, m, n, goal)
        team_meet(trainer.team)
        if start == 0 and alpha != 0:
            for j in range(1, trainer.net.L + 1):
                loss += alpha / (2 * <double>n) * trainer.batch.squares[j]
        for j from 0 <= j < m by PANEL:
            loss += trainer.batch.loss[j // PANEL]
        if goal == UPDATE and not is_finite(loss):
            return loss
        if goal != LOSS:
            gradients(trainer, m, start > 0, n if goal == UPDATE and start + m == n else 0)
        poll_for_team(trainer, work, <double>m * trainer.size)
        if trainer.team.stop:
            return NAN
    return loss


cdef void sum_squares(trainer_t *trainer) noexcept nogil:
    """|W_l|^2 of this thread's layers."""
    cdef Py_ssize_t l
    for l in range(1, trainer.net.L + 1):
        if l % trainer.team.n_threads == trainer.rank:
            trainer.batch.squares[l] = squares_of(trainer.net, trainer.theta, l, NULL)


cdef void share_of_chunk(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t m,
                         Py_ssize_t n, goal_t goal) noexcept nogil:
    """This thread's samples of a chunk of m, of a batch of n: the loss and, but for LOSS, the deltas."""
    cdef const network_t *net = trainer.net
    cdef batch_t *at = &trainer.batch
    cdef share_t mine = share_of(trainer, m, PANEL)
    cdef Py_ssize_t j, end
    at.X_t = at.O[0] + (trainer.rank * at.group if at.group < at.capacity else mine.first) * net.d[0]
    for j from mine.first <= j < mine.end by at.group:
        end = min(mine.end, j + at.group)
        load_batch(net, samples, index, m, j, end, n, at)
        forward_loss_batch(net, trainer.theta, at, j, end)
        if goal != LOSS:
            deltas_and_rows(trainer, m, j, end)


cdef void deltas_and_rows(trainer_t *trainer, Py_ssize_t n, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef const network_t *net = trainer.net
    cdef batch_t *at = &trainer.batch
    cdef Py_ssize_t l
    backward_deltas(net, trainer.theta, at, first, end)
    for l in range(1, net.L):
        transpose_panels(first, end, n, net.d[l], True, at.rows[l], at.O[l] + first * net.d[l])


cdef void gradients(trainer_t *trainer, Py_ssize_t m, bint accumulate, Py_ssize_t n) noexcept nogil:
    """This thread's rows of each gradient of a chunk of m and, if n is not 0, their update for a batch of n."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef Py_ssize_t l, i
    cdef share_t mine
    cdef real eta = <real>solver.learning_rate, decay = <real>(solver.alpha / n) if n else 0
    if n:
        solver.t += 1
        trainer.constants = constants_of(solver)
    for l in range(1, net.L + 1):
        mine = share_of(trainer, net.d[l], TILE_ROWS)
        row_sums(mine.first, mine.end, net.d[l], m, trainer.batch.Delta[l], accumulate, trainer.gradient + net.b[l])
        if n and trainer.m == NULL and not accumulate:
            sgd_rows(trainer, m, l, mine, eta, eta * decay)
        else:
            for i from mine.first <= i < mine.end by ROWS_AT_ONCE:
                gradient_rows(trainer, m, l, i, min(mine.end, i + ROWS_AT_ONCE), accumulate, n, eta, decay)
        if n:
            update_run(trainer, net.b[l] + mine.first, mine.end - mine.first, eta, 0)

cdef inline void sgd_rows(trainer_t *trainer, Py_ssize_t m, Py_ssize_t l, share_t mine, real eta,
                          real shrink) noexcept nogil:
    """W <- W - eta dW - shrink W, dW never formed."""
    cdef result_t to = added_to(trainer.theta + trainer.net.W[l], trainer.net.d[l - 1], -eta, shrink)
    weight_gradient(trainer.net, &trainer.batch, m, l, mine.first, mine.end, &to)

cdef inline void gradient_rows(trainer_t *trainer, Py_ssize_t m, Py_ssize_t l, Py_ssize_t row, Py_ssize_t end,
                               bint accumulate, bint update, real eta, real decay) noexcept nogil:
    cdef Py_ssize_t d_in = trainer.net.d[l - 1], W = trainer.net.W[l]
    cdef result_t to = into(trainer.gradient + W, d_in)
    to.accumulate = accumulate
    weight_gradient(trainer.net, &trainer.batch, m, l, row, end, &to)
    if update:
        update_run(trainer, W + row * d_in, (end - row) * d_in, eta, decay)

cdef inline void update_run(trainer_t *trainer, Py_ssize_t start, Py_ssize_t n, real eta, real decay) noexcept nogil:
    cdef real *p = trainer.theta + start
    cdef real *g = trainer.gradient + start
    if trainer.m == NULL:
        plain_sgd_update(n, eta, decay, g, p)
    else:
        solver_update(&trainer.solver, &trainer.constants, n, decay, g, p, trainer.m + start, trainer.v + start)


cdef void apply_gradient(trainer_t *trainer) noexcept nogil:
    """One update of every layer from the gradient of one sample."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef Py_ssize_t l
    solver.t += 1
    trainer.constants = constants_of(solver)
    for l in range(1, net.L + 1):
        update_run(trainer, net.W[l], net.d[l] * net.d[l - 1], <real>solver.learning_rate, <real>solver.alpha)
        update_run(trainer, net.b[l], net.d[l], <real>solver.learning_rate, 0)


cdef double update_on_sample(trainer_t *trainer, const samples_t *samples, intptr_t i,
                             held_t *held) noexcept nogil:
    """One update on sample i; returns the loss before it.  A loss that is not finite updates nothing."""
    cdef const network_t *net = trainer.net
    cdef sample_t *at = &trainer.sample
    cdef solver_t *solver = &trainer.solver
    cdef double loss
    load_sample(net, samples, i, at)
    loss = forward_loss(net, trainer.theta, at, weight_of(samples, i), held)
    loss += penalty(net, trainer.theta, alpha_in_loss(solver), held)
    if not is_finite(loss):
        return loss
    if trainer.m == NULL:
        backward_sgd(net, trainer.theta, at, <real>solver.learning_rate, <real>(solver.learning_rate * solver.alpha),
                     held)
    else:
        backward_gradient(net, trainer.theta, at, trainer.gradient)
        apply_gradient(trainer)
    return loss


cdef double train_on_samples(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                             double *total) except? -1 nogil:
    """An update on each sample, in blocks where that pays; their losses are added to `total`.  Returns the last."""
    cdef block_t *block = &trainer.block
    cdef Py_ssize_t start = 0, m
    cdef double loss = 0, work = 0
    cdef samples_t rest
    while start < n and is_finite(loss):
        m = min(n - start, max(<Py_ssize_t>1, block.capacity))
        rest = from_row(trainer.net, samples, start) if index == NULL else samples[0]
        loss = train_on_block(trainer, &rest, index + start if index != NULL else NULL, m, total, &work)
        start += m
    return loss

cdef double train_on_block(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t m,
                           double *total, double *work) except? -1 nogil:
    cdef block_t *block = &trainer.block
    cdef bint holds = block.capacity > 0 and trainer.m == NULL and m >= LEAST_BLOCK
    cdef double loss = 0, shrink = trainer.solver.learning_rate * trainer.solver.alpha
    cdef Py_ssize_t j
    if holds:
        begin_block(trainer.net, trainer.theta, samples.X, index, m, trainer.solver.learning_rate, trainer.solver.alpha,
                    block)
    try:
        for j in range(m):
            loss = update_on_sample(trainer, samples, row_of(index, j), block.held if holds else NULL)
            if not is_finite(loss):
                break
            total[0] += loss
            poll(work, <double>trainer.size)
    finally:
        if holds:
            end_block(trainer.net, trainer.theta, shrink, block)
    return loss


cdef double train_epoch(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                        Py_ssize_t batch_size) except? -1 nogil:
    """An update per batch, in the order of `index`, the last batch short; returns the mean loss.

    Stops at the first loss that is not finite and returns it.
    """
    cdef double loss, total = 0, work = 0, alpha = alpha_in_loss(&trainer.solver)
    cdef Py_ssize_t start, m
    cdef samples_t rest
    if batch_size == 1:
        loss = train_on_samples(trainer, samples, index, n, &total)
        return total / n if is_finite(loss) else loss
    for start from 0 <= start < n by batch_size:
        m = min(n - start, batch_size)
        if index != NULL:
            loss = batch_pass(trainer, samples, index + start, m, alpha, UPDATE, &work)
        else:
            rest = from_row(trainer.net, samples, start)
            loss = batch_pass(trainer, &rest, NULL, m, alpha, UPDATE, &work)
        if not is_finite(loss):
            return loss
        total += loss * m
    return total / n


cdef bint predict(const network_t *net, const real *theta, const real *X, Py_ssize_t n, batch_t *at,
                  real *out) except -1 nogil:
    """out (n x C) = o_L of every row of X, if all are finite; returns whether they are."""
    cdef Py_ssize_t start, m, C = net.d[net.L]
    cdef double work = 0
    for start from 0 <= start < n by at.capacity:
        m = min(n - start, at.capacity)
        columns_of(m, net.d[0], X + start * net.d[0], NULL, at.X_t)
        if not all_finite(net.d[0] * padded(m), at.X_t):
            return False
        forward_hidden_batch(net, theta, at, 0, m)
        outputs_of(net, m, at, out + start * C)
        poll(&work, <double>m * (net.b[net.L] + C))
    return True

cdef void outputs_of(const network_t *net, Py_ssize_t n, const batch_t *at, real *out) noexcept nogil:
    cdef Py_ssize_t j, width, C = net.d[net.L]
    cdef real *O
    for j from 0 <= j < n by PANEL:
        width = width_at(j, n)
        O = at.O[net.L] + j * C
        output_panel(net.loss, C, width, at.Z[net.L] + j * C, O)
        transpose(C, min(n - j, width), O, width, NULL, out + j * C, C)
