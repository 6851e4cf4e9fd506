// Weight matrices packed for y = bias + W x in fp32, bf16 and int8, for one activation vector or several at once.
//
// A 32-bit WORD holds what one multiply instruction takes of one output: 1 fp32, 2 bf16 or 4 int8 weights that follow each
// other along the inputs. A BLOCK is 32 outputs. Inputs are padded with zeros to a multiple of 16 words, outputs to whole
// blocks:
//
//   block 0                                             block 1
//   word 0: | out 0 | out 1 | ... | out 31 |  128 bytes    word 0: | out 32 | ... | out 63 |
//   word 1: | out 0 | out 1 | ... | out 31 |               ...
//   ...                                    (words x 128 bytes a block, blocks one after the other)
//
//   one word in int8:  | W[out][4w] | W[out][4w+1] | W[out][4w+2] | W[out][4w+3] |   lowest byte first
//
// 16 words of half a block, 16 rows of 64 bytes, are also one weight tile of AMX, so that the same packing serves all.
//
// Activations are encoded to the same words: fp32 as it is; bf16 rounded to nearest even; int8 as round(x / scale) + 128 in
// an unsigned byte with scale = max |x| / 127 of this vector. With one weight scale for each output,
//   y = bias + scale weight_scale[out] (sum of (q + 128) w  -  128 sum of w),   the last term kept ready: sums start there.
// Sums of int8 products are exact on every target: VNNI or AMX where they are, widening to 16 bits elsewhere.
//
// Use:
//   Arena arena;
//   PackedMatrix matrix;
//   matrix.pack(arena, Precision::int8, weights, row_stride, bias, outputs, inputs);
//   encode(Precision::int8, x, inputs, words, &scale);              // words: matrix.words() of them, 64-byte aligned
//   matrix.multiply(words, scale, y, 0, matrix.blocks(), false);     // y: matrix.padded_outputs() floats
//   { TileScope tiles;                                              // once a thread, around products of many rows
//     matrix.multiply_rows(words, stride, scales, rows, y, y_stride, 0, matrix.blocks(), false); }
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "simd.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kernels {

enum class Precision : int { fp32 = 0, bf16 = 1, int8 = 2 };

constexpr int BLOCK = 32;         // outputs side by side
constexpr int WORD_STEP = 16;     // inputs are padded to a multiple of so many words
constexpr int TILE_ROWS = 16;     // activation vectors of one AMX tile
constexpr int TILES_FROM = 8;     // fewer vectors than this go without tiles

constexpr int values_in_word(Precision precision) { return precision == Precision::fp32 ? 1 : precision == Precision::bf16 ? 2 : 4; }

constexpr int round_up(int value, int step) { return (value + step - 1) / step * step; }

// Words of an encoded vector of so many inputs, padding included.
constexpr int encoded_words(Precision precision, int inputs) {
    return round_up((inputs + values_in_word(precision) - 1) / values_in_word(precision), WORD_STEP);
}

// Memory in chunks of whole huge pages, so that weights of a layer are neighbours and need few address translations. Zeroed;
// every piece is 64-byte aligned and lives as long as the arena. Small pages suit what is used for a moment.
constexpr size_t HUGE_PAGE = size_t(2) << 20, SMALL_PAGE = size_t(1) << 16;

class Arena {
   public:
    explicit Arena(size_t page = HUGE_PAGE) : page_(page) {}

    template <class T>
    T* take(size_t count) {
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        if (used_ + bytes > size_) grow(bytes);
        T* piece = reinterpret_cast<T*>(chunks_.back().get() + used_);
        used_ += bytes;
        return piece;
    }

   private:
    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };

    void grow(size_t bytes) {
        size_ = (bytes + page_ - 1) / page_ * page_;
        used_ = 0;
        char* memory = static_cast<char*>(std::aligned_alloc(page_, size_));
        if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (page_ == HUGE_PAGE) madvise(memory, size_, MADV_HUGEPAGE);
#endif
        std::memset(memory, 0, size_);
        chunks_.emplace_back(memory);
    }

    std::vector<std::unique_ptr<char, Free>> chunks_;
    size_t page_, size_ = 0, used_ = 0;
};

