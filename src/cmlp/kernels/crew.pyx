# An epoch by several threads: the caller's and Python threads that live as long as the epoch.
#
# They are threads of the interpreter and no pool stays behind, so that there is nothing to go wrong over a fork or
# between libraries, and nothing to ship.


cdef class Crew:
    """The threads beside the caller's; calling it with a rank is what each does."""
    cdef team_t team
    cdef trainer_t trainer
    cdef samples_t samples
    cdef const intptr_t *index
    cdef Py_ssize_t n, batch_size

    def __call__(self, Py_ssize_t rank):
        cdef trainer_t trainer = self.trainer
        trainer.rank = rank
        trainer.batch.room += rank * BLOCK
        with nogil:
            if team_wait_for_start(&self.team):
                train_epoch(&trainer, &self.samples, self.index, self.n, self.batch_size)

    cdef double train(self, trainer_t *trainer) except? -1:
        """The epoch; returns what train_epoch does."""
        cdef double loss
        cdef bint all_here = False
        threads = []
        trainer.team = &self.team
        self.trainer = trainer[0]
        try:
            for rank in range(1, self.team.n_threads):
                thread = Thread(target=self, args=(rank,), daemon=True)
                thread.start()
                threads.append(thread)
            all_here = True
            team_start(&self.team, 1)
            with nogil:
                loss = train_epoch(trainer, &self.samples, self.index, self.n, self.batch_size)
        finally:
            if not all_here:
                team_start(&self.team, -1)
            for thread in threads:
                thread.join()
        return loss


cdef double train_with_crew(trainer_t *trainer, const samples_t *samples, const intptr_t *index, Py_ssize_t n,
                            Py_ssize_t batch_size, Py_ssize_t n_threads) except? -1:
    cdef team_t *alone = trainer.team
    cdef Crew crew = Crew()
    crew.team.n_threads = n_threads
    crew.samples, crew.index, crew.n, crew.batch_size = samples[0], index, n, batch_size
    try:
        return crew.train(trainer)
    finally:
        trainer.team = alone
