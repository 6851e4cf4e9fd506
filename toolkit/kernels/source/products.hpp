// Products of packed matrices with one vector or with many rows at once, for recurrent networks that are bound by reading weights.
//
// The words are those of packed.hpp: 1 fp32, 2 bf16 or 4 int8 values that follow each other along the inputs. Three things are
// different here, because all matrices of a step together are larger than the caches:
//
// - A BLOCK is 64 outputs, finished for ALL rows before the next one is begun, so every weight is read from far away once a step,
//   and whoever asked for the block may use its outputs while they are in the first cache (an LSTM puts the four gates of 16 units
//   into one block).
// - What is multiplied is a sum of TERMS, each a matrix times an input (say prenet, context, hidden state). An input that several
//   matrices share is encoded once, and in int8 each term has scales of its own, so that a loud input does not cost a quiet one its
//   precision.
// - A row's result never depends on the rows beside it: its sums are made in the same order, however many rows there are.
//
// Weights of a matrix in the order in which they are read:
//
//   block 0   word 0: | out 0 | out 1 | ... | out 63 |  256 bytes
//             word 1: | out 0 | out 1 | ... | out 63 |
//             ...
//   block 1   word 0: | out 64 | ...
//
//   16 words of 16 outputs, 16 pieces of 64 bytes that lie 256 apart, are one weight tile of AMX.
//
// Inputs: one vector of words a row. Rows lie 64 bytes further apart than they are long: a power of two would put the same word of
// all rows into the same few places of the first cache.
//
//   row 0: | word 0 | word 1 | ... | 16 unused | row 1: | word 0 | ...
#pragma once

#include "packed.hpp"

namespace kernels {

constexpr int OUTPUTS = 64;                      // of a block
constexpr int OUTPUT_VECTORS = OUTPUTS / LANES;  // registers of a block
constexpr int NEAR_WORDS = 128;                  // words of a block that stay in the first cache while all rows pass over them
constexpr int AHEAD = 4096;                      // bytes by which weights are asked for before they are needed

// A vector for each row: its values, and the same as words of the products' precision.
class Input {
   public:
    void shape(Arena& arena, Precision precision, int width, int rows) {
        precision_ = precision, width_ = width;
        words_ = encoded_words(precision, width);
        stride_ = words_ + WORD_STEP;
        values_stride_ = round_up(width, OUTPUTS);
        const int readable = round_up(rows, TILE_ROWS);
        values_ = arena.take<float>(size_t(values_stride_) * rows);
        encoded_ = arena.take<uint32_t>(size_t(stride_) * readable);
        scales_ = arena.take<float>(readable);
    }

    float* row(int row) const { return values_ + size_t(row) * values_stride_; }
    void encode_row(int row) { encode(precision_, this->row(row), width_, encoded_ + size_t(row) * stride_, scales_ + row); }
    void move_row(int from, int to) {
        std::memmove(row(to), row(from), sizeof(float) * values_stride_);
        std::memmove(encoded_ + size_t(to) * stride_, encoded_ + size_t(from) * stride_, sizeof(uint32_t) * stride_);
        scales_[to] = scales_[from];
    }

    int width() const { return width_; }
    int words() const { return words_; }
    const uint32_t* encoded(int row) const { return encoded_ + size_t(row) * stride_; }
    ptrdiff_t stride() const { return stride_; }
    float scale(int row) const { return scales_[row]; }

