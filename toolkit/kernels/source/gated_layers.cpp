// Training of WaveNet's gated layers: skips and gradients of whole crops. Called by toolkit/kernels/gated_layers.py, which names the
// plain twin. Rows of a batch do not depend on one another: each thread takes a share of them through all layers, without a barrier.
//
// Position-major arrays have EDGE positions more than there are on either side, so that blocks need no special cases:
//
//     row 0:  | EDGE | position 0 ............................. T-1 | EDGE |   row 1: | EDGE | ...
//                                                           channels of a position lie side by side
//
// Skips and their gradients have an edge in front only: they belong to the last ``count`` positions.
//
// Layer i gives outputs for positions start[i+1] .. T-1; start[0] = 0 and start[i+1] = start[i] + (taps - 1) dilation[i].
// Work goes in blocks of 32 positions that end at T. A block may begin before its layer's start: what lies there is masked to zero.
//
// One layer, forward, one block (K taps of R channels, C channels of conditions, G units):
//
//     inputs   p - 2d      p - d       p         condition p          every product is 32 positions x 32 outputs, whose outputs
//           [ 32 x R ]  [ 32 x R ]  [ 32 x R ]   [ 32 x C ]           are 16 filters and the 16 gates that belong to them, so
//               \___________|___________|____________/                the unit follows while the sums are still in cache
//                                x weights
//                [ filter 0-15 | gate 0-15 ]  [ filter 16-31 | gate 16-31 ] ...
//                                | tanh, sigmoid: kept for the backward pass
//                           z [ 32 x G ]  x weights  ->  skips += .
//                                         x weights  ->  next x = (x + .) sqrt(1/2)
//
// Backward, 512 positions at a time from the end of the crop, so that the operands of the weight gradients are in cache:
//     1. d z = d x' x weights + d skips x weights;  d gates overwrite tanh and sigmoid          (positions of the 512)
//     2. d weights += (d gates)^T x [inputs p-2d | p-d | p | condition];  d weights' += (d x')^T z, (d skips)^T z
//     3. d x = d x' + sum over taps of (d gates at p + shift) x weights;  d condition += ...     (later positions are done already)
//
// Operands. A *left* operand is any position-major array, 16 words of it a row: products read it where it lies, and a tap is
// only another address. A *right* operand is packed in pieces of 16 words x 16 outputs (1 KiB, one tile of AMX), two pieces side by side:
//
//     piece:  word 0  of outputs 0 .. 15 | word 1 of outputs 0 .. 15 | ... | word 15          a word is one float or two bf16
//     array:  [32 outputs][16 words of inputs][2 pieces]
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#include "simd.hpp"

