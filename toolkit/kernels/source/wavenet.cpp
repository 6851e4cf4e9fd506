// WaveNet with a mixture of logistics, sample by sample. Plain twin: toolkit/vocoders/wavenet_generation.py.
//
// One layer at sample t, with dilation d, kernel 3 (kernel 2 has no oldest tap):
//
//     ring of the layer:  ... x(t-2d) ....... x(t-d) ....... x(t)        encoded once, when they enter
//                              |                 |             |
//                          past[0]           past[1]          now        condition(t)
//                              +---------+-------+------+------+------------+
//                                        z = filters | gates
//                                        u = tanh(filters) sigmoid(gates)   encoded once
//                                        |                      |
//          x' = (x + residual u) sqrt(1/2) -> next layer        sum of skip u -> ReLU, hidden, ReLU, last -> mixture
//
// A ring has a slot for each of the reach + 1 latest samples, in a slot all rows side by side, each row as encoded words:
//
//     | slot 0: row 0 words | row 1 words | ... | slot 1: row 0 words | ... |          scales: | slot 0: row 0 | row 1 | ...
//
// One row, two threads. The chain of layers is serial; what earlier samples and the condition give to z is not. The HELPER
// computes that, at most one sample ahead; the CHAIN does the rest:
//
//     chain    | (t, 0) | (t, 1) | (t, 2) | ... | (t, L-1) | head, draw | (t+1, 0) ...
//     helper        | past (t+1, 0) | past (t+1, 1) | past (t+1, 2) | ...
//
// Each counts its (sample, layer) pairs in its own counter. The helper waits for the chain: a bounded number of spins, then it
// yields. The chain waits only for a pair that the helper works on, and not for long: what is late, because the helper's core is
// busy with something else, it computes itself, into memory of its own, and the helper leaves out what the chain has passed. So a
// busy core costs no more than the help. What a helper that has been overtaken reads may change under it; nobody reads its result,
// for the chain only takes a pair that was finished before it went on to the next one. The weights of each thread stay in the
// cache of its core.
//
// Several rows: every thread takes some of the rows through all layers, with the weights of a layer used for all of them.
// Sums are added up in the same order on all these ways: with fp32 and int8 the result does not depend on rows and threads.
//
// Conditions come dense, a vector a sample, or at frame rate. Dense ones of one row are projected for many samples at a time;
// those of several rows sample by sample. At frame rate the projections of two neighbouring frames are interpolated:
// interpolation commutes with a 1x1 convolution.

#include <atomic>
#include <thread>

#include "packed.hpp"

extern "C" {

// Sizes and settings, filled in by toolkit/kernels/wavenet.py.
struct WavenetShape {
    int32_t layers, kernel, residual, gate, skip, inputs, condition, mixtures, order, precision;
    float input_scale, pre_emphasis, log_scale_min;
    const int32_t* dilations;
};

// fp32 weights in the layout of torch: outputs x inputs.
struct WavenetWeights {
    const float *first, *first_bias;        // residual x inputs
    const float *gates, *gates_bias;        // layers x 2 gate x (kernel residual + condition), oldest tap first
    const float* residuals;                 // layers - 1 x residual x gate
    const float *skips, *skips_bias;        // layers x skip x gate, and one sum of biases; scaled already
    const float *hidden, *hidden_bias;      // skip x skip
    const float *last, *last_bias;          // 3 mixtures x skip
};

// Some samples of all rows; every array is rows x samples x what is stated.
struct WavenetBlock {
    int64_t samples;
    int32_t hop;                // 0: a condition for each sample; else one for each frame and one more, samples = frames x hop
    const float* condition;     // rows x (samples or frames + 1) x condition
    const float* coefficients;  // order, oldest first
    const float* gain;
    const float *gumbel, *logistic;  // mixtures; one: draws, times the temperature. Null: none
    const float* forced;        // the wave is given, nothing is drawn; or null
    float* wave;
    float* mixture;             // 3 mixtures, or null
};
}

