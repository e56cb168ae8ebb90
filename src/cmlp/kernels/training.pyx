# From samples to updates: a batch of any size, its gradient, an epoch of updates.
from libc.math cimport fabs


cdef struct trainer_t:
    const network_t *net
    Py_ssize_t size         # of the block of parameters
    real *theta
    real *gradient
    real *m                 # the solver's state, each run as long as the block; NULL until a solver needs it
    real *v
    solver_t solver
    constants_t constants   # of the update at hand
    double penalty          # of each batch times its samples, summed over the epoch
    Py_ssize_t skipped      # samples of the epoch in batches whose weights are all 0
    const double *rates     # the learning rate of each update to come, or NULL where it stays
    dropout_t dropout
    sparse_t sparse         # of batch.sparse
    uint64_t control        # the caller's, for signal handlers
    sample_t sample
    batch_t batch
    block_t block
    Py_ssize_t rank         # of this thread in the team
    team_t *team

cdef enum goal_t:
    LOSS, GRADIENT, UPDATE

cdef enum:
    WORK_BETWEEN_POLLS = 1 << 25    # samples x parameters, some 10 ms
    NORM_RUN = 1 << 10              # squares that are summed in the kernels' precision


cdef int poll(uint64_t callers, double *work, double more) except -1 nogil:
    """Lets a signal handler raise, every so often, with the caller's control register."""
    cdef uint64_t before
    work[0] += more
    if work[0] > WORK_BETWEEN_POLLS:
        work[0] = 0
        with gil:
            before = restore_control(callers)
            try:
                PyErr_CheckSignals()
            finally:
                restore_control(before)
    return 0

cdef int poll_for_team(trainer_t *trainer, double *work, double more) except -1 nogil:
    """The first thread polls, and all meet; if a handler has raised there, team.stop is set for the others."""
    cdef bint fine = False
    if trainer.rank > 0:
        team_meet(trainer.team)
        return 0
    try:
        poll(trainer.control, work, more)
        fine = True
    finally:
        trainer.team.stop = not fine
        team_meet(trainer.team)
    return 0


cdef inline share_t share_of(const trainer_t *trainer, Py_ssize_t n, Py_ssize_t unit) noexcept nogil:
    return share(trainer.rank, trainer.team.n_threads, n, unit)


cdef inline bint is_finite(double a) noexcept nogil:
    return a - a == 0

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


cdef double batch_pass(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                       double alpha, goal_t goal, double *work) except? -1 nogil:
    """The loss of a batch with its penalty; its gradient without; or one update, if the loss is finite.

    A batch whose weights are all 0 where these are relative counts for nothing.

    A batch is worked off in chunks.  In a team each thread takes a share of the samples as far as the deltas, then a
    share of the rows of each gradient: what it computes is the same for any number of threads.
    """
    cdef samples_t rest
    cdef const intptr_t *order
    cdef Py_ssize_t start, m, j
    cdef double loss = 0, penalty = 0, divisor = divisor_of(samples, index, n)
    cdef bint clips = goal == UPDATE and trainer.solver.clip_norm > 0
    if divisor == 0:
        trainer.skipped += n
        return 0
    trainer.dropout.t = trainer.solver.t + 1
    if trainer.batch.sparse != NULL:
        hold_sparse_share(trainer)
        team_meet(trainer.team)
    for start from 0 <= start < n by trainer.batch.capacity:
        m = min(n - start, trainer.batch.capacity)
        rest = samples[0] if index != NULL else from_row(trainer.net, samples, start)
        order = index + start if index != NULL else NULL
        if start == 0 and alpha != 0:
            sum_squares(trainer)
        trainer.dropout.first = start
        trainer.sparse.index, trainer.sparse.starts = order, rest.starts
        share_of_chunk(trainer, &rest, order, m, divisor, goal)
        team_meet(trainer.team)
        if start == 0 and alpha != 0:
            for j in range(1, trainer.net.L + 1):
                penalty += alpha / (2 * divisor) * trainer.batch.squares[j]
            loss = penalty
            trainer.penalty += penalty * n
        for j from 0 <= j < m by PANEL:
            loss += trainer.batch.loss[j // PANEL]
        if goal == UPDATE and not is_finite(loss):
            return loss
        if goal != LOSS:
            gradients(trainer, m, start > 0, start + m == n, divisor if goal == UPDATE and not clips else 0)
        if clips and start + m == n:
            clipped_update(trainer, divisor)
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
                         double divisor, goal_t goal) noexcept nogil:
    """This thread's samples of a chunk of m: the loss and, but for LOSS, the deltas."""
    cdef const network_t *net = trainer.net
    cdef batch_t *at = &trainer.batch
    cdef share_t mine = share_of(trainer, m, PANEL)
    cdef Py_ssize_t j, end
    at.X_t = at.O[0] + (trainer.rank * at.group if at.group < at.capacity else mine.first) * net.d[0]
    for j from mine.first <= j < mine.end by at.group:
        end = min(mine.end, j + at.group)
        load_batch(net, samples, index, m, j, end, divisor, &trainer.dropout, at)
        forward_loss_batch(net, trainer.theta, at, j, end, &trainer.dropout)
        if goal != LOSS:
            deltas_and_rows(trainer, m, j, end)


