# An epoch by several threads: the caller's and Python threads that live as long as the epoch.
#
# They are threads of the interpreter and no pool stays behind, so that there is nothing to go wrong over a fork or
# between libraries, and nothing to ship.  Each works on a trainer of its own that shares the buffers.


cdef class Crew:
    """The threads beside the caller's; calling it with a rank is what each does."""
    cdef team_t team
    cdef trainer_t trainer
    cdef samples_t samples
    cdef const intptr_t *index
    cdef Py_ssize_t n, batch_size

    def __call__(self, Py_ssize_t rank):
        cdef trainer_t trainer = self.trainer
        trainer.team = &self.team
        trainer.rank = rank
        trainer.batch.room += rank * ROOM
        if trainer.batch.sparse != NULL:
            trainer.batch.sparse = &trainer.sparse
            trainer.sparse.room += rank * PANEL * padded(trainer.net.d[1])
        with nogil:
            if team_wait_for_start(&self.team):
                train_epoch_fast(&trainer, &self.samples, self.index, self.n, self.batch_size)

    cdef double train(self, trainer_t *trainer) except? -1:
        """The epoch; returns what train_epoch does."""
        cdef double loss
        cdef bint started = False
        threads = []
        try:
            for rank in range(1, self.team.n_threads):
                thread = Thread(target=self, args=(rank,), daemon=True)
                try:
                    thread.start()
                except RuntimeError:    # there are no more to be had, and fewer give the same result
                    break
                threads.append(thread)
            self.team.n_threads = <long>(1 + len(threads))
            self.wait_for(threads)
            started = True
            team_start(&self.team, 1)
            with nogil:
                loss = train_epoch_fast(trainer, &self.samples, self.index, self.n, self.batch_size)
        finally:
            if not started:
                team_start(&self.team, -1)
            join_all(threads)
        return loss

    cdef int wait_for(self, threads) except -1:
        cdef bint ready = False
        while not ready:
            with nogil:
                ready = team_is_ready(&self.team)
            PyErr_CheckSignals()
            if not ready and not all([thread.is_alive() for thread in threads]):
                raise RuntimeError("a thread of the training ended before it began: try n_threads=1")
        return 0


cdef int join_all(threads) except -1:
    """Waits for all of them, whatever interrupts it: they use the caller's memory."""
    interruption = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as error:
                interruption = error
    if interruption is not None:
        raise interruption
    return 0


cdef double train_with_crew(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                            Py_ssize_t batch_size, Py_ssize_t n_threads) except? -1:
    """train_epoch; of `trainer` only the solver's count, the penalty and the samples left out change."""
    cdef Crew crew = Crew()
    cdef trainer_t mine = trainer[0]
    crew.team.n_threads = <long>n_threads
    crew.trainer, crew.samples, crew.index, crew.n, crew.batch_size = trainer[0], samples[0], index, n, batch_size
    mine.team = &crew.team
    if mine.batch.sparse != NULL:
        mine.batch.sparse = &mine.sparse
    try:
        return crew.train(&mine)
    finally:
        trainer.solver.t, trainer.penalty, trainer.skipped = mine.solver.t, mine.penalty, mine.skipped