namespace {

using namespace kernels;

constexpr float RESIDUAL_SCALE = 0.70710678f;
constexpr float LEVEL_MAX = 1.0f - 1.0f / 32768;
constexpr int CHUNK = 512;    // samples of one row whose conditions are projected together
constexpr int SPINS = 500;    // before a waiting thread lets others run

// ---------------------------------------------------------------------------------------------------------------------------

struct Layer {
    int dilation, slots;
    std::vector<PackedMatrix> past;  // one for each earlier tap, oldest first
    PackedMatrix now, condition, residual, skip;
};

struct Net {
    WavenetShape shape;
    Precision precision;
    Precision fine;  // of what is small and sensitive: conditions and the head
    Arena chain, helper;  // weights of the two threads, each together
    std::vector<Layer> layers;
    PackedMatrix hidden, last;
    float *first, *first_bias, *skip_bias;

    Net(const WavenetShape& given, const WavenetWeights& weights) : shape(given), precision(Precision(given.precision)) {
        fine = precision == Precision::int8 ? Precision::bf16 : precision;
        for (int i = 0; i < shape.layers; ++i) pack_layer(i, weights);
        hidden.pack(chain, fine, weights.hidden, shape.skip, weights.hidden_bias, shape.skip, shape.skip);
        last.pack(chain, Precision::fp32, weights.last, shape.skip, weights.last_bias, 3 * shape.mixtures, shape.skip);
        first = chain.take<float>(size_t(shape.inputs) * shape.residual);  // inputs x residual
        first_bias = chain.take<float>(shape.residual);
        skip_bias = chain.take<float>(shape.skip);
        for (int out = 0; out < shape.residual; ++out) {
            first_bias[out] = weights.first_bias[out];
            for (int in = 0; in < shape.inputs; ++in) first[in * shape.residual + out] = weights.first[out * shape.inputs + in];
        }
        std::copy_n(weights.skips_bias, shape.skip, skip_bias);
    }

   private:
    void pack_layer(int i, const WavenetWeights& weights) {
        const int width = shape.residual, outputs = 2 * shape.gate, stride = shape.kernel * width + shape.condition;
        const float* gates = weights.gates + size_t(i) * outputs * stride;
        layers.emplace_back();
        Layer& layer = layers.back();
        layer.dilation = shape.dilations[i];
        layer.slots = (shape.kernel - 1) * layer.dilation + 1;
        layer.past.resize(shape.kernel - 1);
        for (int tap = 0; tap < shape.kernel - 1; ++tap) {
            layer.past[tap].pack(helper, precision, gates + tap * width, stride, nullptr, outputs, width);
        }
        layer.now.pack(chain, precision, gates + (shape.kernel - 1) * width, stride, nullptr, outputs, width);
        const float* bias = weights.gates_bias + i * outputs;
        layer.condition.pack(helper, fine, gates + shape.kernel * width, stride, bias, outputs, shape.condition);
        if (i + 1 < shape.layers) {
            const float* residual = weights.residuals + size_t(i) * width * shape.gate;
            layer.residual.pack(chain, precision, residual, shape.gate, nullptr, width, shape.gate);
        }
        const float* skip = weights.skips + size_t(i) * shape.skip * shape.gate;
        layer.skip.pack(chain, precision, skip, shape.gate, nullptr, shape.skip, shape.gate);
    }
};

// What is kept between blocks.
struct State {
    const Net& net;
    int rows, capacity;  // capacity: room for the tiles of any thread's last rows
    int64_t position = 0;
    Arena arena;
    int width;  // words of an encoded x
    std::vector<uint32_t*> rings;   // of a layer: slots x capacity x width
    std::vector<float*> scales;     // of a layer: slots x capacity
    float *signal, *wave, *residue;  // rows x history, oldest first; rows; rows
    std::unique_ptr<Arena> scratch;
    float* projections = nullptr;  // of conditions
    size_t room = 0;               // floats there

    State(const Net& net_, int rows_) : net(net_), rows(rows_), capacity(rows_ == 1 ? 1 : round_up(rows_, TILE_ROWS) + TILE_ROWS) {
        width = net.layers[0].now.words();
        std::vector<float> zeros(net.shape.residual, 0.0f);
        for (const Layer& layer : net.layers) {
            rings.push_back(arena.take<uint32_t>(size_t(layer.slots) * capacity * width));
            scales.push_back(arena.take<float>(size_t(layer.slots) * capacity));
            for (size_t i = 0; i < size_t(layer.slots) * capacity; ++i) {
                encode(net.precision, zeros.data(), net.shape.residual, rings.back() + i * width, scales.back() + i);
            }
        }
        signal = arena.take<float>(size_t(rows) * history());
        wave = arena.take<float>(rows);
        residue = arena.take<float>(rows);
    }

