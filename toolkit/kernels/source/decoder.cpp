// The autoregressive step of the Tacotron 2 decoder for one utterance or many, many steps a call, on a few threads.
// Plain twin: Tacotron2Decoder.step. The binding is toolkit/kernels/decoder_step.py.
//
// One step, in the wiring that reads the context in both LSTMs and asks with the first one (others move the attention, below):
//
//   last frame -> [prenet layers] -> P --+
//                        context, C -----+--> [LSTM 1] -> H1 --> [query] --> energies --> weights --> context, C
//                                  H1 ---+                |                     |                       |
//                                                         |      keys, location filters over past       |
//                                                         +--> [LSTM 2] <-- H2                          |
//                                                                 |    <--------------------------------+
//                                                                 +--> H2 --> [frames and stop] <-- C
//
// Where the attention stands (Wiring): before LSTM 1 (its query is the H1 of the step before), between the LSTMs, or after LSTM 2
// (its query is H2). LSTM 2 reads the context or not.
//
// Every arrow into a bracket is an Input (products.hpp): P, C, H1, H2 are encoded once and read by all matrices that want them.
//
// A block of an LSTM's matrix is 16 units: | in 16 | forget 16 | cell 16 | out 16 |, so that its 64 sums are all that these units
// need and become their new state at once. The H that other blocks still read is the encoded one, which changes after a barrier.
//
// Location features are folded: the convolution over past weights and the projection after it are one matrix, past weights of one
// position and its neighbours -> A. Rows of that product are overlapping windows of one vector:
//
//   past:      | zeros, K/2 | S weights | zeros |        window of position l: K values from place l
//
// Rows are slots: those that still speak stand at the front. row_of[slot] is the place of the utterance in the caller's arrays.
//
// Threads all run the same steps. Each takes its share of blocks, rows or positions, and waits at a barrier where it needs the
// others' results: it spins for a while, then yields.
#include <atomic>
#include <cstdint>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__) || defined(__APPLE__)
#include <sched.h>
#endif

#include "products.hpp"

namespace {

using namespace kernels;

constexpr int MOST_PRENET_LAYERS = 8;
constexpr int GATES = 4;
constexpr int UNITS = OUTPUTS / GATES;  // of a block of an LSTM
constexpr int POSITIONS = 24;           // whose energies are computed together

enum class Attend : int { before_first = 0, between = 1, after_second = 2 };

// What the binding says about a decoder. All weights are row-major fp32.
extern "C" struct DecoderShape {
    int32_t precision, mels, reduction, memory, units, dim;
    int32_t channels;  // of past weights that the location filters see: 0 none, 1 cumulative, 2 previous and cumulative
    int32_t kernel;    // taps of the location filters
    int32_t attend;    // see Attend
    int32_t second_reads_context;
    int32_t prenet_layers;
    int32_t prenet_widths[MOST_PRENET_LAYERS];
    float zoneout;  // as an expectation: the share of the old state that stays
};

extern "C" struct DecoderWeights {
    const float* prenet[MOST_PRENET_LAYERS];
    const float* prenet_bias[MOST_PRENET_LAYERS];
    const float *first_inputs, *first_hidden, *first_bias;     // 4H x (P + C), 4H x H, 4H: gates in, forget, cell, out
    const float *second_inputs, *second_hidden, *second_bias;  // 4H x (H [+ C]), 4H x H, 4H
    const float *query, *location, *energy;                    // A x H, channels x kernel x A, A
    const float *frames, *frames_bias, *stop, *stop_bias;      // rM x (H + C), rM, 1 x (H + C), 1
};

// ---------------------------------------------------------------------------------------------------------------------------
// Threads that wait for each other

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

class Barrier {
   public:
    explicit Barrier(int threads) : threads_(threads) {}

    void wait() {
        if (threads_ == 1) return;
        const int turn = turn_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; turn_.load(std::memory_order_acquire) == turn; ++spins) {
            if (spins < SPINS) relax();
            else sched_yield();
        }
    }

   private:
    static constexpr int SPINS = 2000;  // some tens of microseconds: longer than any share of a step differs from another
    const int threads_;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<int> turn_{0};
};