namespace {

using namespace kernels;

constexpr int EDGE = 32;               // positions on either side of an array
constexpr int BLOCK = 32;              // positions of a product, and its outputs
constexpr int WIDE = 512;              // positions of a weight gradient's operands
constexpr int TILE = 16;               // rows of a tile, and words of a row
constexpr int PIECE = TILE * TILE;     // words of a piece
constexpr float RESIDUAL_SCALE = 0.70710678118654752f;

using bf16 = uint16_t;

template <class Element>
constexpr int IN_WORD = 4 / sizeof(Element);
template <class Element>
constexpr int STEP = TILE * IN_WORD<Element>;  // values that one tile takes from a row

KERNEL_INLINE Floats get(const float* from) { return load(from); }
KERNEL_INLINE Floats get(const bf16* from) { return same_bits<Floats>(__builtin_convertvector(load_as<Shorts>(from), Words) << 16); }
KERNEL_INLINE void put(float* to, Floats value) { store(to, value); }
KERNEL_INLINE void put(bf16* to, Floats value) {
#if defined(__AVX512BF16__)
    store_as(to, _mm512_cvtneps_pbh(value));
#else
    const Words bits = same_bits<Words>(value);
    store_as(to, __builtin_convertvector((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, Shorts));
#endif
}

// ---------------------------------------------------------------------------------------------------------------------------
// Sums of a block, 32 rows x 32 outputs. ``add`` takes ``steps`` tiles of 16 words from each left row, ``stride`` values apart.

template <class Element>
class Sums;

template <>
class Sums<float> {
   public:
    void clear() { std::memset(sums_, 0, sizeof(sums_)); }
    void load_from(const float* memory, ptrdiff_t stride) {
        for (int row = 0; row < BLOCK; ++row) std::memcpy(sums_[row], memory + row * stride, sizeof(sums_[row]));
    }
    void store_to(float* memory, ptrdiff_t stride) const {
        for (int row = 0; row < BLOCK; ++row) std::memcpy(memory + row * stride, sums_[row], sizeof(sums_[row]));
    }
    void add(const float* left, ptrdiff_t stride, const float* right, int steps) {
        for (int row = 0; row < BLOCK; row += ROWS) add_rows(sums_[row], left + row * stride, stride, right, steps);
    }

   private:
    static constexpr int ROWS = LANES == 16 ? 8 : 2, VECTORS = BLOCK / LANES;  // as many sums as fit the registers
    static KERNEL_INLINE void add_rows(float* memory, const float* left, ptrdiff_t stride, const float* right, int steps) {
        Floats sums[ROWS][VECTORS];
        for (int row = 0; row < ROWS; ++row) {
            for (int v = 0; v < VECTORS; ++v) sums[row][v] = load(memory + row * BLOCK + v * LANES);
        }
        for (int step = 0; step < steps; ++step, left += TILE, right += 2 * PIECE) {
            for (int word = 0; word < TILE; ++word) {
                Floats weights[VECTORS];
                for (int v = 0; v < VECTORS; ++v) {
                    const int output = v * LANES;
                    weights[v] = load(right + output / TILE * PIECE + word * TILE + output % TILE);
                }
                for (int row = 0; row < ROWS; ++row) {
                    const Floats value = broadcast(left[row * stride + word]);
                    for (int v = 0; v < VECTORS; ++v) sums[row][v] = multiply_add(value, weights[v], sums[row][v]);
                }
            }
        }
        for (int row = 0; row < ROWS; ++row) {
            for (int v = 0; v < VECTORS; ++v) store(memory + row * BLOCK + v * LANES, sums[row][v]);
        }
    }

    alignas(64) float sums_[BLOCK][BLOCK];
};

#if defined(__AMX_TILE__) && defined(__AMX_BF16__)
// Tiles 0 1 / 2 3 hold the sums, 4 and 5 the left rows, 6 and 7 the two pieces of the right operand.
template <>
class Sums<bf16> {
   public:
    void clear() {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    void load_from(const float* memory, ptrdiff_t stride) {
        written();
        _tile_loadd(0, memory, stride * 4);
        _tile_loadd(1, memory + TILE, stride * 4);
        _tile_loadd(2, memory + TILE * stride, stride * 4);
        _tile_loadd(3, memory + TILE * stride + TILE, stride * 4);
    }
    void store_to(float* memory, ptrdiff_t stride) const {
        _tile_stored(0, memory, stride * 4);
        _tile_stored(1, memory + TILE, stride * 4);
        _tile_stored(2, memory + TILE * stride, stride * 4);
        _tile_stored(3, memory + TILE * stride + TILE, stride * 4);
        written();
    }
    void add(const bf16* left, ptrdiff_t stride, const bf16* right, int steps) {
        written();
        const bf16* below = left + TILE * stride;
        for (int step = 0; step < steps; ++step, left += STEP<bf16>, below += STEP<bf16>, right += 4 * PIECE) {
            _tile_loadd(4, left, stride * 2);
            _tile_loadd(6, right, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, right + 2 * PIECE, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, below, stride * 2);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }

   private:
    // The intrinsics of some compilers do not say which memory they read or write.
    static KERNEL_INLINE void written() { __asm__ volatile("" ::: "memory"); }
};

class Tiles {
   public:
    Tiles() {
        struct alignas(64) Layout {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t bytes_in_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        };
        static const Layout layout;
        _tile_loadconfig(&layout);
    }
    ~Tiles() { _tile_release(); }
};
constexpr bool HAS_BF16 = true;
#else
class Tiles {};
constexpr bool HAS_BF16 = false;
#endif

// ---------------------------------------------------------------------------------------------------------------------------
// Packing of position-major values, for products over positions

// ``positions`` x 32 channels -> right operand, one pair of pieces for every STEP positions.
template <class Element>
void pack_right(const Element* from, ptrdiff_t stride, int positions, Element* to) {
    for (int first = 0; first < positions; first += STEP<Element>, from += STEP<Element> * stride) {
        for (int piece = 0; piece < 2; ++piece) {
            const Element* row = from + piece * TILE;
            for (int word = 0; word < TILE; ++word, row += IN_WORD<Element> * stride, to += TILE * IN_WORD<Element>) {
                if constexpr (IN_WORD<Element> == 1) {
                    std::memcpy(to, row, TILE * sizeof(Element));
                } else {
                    for (int lane = 0; lane < TILE; lane += LANES) {
                        const Words even = __builtin_convertvector(load_as<Shorts>(row + lane), Words);
                        const Words odd = __builtin_convertvector(load_as<Shorts>(row + stride + lane), Words);
                        store_as(to + 2 * lane, even | (odd << 16));
                    }
                }
            }
        }
    }
}

#if defined(__AVX512F__)
// Exchange of the lanes whose number has the bit ``apart`` between two rows that are ``apart`` rows apart.
template <int apart>
KERNEL_INLINE void exchange(__m512i* rows) {
    alignas(64) static constexpr auto order = [] {
        struct { int low[16] = {}, high[16] = {}; } found;
        for (int lane = 0; lane < 16; ++lane) {
            found.low[lane] = lane & apart ? 16 + lane - apart : lane;
            found.high[lane] = lane & apart ? 16 + lane : lane + apart;
        }
        return found;
    }();
    const __m512i low = _mm512_loadu_si512(order.low), high = _mm512_loadu_si512(order.high);
    for (int row = 0; row < TILE; ++row) {
        if (row & apart) continue;
        const __m512i one = rows[row], two = rows[row + apart];
        rows[row] = _mm512_permutex2var_epi32(one, low, two);
        rows[row + apart] = _mm512_permutex2var_epi32(one, high, two);
    }
}
#endif

// 16 x 16 words, rows and columns exchanged; rows of the result lie ``stride`` words apart.
KERNEL_INLINE void transpose(const uint32_t* from, uint32_t* to, ptrdiff_t stride) {
#if defined(__AVX512F__)
    __m512i rows[TILE];
    for (int row = 0; row < TILE; ++row) rows[row] = _mm512_loadu_si512(from + row * TILE);
    exchange<1>(rows), exchange<2>(rows), exchange<4>(rows), exchange<8>(rows);
    for (int row = 0; row < TILE; ++row) _mm512_storeu_si512(to + row * stride, rows[row]);
#else
    for (int row = 0; row < TILE; ++row) {
        for (int column = 0; column < TILE; ++column) to[row * stride + column] = from[column * TILE + row];
    }
#endif
}

// Values from one row of a packed left operand to the next: a cache line more than the positions, for rows that are a power of two
// apart would fall into the same sets of the cache.
template <class Element>
constexpr int LEFT_STRIDE = WIDE + STEP<Element>;

// ``positions`` x 32 channels -> left operand of 32 rows, the channels, with the positions side by side.
template <class Element>
void pack_left(const Element* from, ptrdiff_t stride, int positions, Element* to) {
    alignas(64) Element pieces[2 * PIECE * IN_WORD<Element>];
    uint32_t* words = reinterpret_cast<uint32_t*>(to);
    const ptrdiff_t length = LEFT_STRIDE<Element> / IN_WORD<Element>;
    for (int first = 0; first < positions; first += STEP<Element>, words += TILE) {
        pack_right(from + first * stride, stride, STEP<Element>, pieces);
        transpose(reinterpret_cast<const uint32_t*>(pieces), words, length);
        transpose(reinterpret_cast<const uint32_t*>(pieces) + PIECE, words + TILE * length, length);
    }
}

// ---------------------------------------------------------------------------------------------------------------------------

// Uninitialised memory of whole cache lines, which tiles are loaded from faster.
template <class Value>
class Scratch {
   public:
    explicit Scratch(size_t count) : memory_(static_cast<Value*>(std::aligned_alloc(64, (count * sizeof(Value) + 63) / 64 * 64))) {
        if (memory_ == nullptr) throw std::bad_alloc();
    }
    ~Scratch() { std::free(memory_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    Value* data() const { return memory_; }

   private:
    Value* memory_;
};

struct Sizes {
    int32_t rows, positions, count, layers, taps, residual, gate, skip, condition;  // channels are multiples of 32
    int32_t bf16, threads;
    const int32_t* dilations;
};

struct Forward {
    float* x;                // rows, positions, residual: input of the first layer; overwritten
    const void* condition;   // rows, positions, condition
    const uint8_t* exists;   // rows, positions without edges; or null
    void* const* inputs;     // each layer: rows, positions, residual
    void* const* gates;      // each layer: rows, positions, tanh of the filters, sigmoids of the gates
    float* skips;            // rows, edge and count, skip; zero
    const void* into_gates;  // layers: right operand of 2 gate outputs, filters and gates in turns of 16
    const float* bias;       // layers, 2 gate
    const void* onward;      // layers - 1: right operand of residual outputs
    const void* into_skips;  // layers: right operand of skip outputs
};

struct Backward {
    const void* to_skips;     // rows, edge and count, skip; the edge zero
    const uint8_t* exists;
    const void* condition;
    void* const* inputs;
    void* const* gates;  // overwritten
    float* to_x;         // rows, positions, residual; zero
    void* to_x_low;      // the same as elements; need not be set
    float* to_condition; // rows, positions, condition; zero
    const void* from_gates;   // layers: right operand of taps x residual and then condition outputs
    const void* from_onward;  // layers - 1: right operand of gate outputs
    const void* from_skips;   // layers: right operand of gate outputs
    float* to_weights;   // threads, layers, blocks of 32 x 32: 2 gate x (taps residual + condition); zero
    float* to_onward;    // threads, layers, blocks of 32 x 32: residual x gate; zero
    float* to_into_skips;  // threads, layers, blocks of 32 x 32: skip x gate; zero
    float* to_bias;      // threads, layers, 2 gate; zero
};

// What both directions share: addresses, starts of layers, masks.
template <class Element>
class Crop {
   public:
    explicit Crop(const Sizes& sizes) : size_(sizes), starts_(size_t(sizes.layers) + 1, 0) {
        for (int i = 0; i < size_.layers; ++i) starts_[i + 1] = starts_[i] + (size_.taps - 1) * size_.dilations[i];
    }

   protected:
    const Sizes size_;
    std::vector<int> starts_;
    Sums<Element> sums_;
    alignas(64) float block_[BLOCK * BLOCK];

    int columns() const { return size_.taps * size_.residual + size_.condition; }
    ptrdiff_t place(int row, int position) const { return ptrdiff_t(row) * (size_.positions + 2 * EDGE) + EDGE + position; }
    // Of the skips of a block, which may begin in their edge.
    ptrdiff_t skip_place(int row, int first) const {
        return (ptrdiff_t(row) * (EDGE + size_.count) + EDGE + first - before()) * size_.skip;
    }
    int before() const { return size_.positions - size_.count; }  // positions without skips
    bool has_skips(int first) const { return first + BLOCK > before(); }
    int shift(int layer, int tap) const { return (size_.taps - 1 - tap) * size_.dilations[layer]; }
    int first_block(int start) const { return size_.positions - (size_.positions - start + BLOCK - 1) / BLOCK * BLOCK; }
    static bool alive(const uint8_t* exists, int position, int start) {
        return position >= start && (exists == nullptr || exists[position]);
    }
    const uint8_t* exists_in(const uint8_t* exists, int row) const {
        return exists == nullptr ? nullptr : exists + ptrdiff_t(row) * size_.positions;
    }
    // Positions from ``from`` (not before the edge) to ``to`` become zero.
    void blank(Element* array, int width, int row, int from, int to) const {
        from = std::max(from, -EDGE);
        if (to > from) std::memset(array + place(row, from) * width, 0, size_t(to - from) * width * sizeof(Element));
    }
};

template <class Element>
class ForwardRun : Crop<Element> {
   public:
    ForwardRun(const Sizes& sizes, const Forward& memory) : Crop<Element>(sizes), memory_(memory), z_(size_t(BLOCK) * sizes.gate) {}

    void row(int row) {
        enter(row);
        for (int layer = 0; layer < size_.layers; ++layer) {
            const int start = starts_[layer + 1];
            if (layer + 1 < size_.layers) this->blank(inputs(layer + 1), size_.residual, row, start - BLOCK, start);
            for (int first = this->first_block(start); first < size_.positions; first += BLOCK) {
                units(layer, row, first);
                if (this->has_skips(first)) skips(layer, row, first);
                if (layer + 1 < size_.layers) next(layer, row, first);
            }
        }
    }

   private:
    using Crop<Element>::size_;
    using Crop<Element>::starts_;
    using Crop<Element>::sums_;
    using Crop<Element>::block_;
    const Forward memory_;
    Scratch<Element> z_;  // of one block

    Element* inputs(int layer) const { return static_cast<Element*>(memory_.inputs[layer]); }

    void enter(int row) {
        const uint8_t* exists = this->exists_in(memory_.exists, row);
        this->blank(inputs(0), size_.residual, row, -EDGE, 0);
        for (int position = 0; position < size_.positions; ++position) {
            float* x = memory_.x + this->place(row, position) * size_.residual;
            Element* low = inputs(0) + this->place(row, position) * size_.residual;
            if (!this->alive(exists, position, 0)) std::fill(x, x + size_.residual, 0.0f);
            for (int c = 0; c < size_.residual; c += LANES) put(low + c, load(x + c));
        }
    }

    // z of a block, tanh and sigmoid kept.
    void units(int layer, int row, int first) {
        const int residual = size_.residual, gate = size_.gate, condition = size_.condition;
        const Element* weights = static_cast<const Element*>(memory_.into_gates) + size_t(layer) * 2 * gate * this->columns();
        const Element* conditions = static_cast<const Element*>(memory_.condition) + this->place(row, first) * condition;
        Element* kept = static_cast<Element*>(memory_.gates[layer]) + this->place(row, first) * 2 * gate;
        for (int unit = 0; unit < gate; unit += TILE) {
            sums_.clear();
            for (int tap = 0; tap < size_.taps; ++tap, weights += BLOCK * residual) {
                const Element* x = inputs(layer) + this->place(row, first - this->shift(layer, tap)) * residual;
                sums_.add(x, residual, weights, residual / STEP<Element>);
            }
            sums_.add(conditions, condition, weights, condition / STEP<Element>);
            weights += BLOCK * condition;
            sums_.store_to(block_, BLOCK);
            const float* bias = memory_.bias + size_t(layer) * 2 * gate + unit;
            for (int lane = 0; lane < TILE; lane += LANES) {
                const Floats filter_bias = load(bias + lane), gate_bias = load(bias + gate + lane);
                for (int p = 0; p < BLOCK; ++p) {
                    const Floats filtered = tangent(load(block_ + p * BLOCK + lane) + filter_bias);
                    const Floats passed = sigmoid(load(block_ + p * BLOCK + TILE + lane) + gate_bias);
                    put(kept + p * 2 * gate + unit + lane, filtered);
                    put(kept + p * 2 * gate + gate + unit + lane, passed);
                    put(z_.data() + p * gate + unit + lane, filtered * passed);
                }
            }
        }
    }

    void skips(int layer, int row, int first) {
        const int gate = size_.gate, skip = size_.skip;
        const Element* weights = static_cast<const Element*>(memory_.into_skips) + size_t(layer) * gate * skip;
        for (int channel = 0; channel < skip; channel += BLOCK, weights += BLOCK * gate) {
            float* total = memory_.skips + this->skip_place(row, first) + channel;
            sums_.load_from(total, skip);
            sums_.add(z_.data(), gate, weights, gate / STEP<Element>);
            sums_.store_to(total, skip);
        }
    }

    // Input of the next layer from z of a block.
    void next(int layer, int row, int first) {
        const int residual = size_.residual, gate = size_.gate;
        const uint8_t* exists = this->exists_in(memory_.exists, row);
        const Element* weights = static_cast<const Element*>(memory_.onward) + size_t(layer) * gate * residual;
        for (int channel = 0; channel < residual; channel += BLOCK, weights += BLOCK * gate) {
            sums_.clear();
            sums_.add(z_.data(), gate, weights, gate / STEP<Element>);
            sums_.store_to(block_, BLOCK);
            for (int p = 0; p < BLOCK; ++p) {
                const ptrdiff_t at = this->place(row, first + p) * residual + channel;
                const bool alive = this->alive(exists, first + p, starts_[layer + 1]);
                for (int lane = 0; lane < BLOCK; lane += LANES) {
                    const Floats sum = (load(memory_.x + at + lane) + load(block_ + p * BLOCK + lane)) * RESIDUAL_SCALE;
                    const Floats x = alive ? sum : Floats{};
                    store(memory_.x + at + lane, x);
                    put(inputs(layer + 1) + at + lane, x);
                }
            }
        }
    }
};

template <class Element>
class BackwardRun : Crop<Element> {
   public:
    BackwardRun(const Sizes& sizes, const Backward& memory, int thread)
        : Crop<Element>(sizes), memory_(memory), thread_(thread), z_(size_t(WIDE) * sizes.gate),
          left_(size_t(LEFT_STRIDE<Element>) * std::max({2 * sizes.gate, sizes.residual, sizes.skip})), right_(size_t(WIDE) * BLOCK) {}

    void rows(int first_row, int last_row) {
        for (int layer = size_.layers - 1; layer >= 0; --layer) {
            for (int row = first_row; row < last_row; ++row) layer_of_row(layer, row);
        }
    }

   private:
    using Crop<Element>::size_;
    using Crop<Element>::starts_;
    using Crop<Element>::sums_;
    using Crop<Element>::block_;
    const Backward memory_;
    const int thread_;
    Scratch<Element> z_, left_, right_;  // of up to WIDE positions

    Element* gates(int layer) const { return static_cast<Element*>(memory_.gates[layer]); }
    Element* left_at(int channel) const { return left_.data() + size_t(channel) * LEFT_STRIDE<Element>; }
    const Element* to_skips() const { return static_cast<const Element*>(memory_.to_skips); }
    Element* to_x_low() const { return static_cast<Element*>(memory_.to_x_low); }
    bool is_last(int layer) const { return layer + 1 == size_.layers; }

    void layer_of_row(int layer, int row) {
        const int end = size_.positions, lowest = this->first_block(starts_[layer + 1]);
        this->blank(gates(layer), 2 * size_.gate, row, starts_[layer] - BLOCK, lowest);
        this->blank(gates(layer), 2 * size_.gate, row, end, end + EDGE);
        for (int high = end; high > lowest; high -= WIDE) {
            const int low = std::max(high - WIDE, lowest);
            for (int first = low; first < high; first += BLOCK) gate_gradients(layer, row, first, z_.data() + (first - low) * size_.gate);
            weight_gradients(layer, row, low, high - low);
            skip_gradients(layer, row, low, high);
            for (int first = high - BLOCK; first >= low; first -= BLOCK) {
                input_gradient(layer, row, first);
                condition_gradient(layer, row, first);
            }
        }
        for (int first = lowest - BLOCK; first > starts_[layer] - BLOCK; first -= BLOCK) input_gradient(layer, row, first);
    }

    // Gradients of the gates of a block, before their non-linearities, in place of these; z is computed again for its weights.
    void gate_gradients(int layer, int row, int first, Element* z) {
        const int gate = size_.gate, residual = size_.residual, skip = size_.skip, start = starts_[layer + 1];
        const Element* weights = static_cast<const Element*>(memory_.from_onward) + size_t(layer) * gate * residual;
        const Element* skip_weights = static_cast<const Element*>(memory_.from_skips) + size_t(layer) * gate * skip;
        const Element* to_next = to_x_low() + this->place(row, first) * residual;
        float* to_bias = memory_.to_bias + (size_t(thread_) * size_.layers + layer) * 2 * gate;
        for (int unit = 0; unit < gate; unit += BLOCK, weights += BLOCK * residual, skip_weights += BLOCK * skip) {
            sums_.clear();
            if (!is_last(layer)) sums_.add(to_next, residual, weights, residual / STEP<Element>);
            if (this->has_skips(first)) sums_.add(to_skips() + this->skip_place(row, first), skip, skip_weights, skip / STEP<Element>);
            sums_.store_to(block_, BLOCK);
            for (int lane = 0; lane < BLOCK; lane += LANES) {
                Floats filter_total = {}, gate_total = {};
                for (int p = 0; p < BLOCK; ++p) {
                    const int position = first + p;
                    Element* filters = gates(layer) + this->place(row, position) * 2 * gate + unit + lane;
                    const Floats filtered = get(filters), passed = get(filters + gate);
                    Floats to_z = load(block_ + p * BLOCK + lane);
                    if (position < start) to_z = Floats{};
                    const Floats to_filter = to_z * passed * (1.0f - filtered * filtered);
                    const Floats to_gate = to_z * filtered * passed * (1.0f - passed);
                    filter_total += to_filter, gate_total += to_gate;
                    put(z + p * gate + unit + lane, filtered * passed);
                    put(filters, to_filter);
                    put(filters + gate, to_gate);
                }
                store(to_bias + unit + lane, load(to_bias + unit + lane) + filter_total);
                store(to_bias + gate + unit + lane, load(to_bias + gate + unit + lane) + gate_total);
            }
        }
    }

    void weight_gradients(int layer, int row, int low, int positions) {
        const int gate = size_.gate, residual = size_.residual, condition = size_.condition;
        for (int c = 0; c < 2 * gate; c += BLOCK) {
            pack_left(gates(layer) + this->place(row, low) * 2 * gate + c, 2 * gate, positions, left_at(c));
        }
        float* totals = memory_.to_weights + (size_t(thread_) * size_.layers + layer) * 2 * gate * this->columns();
        const ptrdiff_t apart = ptrdiff_t(this->columns()) * BLOCK;
        for (int tap = 0; tap < size_.taps; ++tap) {
            const Element* x = static_cast<const Element*>(memory_.inputs[layer]);
            x += this->place(row, low - this->shift(layer, tap)) * residual;
            totals = products_over_positions(x, residual, positions, 2 * gate, totals, apart);
        }
        const Element* conditions = static_cast<const Element*>(memory_.condition) + this->place(row, low) * condition;
        products_over_positions(conditions, condition, positions, 2 * gate, totals, apart);
        if (is_last(layer)) return;
        for (int c = 0; c < residual; c += BLOCK) {
            pack_left(to_x_low() + this->place(row, low) * residual + c, residual, positions, left_at(c));
        }
        totals = memory_.to_onward + (size_t(thread_) * size_.layers + layer) * residual * gate;
        products_over_positions(z_.data(), gate, positions, residual, totals, ptrdiff_t(gate) * BLOCK);
    }

    // Of the weights that give the skips.
    void skip_gradients(int layer, int row, int low, int high) {
        const int gate = size_.gate, skip = size_.skip, first = std::max(low, this->first_block(this->before()));
        if (first >= high) return;
        for (int c = 0; c < skip; c += BLOCK) pack_left(to_skips() + this->skip_place(row, first) + c, skip, high - first, left_at(c));
        float* totals = memory_.to_into_skips + (size_t(thread_) * size_.layers + layer) * skip * gate;
        products_over_positions(z_.data() + size_t(first - low) * gate, gate, high - first, skip, totals, ptrdiff_t(gate) * BLOCK);
    }

    // totals += left^T right for all ``width`` channels on the right; blocks of the next 32 channels on the left lie ``apart`` floats on.
    float* products_over_positions(const Element* right, int width, int positions, int outputs, float* totals, ptrdiff_t apart) {
        for (int c = 0; c < width; c += BLOCK, totals += BLOCK * BLOCK) {
            pack_right(right + c, width, positions, right_.data());
            for (int output = 0; output < outputs; output += BLOCK) {
                float* total = totals + output / BLOCK * apart;
                sums_.load_from(total, BLOCK);
                sums_.add(left_at(output), LEFT_STRIDE<Element>, right_.data(), positions / STEP<Element>);
                sums_.store_to(total, BLOCK);
            }
        }
        return totals;
    }

    // Gradient of a block of the layer's inputs, through its taps and past it, in place of that of its outputs.
    void input_gradient(int layer, int row, int first) {
        const int gate = size_.gate, residual = size_.residual;
        const uint8_t* exists = this->exists_in(memory_.exists, row);
        const Element* weights = static_cast<const Element*>(memory_.from_gates) + size_t(layer) * 2 * gate * this->columns();
        const float scale = layer > 0 ? RESIDUAL_SCALE : 1.0f;  // of the layer before, whose output this is
        for (int channel = 0; channel < residual; channel += BLOCK) {
            sums_.clear();
            for (int tap = 0; tap < size_.taps; ++tap) {
                const int position = first + this->shift(layer, tap);
                if (position >= size_.positions) continue;
                const Element* right = weights + size_t(tap * residual + channel) * 2 * gate;
                sums_.add(gates(layer) + this->place(row, position) * 2 * gate, 2 * gate, right, 2 * gate / STEP<Element>);
            }
            sums_.store_to(block_, BLOCK);
            for (int p = 0; p < BLOCK; ++p) {
                const ptrdiff_t at = this->place(row, first + p) * residual + channel;
                const bool alive = this->alive(exists, first + p, starts_[layer]);
                for (int lane = 0; lane < BLOCK; lane += LANES) {
                    const Floats sum = (load(memory_.to_x + at + lane) + load(block_ + p * BLOCK + lane)) * scale;
                    const Floats to_x = alive ? sum : Floats{};
                    store(memory_.to_x + at + lane, to_x);
                    put(to_x_low() + at + lane, to_x);
                }
            }
        }
    }

    void condition_gradient(int layer, int row, int first) {
        const int gate = size_.gate, condition = size_.condition;
        const Element* weights = static_cast<const Element*>(memory_.from_gates);
        weights += (size_t(layer) * this->columns() + size_.taps * size_.residual) * 2 * gate;
        for (int channel = 0; channel < condition; channel += BLOCK, weights += BLOCK * 2 * gate) {
            float* total = memory_.to_condition + this->place(row, first) * condition + channel;
            sums_.load_from(total, condition);
            sums_.add(gates(layer) + this->place(row, first) * 2 * gate, 2 * gate, weights, 2 * gate / STEP<Element>);
            sums_.store_to(total, condition);
        }
    }
};

// Each thread takes as many rows as the others, give or take one, so that sums over rows do not depend on chance.
template <class Element, class Work>
void share_rows(const Sizes& sizes, Work work) {
    const auto part = [&](int thread) {
        [[maybe_unused]] const std::conditional_t<std::is_same_v<Element, bf16>, Tiles, int> tiles{};
        work(thread, sizes.rows * thread / sizes.threads, sizes.rows * (thread + 1) / sizes.threads);
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < sizes.threads; ++thread) others.emplace_back(part, thread);
    part(0);
    for (std::thread& other : others) other.join();
}

template <class Element>
void run_forward(const Sizes& sizes, const Forward& memory) {
    share_rows<Element>(sizes, [&](int, int first, int last) {
        ForwardRun<Element> run(sizes, memory);
        for (int row = first; row < last; ++row) run.row(row);
    });
}

template <class Element>
void run_backward(const Sizes& sizes, const Backward& memory) {
    share_rows<Element>(sizes, [&](int thread, int first, int last) { BackwardRun<Element>(sizes, memory, thread).rows(first, last); });
}

}  // namespace

extern "C" {

// 1 where products of bf16 are faster here than those of floats.
int32_t gated_layers_has_bf16() { return HAS_BF16; }

void gated_layers_forward(const Sizes* sizes, const Forward* memory) {
    if constexpr (HAS_BF16) {
        if (sizes->bf16) return run_forward<std::conditional_t<HAS_BF16, bf16, float>>(*sizes, *memory);
    }
    run_forward<float>(*sizes, *memory);
}

void gated_layers_backward(const Sizes* sizes, const Backward* memory) {
    if constexpr (HAS_BF16) {
        if (sizes->bf16) return run_backward<std::conditional_t<HAS_BF16, bf16, float>>(*sizes, *memory);
    }
    run_backward<float>(*sizes, *memory);
}
}