    // Room for projected conditions; what was there is lost.
    void make_room(size_t floats) {
        if (floats <= room) return;
        scratch = std::make_unique<Arena>();
        projections = scratch->take<float>(floats);
        room = floats;
    }

    int history() const { return std::max(1, net.shape.order); }

    int slot(int layer, int64_t sample) const { return int(sample % net.layers[layer].slots); }

    uint32_t* words(int layer, int64_t sample, int row) const {
        return rings[layer] + (size_t(slot(layer, sample)) * capacity + row) * width;
    }

    float* scale(int layer, int64_t sample, int row) const { return scales[layer] + size_t(slot(layer, sample)) * capacity + row; }

    // The position of an earlier sample that the ring still holds, also before the start, where it holds zeros.
    int64_t back(int layer, int64_t sample, int tap) const {
        const Layer& of = net.layers[layer];
        const int64_t earlier = sample - int64_t(net.shape.kernel - 1 - tap) * of.dilation;
        return earlier < 0 ? earlier + of.slots : earlier;
    }

    // Keeps the rows ``kept``, numbers in rising order.
    void keep(const int32_t* kept, int count) {
        for (size_t layer = 0; layer < rings.size(); ++layer) {
            for (int s = 0; s < net.layers[layer].slots; ++s) {
                uint32_t* ring = rings[layer] + size_t(s) * capacity * width;
                float* scale = scales[layer] + size_t(s) * capacity;
                for (int i = 0; i < count; ++i) {
                    std::memmove(ring + size_t(i) * width, ring + size_t(kept[i]) * width, size_t(width) * 4);
                    scale[i] = scale[kept[i]];
                }
            }
        }
        for (int i = 0; i < count; ++i) {
            std::memmove(signal + i * history(), signal + kept[i] * history(), history() * sizeof(float));
            wave[i] = wave[kept[i]];
            residue[i] = residue[kept[i]];
        }
        rows = count;
    }
};

// ---------------------------------------------------------------------------------------------------------------------------
// Before the first layer and after the last one

// Linear prediction of the next sample of a row.
inline float predict(const State& state, const WavenetBlock& block, int row, int64_t n) {
    const int order = state.net.shape.order;
    const float* coefficients = block.coefficients + (row * block.samples + n) * order;
    const float* signal = state.signal + size_t(row) * state.history();
    float sum = 0;
    for (int i = 0; i < order; ++i) sum += signal[i] * coefficients[i];
    return sum;
}

// What enters the first layer: the sample before, its residual and the prediction, or the sample before alone.
inline void enter(const State& state, float prediction, int row, float* x) {
    const Net& net = state.net;
    const int width = net.shape.residual;
    const float last = state.signal[size_t(row) * state.history() + state.history() - 1];
    const float inputs[3] = {last * net.shape.input_scale, state.residue[row], prediction * net.shape.input_scale};
    for (int j = 0; j < width; j += LANES) {
        Floats sum = load(net.first_bias + j);
        for (int in = 0; in < net.shape.inputs; ++in) sum = multiply_add(broadcast(inputs[in]), load(net.first + in * width + j), sum);
        store(x + j, sum);
    }
}

// A draw from the mixture: the component with the largest logit plus Gumbel noise, then its mean plus scale times logistic noise.
inline float draw(const Net& net, const float* mixture, const float* gumbel, const float* logistic) {
    const int k = net.shape.mixtures;
    int best = 0;
    float highest = -INFINITY;
    for (int i = 0; i < k; ++i) {
        const float value = mixture[i] + (gumbel != nullptr ? gumbel[i] : 0.0f);
        if (value > highest) highest = value, best = i;
    }
    if (logistic == nullptr) return mixture[k + best];
    return mixture[k + best] + std::exp(std::max(mixture[2 * k + best], net.shape.log_scale_min)) * *logistic;
}

// The sample from its mixture; the row's signal moves on.
inline void speak(State& state, const WavenetBlock& block, const float* mixture, float prediction, int row, int64_t n) {
    const Net& net = state.net;
    const int64_t at = row * block.samples + n;
    const int k = net.shape.mixtures, history = state.history();
    const float gain = block.gain[at], before = net.shape.pre_emphasis * state.wave[row];
    float sample;
    if (block.forced != nullptr) {
        sample = block.forced[at];
    } else {
        const float* gumbel = block.gumbel != nullptr ? block.gumbel + at * k : nullptr;
        const float* logistic = block.logistic != nullptr ? block.logistic + at : nullptr;
        sample = draw(net, mixture, gumbel, logistic) * gain + prediction + before;
        sample = std::min(std::max(sample, -1.0f), LEVEL_MAX);
    }
    if (block.wave != nullptr) block.wave[at] = sample;
    if (block.mixture != nullptr) std::copy_n(mixture, 3 * k, block.mixture + at * 3 * k);
    float* signal = state.signal + size_t(row) * history;
    std::memmove(signal, signal + 1, (history - 1) * sizeof(float));
    signal[history - 1] = sample - before;
    state.wave[row] = sample;
    state.residue[row] = (sample - before - prediction) / gain;
}

inline void rectify(const float* x, float* y, int count) {
    for (int j = 0; j < count; j += LANES) store(y + j, maximum(load(x + j), Floats{}));
}

inline void gate_units(const float* z, int gate, float* units) {
    for (int j = 0; j < gate; j += LANES) store(units + j, gated_unit(load(z + j), load(z + gate + j)));
}

inline void scale_residual(float* x, int width) {
    for (int j = 0; j < width; j += LANES) store(x + j, load(x + j) * RESIDUAL_SCALE);
}

// Copies a condition into memory that is padded with zeros, as encoding wants it.
inline void padded_condition(const float* from, int count, float* to) { std::memcpy(to, from, size_t(count) * sizeof(float)); }

inline void interpolate(const float* from, const float* to, float share, int count, float* y) {
    for (int j = 0; j < count; j += LANES) store(y + j, multiply_add(load(to + j) - load(from + j), broadcast(share), load(from + j)));
}

// Conditions ``count x condition`` -> ``count x layers x 2 gate``, the vectors ``first`` .. ``last`` of them. Groups begin at
// multiples of 16, so that the result does not depend on how threads share them.
void project(const Net& net, const float* conditions, int64_t first, int64_t last, float* y) {
    const int channels = net.shape.condition, words = net.layers[0].condition.words(), outputs = 2 * net.shape.gate;
    const int64_t stride = int64_t(net.shape.layers) * outputs;
    Arena arena(SMALL_PAGE);
    const int64_t count = round_up(int(last - first), TILE_ROWS);
    uint32_t* encoded = arena.take<uint32_t>(count * words);
    float* scales = arena.take<float>(count);
    float* padded = arena.take<float>(round_up(channels, 16));
    for (int64_t i = first; i < last; ++i) {
        padded_condition(conditions + i * channels, channels, padded);
        encode(net.fine, padded, channels, encoded + (i - first) * words, scales + (i - first));
    }
    TileScope tiles;
    for (int l = 0; l < net.shape.layers; ++l) {
        const PackedMatrix& matrix = net.layers[l].condition;
        for (int64_t i = 0; i < last - first; i += TILE_ROWS) {
            const int rows = int(std::min<int64_t>(TILE_ROWS, last - first - i));
            float* place = y + (first + i) * stride + l * outputs;
            matrix.multiply_rows(encoded + i * words, words, scales + i, rows, place, stride, 0, matrix.blocks(), false);
        }
    }
}

// The same by several threads.
void project(const Net& net, const float* conditions, int64_t count, float* y, int threads) {
    const int64_t each = round_up(int((count + threads - 1) / threads), TILE_ROWS);
    std::vector<std::thread> others;
    for (int64_t first = each; first < count; first += each) {
        others.emplace_back([=, &net] { project(net, conditions, first, std::min(first + each, count), y); });
    }
    project(net, conditions, 0, std::min(each, count), y);
    for (std::thread& other : others) other.join();
}

// Projections of the frames of a block, rows x (frames + 1) x layers x 2 gate, and those of samples between them.
struct Frames {
    const float* projected;
    int frames, layers, outputs, hop;