// A thread's part of ``count`` equal pieces of work.
struct Share {
    Share(int count, int thread, int threads)
        : first(int(int64_t(count) * thread / threads)), last(int(int64_t(count) * (thread + 1) / threads)) {}
    int first, last;
};

// ---------------------------------------------------------------------------------------------------------------------------
// The weights of a decoder, packed. Read by any number of generations at once

// Matrices that read different inputs and are added up, and their bias in the order of the blocks.
struct Layer {
    std::vector<BlockMatrix> parts;
    float* bias = nullptr;

    int blocks() const { return parts[0].blocks(); }
    size_t bytes() const {
        size_t total = 0;
        for (const BlockMatrix& part : parts) total += part.bytes();
        return total;
    }
};

class Decoder {
   public:
    Decoder(const DecoderShape& shape, const DecoderWeights& weights) : shape(shape) {
        const int layers = shape.prenet_layers, prenet_width = layers ? shape.prenet_widths[layers - 1] : shape.mels;
        for (int layer = 0, width = shape.mels; layer < layers; ++layer) {
            pack_plain(prenet[layer], shape.prenet_widths[layer], width, weights.prenet[layer], weights.prenet_bias[layer]);
            width = shape.prenet_widths[layer];
        }
        pack_lstm(first, {prenet_width, shape.memory}, weights.first_inputs, weights.first_hidden, weights.first_bias);
        std::vector<int> read = {shape.units};
        if (shape.second_reads_context) read.push_back(shape.memory);
        pack_lstm(second, read, weights.second_inputs, weights.second_hidden, weights.second_bias);
        pack_plain(query, shape.dim, shape.units, weights.query, nullptr);
        pack_projection(weights);
        pack_attention(weights);
    }

    Precision precision() const { return static_cast<Precision>(shape.precision); }
    int dim() const { return round_up(shape.dim, OUTPUTS); }  // A with its padding
    int outputs() const { return shape.mels * shape.reduction; }
    size_t bytes() const {
        size_t total = first.bytes() + second.bytes() + query.bytes() + projection.bytes();
        for (int layer = 0; layer < shape.prenet_layers; ++layer) total += prenet[layer].bytes();
        return total;
    }

    const DecoderShape shape;
    Layer prenet[MOST_PRENET_LAYERS], first, second, query, projection;  // LSTMs: what they read, one part each, then their hidden state
    const uint32_t* location = nullptr;  // block of 64 dims, channel, tap, 64 dims: fp32 words
    const float* energy = nullptr;       // dims with their padding

   private:
    // Of a part: its width, and where the weights of an output begin (null: the output fills up a block).
    template <class WeightsOf, class BiasOf>
    void pack_layer(Layer& layer, int outputs, const std::vector<int>& widths, WeightsOf weights_of, BiasOf bias_of) {
        layer.parts.resize(widths.size());
        for (size_t part = 0; part < widths.size(); ++part) {
            layer.parts[part].pack(arena_, precision(), outputs, widths[part], [&](int output) { return weights_of(part, output); });
        }
        layer.bias = arena_.take<float>(size_t(layer.blocks()) * OUTPUTS);
        for (int output = 0; output < outputs; ++output) {
            if (weights_of(0, output) != nullptr) layer.bias[output] = bias_of(output);
        }
    }

    void pack_plain(Layer& layer, int outputs, int inputs, const float* weights, const float* bias) {
        pack_layer(
            layer, outputs, {inputs}, [=](size_t, int output) { return weights + size_t(output) * inputs; },
            [=](int output) { return bias == nullptr ? 0.0f : bias[output]; });
    }

    void pack_lstm(Layer& layer, std::vector<int> read, const float* inputs, const float* hidden, const float* bias) {
        const int units = shape.units;
        const size_t parts = read.size();
        std::vector<int> starts = {0};
        for (const int width : read) starts.push_back(starts.back() + width);
        const auto row = [=](int output) {  // of torch's gate-major order; -1 for a unit that fills up the last block
            const int gate = output % OUTPUTS / UNITS, unit = output / OUTPUTS * UNITS + output % UNITS;
            return unit < units ? gate * units + unit : -1;
        };
        const auto weights_of = [&](size_t part, int output) -> const float* {
            if (row(output) < 0) return nullptr;
            if (part == parts) return hidden + size_t(row(output)) * units;
            return inputs + size_t(row(output)) * starts.back() + starts[part];
        };
        read.push_back(units);
        pack_layer(layer, round_up(units, UNITS) * GATES, read, weights_of, [&](int output) { return bias[row(output)]; });
    }