   private:
    Precision precision_ = Precision::fp32;
    int width_ = 0, words_ = 0;
    ptrdiff_t stride_ = 0, values_stride_ = 0;
    float* values_ = nullptr;
    uint32_t* encoded_ = nullptr;
    float* scales_ = nullptr;
};

// Sums of one block for all rows, with room for whole tiles. One for each thread.
struct BlockSums {
    BlockSums(Arena& arena, int rows)
        : floats(arena.take<float>(size_t(round_up(rows, 2 * TILE_ROWS)) * OUTPUTS)),
          ints(arena.take<int32_t>(size_t(round_up(rows, 2 * TILE_ROWS)) * OUTPUTS)) {}
    float* floats;
    int32_t* ints;
};

class BlockMatrix {
   public:
    // ``weights_of(output)`` points to the weights of an output, or is null for one that only fills up its block. Outputs stand in the
    // order of the blocks.
    template <class WeightsOf>
    void pack(Arena& arena, Precision precision, int outputs, int width, WeightsOf weights_of) {
        reserve(arena, precision, (outputs + OUTPUTS - 1) / OUTPUTS, width);
        if (precision == Precision::int8) {
            scales_ = arena.take<float>(size_t(blocks_) * OUTPUTS);
            offsets_ = arena.take<int32_t>(size_t(blocks_) * OUTPUTS);
        }
        for (int output = 0; output < outputs; ++output) {
            const float* weights = weights_of(output);
            if (weights == nullptr) continue;
            const PackedOutput packed = pack_output(precision, weights, width, block(output / OUTPUTS) + output % OUTPUTS, OUTPUTS);
            if (precision != Precision::int8) continue;
            scales_[output] = packed.scale;
            offsets_[output] = 128 * packed.sum;
        }
    }

    // Room for weights that somebody else writes.
    void reserve(Arena& arena, Precision precision, int blocks, int width) {
        precision_ = precision, blocks_ = blocks, width_ = width, words_ = encoded_words(precision, width);
        weights_ = arena.take<uint32_t>(size_t(blocks_) * words_ * OUTPUTS);
    }

    int blocks() const { return blocks_; }
    size_t bytes() const { return size_t(blocks_) * words_ * OUTPUTS * 4; }
    uint32_t* block(int block) const { return weights_ + size_t(block) * words_ * OUTPUTS; }

    // sums.floats, 64 a row, += W x of one block for all rows. Inside a TileScope.
    void add_block(int block, const Input& input, int rows, BlockSums& sums) const {
        switch (precision_) {
            case Precision::fp32: return add_products<Precision::fp32>(block, input, rows, sums);
            case Precision::bf16: return add_products<Precision::bf16>(block, input, rows, sums);
            case Precision::int8: return add_products<Precision::int8>(block, input, rows, sums);
        }
    }

   private:
    Precision precision_ = Precision::fp32;
    int blocks_ = 0, width_ = 0, words_ = 0;
    uint32_t* weights_ = nullptr;
    float* scales_ = nullptr;     // int8: of each output
    int32_t* offsets_ = nullptr;  // int8: 128 times the sum of the weights, for inputs are stored 128 too large

    template <Precision P>
    void add_products(int block, const Input& input, int rows, BlockSums& sums) const {
        if constexpr (P == Precision::int8) {
            std::memset(sums.ints, 0, sizeof(int32_t) * OUTPUTS * rows);
            accumulate<P>(this->block(block), input.encoded(0), input.stride(), words_, rows, sums.ints);
            add_scaled(block, input, rows, sums);
        } else {
            accumulate<P>(this->block(block), input.encoded(0), input.stride(), words_, rows, sums.floats);
        }
    }

    // Exact sums of int8 products -> floats.
    void add_scaled(int block, const Input& input, int rows, BlockSums& sums) const {
        const size_t place = size_t(block) * OUTPUTS;
        for (int row = 0; row < rows; ++row) {
            const Floats scale = broadcast(input.scale(row));
            for (int output = 0; output < OUTPUTS; output += LANES) {
                float* to = sums.floats + size_t(row) * OUTPUTS + output;
                const Ints exact = load_as<Ints>(sums.ints + size_t(row) * OUTPUTS + output) - load_as<Ints>(offsets_ + place + output);
                store(to, multiply_add(to_floats(exact), load(scales_ + place + output) * scale, load(to)));
            }
        }
    }