    Frames(State& state, const WavenetBlock& block, int threads) : hop(block.hop) {
        const Net& net = state.net;
        frames = int(block.samples / hop) + 1, layers = net.shape.layers, outputs = 2 * net.shape.gate;
        const int64_t count = int64_t(state.rows) * frames;
        state.make_room(size_t(count) * layers * outputs);
        project(net, block.condition, count, state.projections, threads);
        projected = state.projections;
    }

    void at(int row, int64_t n, int layer, float* z) const {
        const float* from = projected + ((size_t(row) * frames + n / hop) * layers + layer) * outputs;
        interpolate(from, from + size_t(layers) * outputs, float(n % hop) / float(hop), outputs, z);
    }
};

// ---------------------------------------------------------------------------------------------------------------------------
// Several rows: the rows ``first`` .. ``last`` of a block through all layers, by one thread

template <Precision P>
class Rows {
   public:
    Rows(State& state, const WavenetBlock& block, const Frames* frames, int first, int last)
        : state_(state), net_(state.net), block_(block), frames_(frames), first_(first), count_(last - first) {
        const WavenetShape& shape = net_.shape;
        const int padded = round_up(count_, TILE_ROWS);
        gates_ = 2 * shape.gate;
        channels_ = round_up(shape.condition, 16);
        x_ = arena_.take<float>(size_t(padded) * shape.residual);
        z_ = arena_.take<float>(size_t(padded) * gates_);
        units_ = arena_.take<float>(shape.gate);
        skips_ = arena_.take<float>(size_t(padded) * shape.skip);
        hidden_ = arena_.take<float>(size_t(padded) * shape.skip);
        mixture_ = arena_.take<float>(size_t(padded) * net_.last.padded_outputs());
        condition_ = arena_.take<float>(channels_);
        widths_[0] = net_.layers[0].condition.words(), widths_[1] = net_.layers[0].skip.words();
        widths_[2] = net_.hidden.words(), widths_[3] = net_.last.words();
        for (int i = 0; i < 4; ++i) encoded_[i] = arena_.take<uint32_t>(size_t(padded) * widths_[i]);
        for (int i = 0; i < 4; ++i) scales_[i] = arena_.take<float>(padded);
        prediction_ = arena_.take<float>(padded);
    }

