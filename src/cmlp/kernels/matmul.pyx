# Matrix-matrix products, and the panels that feed them.
#
# Inside a batch a sample is a column: Z = W O + b, Delta = W^T Delta' and the activations run over whole vectors of
# samples, and softmax needs no sum across lanes.  Such a matrix is held in panels: PANEL columns at a time, each panel
# a contiguous block of rows of PANEL numbers, the last one as wide as it needs to be, in whole vectors.  So a
# product reads its right operand from end to end, whatever the sizes.
#
# Each product is C = A B, where B is in panels and A is read one number at a time: from rows, from columns, or from
# panels.  A block of C of TILE_ROWS rows and one panel's width stays in registers.

from libc.stdint cimport intptr_t

cdef enum:
    PANEL = TILE_VECS * VL
    DEPTH = 1024                            # at most so many columns of A at a time,
    ROOM = (1 << 18) // (4 + 4 * CMLP_DOUBLE)    # and so many numbers: they stay in the second-level cache
    ROWS_AT_ONCE = 4 * TILE_ROWS            # of a C in rows: they lie far apart
    MANY_COLUMNS = 8 * PANEL                # of B: from here on an A in several panels is packed
    ROWS_AHEAD = 4                          # rows in random order are fetched so long before they are copied,
    FETCHED = 256                           # and so many numbers of each: the processor foresees the rest
    LONG_COLUMN_STEP = 512                  # from here on A^T is packed: its numbers lie too far apart

ctypedef void (*finish_t)(const void *what, Py_ssize_t at, Py_ssize_t n) noexcept nogil

cdef struct left_t:         # the tile of A from row i on begins at data + (i - first) step, where its number r, k is
    const real *data        # at r row + k column; or, with row 0, A is in panels of `height` rows
    Py_ssize_t first, step, row, column, height

cdef struct result_t:       # where a product goes, and what happens to it on the way
    real *C
    Py_ssize_t ldc          # rows this far apart, or 0: in panels
    const real *bias        # C <- A B + bias 1^T (NULL: 0), or, the bias left out,
    bint accumulate         # C <- C + (factor A B - lost C)
    real factor
    real lost
    finish_t finish         # called with `what` for each run of C in panels that is complete, or NULL
    const void *what


cdef inline left_t by_rows(const real *A, Py_ssize_t lda) noexcept nogil:
    return left_t(A, 0, lda, lda, 1, 0)

cdef inline left_t by_columns(const real *A, Py_ssize_t lda) noexcept nogil:
    """A^T for the A whose rows are lda numbers apart."""
    return left_t(A, 0, 1, 1, lda, 0)

cdef inline left_t by_panels(const real *A, Py_ssize_t height) noexcept nogil:
    return left_t(A, 0, 0, 0, 1, height)

cdef inline result_t into(real *C, Py_ssize_t ldc) noexcept nogil:
    return result_t(C, ldc, NULL, False, 1, 0, NULL, NULL)

cdef inline result_t added_to(real *C, Py_ssize_t ldc, real factor, real lost) noexcept nogil:
    return result_t(C, ldc, NULL, True, factor, lost, NULL, NULL)