// ---------------------------------------------------------------------------------------------------------------------------
// Encoding of activations

KERNEL_INLINE uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// ``inputs`` floats -> words. Inputs must be a multiple of 16, or x readable and zero up to the next multiple. Words past the
// inputs are left as they are: they must hold zeros (or anything finite: their weights are zero).
template <Precision P>
KERNEL_INLINE void encode(const float* x, int inputs, uint32_t* words, float* scale) {
    const int padded = round_up(inputs, 16);
    if constexpr (P == Precision::fp32) {
        for (int i = 0; i < padded; i += LANES) store(reinterpret_cast<float*>(words) + i, load(x + i));
        *scale = 1.0f;
    } else if constexpr (P == Precision::bf16) {
        uint16_t* halves = reinterpret_cast<uint16_t*>(words);
        for (int i = 0; i < padded; i += LANES) {
            const Words bits = same_bits<Words>(load(x + i));
            const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
            store_as(halves + i, __builtin_convertvector(rounded, Shorts));
        }
        *scale = 1.0f;
    } else {
        Floats largest = broadcast(1e-20f);
        for (int i = 0; i < padded; i += LANES) largest = maximum(largest, absolute(load(x + i)));
        const float highest = horizontal_maximum(largest);
        const Floats inverse = broadcast(127.0f / highest);
        uint8_t* bytes = reinterpret_cast<uint8_t*>(words);
        for (int i = 0; i < padded; i += LANES) {
            store_as(bytes + i, __builtin_convertvector(nearest(load(x + i) * inverse) + 128, Bytes));
        }
        *scale = highest / 127.0f;
    }
}