    void run() {
        TileScope tiles;
        for (int64_t n = 0; n < block_.samples; ++n) step(n);
    }

   private:
    enum Vectors { CONDITION, UNITS, SKIPS, HIDDEN };

    State& state_;
    const Net& net_;
    const WavenetBlock& block_;
    const Frames* frames_;
    const int first_, count_;
    Arena arena_{SMALL_PAGE};
    int gates_, channels_, widths_[4];
    float *x_, *z_, *units_, *skips_, *hidden_, *mixture_, *condition_, *scales_[4], *prediction_;
    uint32_t* encoded_[4];

    template <Precision Q>
    void product(const PackedMatrix& matrix, const uint32_t* x, int x_stride, const float* scales, float* y, int y_stride, bool add) {
        matrix.template row_products<Q>(x, x_stride, scales, count_, y, y_stride, 0, matrix.blocks(), add);
    }

    void fine_product(const PackedMatrix& matrix, Vectors which, float* y, int y_stride) {
        const int stride = widths_[which];
        matrix.multiply_rows(encoded_[which], stride, scales_[which], count_, y, y_stride, 0, matrix.blocks(), false);
    }

    void step(int64_t n) {
        const WavenetShape& shape = net_.shape;
        for (int i = 0; i < count_; ++i) {
            prediction_[i] = shape.order ? predict(state_, block_, first_ + i, n) : 0.0f;
            enter(state_, prediction_[i], first_ + i, x_ + i * shape.residual);
            std::copy_n(net_.skip_bias, shape.skip, skips_ + i * shape.skip);
        }
        if (frames_ == nullptr) encode_conditions(n);
        for (int l = 0; l < shape.layers; ++l) layer(l, n);
        head(n);
    }