   public:
    // sums += W x for the weights of one block. Any window of floats may be a row in fp32, also rows that overlap.
    template <Precision P, class Sum>
    static void accumulate(const uint32_t* weights, const uint32_t* x, ptrdiff_t stride, int words, int rows, Sum* sums) {
#if defined(__AMX_TILE__)
        if (tiled<P>(rows)) return accumulate_tiles<P>(weights, x, stride, words, rows, sums);
#endif
        if (rows == 1) return accumulate_rows<P, 1, SINGLE>(weights, x, stride, 0, words, sums);
        for (int first = 0; first < words; first += NEAR_WORDS) {
            const int last = std::min(words, first + NEAR_WORDS);
            for (int row = 0; row < rows; row += MANY) {
                const uint32_t* from = x + row * stride;
                Sum* to = sums + size_t(row) * OUTPUTS;
                switch (std::min(MANY, rows - row)) {
                    case 1: accumulate_rows<P, 1, SINGLE>(weights, from, stride, first, last, to); break;
                    case 2: accumulate_rows<P, 2, SHARED>(weights, from, stride, first, last, to); break;
                    case 3: accumulate_rows<P, 3, SHARED>(weights, from, stride, first, last, to); break;
                    case 4: accumulate_rows<P, 4, SHARED>(weights, from, stride, first, last, to); break;
                    case 5: accumulate_rows<P, 5, SHARED>(weights, from, stride, first, last, to); break;
                    default: accumulate_rows<P, MANY, SHARED>(weights, from, stride, first, last, to); break;
                }
            }
        }
    }

   private:
    static constexpr int MANY = 6;                         // rows whose sums stand in registers together
    static constexpr int SINGLE = LANES == 16 ? 4 : 8;     // registers of outputs for one row: all 64
    static constexpr int SHARED = LANES == 16 ? 4 : 1;     // for several rows: 24 of 32 registers are sums, or 6 (12 halves) of 16

    // Rows that stand beside each other, words first .. last, ``WIDE`` registers of outputs at once.
    template <Precision P, int ROWS, int WIDE, class Sum>
    static KERNEL_INLINE void accumulate_rows(const uint32_t* weights, const uint32_t* x, ptrdiff_t stride, int first, int last,
                                              Sum* sums) {
        using Vector = typename Product<P>::Sum;
        for (int column = 0; column < OUTPUTS; column += WIDE * LANES) {
            Vector total[ROWS][WIDE];
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 8
                for (int v = 0; v < WIDE; ++v) total[row][v] = load_as<Vector>(sums + row * OUTPUTS + column + v * LANES);
            }
            for (int word = first; word < last; ++word) {
                const uint32_t* these = weights + size_t(word) * OUTPUTS + column;
#pragma GCC unroll 8
                for (int v = 0; v < WIDE; ++v) {
                    __builtin_prefetch(reinterpret_cast<const char*>(these + v * LANES) + AHEAD);
#pragma GCC unroll 8
                    for (int row = 0; row < ROWS; ++row) {
                        total[row][v] = Product<P>::add(total[row][v], these + v * LANES, x[row * stride + word]);
                    }
                }
            }
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 8
                for (int v = 0; v < WIDE; ++v) store_as(sums + row * OUTPUTS + column + v * LANES, total[row][v]);
            }
        }
    }

#if defined(__AMX_TILE__)
    // Tiles sum bf16 pairs in another order than vectors do, so one row takes them too. int8 sums are exact either way.
    template <Precision P>
    static bool tiled(int rows) {
        return P != Precision::fp32 && (P == Precision::bf16 || rows > 2) && tiles_allowed();
    }

    // a macro, for compilers take the numbers of tiles from the text