    // Frames, then the stop logit.
    void pack_projection(const DecoderWeights& weights) {
        const int frames = outputs(), width = shape.units + shape.memory;
        const auto weights_of = [&, frames, width](size_t part, int output) {
            const float* row = output < frames ? weights.frames + size_t(output) * width : weights.stop;
            return row + (part == 0 ? 0 : shape.units);
        };
        pack_layer(projection, frames + 1, {shape.units, shape.memory}, weights_of,
                   [&](int output) { return output < frames ? weights.frames_bias[output] : weights.stop_bias[0]; });
    }

    void pack_attention(const DecoderWeights& weights) {
        float* padded_energy = arena_.take<float>(dim());
        std::memcpy(padded_energy, weights.energy, sizeof(float) * shape.dim);
        energy = padded_energy;
        uint32_t* padded = arena_.take<uint32_t>(size_t(shape.channels) * shape.kernel * dim());
        for (int channel = 0; channel < shape.channels; ++channel) {
            for (int tap = 0; tap < shape.kernel; ++tap) {
                const float* from = weights.location + (size_t(channel) * shape.kernel + tap) * shape.dim;
                for (int a = 0; a < shape.dim; ++a) {
                    uint32_t* block = padded + size_t(a / OUTPUTS) * shape.channels * shape.kernel * OUTPUTS;
                    std::memcpy(block + (size_t(channel) * shape.kernel + tap) * OUTPUTS + a % OUTPUTS, from + a, sizeof(float));
                }
            }
        }
        location = padded;
    }

    Arena arena_;
};

// ---------------------------------------------------------------------------------------------------------------------------
// Utterances under way

// A single short text in fp32 is FOLDED: its products with the LSTMs' context weights are made once (symbol, gates of 16 units), and a
// step multiplies them with the attention's weights instead of the context with the LSTMs' weights: a fifth fewer bytes a step.

// What one call of ``run`` reads and writes. Outputs are step-major with a place for every row the caller has.
struct Block {
    const float* const* keep;  // of each prenet layer: rows x steps x width, or null for no dropout
    const float* forced;       // steps x rows x mels: what each step is fed instead of its own last frame, or null
    float stop_from;           // a row whose stop logit is at least this ends the call after its step
    float* frames;             // steps x rows x reduction x mels
    float* stops;              // steps x rows
    float* weights;            // steps x rows x symbols
};

class Generation {
   public:
    Generation(const Decoder& decoder, int rows, int symbols, const float* memory, const float* keys, const uint8_t* mask)
        : net_(decoder), shape_(decoder.shape), rows_(rows), symbols_(symbols) {
        const Precision precision = net_.precision();
        frame_.shape(arena_, precision, shape_.mels, rows);
        for (int layer = 0; layer < shape_.prenet_layers; ++layer) {
            prenet_[layer].shape(arena_, precision, shape_.prenet_widths[layer], rows);
        }
        context_.shape(arena_, precision, shape_.memory, rows);
        for (Cell* cell : {&first_, &second_}) {
            cell->hidden.shape(arena_, precision, shape_.units, rows);
            cell->width = round_up(shape_.units, UNITS);
            cell->state = arena_.take<float>(size_t(rows) * cell->width);
        }
        query_ = arena_.take<float>(size_t(rows) * net_.dim());
        energies_stride_ = round_up(symbols, 16);
        energies_ = arena_.take<float>(size_t(rows) * energies_stride_);
        past_stride_ = round_up(symbols + shape_.kernel + POSITIONS, 16);
        past_ = arena_.take<float>(size_t(rows) * std::max(1, shape_.channels) * past_stride_);
        memory_stride_ = round_up(shape_.memory, 16);
        copy_memory(memory, keys, mask);
        if (folds_text()) {
            looks_.shape(arena_, precision, symbols, 1);
            looks_.encode_row(0);
            text_first_.reserve(arena_, precision, net_.first.blocks(), symbols);
            if (shape_.second_reads_context) text_second_.reserve(arena_, precision, net_.second.blocks(), symbols);
        }
        for (int row = 0; row < rows; ++row) row_of_.push_back(row);
        for (int slot = 0; slot < rows; ++slot) encode_all(slot);
    }