    void encode_conditions(int64_t n) {
        const int channels = net_.shape.condition;
        for (int i = 0; i < count_; ++i) {
            if (block_.hop == 0) {
                padded_condition(block_.condition + ((first_ + i) * block_.samples + n) * channels, channels, condition_);
            } else {
                const int64_t frame = (first_ + i) * (block_.samples / block_.hop + 1) + n / block_.hop;
                const float *from = block_.condition + frame * channels, *to = from + channels;
                const float share = float(n % block_.hop) / float(block_.hop);
                for (int j = 0; j < channels; ++j) condition_[j] = from[j] + share * (to[j] - from[j]);
            }
            encode(net_.fine, condition_, channels, encoded_[CONDITION] + i * widths_[CONDITION], scales_[CONDITION] + i);
        }
    }

    void layer(int l, int64_t n) {
        const Layer& layer = net_.layers[l];
        const WavenetShape& shape = net_.shape;
        const int64_t t = state_.position + n;
        for (int i = 0; i < count_; ++i) {
            encode<P>(x_ + i * shape.residual, shape.residual, state_.words(l, t, first_ + i), state_.scale(l, t, first_ + i));
        }
        if (frames_ != nullptr) {
            for (int i = 0; i < count_; ++i) frames_->at(first_ + i, n, l, z_ + i * gates_);
        } else {
            fine_product(layer.condition, CONDITION, z_, gates_);
        }
        for (int tap = 0; tap < shape.kernel; ++tap) {
            const PackedMatrix& matrix = tap + 1 < shape.kernel ? layer.past[tap] : layer.now;
            const int64_t then = state_.back(l, t, tap);
            product<P>(matrix, state_.words(l, then, first_), state_.width, state_.scale(l, then, first_), z_, gates_, true);
        }
        for (int i = 0; i < count_; ++i) {
            gate_units(z_ + i * gates_, shape.gate, units_);
            encode<P>(units_, shape.gate, encoded_[UNITS] + i * widths_[UNITS], scales_[UNITS] + i);
        }
        product<P>(layer.skip, encoded_[UNITS], widths_[UNITS], scales_[UNITS], skips_, shape.skip, true);
        if (l + 1 < shape.layers) {
            product<P>(layer.residual, encoded_[UNITS], widths_[UNITS], scales_[UNITS], x_, shape.residual, true);
            scale_residual(x_, count_ * shape.residual);
        }
    }

    void head(int64_t n) {
        const int skip = net_.shape.skip, outputs = net_.last.padded_outputs();
        rectify(skips_, skips_, count_ * skip);
        for (int i = 0; i < count_; ++i) {
            encode(net_.fine, skips_ + i * skip, skip, encoded_[SKIPS] + i * widths_[SKIPS], scales_[SKIPS] + i);
        }
        fine_product(net_.hidden, SKIPS, hidden_, skip);
        rectify(hidden_, hidden_, count_ * skip);
        for (int i = 0; i < count_; ++i) {
            encode<Precision::fp32>(hidden_ + i * skip, skip, encoded_[HIDDEN] + i * widths_[HIDDEN], scales_[HIDDEN] + i);
        }
        fine_product(net_.last, HIDDEN, mixture_, outputs);
        for (int i = 0; i < count_; ++i) speak(state_, block_, mixture_ + i * outputs, prediction_[i], first_ + i, n);
    }
};

// ---------------------------------------------------------------------------------------------------------------------------
// One row, by one thread or as chain and helper

// Finished (sample, layer) pairs of a thread, alone on its cache lines.
struct alignas(128) Progress {
    std::atomic<int64_t> pairs{0};

    void reach(int64_t count) { pairs.store(count, std::memory_order_release); }

    int64_t reached() const { return pairs.load(std::memory_order_acquire); }

    void wait_for(int64_t count) const {
        for (int spins = 0; reached() < count; ++spins) {
            if (spins < SPINS) relax();
            else std::this_thread::yield();
        }
    }

    // Whether the count is reached, after a short wait where it is the next.
    bool reaches(int64_t count) const {
        for (int spins = 0; spins < SPINS && reached() == count - 1; ++spins) relax();
        return reached() >= count;
    }

