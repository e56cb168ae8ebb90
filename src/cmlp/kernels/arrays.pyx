# NumPy arrays as Python passes them: their data, once type, layout and shape are what the kernels take.
cdef int REAL_TYPE = cnp.NPY_DOUBLE if CMLP_DOUBLE else cnp.NPY_FLOAT


def first_not_finite(a):
    """The flat position of the first NaN or infinity of a C-contiguous array of this precision, or -1."""
    cdef Py_ssize_t i, n
    cdef const real *data
    if not is_real_array(a, cnp.PyArray_NDIM(a)):
        raise TypeError("expected a C-contiguous array of this precision")
    n = cnp.PyArray_SIZE(a)
    data = <const real *>cnp.PyArray_DATA(<cnp.ndarray>a)
    with nogil:
        if all_finite(n, data):
            i = -1
        else:
            i = 0
            while is_finite(data[i]):
                i += 1
    return i


cdef inline bint is_real_array(object a, int ndim):
    return (cnp.PyArray_Check(a) and cnp.PyArray_NDIM(<cnp.ndarray>a) == ndim
            and cnp.PyArray_TYPE(<cnp.ndarray>a) == REAL_TYPE and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a))

cdef inline bint is_as_it_stands(object a, int ndim):
    """Such an array and not of a subclass, which may mean something else by its data, as a masked array does."""
    return cnp.PyArray_CheckExact(a) and is_real_array(a, ndim)

cdef Py_ssize_t rows_of(object X) except -1:
    """Samples in X, an array or the three arrays of sparse rows."""
    if type(X) is tuple and is_array_of(X[2], cnp.NPY_INTP):
        return cnp.PyArray_DIM(X[2], 0) - 1
    if not is_real_array(X, 2):
        raise TypeError(f"expected a C-contiguous 2-D array of {sizeof(real)}-byte floats, got {type(X).__name__}")
    return cnp.PyArray_DIM(X, 0)

cdef int take_inputs(object X, Py_ssize_t n, Py_ssize_t d, samples_t *samples) except -1:
    """n x d inputs: an array, or sparse rows as (entries, columns as int32, starts as intp)."""
    samples.starts = samples.columns = NULL
    if type(X) is not tuple:
        samples.X = reals(X, n, d)
        return 0
    entries, columns, starts = X
    if not is_array_of(columns, cnp.NPY_INT32):
        raise ValueError("expected sparse rows as (entries, columns as int32, starts as intp)")
    samples.X = reals(entries, len(columns), 0)
    samples.columns = <const int *>cnp.PyArray_DATA(<cnp.ndarray>columns)
    samples.starts = <const intptr_t *>cnp.PyArray_DATA(<cnp.ndarray>starts)
    if not are_within(samples, n, len(columns), d):
        raise ValueError(f"expected sparse rows of columns below {d} that begin and end within {len(columns)} entries")
    return 0

cdef bint are_within(const samples_t *samples, Py_ssize_t n, Py_ssize_t entries, Py_ssize_t d) noexcept nogil:
    """Whether n sparse rows lie one after the other in all these entries, and their columns among d."""
    cdef Py_ssize_t k
    cdef uint32_t last = 0
    cdef bint rises = samples.starts[0] == 0 and samples.starts[n] == entries
    for k in range(n):
        rises &= samples.starts[k] <= samples.starts[k + 1]
    for k in range(entries):    # no column is negative: those would be the largest
        last = max(last, <uint32_t>samples.columns[k])
    return rises and (entries == 0 or last < d)

cdef const double *doubles(object a, Py_ssize_t n) except NULL:
    """The data of n contiguous float64 numbers."""
    if not is_array_of(a, cnp.NPY_DOUBLE) or cnp.PyArray_DIM(a, 0) != n:
        raise ValueError(f"expected {n} contiguous float64 numbers")
    return <const double *>cnp.PyArray_DATA(<cnp.ndarray>a)

cdef inline bint is_array_of(object a, int kind):
    return (cnp.PyArray_Check(a) and cnp.PyArray_NDIM(<cnp.ndarray>a) == 1
            and cnp.PyArray_TYPE(<cnp.ndarray>a) == kind and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a))


cdef bint in_range(int loss, Py_ssize_t C, const real *y) noexcept:
    """Whether the target row y is finite and what the loss is defined for."""
    cdef Py_ssize_t k
    cdef double total = 0, low = 0, high = 0
    if not all_finite(C, y):
        return False
    for k in range(C):
        total += y[k]
        low = min(low, y[k])
        high = max(high, y[k])
    if loss == CROSS_ENTROPY:
        return low >= 0 and -1e-3 <= total - 1 <= 1e-3
    if loss == BINARY_CROSS_ENTROPY:
        return low >= 0 and high <= 1
    return low >= 0 or loss != POISSON


cdef bint number_in_range(int loss, double y) noexcept:
    """The same of the target of one output, before it is rounded to this precision."""
    cdef bint bounded = loss == BINARY_CROSS_ENTROPY
    return (0 if bounded or loss == POISSON else -REAL_MAX) <= y <= (1 if bounded else REAL_MAX)


cdef real *reals(object a, Py_ssize_t rows, Py_ssize_t columns) except NULL:
    """The data of a C-contiguous rows x columns array (columns 0: of `rows` numbers) of this precision."""
    cdef int ndim = 2 if columns else 1
    if not is_real_array(a, ndim):
        raise TypeError(f"expected a C-contiguous {ndim}-D array of {sizeof(real)}-byte floats, got {type(a).__name__}")
    if cnp.PyArray_DIM(a, 0) != rows or (columns and cnp.PyArray_DIM(a, 1) != columns):
        raise ValueError(f"expected shape {(rows, columns)[:ndim]}, got {a.shape}")
    return <real *>cnp.PyArray_DATA(<cnp.ndarray>a)


cdef object copied(const real *data, cnp.npy_intp n):
    out = cnp.PyArray_SimpleNew(1, &n, REAL_TYPE)
    memcpy(cnp.PyArray_DATA(out), data, n * sizeof(real))
    return out


cdef const intptr_t *index_data(index, Py_ssize_t n) except NULL:
    if not (cnp.PyArray_Check(index) and cnp.PyArray_TYPE(index) == cnp.NPY_INTP
            and cnp.PyArray_NDIM(index) == 1 and cnp.PyArray_ISCARRAY_RO(index)):
        raise TypeError("index must be a C-contiguous 1-D array of intp")
    cdef const intptr_t *data = <const intptr_t *>cnp.PyArray_DATA(<cnp.ndarray>index)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_DIM(index, 0)):
        if not 0 <= data[i] < n:
            raise IndexError(f"index[{i}] is {data[i]}, out of range for {n} rows")
    return data