cdef inline Py_ssize_t width_at(Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    """Width of the panel that starts at column j of n."""
    return min(padded(n - j), <Py_ssize_t>PANEL)


cdef inline void add_product(int vecs, int rows, const real *A, Py_ssize_t a_row, const real *B,
                             vec total[TILE_ROWS][TILE_VECS]) noexcept nogil:
    """total += a b^T for one column of A and one row of a panel of B that is `vecs` vectors wide."""
    cdef vec b[TILE_VECS]
    cdef vec a
    cdef Py_ssize_t r, v
    for v in range(vecs):
        b[v] = vec_load(B + v * VL)
    for r in range(rows):
        a = vec_set(A[r * a_row])
        for v in range(vecs):
            total[r][v] = total[r][v] + a * b[v]

cdef inline void add_products(int vecs, int rows, Py_ssize_t K, const real *A, Py_ssize_t a_row, Py_ssize_t a_col,
                              const real *B, vec total[TILE_ROWS][TILE_VECS]) noexcept nogil:
    """total += A B."""
    cdef Py_ssize_t k = add_products_by_lanes(vecs, rows, K, A, a_row, a_col, B, total)    # on NEON
    while TILE_STEPS == 4 and k + 4 <= K:
        add_product(vecs, rows, A + k * a_col, a_row, B + k * vecs * VL, total)
        add_product(vecs, rows, A + (k + 1) * a_col, a_row, B + (k + 1) * vecs * VL, total)
        add_product(vecs, rows, A + (k + 2) * a_col, a_row, B + (k + 2) * vecs * VL, total)
        add_product(vecs, rows, A + (k + 3) * a_col, a_row, B + (k + 3) * vecs * VL, total)
        k += 4
    while k < K:
        add_product(vecs, rows, A + k * a_col, a_row, B + k * vecs * VL, total)
        k += 1

cdef inline vec finished(vec total, const result_t *to, vec bias, const real *C, Py_ssize_t left) noexcept nogil:
    cdef vec c
    if not to.accumulate:
        return total + bias
    c = load_part(C, left)
    return c + (vec_set(to.factor) * total - vec_set(to.lost) * c)

cdef inline void store_tile(int vecs, int rows, const vec total[TILE_ROWS][TILE_VECS], const result_t *to,
                            const real *bias, real *C, Py_ssize_t ldc, Py_ssize_t lanes) noexcept nogil:
    cdef Py_ssize_t r, v
    cdef vec b
    for r in range(rows):
        b = vec_set(bias[r]) if bias != NULL else vec_set(0)
        if lanes >= vecs * VL:
            for v in range(vecs):
                vec_store(C + r * ldc + v * VL, finished(total[r][v], to, b, C + r * ldc + v * VL, VL))
        else:
            for v in range(vecs):
                store_part(C + r * ldc + v * VL, finished(total[r][v], to, b, C + r * ldc + v * VL, lanes - v * VL),
                           lanes - v * VL)

cdef inline void tile_of(int vecs, int rows, Py_ssize_t i, Py_ssize_t K, const left_t *A, const real *B,
                         const result_t *to, const real *bias, real *C, Py_ssize_t ldc,
                         Py_ssize_t lanes) noexcept nogil:
    cdef vec total[TILE_ROWS][TILE_VECS]
    cdef Py_ssize_t k, r, v, width
    for r in range(rows):
        for v in range(vecs):
            total[r][v] = vec_set(0)
            if to.accumulate:
                fetch(C + r * ldc + v * VL)
    if A.row == 1:
        add_products(vecs, rows, K, A.data + (i - A.first) * A.step, 1, A.column, B, total)
    elif A.row != 0:
        add_products(vecs, rows, K, A.data + (i - A.first) * A.step, A.row, 1, B, total)
    else:
        for k from 0 <= k < K by PANEL:
            width = width_at(k, K)
            add_products(vecs, rows, min(K - k, <Py_ssize_t>PANEL), A.data + k * A.height + i * width, width, 1,
                         B + k * vecs * VL, total)
    store_tile(vecs, rows, total, to, bias, C, ldc, lanes)

cdef Py_ssize_t tile(Py_ssize_t rows, Py_ssize_t i, Py_ssize_t K, const left_t *A, const real *B, Py_ssize_t width,
                     const result_t *to, const real *bias, real *C, Py_ssize_t ldc, Py_ssize_t lanes) noexcept nogil:
    """`lanes` columns of C in at most `rows` rows from row i on; returns how many rows it made."""
    if width > VL:
        if rows >= TILE_ROWS:
            tile_of(TILE_VECS, TILE_ROWS, i, K, A, B, to, bias, C, ldc, lanes)
            return TILE_ROWS
        elif rows >= 4:
            tile_of(TILE_VECS, 4, i, K, A, B, to, bias, C, ldc, lanes)
            return 4
        elif rows >= 2:
            tile_of(TILE_VECS, 2, i, K, A, B, to, bias, C, ldc, lanes)
            return 2
        tile_of(TILE_VECS, 1, i, K, A, B, to, bias, C, ldc, lanes)
        return 1
    if rows >= TILE_ROWS:
        tile_of(1, TILE_ROWS, i, K, A, B, to, bias, C, ldc, lanes)
        return TILE_ROWS
    elif rows >= 2:
        tile_of(1, 2, i, K, A, B, to, bias, C, ldc, lanes)
        return 2
    tile_of(1, 1, i, K, A, B, to, bias, C, ldc, lanes)
    return 1


cdef void product_with_panel(Py_ssize_t first, Py_ssize_t end, Py_ssize_t K, const left_t *A, const real *B,
                             Py_ssize_t width, Py_ssize_t lanes, const result_t *to, const real *bias, bint finishes,
                             real *C, Py_ssize_t ldc) noexcept nogil:
    """Rows `first` to `end` of the product with one panel."""
    cdef Py_ssize_t i = first, rows
    while i < end:
        rows = tile(end - i, i, K, A, B, width, to, bias + i if bias != NULL else NULL, C + i * ldc, ldc, lanes)
        if finishes:
            to.finish(to.what, C + i * ldc - to.C, rows * ldc)
        i += rows


cdef inline Py_ssize_t even_part(Py_ssize_t n, Py_ssize_t most) noexcept nogil:
    """n divided into equal parts of at most `most`."""
    cdef Py_ssize_t parts = (n + most - 1) // most
    return (n + parts - 1) // parts


cdef inline bint wants_packing(const left_t *A, Py_ssize_t N, Py_ssize_t K) noexcept nogil:
    """Where the numbers of a tile lie far apart, or in several panels, and the product is large enough."""
    if A.row == 0:
        return N >= MANY_COLUMNS and 2 * PANEL < K <= DEPTH
    return A.row == 1 and A.column >= LONG_COLUMN_STEP

cdef left_t packed(Py_ssize_t first, Py_ssize_t end, Py_ssize_t K, const left_t *A, real *room) noexcept nogil:
    """Rows `first` to `end` of A, a whole number of tiles, copied so that each tile lies in one piece."""
    if A.row == 1:
        pack_columns(end - first, K, A.data + first, A.column, room)
    else:
        pack_panels(first, end, K, A, room)
    return left_t(room, first, K, 1, TILE_ROWS, 0)

cdef void pack_columns(Py_ssize_t M, Py_ssize_t K, const real *A, Py_ssize_t column, real *room) noexcept nogil:
    cdef Py_ssize_t i, k, r
    for k in range(K):
        for i from 0 <= i < M by TILE_ROWS:
            for r in range(TILE_ROWS):
                room[i * K + k * TILE_ROWS + r] = A[k * column + i + r]

cdef void pack_panels(Py_ssize_t first, Py_ssize_t end, Py_ssize_t K, const left_t *A, real *room) noexcept nogil:
    cdef Py_ssize_t i, k, width
    for k from 0 <= k < K by PANEL:
        width = width_at(k, K)
        for i from first <= i < end by TILE_ROWS:
            transpose(TILE_ROWS, min(K - k, <Py_ssize_t>PANEL), A.data + k * A.height + i * width, width, NULL,
                      room + (i - first) * K + k * TILE_ROWS, TILE_ROWS)


cdef void product_of_block(Py_ssize_t first, Py_ssize_t end, Py_ssize_t M, Py_ssize_t from_column, Py_ssize_t N,
                           Py_ssize_t k, Py_ssize_t depth, Py_ssize_t K, const left_t *A, const real *B,
                           const result_t *to) noexcept nogil:
    """What the columns k to k + depth of A add to rows `first` to `end` of C."""
    cdef Py_ssize_t j, width
    cdef bint in_rows = to.ldc != 0, finishes = to.finish != NULL and k + depth == K
    cdef const real *bias = to.bias if k == 0 else NULL
    for j from from_column <= j < N by PANEL:
        width = width_at(j, N)
        product_with_panel(first, end, depth, A, B + (j - from_column) * K + k * width, width,
                           min(width, N - j) if in_rows else width, to, bias, finishes,
                           to.C + (j if in_rows else j * M), to.ldc if in_rows else width)


cdef void matmul(Py_ssize_t first, Py_ssize_t end, Py_ssize_t M, Py_ssize_t from_column, Py_ssize_t N, Py_ssize_t K,
                 const left_t *A, const real *B, const result_t *to, real *room) noexcept nogil:
    """Rows `first` to `end` and the columns from `from_column`, a panel's first, of C = A B: M x N, K deep.

    B points to that panel, C to the whole.

    `room` is for ROOM numbers, which a product that packs A needs.
    """
    cdef Py_ssize_t i, k, m, n, depth = even_part(max(K, 1), DEPTH) if A.row != 0 else max(K, 1)
    cdef Py_ssize_t rows = ROWS_AT_ONCE if to.ldc else max(1, ROOM // (depth * TILE_ROWS)) * TILE_ROWS
    cdef bint packs = wants_packing(A, N, K)
    cdef left_t part = A[0], tiles
    cdef result_t result = to[0]
    for k from 0 <= k < max(K, 1) by depth:
        part.data = A.data + k * A.column
        n = min(depth, K - k)
        for i from first <= i < end by rows:
            m = min(rows, end - i)
            if packs:
                tiles = packed(i, i + m // TILE_ROWS * TILE_ROWS, n, &part, room)
                product_of_block(i, i + m // TILE_ROWS * TILE_ROWS, M, from_column, N, k, n, K, &tiles, B, &result)
                product_of_block(i + m // TILE_ROWS * TILE_ROWS, i + m, M, from_column, N, k, n, K, &part, B, &result)
            else:
                product_of_block(i, i + m, M, from_column, N, k, n, K, &part, B, &result)
        result.accumulate, result.lost = True, 0


cdef void row_sums(Py_ssize_t first, Py_ssize_t end, Py_ssize_t M, Py_ssize_t N, const real *A, bint accumulate,
                   real *sums) noexcept nogil:
    """sums_i = sum_j A[i, j] (+ sums_i), first <= i < end, for an M x N matrix in panels whose padding is 0."""
    cdef Py_ssize_t i, j, v, width
    cdef vec total[TILE_VECS]
    for i in range(first, end):
        for v in range(TILE_VECS):
            total[v] = vec_set(0)
        for j from 0 <= j <= N - PANEL by PANEL:
            for v in range(TILE_VECS):
                total[v] = total[v] + vec_load(A + j * M + i * PANEL + v * VL)
        j = N // PANEL * PANEL
        width = padded(N - j)
        for v from 0 <= v < width by VL:
            total[0] = total[0] + vec_load(A + j * M + i * width + v)
        for v in range(1, TILE_VECS):
            total[0] = total[0] + total[v]
        sums[i] = vec_sum(total[0]) + (sums[i] if accumulate else 0)


cdef inline void transpose_block(Py_ssize_t rows, Py_ssize_t lanes, const real *const *source, Py_ssize_t offset,
                                 real *T, Py_ssize_t ldt, Py_ssize_t room) noexcept nogil:
    """T[j, i] = source[i][offset + j] for i < rows, j < lanes; zeros on to the end of a vector or of ldt."""
    cdef vec block[VL]
    cdef Py_ssize_t i
    for i in range(VL):
        if i >= rows:
            block[i] = vec_set(0)
        else:
            block[i] = load_part(source[i] + offset, lanes)
    vec_transpose(block)
    for i in range(VL):
        if i < lanes:
            store_part(T + i * ldt, block[i], room)

cdef void transpose(Py_ssize_t n, Py_ssize_t d, const real *A, Py_ssize_t lda, const intptr_t *index,
                    real *T, Py_ssize_t ldt) noexcept nogil:
    """T (d x n, rows ldt >= n apart) = A^T, where row i of A is A[index[i]], or A[i] without an index.

    Padding of T up to whole vectors becomes 0.
    """
    cdef const real *source[VL]
    cdef Py_ssize_t i, j, r, rows
    for i from 0 <= i < n by VL:
        rows = min(n - i, <Py_ssize_t>VL)
        for r in range(rows):
            source[r] = A + (index[i + r] if index != NULL else i + r) * lda
        j = 0
        while rows == VL and j + VL <= d:
            transpose_block(VL, VL, source, j, T + j * ldt + i, ldt, VL)
            j += VL
        while j < d:
            transpose_block(rows, min(d - j, <Py_ssize_t>VL), source, j, T + j * ldt + i, ldt, ldt - i)
            j += VL


cdef void columns_of(Py_ssize_t n, Py_ssize_t d, const real *A, const intptr_t *index,
                     real *panels_out) noexcept nogil:
    """A^T (d x n) in panels, where A is n x d in rows, or its rows that `index` names; zeros in the padding."""
    cdef Py_ssize_t j
    for j from 0 <= j < n by PANEL:
        transpose(min(n - j, <Py_ssize_t>PANEL), d, A if index != NULL else A + j * d, d,
                  index + j if index != NULL else NULL, panels_out + j * d, width_at(j, n))

cdef void transpose_panels(Py_ssize_t first, Py_ssize_t end, Py_ssize_t n, Py_ssize_t d, bint to_rows,
                           real *rows, real *columns) noexcept nogil:
    """Samples `first` to `end` from rows (n x d) to columns (d x n), in panels, or back.

    `first` begins a panel, and `columns` points to it.
    """
    cdef Py_ssize_t i, j, width, height
    cdef real *row
    cdef real *column
    for j from first <= j < end by PANEL:
        height = width_at(j, end)
        for i from 0 <= i < d by PANEL:
            width = width_at(i, d)
            row, column = rows + i * n + j * width, columns + (j - first) * d + i * height
            if to_rows:
                transpose(min(d - i, <Py_ssize_t>PANEL), min(end - j, <Py_ssize_t>PANEL), column, height, NULL,
                          row, width)
            else:
                transpose(min(end - j, <Py_ssize_t>PANEL), min(d - i, <Py_ssize_t>PANEL), row, width, NULL,
                          column, height)

cdef inline void fetch_row(const real *row, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t i
    for i from 0 <= i < min(d, <Py_ssize_t>FETCHED) by PANEL:
        fetch_to_read(row + i)

cdef void gather_rows(Py_ssize_t first, Py_ssize_t end, Py_ssize_t n, Py_ssize_t d, const real *A,
                      const intptr_t *index, real *panels_out) noexcept nogil:
    """Rows `first` to `end` of the n x d matrix A, or of that which `index` picks from A, in panels, padded with 0."""
    cdef Py_ssize_t i, j, v, width
    cdef const real *row
    for i in range(first, end):
        row = A + (index[i] if index != NULL else i) * d
        if index != NULL and i + ROWS_AHEAD < n:
            fetch_row(A + index[i + ROWS_AHEAD] * d, d)
        for j from 0 <= j <= d - PANEL by PANEL:
            for v in range(TILE_VECS):
                vec_store(panels_out + j * n + i * PANEL + v * VL, vec_load(row + j + v * VL))
        j = d // PANEL * PANEL
        width = padded(d - j)
        for v from 0 <= v < width by VL:
            vec_store(panels_out + j * n + i * width + v, load_part(row + j + v, d - j - v))
