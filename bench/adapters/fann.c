/* Loops over libfann's calls, so that Python is not in the figures. */
#include <string.h>
#if DOUBLE
#include <doublefann.h>
#else
#include <floatfann.h>
#endif

struct fann *make(unsigned L, const unsigned *sizes, double eta, int batch)
{
    struct fann *ann = fann_create_standard_array(L, sizes);
    fann_set_training_algorithm(ann, batch ? FANN_TRAIN_BATCH : FANN_TRAIN_INCREMENTAL);
    fann_set_activation_function_hidden(ann, FANN_SIGMOID);
    fann_set_activation_function_output(ann, FANN_SIGMOID);
    fann_set_activation_steepness_hidden(ann, 0.5);  /* FANN's sigmoid is 1 / (1 + exp(-2 steepness z)) */
    fann_set_activation_steepness_output(ann, 0.5);
    fann_set_train_error_function(ann, FANN_ERRORFUNC_LINEAR);
    fann_set_learning_rate(ann, eta);
    return ann;
}

void destroy(struct fann *ann) { fann_destroy(ann); }

void set_weights(struct fann *ann, double bound)
{
    fann_randomize_weights(ann, -bound, bound);
}

struct fann_train_data *rows(const fann_type *X, const fann_type *Y, unsigned n, unsigned inputs, unsigned outputs)
{
    struct fann_train_data *data = fann_create_train(n, inputs, outputs);
    for (unsigned i = 0; i < n; i++) {
        memcpy(data->input[i], X + (size_t)i * inputs, inputs * sizeof(fann_type));
        memcpy(data->output[i], Y + (size_t)i * outputs, outputs * sizeof(fann_type));
    }
    return data;
}

void drop(struct fann_train_data *data) { fann_destroy_train(data); }

/* An epoch of incremental training. */
void train_samples(struct fann *ann, fann_type *X, fann_type *Y, long n, long inputs, long outputs)
{
    for (long i = 0; i < n; i++) fann_train(ann, X + i * inputs, Y + i * outputs);
}

/* Batches: an epoch of FANN over each of them in turn. */
void train_batches(struct fann *ann, struct fann_train_data **batches, long n)
{
    for (long i = 0; i < n; i++) fann_train_epoch(ann, batches[i]);
}

double error(struct fann *ann, struct fann_train_data *data) { return fann_test_data(ann, data); }

void predict(struct fann *ann, fann_type *X, long n, long inputs, long outputs, fann_type *out)
{
    for (long i = 0; i < n; i++) {
        const fann_type *o = fann_run(ann, X + i * inputs);
        for (long j = 0; j < outputs; j++) out[i * outputs + j] = o[j];
    }
}