    static void relax() {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
};

template <Precision P>
class OneRow {
   public:
    OneRow(State& state, const WavenetBlock& block, const Frames* frames)
        : state_(state), net_(state.net), block_(block), frames_(frames), layers_(state.net.shape.layers) {
        const WavenetShape& shape = net_.shape;
        gates_ = 2 * shape.gate;
        if (frames_ == nullptr) state_.make_room(size_t(CHUNK) * layers_ * gates_);
        helped_ = arena_.take<float>(size_t(2) * layers_ * gates_);
        own_ = arena_.take<float>(gates_);
        x_ = arena_.take<float>(shape.residual);
        units_ = arena_.take<float>(shape.gate);
        skips_ = arena_.take<float>(shape.skip);
        hidden_ = arena_.take<float>(shape.skip);
        mixture_ = arena_.take<float>(net_.last.padded_outputs());
        encoded_ = arena_.take<uint32_t>(std::max(net_.hidden.words(), net_.layers[0].skip.words()));
    }

    void run(int threads) {
        const int64_t size = frames_ != nullptr ? block_.samples : CHUNK;
        for (start_ = 0; start_ < block_.samples; start_ = end_) {
            end_ = std::min(start_ + size, block_.samples);
            if (frames_ == nullptr) {
                const float* conditions = block_.condition + start_ * net_.shape.condition;
                project(net_, conditions, end_ - start_, state_.projections, threads);
            }
            if (threads == 1) {
                for (int64_t n = start_; n < end_; ++n) step<false>(n);
            } else {
                chain_.reach(pair(0, start_) - 1), helper_.reach(pair(0, start_) - 1);
                std::thread helper([this] { help(); });
                for (int64_t n = start_; n < end_; ++n) step<true>(n);
                helper.join();
            }
        }
    }

   private:
    State& state_;
    const Net& net_;
    const WavenetBlock& block_;
    const Frames* frames_;
    const int layers_;
    int gates_;
    int64_t start_ = 0, end_ = 0;  // the chunk
    Arena arena_{SMALL_PAGE};
    float *x_, *units_, *skips_, *hidden_, *mixture_;
    float *helped_, *own_;  // z, by parity of the sample: layers x 2 gate; 2 gate
    uint32_t* encoded_;
    Progress chain_, helper_;

    float* helped(int l, int64_t n) { return helped_ + (size_t(n & 1) * layers_ + l) * gates_; }

    int64_t pair(int l, int64_t n) const { return n * layers_ + l + 1; }

    // What the condition and earlier samples give to z.
    void past(int l, int64_t n, float* z) {
        const Layer& layer = net_.layers[l];
        const int64_t t = state_.position + n;
        if (frames_ != nullptr) frames_->at(0, n, l, z);
        else std::copy_n(state_.projections + (size_t(n - start_) * layers_ + l) * gates_, gates_, z);
        for (size_t tap = 0; tap < layer.past.size(); ++tap) {
            const int64_t then = state_.back(l, t, int(tap));
            const PackedMatrix& matrix = layer.past[tap];
            matrix.vector_product<P>(state_.words(l, then, 0), *state_.scale(l, then, 0), z, 0, matrix.blocks(), true);
        }
    }

    void help() {
        for (int64_t n = start_; n < end_; ++n) {
            for (int l = 0; l < layers_; ++l) {
                if (chain_.reached() > pair(l, n)) continue;  // not the one it is at: it may be waiting for that
                if (n > start_) chain_.wait_for(pair(l, n - 1));
                past(l, n, helped(l, n));
                helper_.reach(pair(l, n));
            }
        }
    }

    template <bool HELPED>
    void step(int64_t n) {
        const WavenetShape& shape = net_.shape;
        const float prediction = shape.order ? predict(state_, block_, 0, n) : 0.0f;
        enter(state_, prediction, 0, x_);
        std::copy_n(net_.skip_bias, shape.skip, skips_);
        for (int l = 0; l < layers_; ++l) layer<HELPED>(l, n);
        head();
        speak(state_, block_, mixture_, prediction, 0, n);
    }

