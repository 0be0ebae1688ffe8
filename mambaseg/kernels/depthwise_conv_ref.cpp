// The specification of the depthwise convolution: double precision, one output after the other.

#include "mambaseg/kernels/depthwise_conv.h"

namespace mambaseg {
namespace {

/// Where position (i, j, k) of a volume of `extent` lies.
int64_t place_of(const DepthwiseConv& conv, const std::array<int64_t, 3>& extent, int64_t i, int64_t j,
                 int64_t k) {
  return (i * extent[1] + j) * extent[2] + (conv.order ? conv.order[k] : k);
}

/// Calls visit(tap, position in x) for the taps of output (i, j, k) that fall inside x.
template <class Function>
void for_taps(const DepthwiseConv& conv, int64_t i, int64_t j, int64_t k, Function visit) {
  int64_t tap = 0;
  for (int64_t a = 0; a < conv.kernel[0]; ++a) {
    for (int64_t b = 0; b < conv.kernel[1]; ++b) {
      for (int64_t c = 0; c < conv.kernel[2]; ++c, ++tap) {
        const int64_t x = i + a - conv.padding[0], y = j + b - conv.padding[1], z = k + c - conv.padding[2];
        if (x < 0 || x >= conv.input[0] || y < 0 || y >= conv.input[1] || z < 0 || z >= conv.input[2])
          continue;
        visit(tap, place_of(conv, conv.input, x, y, z) * conv.input_position_stride);
      }
    }
  }
}

int64_t output_place(const DepthwiseConv& conv, int64_t i, int64_t j, int64_t k) {
  return place_of(conv, conv.output, i, j, k) * conv.output_position_stride;
}

}  // namespace

DepthwiseConv DepthwiseConv::transposed() const {
  DepthwiseConv other = *this;
  other.input = output;
  other.output = input;
  for (int axis = 0; axis < 3; ++axis) other.padding[axis] = kernel[axis] - 1 - padding[axis];
  other.input_position_stride = output_position_stride;
  other.output_position_stride = input_position_stride;
  other.input_channel_stride = output_channel_stride;
  other.output_channel_stride = input_channel_stride;
  return other;
}

void depthwise_conv_forward_ref(const DepthwiseConv& conv, const DepthwisePart& part, const double* x,
                                const double* weight, const double* bias, bool flipped, double* y) {
  for (int64_t c = part.channel_begin; c < part.channel_end; ++c) {
    for (int64_t i = 0; i < conv.output[0]; ++i) {
      for (int64_t j = part.begin; j < part.end; ++j) {
        for (int64_t k = 0; k < conv.output[2]; ++k) {
          double sum = bias ? bias[c] : 0;
          for_taps(conv, i, j, k, [&](int64_t tap, int64_t place) {
            const int64_t t = flipped ? conv.taps() - 1 - tap : tap;
            sum += weight[c * conv.taps() + t] * x[place + c * conv.input_channel_stride];
          });
          y[output_place(conv, i, j, k) + c * conv.output_channel_stride] = sum;
        }
      }
    }
  }
}

void depthwise_conv_backward_weight_ref(const DepthwiseConv& conv, const DepthwisePart& part, const double* x,
                                        const double* grad_y, double* grad_weight, double* grad_bias) {
  for (int64_t c = part.channel_begin; c < part.channel_end; ++c) {
    for (int64_t i = part.begin; i < part.end; ++i) {
      for (int64_t j = 0; j < conv.output[1]; ++j) {
        for (int64_t k = 0; k < conv.output[2]; ++k) {
          const double g = grad_y[output_place(conv, i, j, k) + c * conv.output_channel_stride];
          if (grad_bias) grad_bias[c] += g;
          for_taps(conv, i, j, k, [&](int64_t tap, int64_t place) {
            grad_weight[c * conv.taps() + tap] += g * x[place + c * conv.input_channel_stride];
          });
        }
      }
    }
  }
}

}  // namespace mambaseg