inline void encode(Precision precision, const float* x, int inputs, uint32_t* words, float* scale) {
    switch (precision) {
        case Precision::fp32: return encode<Precision::fp32>(x, inputs, words, scale);
        case Precision::bf16: return encode<Precision::bf16>(x, inputs, words, scale);
        case Precision::int8: return encode<Precision::int8>(x, inputs, words, scale);
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// Packing of weights

// What the sums of an output in int8 need; ``sum`` is 0 in other precisions.
struct PackedOutput {
    float scale;  // of the weights
    int32_t sum;  // of the weights as they are stored
};

// The weights of one output -> its words, the first at ``column`` and each ``apart`` words from the one before; they must hold zeros.
inline PackedOutput pack_output(Precision precision, const float* weights, int inputs, uint32_t* column, int apart) {
    const int each = values_in_word(precision);
    float largest = 1e-20f;
    for (int i = 0; i < inputs; ++i) largest = std::max(largest, std::fabs(weights[i]));
    int32_t sum = 0;
    for (int i = 0; i < inputs; ++i) {
        uint32_t bits;
        if (precision == Precision::fp32) {
            std::memcpy(&bits, weights + i, 4);
        } else if (precision == Precision::bf16) {
            bits = to_bf16(weights[i]);
        } else {
            const int32_t quantised = static_cast<int32_t>(std::nearbyint(weights[i] * (127.0f / largest)));
            sum += quantised;
            bits = static_cast<uint8_t>(quantised);
        }
        column[size_t(i / each) * apart] |= bits << (32 / each * (i % each));
    }
    return {largest / 127.0f, sum};
}

// ---------------------------------------------------------------------------------------------------------------------------
// One word of weights times one word of activations, added up for LANES outputs

template <Precision P>
struct Product;

template <>
struct Product<Precision::fp32> {
    using Sum = Floats;
    static KERNEL_INLINE Sum add(Sum sum, const uint32_t* weights, uint32_t x) {
        return multiply_add(load_as<Floats>(weights), broadcast(same_bits<float>(x)), sum);
    }
};

template <>
struct Product<Precision::bf16> {
    using Sum = Floats;
    static KERNEL_INLINE Sum add(Sum sum, const uint32_t* weights, uint32_t x) {
#if defined(__AVX512BF16__)
        const __m512bh w = same_bits<__m512bh>(load_as<Words>(weights));
        return _mm512_dpbf16_ps(sum, w, same_bits<__m512bh>(broadcast(x)));
#else
        const Words w = load_as<Words>(weights);  // a bf16 is the upper half of a float
        const Floats low = same_bits<Floats>(w << 16), high = same_bits<Floats>(w & 0xffff0000u);
        sum = multiply_add(low, broadcast(same_bits<float>(x << 16)), sum);
        return multiply_add(high, broadcast(same_bits<float>(x & 0xffff0000u)), sum);
#endif
    }
};

template <>
struct Product<Precision::int8> {
    using Sum = Ints;
    static KERNEL_INLINE Sum add(Sum sum, const uint32_t* weights, uint32_t x) {
#if defined(__AVX512VNNI__)
        return same_bits<Ints>(_mm512_dpbusd_epi32(same_bits<__m512i>(sum), same_bits<__m512i>(broadcast(x)), load_as<__m512i>(weights)));
#elif defined(__AVX2__)
        // maddubs would saturate its 16-bit sums of two products, so bytes are widened first: even ones, then odd ones.
        const __m256i w = load_as<__m256i>(weights);
        const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), odd = _mm256_srai_epi16(w, 8);
        const __m256i x_even = _mm256_set1_epi32(static_cast<int>(x & 0x00ff00ffu));
        const __m256i x_odd = _mm256_set1_epi32(static_cast<int>((x >> 8) & 0x00ff00ffu));
        const __m256i pairs = _mm256_add_epi32(_mm256_madd_epi16(even, x_even), _mm256_madd_epi16(odd, x_odd));
        return same_bits<Ints>(_mm256_add_epi32(same_bits<__m256i>(sum), pairs));
#else
        const Ints w = load_as<Ints>(weights);
        sum += ((w << 24) >> 24) * static_cast<int32_t>(x & 0xff);
        sum += ((w << 16) >> 24) * static_cast<int32_t>((x >> 8) & 0xff);
        sum += ((w << 8) >> 24) * static_cast<int32_t>((x >> 16) & 0xff);
        return sum + (w >> 24) * static_cast<int32_t>(x >> 24);
#endif
    }
};

// ---------------------------------------------------------------------------------------------------------------------------
// AMX: a thread configures its tiles before products of many rows and gives them back afterwards

#if defined(__AMX_TILE__)
constexpr bool HAS_TILES = true;

// The kernel hands tile registers to a process that asks for them; false where it does not.
inline bool tiles_allowed() {
    static const bool allowed = syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */) == 0;
    return allowed;
}

// The tile intrinsics of some compilers do not say that they read memory: everything before is written, everything after read anew.
KERNEL_INLINE void memory_is_written() { __asm__ volatile("" ::: "memory"); }

#define KERNEL_TILE_PRODUCT(precision, sum, activations, weights) \
    if constexpr (precision == Precision::int8) {                 \
        _tile_dpbusd(sum, activations, weights);                  \
    } else {                                                      \
        _tile_dpbf16ps(sum, activations, weights);                \
    }

class TileScope {
   public:
    TileScope() : on_(tiles_allowed()) {
        if (!on_) return;
        struct alignas(64) Layout {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t bytes_in_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        };
        static const Layout layout;  // on the stack, stores that the intrinsic does not name would be left out
        _tile_loadconfig(&layout);
    }
    ~TileScope() {
        if (on_) _tile_release();
    }
    TileScope(const TileScope&) = delete;
    TileScope& operator=(const TileScope&) = delete;

   private:
    bool on_;
};
#else
constexpr bool HAS_TILES = false;
inline bool tiles_allowed() { return false; }

