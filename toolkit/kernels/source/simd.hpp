// Vectors of floats for every target: GCC/Clang vector extensions, intrinsics only where a target has a better instruction.
//
// LANES is 16 with AVX-512 and 8 elsewhere (two 4-lane registers where there is no AVX). Every loop over channels in these
// kernels runs in steps of LANES over memory that is padded to a multiple of 16 values, so the same loop serves all targets.
//
// Accuracy, measured against double over all floats of the stated range:
//   exponential     relative 2e-7 on -87 .. 88; outside it the argument is clamped to that range
//   reciprocal      relative 3e-7 for normal positive numbers
//   sigmoid         absolute 2e-7
//   tangent         absolute 3e-7 (hyperbolic)
//   gated_unit      absolute 5e-7: tanh(filter) * sigmoid(gate) with one division
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // every function on vectors is inlined: how they would be passed does not matter

namespace kernels {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

using Floats = float __attribute__((vector_size(LANES * 4)));
using Ints = int32_t __attribute__((vector_size(LANES * 4)));
using Words = uint32_t __attribute__((vector_size(LANES * 4)));
using Shorts = uint16_t __attribute__((vector_size(LANES * 2)));
using Bytes = uint8_t __attribute__((vector_size(LANES)));

#define KERNEL_INLINE inline __attribute__((always_inline))

// Any vector type from and to memory of any alignment.
template <class Vector>
KERNEL_INLINE Vector load_as(const void* memory) {
    Vector value;
    std::memcpy(&value, memory, sizeof(Vector));
    return value;
}

template <class Vector>
KERNEL_INLINE void store_as(void* memory, Vector value) {
    std::memcpy(memory, &value, sizeof(Vector));
}

KERNEL_INLINE Floats load(const float* memory) { return load_as<Floats>(memory); }

KERNEL_INLINE void store(float* memory, Floats value) { store_as(memory, value); }

KERNEL_INLINE Floats broadcast(float value) { return value - Floats{}; }  // x - 0 is x for every x, so nothing is computed; x + 0 is not

KERNEL_INLINE Ints broadcast(int32_t value) { return Ints{} + value; }

KERNEL_INLINE Words broadcast(uint32_t value) { return Words{} + value; }

// a * b + c, one instruction where the target has it; named, so that the same source rounds alike wherever it is inlined.
KERNEL_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_ps(a, b, c);
#else
    return a * b + c;
#endif
}

KERNEL_INLINE Floats to_floats(Ints value) { return __builtin_convertvector(value, Floats); }

template <class To, class From>
KERNEL_INLINE To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "a view, not a conversion");
    To result;
    std::memcpy(&result, &value, sizeof(To));
    return result;
}

KERNEL_INLINE Floats maximum(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#else
    return a > b ? a : b;
#endif
}

KERNEL_INLINE Floats minimum(Floats a, Floats b) {
#if defined(__AVX512F__)
    return _mm512_min_ps(a, b);
#else
    return a < b ? a : b;
#endif
}

KERNEL_INLINE Floats absolute(Floats value) { return same_bits<Floats>(same_bits<Words>(value) & 0x7fffffffu); }

KERNEL_INLINE float horizontal_sum(Floats value) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps(value);
#else
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += value[lane];
    return total;
#endif
}

KERNEL_INLINE float horizontal_maximum(Floats value) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps(value);
#else
    float highest = value[0];
    for (int lane = 1; lane < LANES; ++lane) highest = value[lane] > highest ? value[lane] : highest;
    return highest;
#endif
}

// Nearest integers of |value| < 2^22, halves to even: the sum with 1.5 * 2^23 has no room for a fraction.
KERNEL_INLINE Ints nearest(Floats value) {
#if defined(__AVX512F__)
    return same_bits<Ints>(_mm512_cvtps_epi32(value));
#else
    const float no_fraction = 12582912.0f;
    return same_bits<Ints>(value + no_fraction) - same_bits<Ints>(broadcast(no_fraction));
#endif
}

// e^x = 2^n e^r with n the nearest integer of x / ln 2 and a polynomial of degree 6 for |r| <= ln 2 / 2.
KERNEL_INLINE Floats exponential(Floats x) {
    x = minimum(maximum(x, broadcast(-87.0f)), broadcast(88.0f));
    const Ints power = nearest(x * 1.44269504f);
    const Floats n = to_floats(power);
    Floats r = multiply_add(n, broadcast(-0.693359375f), x);  // ln 2 in two parts: n times the first is exact
    r = multiply_add(n, broadcast(2.12194440e-4f), r);
    Floats p = multiply_add(r, broadcast(1.0f / 720), broadcast(1.0f / 120));
    p = multiply_add(p, r, broadcast(1.0f / 24));
    p = multiply_add(p, r, broadcast(1.0f / 6));
    p = multiply_add(p, r, broadcast(0.5f));
    p = multiply_add(p, r * r, r) + 1.0f;
    return p * same_bits<Floats>((power + 127) << 23);
}

// 1 / x of a normal positive number.
KERNEL_INLINE Floats reciprocal(Floats x) {
#if defined(__AVX512F__)
    const Floats guess = _mm512_rcp14_ps(x);
    return guess * (2.0f - x * guess);  // one step of Newton: 14 bits become 28
#else
    return 1.0f / x;
#endif
}

KERNEL_INLINE Floats sigmoid(Floats x) { return reciprocal(1.0f + exponential(-maximum(x, broadcast(-60.0f)))); }

KERNEL_INLINE Floats tangent(Floats x) {
    const Floats e = exponential(-2.0f * minimum(maximum(x, broadcast(-20.0f)), broadcast(20.0f)));
    return (1.0f - e) * reciprocal(1.0f + e);
}

// tanh(filter) sigmoid(gate) = (1 - e^-2f) / ((1 + e^-2f) (1 + e^-g)). The clamps keep the product below the largest float.
KERNEL_INLINE Floats gated_unit(Floats filter, Floats gate) {
    const Floats e = exponential(-2.0f * minimum(maximum(filter, broadcast(-20.0f)), broadcast(20.0f)));
    const Floats closed = exponential(-maximum(gate, broadcast(-40.0f)));
    return (1.0f - e) * reciprocal((1.0f + e) * (1.0f + closed));
}

}  // namespace kernels