#define MULTIPLY_TILES(to, left, right)                               \
    if constexpr (P == Precision::int8) _tile_dpbusd(to, left, right); \
    else _tile_dpbf16ps(to, left, right)

    // 32 rows by 32 outputs, or the last 16 rows (one row stands in all 16 places) by 64 outputs.
    template <Precision P, class Sum>
    static void accumulate_tiles(const uint32_t* weights, const uint32_t* x, ptrdiff_t stride, int words, int rows, Sum* sums) {
        constexpr int SUMS = OUTPUTS * 4, WEIGHTS = OUTPUTS * 4;
        __asm__ volatile("" ::: "memory");  // the compiler does not know that tile loads read memory
        int row = 0;
        for (; row + TILE_ROWS < rows; row += 2 * TILE_ROWS) {
            const uint32_t* upper = x + row * stride;
            const uint32_t* lower = upper + TILE_ROWS * stride;
            Sum* to = sums + size_t(row) * OUTPUTS;
            Sum* to_lower = to + TILE_ROWS * OUTPUTS;
            for (int column = 0; column < OUTPUTS; column += 32) {
                _tile_loadd(0, to + column, SUMS); _tile_loadd(1, to + column + 16, SUMS);
                _tile_loadd(2, to_lower + column, SUMS); _tile_loadd(3, to_lower + column + 16, SUMS);
                for (int word = 0; word < words; word += WORD_STEP) {
                    const uint32_t* these = weights + size_t(word) * OUTPUTS + column;
                    _tile_loadd(4, upper + word, stride * 4); _tile_loadd(5, lower + word, stride * 4);
                    _tile_loadd(6, these, WEIGHTS); _tile_loadd(7, these + 16, WEIGHTS);
                    MULTIPLY_TILES(0, 4, 6); MULTIPLY_TILES(1, 4, 7);
                    MULTIPLY_TILES(2, 5, 6); MULTIPLY_TILES(3, 5, 7);
                }
                _tile_stored(0, to + column, SUMS); _tile_stored(1, to + column + 16, SUMS);
                _tile_stored(2, to_lower + column, SUMS); _tile_stored(3, to_lower + column + 16, SUMS);
            }
        }
        if (row >= rows) return;
        const uint32_t* from = x + row * stride;
        const ptrdiff_t apart = rows == 1 ? 0 : stride * 4;
        Sum* to = sums + size_t(row) * OUTPUTS;
        _tile_loadd(0, to, SUMS); _tile_loadd(1, to + 16, SUMS); _tile_loadd(2, to + 32, SUMS); _tile_loadd(3, to + 48, SUMS);
        for (int word = 0; word < words; word += WORD_STEP) {
            const uint32_t* these = weights + size_t(word) * OUTPUTS;
            _tile_loadd(4, from + word, apart);
            for (int line = 0; line < WORD_STEP * 4; ++line) __builtin_prefetch(reinterpret_cast<const char*>(these) + AHEAD + 64 * line);
            _tile_loadd(6, these, WEIGHTS); MULTIPLY_TILES(0, 4, 6);
            _tile_loadd(7, these + 16, WEIGHTS); MULTIPLY_TILES(1, 4, 7);
            _tile_loadd(6, these + 32, WEIGHTS); MULTIPLY_TILES(2, 4, 6);
            _tile_loadd(7, these + 48, WEIGHTS); MULTIPLY_TILES(3, 4, 7);
        }
        _tile_stored(0, to, SUMS); _tile_stored(1, to + 16, SUMS); _tile_stored(2, to + 32, SUMS); _tile_stored(3, to + 48, SUMS);
    }
#undef MULTIPLY_TILES
#endif
};

struct Term {
    const BlockMatrix* matrix;
    const Input* input;
};

// bias + the sum of the terms, of one block for all rows -> sums.floats, 64 a row. ``bias`` is that of the first block, or null.
inline void multiply(int block, const float* bias, const Term* terms, int count, int rows, BlockSums& sums) {
    for (int row = 0; row < rows; ++row) {
        float* to = sums.floats + size_t(row) * OUTPUTS;
        if (bias == nullptr) std::memset(to, 0, sizeof(float) * OUTPUTS);
        else std::memcpy(to, bias + size_t(block) * OUTPUTS, sizeof(float) * OUTPUTS);
    }
    for (int term = 0; term < count; ++term) terms[term].matrix->add_block(block, *terms[term].input, rows, sums);
}

}  // namespace kernels