    // At most ``steps`` steps; how many were made.
    int run(int threads, int steps, const Block& block) {
        if (row_of_.empty()) return 0;
        Barrier barrier(threads);
        std::atomic<bool> stop{false};
        std::atomic<int> made{0};
        while (static_cast<int>(desks_.size()) < threads) desks_.emplace_back(arena_, std::max(rows_, POSITIONS), energies_stride_);
        const auto work = [&](int thread) {
            const TileScope tiles;
            Worker worker{thread, threads, barrier, desks_[thread].sums, desks_[thread].weights};
            if (folds_text() && !folded_) fold_text(worker);
            for (int step = 0; step < steps; ++step) {
                this->step(worker, block, step, steps, stop);
                if (thread == 0) made.store(step + 1, std::memory_order_relaxed);
                if (stop.load(std::memory_order_relaxed)) break;  // written before the last barrier of the step
            }
        };
        std::vector<std::thread> others;
        for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
        work(0);
        for (std::thread& other : others) other.join();
        folded_ = true;
        return made.load();
    }

    // Only these rows of the caller go on, in an order that keeps those before them before them.
    void keep(const int32_t* rows, int count) {
        int slot = 0;
        for (int wanted = 0; wanted < count; ++wanted) {
            int from = slot;
            while (from < slots() && row_of_[from] != rows[wanted]) ++from;
            if (from == slots()) continue;
            if (from != slot) move(from, slot);
            ++slot;
        }
        row_of_.resize(slot);
    }

   private:
    struct Cell {
        Input hidden;
        float* state = nullptr;
        int width = 0;
    };

    // What a thread needs for itself.
    struct Desk {
        Desk(Arena& arena, int rows, size_t symbols) : sums(arena, rows), weights(arena.take<float>(symbols)) {}
        BlockSums sums;
        float* weights;  // of one row
    };

    struct Worker {
        int thread, threads;
        Barrier& barrier;
        BlockSums& sums;
        float* weights;
        Share share(int count) const { return Share(count, thread, threads); }
    };

    // Memory and keys of each row without the padding after its last symbol, at addresses that suit vectors.
    struct Text {
        int symbols;
        const float* memory;     // symbols x memory_stride_
        const float* keys;       // symbols x dim
        const uint8_t* padding;  // 1 where attention may not go
    };

    const Decoder& net_;
    const DecoderShape& shape_;
    const int rows_, symbols_;
    Arena arena_;
    std::vector<int> row_of_;
    std::vector<Text> texts_;
    std::vector<Desk> desks_;
    Input frame_, prenet_[MOST_PRENET_LAYERS], context_;
    Input looks_;                          // the attention's weights of this step, where the text is folded
    BlockMatrix text_first_, text_second_;  // LSTM gates that each symbol of a single text would give alone
    bool folded_ = false;
    Cell first_, second_;
    float* query_ = nullptr;
    float* energies_ = nullptr;
    float* past_ = nullptr;  // slot, channel: previous weights where there are two, then cumulative ones
    size_t energies_stride_ = 0, past_stride_ = 0, memory_stride_ = 0;

    // Whether a single short text is multiplied with the LSTMs' context weights once and for all: fewer bytes a step, and in fp32 equal.
    // W (sum of weight m) = sum of weight (W m) over symbols.
    bool folds_text() const { return net_.precision() == Precision::fp32 && rows_ == 1 && 2 * symbols_ <= shape_.memory; }

    int slots() const { return static_cast<int>(row_of_.size()); }

    float* past(int slot, int channel) { return past_ + (size_t(slot) * shape_.channels + channel) * past_stride_; }

