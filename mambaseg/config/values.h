#pragma once

#include "mambaseg/config/config.h"

namespace mambaseg {

/// The values of a configuration in the order in which it names them, without their names: what a stored hash
/// is made from, so that it outlives new names.
template <class T>
Json values_of(T& value) {
  if constexpr (config_detail::Described<T>) {
    Json values = Json::array();
    auto visit = [&values](const char*, auto& member, auto&&...) { values.push_back(values_of(member)); };
    value.describe(visit);
    return values;
  } else if constexpr (requires { typename T::value_type::second_type; }) {
    Json values = Json::object();
    for (auto& [key, member] : value) values[key] = values_of(member);
    return values;
  } else if constexpr (requires { value.push_back(value.front()); } && !std::is_same_v<T, std::string> &&
                       !std::is_same_v<T, Json>) {
    Json values = Json::array();
    for (auto&& member : value)
      if constexpr (config_detail::Described<std::remove_reference_t<decltype(member)>>)
        values.push_back(values_of(member));
      else
        values.push_back(member);
    return values;
  } else {
    return value;
  }
}

}  // namespace mambaseg