class TileScope {
   public:
    TileScope() {}
    ~TileScope() {}
};
#endif

// ---------------------------------------------------------------------------------------------------------------------------

class PackedMatrix {
   public:
    // Rows of weights lie ``row_stride`` floats apart; bias may be null. The packed form lives in the arena.
    void pack(Arena& arena, Precision precision, const float* weights, ptrdiff_t row_stride, const float* bias, int outputs, int inputs) {
        precision_ = precision, outputs_ = outputs, inputs_ = inputs;
        blocks_ = (outputs + BLOCK - 1) / BLOCK;
        words_ = encoded_words(precision, inputs);
        weights_ = arena.take<uint32_t>(size_t(blocks_) * words_ * BLOCK);
        bias_ = arena.take<float>(padded_outputs());
        scales_ = arena.take<float>(padded_outputs());
        starts_ = arena.take<int32_t>(padded_outputs());
        for (int output = 0; output < outputs; ++output) {
            if (bias != nullptr) bias_[output] = bias[output];
            const PackedOutput packed = pack_output(precision, weights + output * row_stride, inputs, column(output), BLOCK);
            scales_[output] = packed.scale;
            starts_[output] = -128 * packed.sum;
        }
    }

    int outputs() const { return outputs_; }
    int inputs() const { return inputs_; }
    int blocks() const { return blocks_; }
    int words() const { return words_; }  // 32-bit words of an encoded input vector
    int padded_outputs() const { return blocks_ * BLOCK; }
    size_t bytes() const { return size_t(blocks_) * words_ * BLOCK * 4; }
    Precision precision() const { return precision_; }
    const float* bias() const { return bias_; }

    // Outputs of the blocks ``first`` .. ``last`` from one encoded vector: y = bias + W x, or y += W x where ``add``.
    // y is the whole output vector: block b is written at y + 32 b.
    void multiply(const uint32_t* x, float scale, float* y, int first, int last, bool add) const {
        switch (precision_) {
            case Precision::fp32: return vector_product<Precision::fp32>(x, scale, y, first, last, add);
            case Precision::bf16: return vector_product<Precision::bf16>(x, scale, y, first, last, add);
            case Precision::int8: return vector_product<Precision::int8>(x, scale, y, first, last, add);
        }
    }

    // The same for ``rows`` vectors, ``x_stride`` words and ``y_stride`` floats apart. With AMX and 8 rows or more, inside a
    // TileScope, tiles are used: x must then be readable up to a multiple of 16 rows (their values do not matter).
    void multiply_rows(const uint32_t* x, ptrdiff_t x_stride, const float* scales, int rows, float* y, ptrdiff_t y_stride, int first,
                       int last, bool add) const {
        switch (precision_) {
            case Precision::fp32: return row_products<Precision::fp32>(x, x_stride, scales, rows, y, y_stride, first, last, add);
            case Precision::bf16: return row_products<Precision::bf16>(x, x_stride, scales, rows, y, y_stride, first, last, add);
            case Precision::int8: return row_products<Precision::int8>(x, x_stride, scales, rows, y, y_stride, first, last, add);
        }
    }

    // As above with the precision known to the compiler.
    template <Precision P>
    void vector_product(const uint32_t* x, float scale, float* y, int first, int last, bool add) const {
        int block = first;
        for (; last - block >= WIDE; block += WIDE) register_block<P, WIDE, 1>(x, 0, &scale, y, 0, block, add);
        for (; block < last; ++block) register_block<P, 1, 1>(x, 0, &scale, y, 0, block, add);
    }