    void copy_memory(const float* memory, const float* keys, const uint8_t* mask) {
        for (int row = 0; row < rows_; ++row) {
            const uint8_t* padding = mask + size_t(row) * symbols_;
            int length = symbols_;
            while (length > 0 && padding[length - 1]) --length;
            float* own_memory = arena_.take<float>(length * memory_stride_);
            float* own_keys = arena_.take<float>(size_t(length) * net_.dim());
            uint8_t* own_padding = arena_.take<uint8_t>(length);
            std::memcpy(own_padding, padding, length);
            for (int symbol = 0; symbol < length; ++symbol) {
                const size_t from = size_t(row) * symbols_ + symbol;
                std::memcpy(own_memory + symbol * memory_stride_, memory + from * shape_.memory, sizeof(float) * shape_.memory);
                std::memcpy(own_keys + size_t(symbol) * net_.dim(), keys + from * shape_.dim, sizeof(float) * shape_.dim);
            }
            texts_.push_back({length, own_memory, own_keys, own_padding});
        }
    }

    void encode_all(int slot) {
        frame_.encode_row(slot), context_.encode_row(slot), first_.hidden.encode_row(slot), second_.hidden.encode_row(slot);
    }

    void move(int from, int to) {
        row_of_[to] = row_of_[from];
        frame_.move_row(from, to), context_.move_row(from, to);
        for (Cell* cell : {&first_, &second_}) {
            cell->hidden.move_row(from, to);
            std::memcpy(cell->state + size_t(to) * cell->width, cell->state + size_t(from) * cell->width, sizeof(float) * cell->width);
        }
        for (int channel = 0; channel < shape_.channels; ++channel) {
            std::memcpy(past(to, channel), past(from, channel), sizeof(float) * past_stride_);
        }
    }

    // -----------------------------------------------------------------------------------------------------------------------
    // One step. Every member below is called by all threads and ends with a barrier

    void step(Worker& worker, const Block& block, int step, int steps, std::atomic<bool>& stop) {
        const Attend attend = static_cast<Attend>(shape_.attend);
        if (block.forced != nullptr) feed(worker, block.forced + size_t(step) * rows_ * shape_.mels);
        const Input* last = run_prenet(worker, block, step, steps);
        if (attend == Attend::before_first) this->attend(worker, first_, block, step);
        const Term of_first[] = {{&net_.first.parts[0], last}, seen(net_.first, 1, text_first_), {&net_.first.parts[2], &first_.hidden}};
        run_lstm(worker, net_.first, of_first, 3, first_);
        if (attend == Attend::between) this->attend(worker, first_, block, step);
        const Term own = {&net_.second.parts.back(), &second_.hidden};
        const Term below = {&net_.second.parts[0], &first_.hidden};
        if (shape_.second_reads_context) {
            const Term of_second[] = {below, seen(net_.second, 1, text_second_), own};
            run_lstm(worker, net_.second, of_second, 3, second_);
        } else {
            const Term of_second[] = {below, own};
            run_lstm(worker, net_.second, of_second, 2, second_);
        }
        if (attend == Attend::after_second) this->attend(worker, second_, block, step);
        project(worker, block, step, stop);
    }

    // Sums of a block for all symbols as rows are the block that the symbols' weights are multiplied with: symbol, 64 outputs.
    void fold_text(Worker& worker) {
        const Text& text = texts_[0];
        for (const auto& [layer, of_text] : {std::pair(&net_.first, &text_first_), std::pair(&net_.second, &text_second_)}) {
            const Share blocks = worker.share(of_text->blocks());
            for (int block = blocks.first; block < blocks.last; ++block) {
                const uint32_t* rows = reinterpret_cast<const uint32_t*>(text.memory);
                float* sums = reinterpret_cast<float*>(of_text->block(block));
                const BlockMatrix& weights = layer->parts[1];
                BlockMatrix::accumulate<Precision::fp32>(weights.block(block), rows, memory_stride_, shape_.memory, text.symbols, sums);
            }
        }
        worker.barrier.wait();
    }

    // What a layer sees of the text: its part for the context, or the products that were made before the first step.
    Term seen(const Layer& layer, int part, const BlockMatrix& of_text) const {
        return folds_text() ? Term{&of_text, &looks_} : Term{&layer.parts[part], &context_};
    }

