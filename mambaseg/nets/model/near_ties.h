#pragma once

namespace mambaseg {

/// A module some of whose steps choose, such as the place of a maximum: where two numbers are nearly equal,
/// rounding turns the choice and with it what lies around. Implementations are compared in fp64, which has
/// few near ties.
class TurnsOnNearTies {
 public:
  virtual ~TurnsOnNearTies() = default;
};

}  // namespace mambaseg