    template <Precision P>
    void row_products(const uint32_t* x, ptrdiff_t x_stride, const float* scales, int rows, float* y, ptrdiff_t y_stride, int first,
                      int last, bool add) const {
        int row = 0;
#if defined(__AMX_TILE__)
        if (P != Precision::fp32 && rows >= TILES_FROM && tiles_allowed()) {
            tile_products<P>(x, x_stride, scales, rows, y, y_stride, first, last, add);
            return;
        }
#endif
        for (; row + ROWS <= rows; row += ROWS) {
            for (int block = first; block < last; ++block) {
                register_block<P, 1, ROWS>(x + row * x_stride, x_stride, scales + row, y + row * y_stride, y_stride, block, add);
            }
        }
        for (; row < rows; ++row) vector_product<P>(x + row * x_stride, scales[row], y + row * y_stride, first, last, add);
    }

   private:
    static constexpr int VECTORS = BLOCK / LANES;       // registers of a block
    static constexpr int WIDE = LANES == 16 ? 4 : 2;    // blocks at once for a single vector: 8 sums hide the latency of an add
    static constexpr int ROWS = LANES == 16 ? 8 : 2;    // vectors at once: 16 (8) sums

    Precision precision_ = Precision::fp32;
    int outputs_ = 0, inputs_ = 0, blocks_ = 0, words_ = 0;
    uint32_t* weights_ = nullptr;
    float* bias_ = nullptr;
    float* scales_ = nullptr;      // int8: of the weights of an output
    int32_t* starts_ = nullptr;    // int8: -128 times the sum of the weights of an output, where its sum starts

    uint32_t* column(int output) const { return weights_ + size_t(output / BLOCK) * words_ * BLOCK + output % BLOCK; }
    const uint32_t* block_weights(int block) const { return weights_ + size_t(block) * words_ * BLOCK; }

    // What a finished sum adds to the output: int8 sums get their scales here.
    template <Precision P>
    KERNEL_INLINE void finish(typename Product<P>::Sum sum, int output, float scale, float* y, bool add) const {
        const Floats before = add ? load(y + output) : load(bias_ + output);
        if constexpr (P == Precision::int8) {
            store(y + output, multiply_add(to_floats(sum), load(scales_ + output) * scale, before));
        } else {
            store(y + output, before + sum);
        }
    }

    // BLOCKS x ROWS_ products whose sums all stay in registers.
    template <Precision P, int BLOCKS, int ROWS_>
    KERNEL_INLINE void register_block(const uint32_t* x, ptrdiff_t x_stride, const float* scales, float* y, ptrdiff_t y_stride, int block,
                                      bool add) const {
        typename Product<P>::Sum sums[ROWS_][BLOCKS * VECTORS];
#pragma GCC unroll 8
        for (int row = 0; row < ROWS_; ++row) {
#pragma GCC unroll 16
            for (int v = 0; v < BLOCKS * VECTORS; ++v) {
                sums[row][v] = load_as<typename Product<P>::Sum>(starts_ + block * BLOCK + v * LANES);
            }
        }
        const uint32_t* weights = block_weights(block);
        const size_t apart = size_t(words_) * BLOCK;
        for (int word = 0; word < words_; ++word) {
#pragma GCC unroll 8
            for (int wide = 0; wide < BLOCKS; ++wide) {
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; ++v) {
                    const uint32_t* these = weights + wide * apart + size_t(word) * BLOCK + v * LANES;
#pragma GCC unroll 8
                    for (int row = 0; row < ROWS_; ++row) {
                        auto& sum = sums[row][wide * VECTORS + v];
                        sum = Product<P>::add(sum, these, x[row * x_stride + word]);
                    }
                }
            }
        }
#pragma GCC unroll 8
        for (int row = 0; row < ROWS_; ++row) {
#pragma GCC unroll 16
            for (int v = 0; v < BLOCKS * VECTORS; ++v) {
                finish<P>(sums[row][v], block * BLOCK + v * LANES, scales[row], y + row * y_stride, add);
            }
        }
    }