    void encode_rows(Worker& worker, Input& input) {
        const Share rows = worker.share(slots());
        for (int slot = rows.first; slot < rows.last; ++slot) input.encode_row(slot);
        worker.barrier.wait();
    }

    void feed(Worker& worker, const float* frames) {
        const Share rows = worker.share(slots());
        for (int slot = rows.first; slot < rows.last; ++slot) {
            std::memcpy(frame_.row(slot), frames + size_t(row_of_[slot]) * shape_.mels, sizeof(float) * shape_.mels);
            frame_.encode_row(slot);
        }
        worker.barrier.wait();
    }

    // Layers with ReLU and the dropout that was drawn for this step. Returns the last layer's output.
    const Input* run_prenet(Worker& worker, const Block& block, int step, int steps) {
        const Input* from = &frame_;
        for (int layer = 0; layer < shape_.prenet_layers; ++layer) {
            Input& to = prenet_[layer];
            const float* keep = block.keep == nullptr ? nullptr : block.keep[layer];
            const Term term = {&net_.prenet[layer].parts[0], from};
            const Share blocks = worker.share(net_.prenet[layer].blocks());
            for (int piece = blocks.first; piece < blocks.last; ++piece) {
                multiply(piece, net_.prenet[layer].bias, &term, 1, slots(), worker.sums);
                const int first = piece * OUTPUTS, last = std::min(to.width(), first + OUTPUTS);
                for (int slot = 0; slot < slots(); ++slot) {
                    const float* sums = worker.sums.floats + size_t(slot) * OUTPUTS;
                    const float* kept = keep == nullptr ? nullptr : keep + (size_t(row_of_[slot]) * steps + step) * to.width();
                    float* values = to.row(slot);
                    for (int unit = first; unit < last; ++unit) {
                        values[unit] = std::max(sums[unit - first], 0.0f) * (kept == nullptr ? 1.0f : kept[unit]);
                    }
                }
            }
            worker.barrier.wait();
            encode_rows(worker, to);
            from = &to;
        }
        return from;
    }

    // i, f, o = sigmoid, g = tanh; c' = f c + i g; h' = o tanh c'; then the share ``zoneout`` of the old state stays.
    void run_lstm(Worker& worker, const Layer& layer, const Term* terms, int count, Cell& cell) {
        const Share blocks = worker.share(layer.blocks());
        const Floats stays = broadcast(shape_.zoneout);
        for (int block = blocks.first; block < blocks.last; ++block) {
            multiply(block, layer.bias, terms, count, slots(), worker.sums);
            for (int slot = 0; slot < slots(); ++slot) {
                const float* sums = worker.sums.floats + size_t(slot) * OUTPUTS;
                float* state = cell.state + size_t(slot) * cell.width + block * UNITS;
                float* hidden = cell.hidden.row(slot) + block * UNITS;
                for (int unit = 0; unit < UNITS; unit += LANES) {
                    const Floats in = sigmoid(load(sums + unit)), forget = sigmoid(load(sums + UNITS + unit));
                    const Floats fresh = tangent(load(sums + 2 * UNITS + unit)), out = sigmoid(load(sums + 3 * UNITS + unit));
                    const Floats old_state = load(state + unit), old_hidden = load(hidden + unit);
                    const Floats new_state = multiply_add(forget, old_state, in * fresh);
                    const Floats new_hidden = out * tangent(new_state);
                    store(state + unit, multiply_add(stays, old_state - new_state, new_state));
                    store(hidden + unit, multiply_add(stays, old_hidden - new_hidden, new_hidden));
                }
            }
        }
        worker.barrier.wait();
        encode_rows(worker, cell.hidden);
    }