cdef void deltas_and_rows(trainer_t *trainer, Py_ssize_t n, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef const network_t *net = trainer.net
    cdef batch_t *at = &trainer.batch
    cdef Py_ssize_t l
    backward_deltas(net, trainer.theta, at, first, end, &trainer.dropout)
    for l in range(1, net.L):
        transpose_panels(first, end, n, net.d[l], True, at.rows[l], at.O[l] + first * net.d[l])


cdef void gradients(trainer_t *trainer, Py_ssize_t m, bint accumulate, bint last, double divisor) noexcept nogil:
    """This thread's rows of each gradient of a chunk of m and, after the last if the divisor is not 0, their update."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef Py_ssize_t l, i
    cdef share_t mine
    cdef bint updates = last and divisor != 0
    cdef real eta = <real>solver.learning_rate, decay = <real>(solver.alpha / divisor) if updates else 0
    if updates:
        solver.t += 1
        trainer.constants = constants_of(solver)
    for l in range(1, net.L + 1):
        mine = share_of(trainer, net.d[l], TILE_ROWS)
        row_sums(mine.first, mine.end, net.d[l], m, trainer.batch.Delta[l], accumulate, trainer.gradient + net.b[l])
        if l == 1 and trainer.batch.sparse != NULL:
            sparse_rows(trainer, m, mine, accumulate, last, updates, eta, decay)
        elif updates and trainer.m == NULL and not accumulate:
            sgd_rows(trainer, m, l, mine, eta, eta * decay)
        else:
            for i from mine.first <= i < mine.end by ROWS_AT_ONCE:
                gradient_rows(trainer, m, l, i, min(mine.end, i + ROWS_AT_ONCE), accumulate, updates, eta, decay)
        if updates:
            update_run(trainer, net.b[l] + mine.first, mine.end - mine.first, eta, 0)

cdef void hold_sparse_share(trainer_t *trainer) noexcept nogil:
    """This thread's columns of W_1^T."""
    cdef const network_t *net = trainer.net
    cdef share_t mine = share_of(trainer, net.d[1], VL)
    hold_transposed(&trainer.sparse, net.d[0], net.d[1], mine.first, mine.end, trainer.theta + net.W[1])

cdef void sparse_rows(trainer_t *trainer, Py_ssize_t m, share_t mine, bint accumulate, bint last, bint updates,
                      real eta, real decay) noexcept nogil:
    cdef const network_t *net = trainer.net
    sparse_gradient(&trainer.sparse, net.d[0], net.d[1], m, mine.first, mine.end, trainer.batch.Delta[1], accumulate,
                    trainer.gradient + net.W[1] if last else NULL)
    if updates:
        update_run(trainer, net.W[1] + mine.first * net.d[0], (mine.end - mine.first) * net.d[0], eta, decay)

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


cdef void clipped_update(trainer_t *trainer, double divisor) noexcept nogil:
    """This thread's rows of an update from the gradient as it stands, shortened to the length it may have."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef Py_ssize_t l, W, b
    cdef share_t mine
    cdef real eta = <real>solver.learning_rate, shorter
    solver.t += 1
    trainer.constants = constants_of(solver)
    team_meet(trainer.team)
    shorter = shortening(trainer)
    team_meet(trainer.team)
    for l in range(1, net.L + 1):
        mine = share_of(trainer, net.d[l], TILE_ROWS)
        W, b = net.W[l] + mine.first * net.d[l - 1], net.b[l] + mine.first
        scale_run((mine.end - mine.first) * net.d[l - 1], shorter, trainer.gradient + W)
        scale_run(mine.end - mine.first, shorter, trainer.gradient + b)
        update_run(trainer, W, (mine.end - mine.first) * net.d[l - 1], eta, <real>(solver.alpha / divisor))
        update_run(trainer, b, mine.end - mine.first, eta, 0)

cdef real shortening(const trainer_t *trainer) noexcept nogil:
    """min(1, clip_norm / |gradient|); the penalty's share is not in the gradient."""
    cdef Py_ssize_t i, n = trainer.size
    cdef double total = 0, largest = 1
    for i from 0 <= i < n by NORM_RUN:
        total += sum_of_squares(min(n - i, <Py_ssize_t>NORM_RUN), trainer.gradient + i)
    if not is_finite(total):    # the squares are not: in parts of the largest
        for i in range(n):
            largest = max(largest, fabs(<double>trainer.gradient[i]))
        total = 0
        for i in range(n):
            total += (trainer.gradient[i] / largest) ** 2
    return <real>min(1.0, trainer.solver.clip_norm / largest / max(sqrt(total), <double>REAL_MIN))

cdef inline void scale_run(Py_ssize_t n, real factor, real *a) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < n by VL:
        store_part(a + i, vec_set(factor) * load_part(a + i, n - i), n - i)


cdef void clipped_update_on_sample(trainer_t *trainer, double alpha) noexcept nogil:
    """One update of every layer from the gradient of one sample, shortened to the length it may have."""
    cdef const network_t *net = trainer.net
    cdef solver_t *solver = &trainer.solver
    cdef Py_ssize_t l
    backward_gradient(net, trainer.theta, &trainer.sample, &trainer.dropout, trainer.gradient)
    scale_run(trainer.size, shortening(trainer), trainer.gradient)
    for l in range(1, net.L + 1):
        update_run(trainer, net.W[l], net.d[l] * net.d[l - 1], <real>solver.learning_rate, <real>alpha)
        update_run(trainer, net.b[l], net.d[l], <real>solver.learning_rate, 0)


cdef double update_on_sample(trainer_t *trainer, const samples_t *samples, intptr_t i,
                             held_t *held) noexcept nogil:
    """One update on sample i; returns the loss before it.  A loss that is not finite updates nothing."""
    cdef const network_t *net = trainer.net
    cdef sample_t *at = &trainer.sample
    cdef solver_t *solver = &trainer.solver
    cdef double loss, shrinks, weight = weight_of(samples, i), alpha = solver.alpha, eta = solver.learning_rate
    if is_relative(samples):
        if weight == 0:
            trainer.skipped += 1
            return 0
        alpha, weight = alpha / weight, 1
    solver.t += 1
    trainer.dropout.t, trainer.dropout.first = solver.t, 0
    load_sample(net, samples, i, &trainer.dropout, at)
    loss = forward_loss(net, trainer.theta, at, <real>weight, held, &trainer.dropout)
    if solver.kind != ADAMW:
        shrinks = penalty(net, trainer.theta, alpha, held)
        loss += shrinks
        trainer.penalty += shrinks
    if not is_finite(loss):
        solver.t -= 1
        return loss
    trainer.constants = constants_of(solver)
    if solver.clip_norm > 0:
        clipped_update_on_sample(trainer, alpha)
    elif trainer.m == NULL:
        backward_sgd(net, trainer.theta, at, <real>eta, <real>(eta * alpha), held, &trainer.dropout)
    else:
        backward_update(net, trainer.theta, at, solver, &trainer.constants, <real>alpha, trainer.m, trainer.v,
                        &trainer.dropout)
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

cdef bint can_hold(const trainer_t *trainer, const samples_t *samples, const intptr_t *index,
                   Py_ssize_t m) noexcept nogil:
    """Whether all m updates are plain SGD and shrink the weights alike, none of them left out."""
    cdef Py_ssize_t j
    if trainer.m != NULL or trainer.solver.clip_norm > 0 or trainer.dropout.keep != NULL:
        return False
    if trainer.solver.alpha != 0 and (is_relative(samples) or trainer.rates != NULL):
        return False
    if is_relative(samples):
        for j in range(m):
            if samples.weights[row_of(index, j)] == 0:
                return False
    return True

cdef inline void take_rate(trainer_t *trainer) noexcept nogil:
    """The learning rate of the next update."""
    if trainer.rates != NULL:
        trainer.solver.learning_rate = trainer.rates[0]
        trainer.rates += 1

cdef double train_on_block(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t m,
                           double *total, double *work) except? -1 nogil:
    cdef block_t *block = &trainer.block
    cdef double loss = 0, shrink = trainer.solver.learning_rate * trainer.solver.alpha
    cdef bint holds = block.capacity > 0 and m >= LEAST_BLOCK and can_hold(trainer, samples, index, m)
    cdef Py_ssize_t j
    if holds:
        begin_block(trainer.net, trainer.theta, samples, index, m, trainer.solver.learning_rate, trainer.solver.alpha,
                    block)
    try:
        for j in range(m):
            take_rate(trainer)
            loss = update_on_sample(trainer, samples, row_of(index, j), block.held if holds else NULL)
            if not is_finite(loss):
                break
            total[0] += loss
            poll(trainer.control, work, <double>trainer.size)
    finally:
        if holds:
            end_block(trainer.net, trainer.theta, shrink, block)
    return loss


cdef double train_epoch(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                        Py_ssize_t batch_size) except? -1 nogil:
    """An update per batch, in the order of `index`, the last batch short; returns the mean loss over the samples of all
    batches that count.

    Stops at the first loss that is not finite and returns it.
    """
    cdef double loss, total = 0, work = 0, alpha = alpha_in_loss(&trainer.solver)
    cdef Py_ssize_t start, m
    cdef samples_t rest
    trainer.penalty = 0
    trainer.skipped = 0
    if batch_size == 1:
        loss = train_on_samples(trainer, samples, index, n, &total)
        return total / max(1, n - trainer.skipped) if is_finite(loss) else loss
    for start from 0 <= start < n by batch_size:
        m = min(n - start, batch_size)
        take_rate(trainer)
        if index != NULL:
            loss = batch_pass(trainer, samples, index + start, m, alpha, UPDATE, &work)
        else:
            rest = from_row(trainer.net, samples, start)
            loss = batch_pass(trainer, &rest, NULL, m, alpha, UPDATE, &work)
        if not is_finite(loss):
            return loss
        total += loss * m
    return total / max(1, n - trainer.skipped)


cdef double train_epoch_fast(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                             Py_ssize_t batch_size) except? -1 nogil:
    """train_epoch without subnormal numbers on this thread."""
    trainer.control = flush_subnormals()
    try:
        return train_epoch(trainer, samples, index, n, batch_size)
    finally:
        restore_control(trainer.control)


cdef int predict_sparse(const network_t *net, const real *theta, Py_ssize_t n, sparse_t *sparse, batch_t *at,
                        uint64_t callers, real *out) except -1 nogil:
    """out (n x C) = o_L of every sparse row."""
    cdef Py_ssize_t start, m
    cdef double work = 0
    if sparse.picked != NULL:
        hold_picked(sparse, net.d[0], net.d[1], theta + net.W[1])
    else:
        hold_transposed(sparse, net.d[0], net.d[1], 0, net.d[1], theta + net.W[1])
    at.sparse = sparse
    for start from 0 <= start < n by at.capacity:
        m = min(n - start, at.capacity)
        forward_hidden_batch(net, theta, at, 0, m, NULL)
        outputs_of(net, m, at, out + start * net.d[net.L])
        sparse.starts += m
        poll(callers, &work, <double>m * (net.b[net.L] + net.d[net.L]))
    return 0

cdef bint predict(const network_t *net, const real *theta, const real *X, Py_ssize_t n, batch_t *at, uint64_t callers,
                  real *out) except -1 nogil:
    """out (n x C) = o_L of every row of X, if all are finite; returns whether they are."""
    cdef Py_ssize_t start, m, C = net.d[net.L]
    cdef double work = 0
    for start from 0 <= start < n by at.capacity:
        m = min(n - start, at.capacity)
        columns_of(m, net.d[0], X + start * net.d[0], NULL, at.X_t)
        if not all_finite(net.d[0] * padded(m), at.X_t):
            return False
        forward_hidden_batch(net, theta, at, 0, m, NULL)
        outputs_of(net, m, at, out + start * C)
        poll(callers, &work, <double>m * (net.b[net.L] + C))
    return True

cdef void outputs_of(const network_t *net, Py_ssize_t n, const batch_t *at, real *out) noexcept nogil:
    cdef Py_ssize_t j, width, C = net.d[net.L]
    cdef real *O
    for j from 0 <= j < n by PANEL:
        width = width_at(j, n)
        O = at.O[net.L] + j * C
        output_panel(&net.loss, C, width, at.Z[net.L] + j * C, O)
        transpose(C, min(n - j, width), O, width, NULL, out + j * C, C)