#if defined(__AMX_TILE__)
    // Many rows through tiles, a block of 32 outputs and 32 rows at a time. While the tiles of one such piece are multiplied, the
    // sums of the piece before get their scales: the two do not wait for each other.
    template <Precision P>
    void tile_products(const uint32_t* x, ptrdiff_t x_stride, const float* scales, int rows, float* y, ptrdiff_t y_stride, int first,
                       int last, bool add) const {
        alignas(64) TileSums sums[2][4];
        int turn = 0, ready_block = -1, ready_row = 0;
        auto finish_ready = [&](TileSums* of) {
            for (int part = 0; ready_block >= 0 && part < 4; ++part) {
                const int row = ready_row + part / 2 * TILE_ROWS, output = ready_block * BLOCK + part % 2 * 16;
                finish_rows<P>(of[part], output, scales + row, std::min(TILE_ROWS, rows - row), y + row * y_stride, y_stride, add);
            }
        };
        memory_is_written();
        for (int block = first; block < last; ++block) {
            for (int row = 0; row < rows; row += 2 * TILE_ROWS, turn ^= 1) {
                const uint32_t* these = x + row * x_stride;
                if (rows - row > TILE_ROWS) tile_piece<P, true>(block, these, x_stride, sums[turn]);
                else tile_piece<P, false>(block, these, x_stride, sums[turn]);
                memory_is_written();
                finish_ready(sums[turn ^ 1]);
                ready_block = block, ready_row = row;
            }
        }
        finish_ready(sums[turn ^ 1]);
    }

    using TileSums = int32_t[TILE_ROWS][16];

    // Tiles 0..3: sums, for 16 rows (0, 1) or 32; 4 and 5 activations; 6 and 7 weights. int8 sums start at minus their offsets:
    // a stride of 0 loads the same 16 numbers into every row of a tile.
    template <Precision P, bool TWO>
    KERNEL_INLINE void tile_piece(int block, const uint32_t* x, ptrdiff_t x_stride, TileSums* sums) const {
        const uint32_t* weights = block_weights(block);
        const int32_t* start = starts_ + block * BLOCK;
        _tile_loadd(0, start, 0);
        _tile_loadd(1, start + 16, 0);
        if constexpr (TWO) {
            _tile_loadd(2, start, 0);
            _tile_loadd(3, start + 16, 0);
        }
        for (int word = 0; word < words_; word += WORD_STEP) {
            _tile_loadd(6, weights + size_t(word) * BLOCK, BLOCK * 4);
            _tile_loadd(7, weights + size_t(word) * BLOCK + 16, BLOCK * 4);
            _tile_loadd(4, x + word, x_stride * 4);
            KERNEL_TILE_PRODUCT(P, 0, 4, 6);
            KERNEL_TILE_PRODUCT(P, 1, 4, 7);
            if constexpr (TWO) {
                _tile_loadd(5, x + TILE_ROWS * x_stride + word, x_stride * 4);
                KERNEL_TILE_PRODUCT(P, 2, 5, 6);
                KERNEL_TILE_PRODUCT(P, 3, 5, 7);
            }
        }
        _tile_stored(0, sums[0], 64);
        _tile_stored(1, sums[1], 64);
        if constexpr (TWO) {
            _tile_stored(2, sums[2], 64);
            _tile_stored(3, sums[3], 64);
        }
    }

    // ``finish`` of 16 outputs of several rows; what belongs to the outputs stays in registers.
    template <Precision P>
    KERNEL_INLINE void finish_rows(const int32_t (*sums)[16], int output, const float* scales, int count, float* y, ptrdiff_t y_stride,
                                   bool add) const {
        const Floats bias = load(bias_ + output), weight_scale = load(scales_ + output);
        for (int row = 0; row < count; ++row) {
            float* place = y + row * y_stride + output;
            const Floats before = add ? load(place) : bias;
            if constexpr (P == Precision::int8) {
                const Floats exact = to_floats(load_as<Ints>(sums[row]));
                store(place, multiply_add(exact, weight_scale * scales[row], before));
            } else {
                store(place, before + load_as<Floats>(sums[row]));
            }
        }
    }
#endif
};

}  // namespace kernels