    void attend(Worker& worker, const Cell& asking, const Block& block, int step) {
        const Term term = {&net_.query.parts[0], &asking.hidden};
        const Share blocks = worker.share(net_.query.blocks());
        for (int piece = blocks.first; piece < blocks.last; ++piece) {
            multiply(piece, nullptr, &term, 1, slots(), worker.sums);
            for (int slot = 0; slot < slots(); ++slot) {
                float* to = query_ + size_t(slot) * net_.dim() + piece * OUTPUTS;
                std::memcpy(to, worker.sums.floats + size_t(slot) * OUTPUTS, sizeof(float) * OUTPUTS);
            }
        }
        worker.barrier.wait();
        const int pieces = (symbols_ + POSITIONS - 1) / POSITIONS;
        const Share groups = worker.share(slots() * pieces);
        for (int group = groups.first; group < groups.last; ++group) {
            score(worker, group / pieces, group % pieces * POSITIONS);
        }
        worker.barrier.wait();
        // one row is shared out by columns of the context, many by rows
        const int shares = slots() < worker.threads ? worker.threads : 1;
        const Share tasks = worker.share(slots() * shares);
        for (int task = tasks.first; task < tasks.last; ++task) read(worker, task / shares, task % shares, shares, block, step);
        worker.barrier.wait();
        const Share rows = worker.share(slots());
        for (int slot = rows.first; slot < rows.last; ++slot) note(slot, block, step);
        encode_rows(worker, context_);
    }

    // Energies of positions from ``first``: v tanh(query + key + location features).
    void score(Worker& worker, int slot, int first) {
        const Text& text = texts_[row_of_[slot]];
        const int last = std::min(text.symbols, first + POSITIONS), count = last - first;
        if (count <= 0) return;
        float* energies = energies_ + size_t(slot) * energies_stride_;
        Floats totals[POSITIONS] = {};
        for (int start = 0; start < net_.dim(); start += OUTPUTS) {
            const float* query = query_ + size_t(slot) * net_.dim() + start;
            float* sums = worker.sums.floats;
            for (int position = 0; position < count; ++position) {
                const float* key = text.keys + size_t(first + position) * net_.dim() + start;
                for (int a = 0; a < OUTPUTS; a += LANES) store(sums + position * OUTPUTS + a, load(query + a) + load(key + a));
            }
            const uint32_t* filters = net_.location + size_t(start) * shape_.channels * shape_.kernel;
            for (int channel = 0; channel < shape_.channels; ++channel) {
                const uint32_t* windows = reinterpret_cast<const uint32_t*>(past(slot, channel) + first);
                const uint32_t* taps = filters + size_t(channel) * shape_.kernel * OUTPUTS;
                BlockMatrix::accumulate<Precision::fp32>(taps, windows, 1, shape_.kernel, count, sums);
            }
            for (int position = 0; position < count; ++position) {
                for (int a = 0; a < OUTPUTS; a += LANES) {
                    const Floats bent = tangent(load(sums + position * OUTPUTS + a));
                    totals[position] = multiply_add(bent, load(net_.energy + start + a), totals[position]);
                }
            }
        }
        for (int position = 0; position < count; ++position) {
            energies[first + position] = text.padding[first + position] ? -INFINITY : horizontal_sum(totals[position]);
        }
    }

    // Softmax of a row's energies, into the caller's weights by the first share; this share's columns of the context.
    void read(Worker& worker, int slot, int share, int shares, const Block& block, int step) {
        float* weights = worker.weights;
        const Text& text = texts_[row_of_[slot]];
        const float* energies = energies_ + size_t(slot) * energies_stride_;
        float highest = -INFINITY, total = 0.0f;
        for (int symbol = 0; symbol < text.symbols; ++symbol) highest = std::max(highest, energies[symbol]);
        for (int symbol = 0; symbol < text.symbols; symbol += LANES) {
            store(weights + symbol, exponential(load(energies + symbol) - highest));
        }
        for (int symbol = 0; symbol < text.symbols; ++symbol) {
            if (text.padding[symbol]) weights[symbol] = 0.0f;
            total += weights[symbol];
        }
        for (int symbol = 0; symbol < text.symbols; ++symbol) weights[symbol] /= total;
        if (share == 0) {
            std::memcpy(block.weights + (size_t(step) * rows_ + row_of_[slot]) * symbols_, weights, sizeof(float) * text.symbols);
        }
        const Share columns(static_cast<int>(memory_stride_ / 16), share, shares);
        constexpr int WIDE = 128;
        for (int first = columns.first * 16; first < columns.last * 16; first += WIDE) {
            const int last = std::min(columns.last * 16, first + WIDE);
            Floats sums[WIDE / LANES] = {};
            for (int symbol = 0; symbol < text.symbols; ++symbol) {
                const float* row = text.memory + symbol * memory_stride_;
                const Floats weight = broadcast(weights[symbol]);
                for (int column = first, v = 0; column < last; column += LANES, ++v) {
                    sums[v] = multiply_add(weight, load(row + column), sums[v]);
                }
            }
            for (int column = first, v = 0; column < last; column += LANES, ++v) store(context_.row(slot) + column, sums[v]);
        }
    }