    template <bool HELPED>
    void layer(int l, int64_t n) {
        const Layer& layer = net_.layers[l];
        const WavenetShape& shape = net_.shape;
        const int64_t t = state_.position + n;
        uint32_t* words = state_.words(l, t, 0);
        float* scale = state_.scale(l, t, 0);
        encode<P>(x_, shape.residual, words, scale);
        if constexpr (HELPED) chain_.reach(pair(l, n));
        const bool done = HELPED && helper_.reaches(pair(l, n));
        float* z = done ? helped(l, n) : own_;
        if (!done) past(l, n, z);
        layer.now.vector_product<P>(words, *scale, z, 0, layer.now.blocks(), true);
        gate_units(z, shape.gate, units_);
        float unit_scale;
        encode<P>(units_, shape.gate, encoded_, &unit_scale);
        if (l + 1 < layers_) {
            layer.residual.vector_product<P>(encoded_, unit_scale, x_, 0, layer.residual.blocks(), true);
            scale_residual(x_, shape.residual);
        }
        layer.skip.vector_product<P>(encoded_, unit_scale, skips_, 0, layer.skip.blocks(), true);
    }

    void head() {
        const int skip = net_.shape.skip;
        float scale;
        rectify(skips_, skips_, skip);
        encode(net_.fine, skips_, skip, encoded_, &scale);
        net_.hidden.multiply(encoded_, scale, hidden_, 0, net_.hidden.blocks(), false);
        rectify(hidden_, hidden_, skip);
        net_.last.vector_product<Precision::fp32>(reinterpret_cast<uint32_t*>(hidden_), 1.0f, mixture_, 0, net_.last.blocks(), false);
    }
};

// ---------------------------------------------------------------------------------------------------------------------------

// Conditions at frame rate are projected before the block, except where tiles make a product a sample cheaper than two reads.
bool projects_frames(const Net& net, const State& state, const WavenetBlock& block, int threads) {
    const bool tiles = tiles_allowed() && net.precision != Precision::fp32 && state.rows >= TILES_FROM * threads;
    return block.hop > 0 && !tiles;
}

template <Precision P>
void run(State& state, const WavenetBlock& block, int threads) {
    threads = std::max(1, state.rows == 1 ? std::min(threads, 2) : std::min(threads, state.rows));
    std::unique_ptr<Frames> frames;
    if (state.rows == 1 ? block.hop > 0 : projects_frames(state.net, state, block, threads)) {
        frames = std::make_unique<Frames>(state, block, threads);
    }
    if (state.rows == 1) {
        OneRow<P>(state, block, frames.get()).run(threads);
    } else {
        std::vector<std::thread> others;
        auto part = [&](int i) {
            Rows<P>(state, block, frames.get(), state.rows * i / threads, state.rows * (i + 1) / threads).run();
        };
        for (int i = 1; i < threads; ++i) others.emplace_back(part, i);
        part(0);
        for (std::thread& other : others) other.join();
    }
    state.position += block.samples;
}

}  // namespace

extern "C" {

// All return null or -1 where memory or threads run out.
void* wavenet_net_new(const WavenetShape* shape, const WavenetWeights* weights) {
    try {
        return new Net(*shape, *weights);
    } catch (...) {
        return nullptr;
    }
}

void wavenet_net_free(void* net) { delete static_cast<Net*>(net); }

// The net must live as long as its states.
void* wavenet_state_new(const void* net, int32_t rows) {
    try {
        return new State(*static_cast<const Net*>(net), rows);
    } catch (...) {
        return nullptr;
    }
}

void wavenet_state_free(void* state) { delete static_cast<State*>(state); }

void wavenet_state_keep(void* state, const int32_t* kept, int32_t count) { static_cast<State*>(state)->keep(kept, count); }

int32_t wavenet_run(void* state, const WavenetBlock* block, int32_t threads) {
    State& of = *static_cast<State*>(state);
    try {
        switch (of.net.precision) {
            case Precision::fp32: run<Precision::fp32>(of, *block, threads); break;
            case Precision::bf16: run<Precision::bf16>(of, *block, threads); break;
            case Precision::int8: run<Precision::int8>(of, *block, threads); break;
        }
        return 0;
    } catch (...) {
        return -1;
    }
}
}