    // The weights of this step become part of the past.
    void note(int slot, const Block& block, int step) {
        const float* weights = block.weights + (size_t(step) * rows_ + row_of_[slot]) * symbols_;
        const int symbols = texts_[row_of_[slot]].symbols, before = shape_.kernel / 2;
        if (folds_text()) {
            std::memcpy(looks_.row(slot), weights, sizeof(float) * symbols);
            looks_.encode_row(slot);
        }
        if (shape_.channels == 2) std::memcpy(past(slot, 0) + before, weights, sizeof(float) * symbols);
        if (shape_.channels == 0) return;
        float* cumulative = past(slot, shape_.channels - 1) + before;
        for (int symbol = 0; symbol < symbols; ++symbol) cumulative[symbol] += weights[symbol];
    }

    void project(Worker& worker, const Block& block, int step, std::atomic<bool>& stop) {
        const Term terms[] = {{&net_.projection.parts[0], &second_.hidden}, {&net_.projection.parts[1], &context_}};
        const int count = net_.outputs(), fed = count - shape_.mels;
        const Share blocks = worker.share(net_.projection.blocks());
        for (int piece = blocks.first; piece < blocks.last; ++piece) {
            multiply(piece, net_.projection.bias, terms, 2, slots(), worker.sums);
            const int first = piece * OUTPUTS, last = std::min(count, first + OUTPUTS);
            for (int slot = 0; slot < slots(); ++slot) {
                const float* sums = worker.sums.floats + size_t(slot) * OUTPUTS;
                const size_t place = size_t(step) * rows_ + row_of_[slot];
                for (int output = first; output < last; ++output) block.frames[place * count + output] = sums[output - first];
                for (int output = std::max(first, fed); output < last; ++output) frame_.row(slot)[output - fed] = sums[output - first];
                if (count < first || count >= first + OUTPUTS) continue;
                block.stops[place] = sums[count - first];
                if (sums[count - first] >= block.stop_from) stop.store(true, std::memory_order_relaxed);
            }
        }
        worker.barrier.wait();
        encode_rows(worker, frame_);
    }
};

// A new object, or null where memory is short.
template <class Object, class... Arguments>
void* made(Arguments&&... arguments) {
    try {
        return new Object(std::forward<Arguments>(arguments)...);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

}  // namespace

extern "C" {

void* decoder_new(const DecoderShape* shape, const DecoderWeights* weights) { return made<Decoder>(*shape, *weights); }

int64_t decoder_bytes(const void* decoder) { return static_cast<int64_t>(static_cast<const Decoder*>(decoder)->bytes()); }

void decoder_free(void* decoder) { delete static_cast<Decoder*>(decoder); }

// memory rows x symbols x D, keys rows x symbols x A, mask rows x symbols (1 on padding). The decoder must outlive the generation.
void* decoder_start(const void* decoder, int32_t rows, int32_t symbols, const float* memory, const float* keys, const uint8_t* mask) {
    return made<Generation>(*static_cast<const Decoder*>(decoder), rows, symbols, memory, keys, mask);
}

// See Block. Returns the steps made: fewer than asked for where a row may have stopped.
int32_t decoder_run(void* generation, int32_t threads, int32_t steps, const float* const* keep, const float* forced, float stop_from,
                    float* frames, float* stops, float* weights) {
    return static_cast<Generation*>(generation)->run(threads, steps, {keep, forced, stop_from, frames, stops, weights});
}

void decoder_keep(void* generation, const int32_t* rows, int32_t count) { static_cast<Generation*>(generation)->keep(rows, count); }

void decoder_end(void* generation) { delete static_cast<Generation*>(generation); }
}
